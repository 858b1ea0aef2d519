"""Random expressions of the neutral subset over awkward values, by three engines.

The laptop's DuckDB, Athena's text in the offline stack's translation, and BigQuery's by GoogleSQL's
reference implementation. The offline Athena is DuckDB too, so it judges the rendering and not
Trino's own functions: for those see docs/parity.md.
"""

import math
import random
from collections import Counter
from datetime import UTC, datetime

import duckdb
import msgspec
import sqlglot
from sqlglot import exp

from isthmus.adapters.common.warehouse import duckdb_functions
from isthmus.adapters.sagemaker import sql as athena
from isthmus.adapters.vertex import sql as bigquery
from isthmus.feature_store.sql.subset import parse
from isthmus.feature_store.sql.typed_rules import typed_problems
from isthmus_stack.aws.services.athena import schemas
from isthmus_stack.aws.services.athena.errors import QueryFailed
from isthmus_stack.aws.services.athena.sql import rules, translation
from isthmus_stack.gcp.googlesql.analyzer import SqlRejected
from isthmus_stack.gcp.googlesql.reference import Relation, evaluate

COLUMNS = {
    **dict.fromkeys("nab", ("BIGINT", "INT64", "bigint")),
    **dict.fromkeys("fgh", ("DOUBLE", "FLOAT64", "double")),
    **dict.fromkeys("sk", ("VARCHAR", "STRING", "string")),
    **dict.fromkeys("tu", ("TIMESTAMP", "TIMESTAMP", "timestamp")),
    "p": ("BOOLEAN", "BOOL", "boolean"),
}
NUMBERS = [None, 0, 1, -1, 2, 3, -7, 10, 2**31, -(2**31), 2**53 + 1, 99]
# no NaN and no infinity: what stores rows for views lets none in; the expressions make them
FRACTIONS = [None, 0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -2.5, 4.5, 0.1, 1e-7, 3.0, -7.0, 0.15, 2.675]
EXTREMES = [*FRACTIONS, 1e300, -1e300, 5e-324, 1e15, 2.0**53]
TEXTS = [None, "", "a", "A", "é", "e\u0301", "日本", "x%y", "a_b", " a ", "\t", "12", "-3", "1.5"]
TEXTS += [
    "true",
    "nan",
    "inf",
    " 7",
    "2020-01-02 03:04:05+02",
    "😀z",
    "Σς",
    "Ǆ",
    "ß",
    "İ",
    "ŉ",
    "ﬁ",
    "Ж",
]
MOMENTS = [None] + [
    datetime(*parts, tzinfo=UTC)
    for parts in (
        (1970, 1, 1),
        (1969, 12, 31, 23, 59, 59, 999000),
        (3, 1, 1),
        (9990, 12, 31, 23, 59, 59, 999000),
        (2020, 2, 29, 12, 30, 0, 1000),
        (1582, 10, 10),
        (1900, 1, 1),
    )
]
# an engine's words where it fails and another has a value, which nobody can overlook
LOUD = (
    "out of allowed range",
    "out of range",
    "overflow",
    "Overflow",
    "Out of Range",
    "Could not convert",
    "Could not cast",
    "Bad int64 value",
    "Bad bool value",
)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An expression that an engine answers otherwise than the laptop."""

    expression: str
    engine: str
    rows: int  # 0: one of the two fails
    example: str

    @property
    def kind(self) -> str:
        """The outermost function or operator of the expression."""
        tree = sqlglot.parse_one(self.expression, read="duckdb").unnest()
        inner = tree.this if isinstance(tree, exp.Window) else tree
        return f"{inner.key} of a window" if inner is not tree else inner.key


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What a run over random expressions compared, and what differs."""

    expressions: int
    cells: int  # that two engines answered
    silent: tuple[Difference, ...]
    loud: tuple[Difference, ...]

    def __str__(self) -> str:
        kinds = Counter((d.engine, d.kind) for d in self.silent)
        cells = Counter[tuple[str, str]]()
        for d in self.silent:
            cells[d.engine, d.kind] += d.rows
        lines = [
            (
                f"{self.expressions:,} expressions, {self.cells:,} cells: {sum(cells.values()):,} cells "
                f"of {len(self.silent)} expressions differ; one engine fails in {len(self.loud)}"
            )
        ]
        lines += [
            f"  {e} {k}: {n} expressions, {cells[e, k]:,} cells" for (e, k), n in kinds.items()
        ]
        lines += [f"  {d.engine}: {d.expression}: {d.example}" for d in self.silent[:40]]
        return "\n".join(lines)


class Engines:
    """The three engines, with the same rows in each."""

    def __init__(self, draw: random.Random) -> None:
        count = 56
        self.rows = [
            [
                n,
                *(draw.choice(NUMBERS) for _ in "ab"),
                FRACTIONS[n % len(FRACTIONS)],
                draw.choice(FRACTIONS),
                draw.choice(EXTREMES),
                TEXTS[n % len(TEXTS)],
                draw.choice(TEXTS),
                MOMENTS[n % len(MOMENTS)],
                draw.choice(MOMENTS),
                draw.choice([True, False, None]),
            ]
            for n in range(count)
        ]
        self._laptop = self._database("x")
        duckdb_functions.define(self._laptop)
        self._athena = self._database("t_db_x")
        for statement in rules.PRELUDE.split(";\n"):
            if statement.strip():
                self._athena.execute(statement)
        columns = tuple(schemas.Column(name, hive) for name, (_, _, hive) in COLUMNS.items())
        self._table = schemas.Table(
            database="db",
            name="x",
            columns=columns,
            partitions=(),
            location="",
            serde="",
            serde_parameters={},
            parameters={},
            input={},
        )
        self._relation = Relation(
            columns=[(name, google) for name, (_, google, _) in COLUMNS.items()], rows=self.rows
        )

    def _database(self, table: str) -> duckdb.DuckDBPyConnection:
        database = duckdb.connect(config={"threads": "1"})
        database.execute("SET TimeZone = 'UTC'")
        kinds = ", ".join(f"{name} {kind}" for name, (kind, _, _) in COLUMNS.items())
        database.execute(f"CREATE TABLE {table} ({kinds})")
        plain = [
            [v.replace(tzinfo=None) if isinstance(v, datetime) else v for v in row]
            for row in self.rows
        ]
        database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(COLUMNS))})", plain)
        return database

    # what Catalog is for a translation
    def has_database(self, _name: str) -> bool:
        return True

    def needed(self, *_names: object) -> schemas.Table:
        return self._table

    def accepts(self, expression: str) -> bool:
        """Return whether every target takes an expression, by our own rules."""
        sql = select([expression])
        types = {"x": {name: kind for name, (kind, _, _) in COLUMNS.items()}}
        if bigquery.check(sql) or athena.check(sql) or any(typed_problems(parse(sql), types)):
            return False
        try:
            self._laptop.execute(f"EXPLAIN {sql}")
        except duckdb.Error:
            return False
        return True

    def laptop(self, sql: str) -> list[tuple[object, ...]]:
        return self._laptop.execute(sql).fetchall()

    def athena(self, sql: str) -> list[tuple[object, ...]]:
        translated = translation.translate(
            athena.render(sql).sql, self, "db", datetime(2026, 1, 1, tzinfo=UTC)
        )
        return self._athena.execute(translated.sql).fetchall()

    def bigquery(self, sql: str) -> list[tuple[object, ...]]:
        rows = evaluate(bigquery.render(sql).sql, {("x",): self._relation}).rows
        return [tuple(row) for row in rows]


def select(expressions: list[str]) -> str:
    values = ", ".join(f"{expression} AS e{place}" for place, expression in enumerate(expressions))
    return f"SELECT n, {values} FROM x"


def answers(run, expressions):
    """Return for each expression its values by row, or the engine's failure as text.

    Many expressions are a query; where it fails, its halves are asked.
    """
    try:
        rows = sorted(run(select(expressions)))
    except (duckdb.Error, SqlRejected, QueryFailed) as error:
        if len(expressions) == 1:
            return [str(error)]
        half = len(expressions) // 2
        return answers(run, expressions[:half]) + answers(run, expressions[half:])
    return [[row[place] for row in rows] for place in range(1, len(expressions) + 1)]


def same(one, other):
    """Return whether two engines' values are one value, floats to nine digits."""
    if one is None or other is None or isinstance(one, str) or isinstance(other, str):
        return one == other
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one.replace(tzinfo=None) == other.replace(tzinfo=None)
    if isinstance(one, datetime) or isinstance(other, datetime):
        return False
    one, other = float(one), float(other)
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def compare(seed: int, count: int, *, depth: int = 1, together: int = 40) -> Comparison:
    """Compare `count` random expressions in the three engines."""
    draw = random.Random(seed)
    engines, generator = Engines(draw), Generator(draw)
    expressions: dict[str, None] = {}
    while len(expressions) < count:
        expression = generator.value(depth)
        if expression not in expressions and engines.accepts(expression):
            expressions[expression] = None
    cells, silent, loud = 0, [], []
    drawn = list(expressions)
    for start in range(0, len(drawn), together):
        part = drawn[start : start + together]
        expected = answers(engines.laptop, part)
        for engine in ("athena", "bigquery"):
            for expression, left, right in zip(
                part, expected, answers(getattr(engines, engine), part), strict=True
            ):
                if isinstance(left, str) or isinstance(right, str):
                    if isinstance(left, str) and isinstance(right, str):
                        continue
                    words = left if isinstance(left, str) else right
                    loud.append(
                        Difference(expression=expression, engine=engine, rows=0, example=words)
                    )
                    continue
                cells += len(left)
                unlike = [
                    n for n, values in enumerate(zip(left, right, strict=True)) if not same(*values)
                ]
                if unlike:
                    n = unlike[0]
                    read = dict(zip(COLUMNS, engines.rows[n], strict=True))
                    example = f"{left[n]!r} here, {right[n]!r} there, of {read}"
                    silent.append(
                        Difference(
                            expression=expression, engine=engine, rows=len(unlike), example=example
                        )
                    )
    return Comparison(expressions=len(drawn), cells=cells, silent=tuple(silent), loud=tuple(loud))


class Generator:
    """Random expressions by the type of their value, nested to a depth."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        # not h below a sum: what is left of 1e300 - 1e300 + 1 depends on the order of the rows
        self._columns = "fgh"

    def _one(self, *choices):
        choice = self._draw.choice(choices)
        return choice() if callable(choice) else choice

    def value(self, depth):
        kinds = [self.fraction, self.number, self.text, self.moment, self.truth]
        return self._draw.choice(kinds)(depth)

    def numeric(self, depth):
        return self._draw.choice([self.fraction, self.number])(depth)

    def fraction(self, depth):
        if depth <= 0:
            return self._one(*self._columns, "CAST(0.1 AS DOUBLE)")
        d = depth - 1
        x = self.fraction(d)
        over = f"OVER (ORDER BY {self.fraction(0)}, n)"
        return self._one(
            lambda: f"({x} {self._one('+', '-', '*')} {self.numeric(d)})",
            lambda: f"({self.numeric(d)} / {self._one('2', '7', '0')})",
            lambda: f"({self.numeric(d)} / {self.numeric(d)})",
            lambda: f"(-({x}))",
            lambda: f"{self._one('abs', 'round', 'floor', 'ceil', 'sign')}({x})",
            lambda: f"round({x}, {self._one('0', '1', '2')})",
            lambda: f"{self._one('exp', 'ln', 'sqrt')}({self.numeric(d)})",
            lambda: f"power({self.numeric(d)}, {self._one(self.numeric(d), '2', '0.5', '-1')})",
            lambda: f"coalesce({x}, {self.fraction(d)})",
            lambda: f"nullif({x}, {self.fraction(d)})",
            lambda: f"CASE WHEN {self.truth(d)} THEN {x} ELSE {self.fraction(d)} END",
            lambda: f"CAST({self.number(d)} AS DOUBLE)",
            lambda: f"CAST({self.text(d)} AS DOUBLE)",
            lambda: f"CAST('{self._one('nan', 'inf', '1.5', '-3')}' AS DOUBLE)",
            lambda: self._sum(d),
            lambda: f"{self._one('lag', 'lead', 'first_value', 'last_value')}({x}) {over}",
        )

    def _sum(self, depth):
        self._columns = "fg"
        function = self._one("sum", "avg", "min", "max", "stddev", "variance")
        expression = f"{function}({self.fraction(depth)}) OVER (PARTITION BY p)"
        self._columns = "fgh"
        return expression

    def number(self, depth):
        if depth <= 0:
            return self._one("a", "b", "n", "0", "1", "7", "10")
        d = depth - 1
        x = self.number(d)
        order = f"{self.value(d)}{self._one('', ' DESC', ' NULLS FIRST')}"
        return self._one(
            lambda: f"({x} {self._one('+', '-')} {self.number(d)})",
            lambda: f"({x} {self._one('*', '%')} {self._one('2', '3', '7')})",
            lambda: f"{self._one('abs', 'sign')}({x})",
            lambda: f"length({self.text(d)})",
            lambda: (
                f"extract({self._one('year', 'month', 'day', 'hour', 'minute')} FROM {self.moment(d)})"
            ),
            lambda: f"CAST({self._one('round', 'floor', 'ceil')}({self.fraction(d)}) AS BIGINT)",
            lambda: f"CAST({self.truth(d)} AS BIGINT)",
            lambda: f"CAST({self.text(d)} AS BIGINT)",
            lambda: f"date_diff('millisecond', {self.moment(d)}, {self.moment(d)})",
            lambda: f"{self._one('rank', 'dense_rank', 'row_number')}() OVER (ORDER BY {order}, n)",
            lambda: f"rank() OVER (ORDER BY {order})",
            lambda: f"count({self.value(d)}) OVER (PARTITION BY {self.value(d)})",
            lambda: f"nullif({x}, {self.number(d)})",
            lambda: f"coalesce({x}, {self.number(d)})",
        )

    def text(self, depth):
        if depth <= 0:
            return self._one("s", "k", "s", "'a'", "''", "'é'")
        d = depth - 1
        x = self.text(d)
        return self._one(
            lambda: f"({x} || {self.text(d)})",
            lambda: f"{self._one('lower', 'upper')}({x})",
            lambda: f"substring({x}, {self._one('1', '2', '3')}, {self._one('0', '1', '2', '3')})",
            lambda: f"replace({x}, {self.text(d)}, {self.text(d)})",
            lambda: f"CAST({self._one(self.number(d), self.truth(d))} AS VARCHAR)",
            lambda: f"nullif({x}, {self.text(d)})",
            lambda: f"coalesce({x}, {self.text(d)})",
            lambda: f"{self._one('min', 'max')}({x}) OVER (PARTITION BY p)",
        )

    def moment(self, depth):
        if depth <= 0:
            return self._one("t", "u")
        d = depth - 1
        x = self.moment(d)
        return self._one(
            lambda: (
                f"({x} {self._one('+', '-')} INTERVAL {self._one('1 DAY', '90 MINUTE', '3 WEEK', '1 SECOND')})"
            ),
            lambda: (
                f"date_trunc('{self._one('second', 'minute', 'hour', 'day', 'month', 'year')}', {x})"
            ),
            lambda: f"coalesce({x}, {self.moment(d)})",
            lambda: f"nullif({x}, {self.moment(d)})",
            lambda: f"CAST({self.text(d)} AS TIMESTAMP)",
            lambda: f"{self._one('min', 'max')}({x}) OVER (PARTITION BY p)",
        )

    def truth(self, depth):
        if depth <= 0:
            return "p"
        d = depth - 1
        compared = self._one(
            "=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"
        )
        k = self._draw.choice([self.fraction, self.number, self.text, self.moment])
        return self._one(
            lambda: f"({k(d)} {compared} {k(d)})",
            lambda: f"({k(d)} {compared} {k(d)})",
            lambda: f"({k(d)} BETWEEN {k(d)} AND {k(d)})",
            lambda: f"({k(d)} IN ({k(d)}, {k(d)}))",
            lambda: f"(NOT {self.truth(d)})",
            lambda: f"({self.truth(d)} {self._one('AND', 'OR')} {self.truth(d)})",
            lambda: f"({self.text(d)} LIKE '{self._one('a%', '_', '%é%', '', '%')}')",
            lambda: f"starts_with({self.text(d)}, {self.text(d)})",
            lambda: f"({k(d)} IS NULL)",
            lambda: f"CAST({self.number(d)} AS BOOLEAN)",
            lambda: f"CAST({self.text(d)} AS BOOLEAN)",
        )
