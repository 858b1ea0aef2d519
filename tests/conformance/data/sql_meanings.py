"""What SQL engines answer differently without a word, and what our subset of it means on every target."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of difference, and what was done about it."""

    sql: str
    engines: str  # what they answer of their own
    ours: str
    rests_on: str


_RUN = "run: tests/adapters/sql/random_expressions.py"
_TRINO = "docs: Trino's"
_REFUSED = "refused by type, with the line and what to write"
MEANINGS = (
    Meaning(
        sql="`a / b` where b is 0",
        engines="DuckDB, Athena: infinity or NaN, for whole numbers an error in Athena; BigQuery: an "
        "error",
        ours="NULL",
        rests_on=_RUN,
    ),
    Meaning(
        sql="`ln(0)`, `sqrt(-1)`, `exp(1000)`, `power(0, -1)`",
        engines="DuckDB, Athena: infinity or NaN; BigQuery: an error",
        ours="NULL",
        rests_on=_RUN,
    ),
    Meaning(
        sql="NaN in comparisons, `IN`, `BETWEEN`, `nullif`, `sign`, `min`, `max`, `ORDER BY`",
        engines="DuckDB: equal to itself and the largest; BigQuery: equal to nothing and the smallest",
        ours="there is none: functions give NULL, NaN in a static table's file is null, an event's is "
        "quarantined, infinity and `CAST('nan' AS DOUBLE)` are refused",
        rests_on=_RUN,
    ),
    Meaning(
        sql="`lower`, `upper` of ß, İ, ﬁ and the like",
        engines="upper('ß'): DuckDB ẞ, BigQuery SS, Athena ß",
        ours="the letters of Latin, Greek and Cyrillic whose other case is one letter change; all "
        "others stay",
        rests_on=f"{_RUN}; {_TRINO} functions change letter by letter",
    ),
    Meaning(
        sql="`replace(text, '', new)`",
        engines="Athena puts `new` between all letters; the others change nothing",
        ours="nothing is changed",
        rests_on=f"{_TRINO} StringFunctions.java",
    ),
    Meaning(
        sql="`round(x)` beyond 2^63",
        engines="Athena: 9223372036854775807; the others: x",
        ours="x",
        rests_on=f"{_TRINO} MathFunctions.java",
    ),
    Meaning(
        sql="`CAST(fraction AS BIGINT)`, `CAST(fraction AS VARCHAR)`, `CAST(timestamp AS VARCHAR)`",
        engines="halves are rounded, and values printed, differently",
        ours=_REFUSED,
        rests_on=_RUN,
    ),
    Meaning(
        sql="`CAST(text AS DOUBLE)`, `CAST(text AS TIMESTAMP)`",
        engines="nan and inf are numbers to some; a zone is ignored by DuckDB, applied by BigQuery, "
        "refused by Athena, which rounds to milliseconds",
        ours=_REFUSED,
        rests_on=f"{_RUN}; {_TRINO} types",
    ),
    Meaning(
        sql="equality with a float `sum`, `avg`, `stddev`, `variance`, `ln`, `exp`, `power`",
        engines="the last digit depends on the order of rows and on the library",
        ours=f"in views {_REFUSED}",
        rests_on=_RUN,
    ),
    Meaning(
        sql="`OVER (PARTITION BY float)`",
        engines="BigQuery: an error",
        ours=f"in views {_REFUSED}",
        rests_on=_RUN,
    ),
    Meaning(
        sql="beyond 1.8e308, beyond 64 bits, before the year 1 and after 9999; `CAST('x' AS BIGINT)`",
        engines="an error on one, infinity or a value on another",
        ours="left as it is: the engine that cannot says so",
        rests_on=_RUN,
    ),
)


def meanings() -> Iterator[str]:
    """The section of docs/parity.md."""
    yield "## What SQL means on every target"
    yield ""
    yield "Where engines answer differently without a word, one answer is rendered for all, or the SQL is refused. Found by random expressions over awkward values"
    yield "in DuckDB, in the offline Athena and in GoogleSQL's reference implementation; the offline Athena is DuckDB below, so that Trino's own functions rest on its"
    yield "documentation and source."
    yield ""
    yield "| SQL | engines of their own | here | rests on |"
    yield "|---|---|---|---|"
    for meaning in MEANINGS:
        yield f"| {meaning.sql} | {meaning.engines} | {meaning.ours} | {meaning.rests_on} |"
