"""Translated queries run in DuckDB, and DuckDB's failures in Athena's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from ....core.registry import Context
from ..errors import QueryFailed
from ..formats import types
from ..schemas import Column, Table
from ..sql import translation as translate
from ..sql.lengths import Length, type_with_length
from ..tables import files, partitions
from ..tables.catalog import Catalog
from ..tables.result import Result
from .running_query import Exhausted, Running

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_BATCH = 100_000  # rows
_TOGETHER = 16 << 20  # bytes of files
_COPIES = 3  # of a result: as it came, as it is written, and on the way between


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A query, and what becomes of its rows."""

    text: str
    database: str
    parameters: Sequence[str] = ()
    cell: int = 0  # bytes that a value takes once it is text; 0: it stays in columns
    describes: bool = False  # names and types only


def run(ctx: Context, running: Running, query: Query) -> Result:
    """Run a SELECT in DuckDB on a table's data in S3, and return its result.

    A query that is only described (`query.describes`) has a result of names and types alone.

    Returns:
        The rows, the names and DuckDB types of their columns, and how many bytes and rows of S3
        were read for them.

    Raises:
        Malformed: The query does not parse.
        QueryFailed: Athena would fail it; in Athena's words.
        Cancelled: The query was stopped.
        TimedOut: It took longer than Athena allows.
        Exhausted: It needs more memory than it may use.
    """
    import duckdb

    catalog = Catalog(ctx)
    translated = translate.translate(
        query.text, catalog, query.database, ctx.clock.now(), query.parameters
    )
    try:
        with running.database() as connection:
            return _answer(
                ctx, running, query, catalog=catalog, translated=translated, connection=connection
            )
    except (duckdb.Error, OSError) as error:
        raise query_failure(query.text, error) from error


def _answer(
    ctx: Context,
    running: Running,
    query: Query,
    *,
    catalog: Catalog,
    translated: translate.Translated,
    connection: duckdb.DuckDBPyConnection,
) -> Result:
    """Load the S3 data of a query's tables into DuckDB, and return the query's result.

    `running` tells when the query is to stop, `translated` is its text in DuckDB's SQL, and
    `connection` leads to its database.
    """
    s3 = ctx.client("s3")
    scanned = read_rows = 0
    for name, table in translated.tables.items():
        parts = (
            []
            if query.describes
            else list(partitions.parts(s3, catalog, table, ctx.clock.now(), translated.fixed))
        )
        scanned += sum(part.object.size for part in parts)
        for rows in _batches(
            files.rows(s3, table, parts, translated.columns, translated.hidden), running
        ):
            _load(connection, name, table, rows)
            read_rows += rows.num_rows
    connection.execute(f"EXPLAIN {translated.probe}").fetchall()
    if query.describes:
        described = connection.execute(f"DESCRIBE {translated.sql}").fetchall()
        return Result(
            names=tuple(d[0] for d in described),
            types=_types_with_length([str(d[1]) for d in described], translated.lengths),
            rows=None,
        )
    relation = connection.sql(translated.sql)
    names, kinds = (
        tuple(relation.columns),
        _types_with_length([str(kind) for kind in relation.types], translated.lengths),
    )
    return Result(
        names=names,
        types=kinds,
        rows=_result(relation, running, query.cell),
        scanned=scanned,
        read_rows=read_rows,
    )


def _types_with_length(kinds: list[str], lengths: Sequence[Length]) -> tuple[str, ...]:
    """Return DuckDB's type names with lengths, as VARCHAR(n), CHAR(n) and TIME(n).

    DuckDB itself does not have such types.
    """
    if len(lengths) != len(kinds):
        return tuple(kinds)
    return tuple(map(type_with_length, kinds, lengths))


def _batches(tables: Iterator[pa.Table], running: Running) -> Iterator[pa.Table]:
    """Combine the rows of small files into larger Arrow tables of the same columns.

    A table has up to `_TOGETHER` bytes, or is one larger file: few statements load it into DuckDB
    faster than many. `running` tells when the query is to stop.
    """
    import pyarrow as pa

    waiting: list[pa.Table] = []
    size = 0
    for rows in tables:
        running.check()
        if waiting and size + rows.nbytes > _TOGETHER:
            yield pa.concat_tables(waiting)
            waiting, size = [], 0
        waiting.append(rows)
        size += rows.nbytes
    if waiting:
        yield pa.concat_tables(waiting)


def _result(relation: duckdb.DuckDBPyRelation, running: Running, cell: int) -> pa.Table:
    """Return a query's result rows as an Arrow table, in the order of DuckDB's relation.

    `cell` is how many bytes each value will take as text, 0 where it stays in a column.

    Raises:
        Exhausted: The rows and their text would need more bytes than the query may use.
        Cancelled: The query was stopped between two batches.
        TimedOut: Its time was over between two batches.
    """
    import pyarrow as pa

    reader = relation.to_arrow_reader(_BATCH)
    batches, needed = [], 0
    for batch in reader:
        running.check()
        needed += _COPIES * batch.nbytes + cell * batch.num_rows * batch.num_columns
        if needed > running.memory:
            raise Exhausted
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def _load(connection: duckdb.DuckDBPyConnection, name: str, table: Table, rows: pa.Table) -> None:
    """Insert rows into the table called `name` in DuckDB; create it the first time.

    DuckDB can spill such a table to disk.
    """
    columns = ", ".join(
        f'{_reading_sql(column)} AS "{column.name}"'
        for column in table.every
        if column.name in rows.column_names
    )
    columns += "".join(f', "{name}"' for name in rows.column_names if name in files.HIDDEN)
    connection.register("_rows", rows)
    connection.execute(
        f'CREATE TEMP TABLE IF NOT EXISTS "{name}" AS SELECT {columns} FROM _rows LIMIT 0'
    )
    connection.execute(f'INSERT INTO "{name}" SELECT {columns} FROM _rows')
    connection.unregister("_rows")


def _reading_sql(column: Column) -> str:
    """Return the SQL expression that reads a column, as text.

    A text is cut to the length that its column has, a CHAR filled up to it (Athena, "Considerations
    for data types").
    """
    value = f'CAST("{column.name}" AS {types.duckdb(column.type)})'
    limit = re.fullmatch(r"(var)?char\((\d+)\)", column.type.lower())
    if limit is None:
        return value
    cut = f"left({value}, {limit.group(2)})"
    return cut if limit.group(1) else f"rpad({cut}, {limit.group(2)}, ' ')"


_INTERNAL = {
    "INT8": "tinyint",
    "INT16": "smallint",
    "INT32": "integer",
    "INT64": "bigint",
    "BOOL": "boolean",
}
_OPERATORS = {"~~": "LIKE", "**": "^"}
Match = re.Match[str]


def _with_words(code: str, words: str) -> Callable[[str, Match], QueryFailed]:
    """Return a function that makes a query failure with this code and with `words` as message."""
    return lambda _text, _match: QueryFailed(code, words)


def _with_match(code: str) -> Callable[[str, Match], QueryFailed]:
    """Return a function that makes a query failure with a part of DuckDB's own message.

    The part is the first group of the regular expression's match; `code` is the failure's code.
    """
    return lambda _text, match: QueryFailed(code, match.group(1))


def _missing(text: str, match: Match) -> QueryFailed:
    """Return the query failure (COLUMN_NOT_FOUND) for a column that does not exist.

    `text` is the query's text; `match`, of DuckDB's message, has the column's name.
    """
    name = next(group for group in match.groups() if group is not None).lower()
    return QueryFailed(
        "COLUMN_NOT_FOUND", f"Column '{name}' cannot be resolved", position=_position_of(text, name)
    )


def _not_aggregate(text: str, match: Match) -> QueryFailed:
    """Return the failure for an expression that is neither aggregated nor grouped.

    `text` is the query's text; `match`, of DuckDB's message, has the expression.
    """
    words = f"'{match.group(1)}' must be an aggregate expression or appear in GROUP BY clause"
    return QueryFailed(
        "EXPRESSION_NOT_AGGREGATE", words, position=_position_of(text, match.group(1))
    )


def _incomparable(_text: str, match: Match) -> QueryFailed:
    """Return the query failure for a comparison of types that cannot be compared.

    `match`, of DuckDB's message, has the types.
    """
    return QueryFailed(
        "TYPE_MISMATCH",
        f"Cannot apply operator: {_trino_type(match.group(1))} = {_trino_type(match.group(2))}",
        position=(1, 1),
    )


def _no_function(text: str, match: Match) -> QueryFailed:
    """Return the query failure for a function or operator that takes no such arguments.

    `text` is the query's text; `match`, of DuckDB's message, has the name and the types.
    """
    name, arguments = (
        match.group(1),
        ", ".join(_trino_type(part) for part in match.group(2).split(", ")),
    )
    if not name[:1].isalpha():
        return QueryFailed(
            "TYPE_MISMATCH",
            f"Cannot apply operator: {_OPERATORS.get(name, name)}({arguments})",
            position=(1, 1),
        )
    return QueryFailed(
        "FUNCTION_NOT_FOUND",
        f"Unexpected parameters ({arguments}) for function {name}",
        position=_position_of(text, name),
    )


def _not_cast(_text: str, match: Match) -> QueryFailed:
    """Return the query failure for a value that cannot be cast.

    `match`, of DuckDB's message, has the value and the type.
    """
    return QueryFailed(
        "INVALID_CAST_ARGUMENT", f"Cannot cast '{match.group(1)}' to {_trino_type(match.group(2))}"
    )


# DuckDB's words, and what Trino would say. The first that fits.
_WORDS: tuple[tuple[str, Callable[[str, Match], QueryFailed]], ...] = (
    ("Division by zero", _with_words("DIVISION_BY_ZERO", "Division by zero")),
    ("TRINO (.*)", _with_match("FUNCTION_NOT_FOUND")),
    ("TRINO_CAST (.*)", _with_match("INVALID_CAST_ARGUMENT")),
    ("Malformed JSON", _with_words("INVALID_FUNCTION_ARGUMENT", "Cannot convert value to JSON")),
    (
        (
            r'Referenced column "([^"]+)" (?:not found|was not found)|does not have a column '
            r'named "([^"]+)"'
        ),
        _missing,
    ),
    (r'Referenced table "([^"]+)" not found', _missing),
    (r'column "([^"]+)" must appear in the GROUP BY clause', _not_aggregate),
    (
        (
            r"Cannot (?:compare values of type|mix values of type|combine types of) (.+?) and "
            r"(?:type )?(.+?)(?: - | in )"
        ),
        _incomparable,
    ),
    (r"No function matches the given name and argument types '(.+?)\((.*?)\)'", _no_function),
    ("(Ambiguous reference.*)", _with_match("AMBIGUOUS_NAME")),
    (r"(?s)Could not convert (?:string )?'?(.*?)'? to ([A-Z0-9_]+)", _not_cast),
    (
        "More than one row returned by a subquery",
        _with_words("SUBQUERY_MULTIPLE_ROWS", "Scalar sub-query has returned multiple rows"),
    ),
    ("((?:Out of Range|Overflow).*)", _with_match("NUMERIC_VALUE_OUT_OF_RANGE")),
)


def query_failure(text: str, error: Exception) -> QueryFailed:
    """Translate an exception of DuckDB's into the failure that Athena (Trino) would report.

    `text` is the query's text, for the position of the error.
    """
    message = str(error)
    for pattern, failure_of in _WORDS:
        if match := re.search(pattern, message):
            return failure_of(text, match)
    return QueryFailed(
        "SYNTAX_ERROR", message.split("\n\n", maxsplit=1)[0].removeprefix("Binder Error: ")
    )


def _trino_type(kind: str) -> str:
    """Translate the name of a DuckDB type into Trino's."""
    name = types.athena(kind.strip().removeprefix("type "))
    return {"unknown": _INTERNAL.get(kind.strip(), kind.lower()), "float": "real"}.get(name, name)


def _position_of(text: str, name: str) -> tuple[int, int]:
    """Return the line and column at which a name stands in a query's text, for errors."""
    match = re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", text, re.IGNORECASE)
    if match is None:
        return 1, 1
    line = text.count("\n", 0, match.start()) + 1
    return line, match.start() - (text.rfind("\n", 0, match.start()) + 1) + 1
