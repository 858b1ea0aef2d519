"""Neutral queries as the statements that Athena runs: typed and ordered. Pure.

UNLOAD writes files side by side, so an ORDER BY would mean nothing in them: rows are numbered in
that order, and sorted by their numbers when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from ....errors import Invalid
from ....events.port import Column, ColumnType
from ....events.tables.column_types import sql_type
from ....feature_store.port import Params
from ....feature_store.sql.subset import parse
from ...common.warehouse.output_columns import named_outputs
from ...common.warehouse.relations import quoted
from ...common.warehouse.tables import PARTITION
from .. import sql as athena

ROW = "isthmus_row"
_KEY = "isthmus_key_"
_LONGEST = 262_144  # bytes of a statement


def select(sql: str, params: Params, columns: Sequence[Column]) -> tuple[str, bool]:
    """Return Athena SQL for a query with each column cast, and whether it is ordered.

    An ordered query has `isthmus_row` as its last column, to sort by.
    """
    refuse(sql)
    tree = parse(athena.bind(sql, params))
    names = named_outputs(tree, [column.name for column in columns])
    shaped, ordered = _ordered(tree, names)
    casts = [
        *(_cast(name, column.type) for name, column in zip(names, columns, strict=True)),
        *([quoted(ROW)] if ordered else []),
    ]
    return _checked(
        f"SELECT {', '.join(casts)} FROM (\n{_render(shaped)}\n) AS isthmus_rows"
    ), ordered


def select_into(
    sql: str, params: Params, returned: Sequence[str], columns: Sequence[Column], time_column: str
) -> str:
    """Return Athena SQL that selects a query's rows as a table stores them, with their date.

    Args:
        sql: The neutral query.
        params: Its parameters.
        returned: The names that it returns.
        columns: The columns of those to store.
        time_column: The column that gives the date.
    """
    refuse(sql)
    tree = parse(athena.bind(sql, params))
    named_outputs(tree, returned)
    date = f"date_format({quoted(time_column)}, '%Y-%m-%d') AS {PARTITION}"
    casts = ", ".join([*(_cast(column.name, column.type) for column in columns), date])
    return _checked(f"SELECT {casts} FROM (\n{_render(tree)}\n) AS isthmus_rows")


def unload(select_sql: str, location: str, *, partitioned: bool) -> str:
    """Return the text of an UNLOAD statement that writes a query's rows to S3 as Parquet."""
    partitioning = f", partitioned_by = ARRAY['{PARTITION}']" if partitioned else ""
    return _checked(
        f"UNLOAD (\n{select_sql}\n) TO '{location}' WITH (format = 'PARQUET', compression = "
        f"'SNAPPY'{partitioning})"
    )


def create_view(name: str, sql: str, columns: Sequence[Column]) -> str:
    """Return the text of a CREATE VIEW statement that lists the columns.

    A column that is added to the table below a `SELECT *` then does not make the view stale.
    """
    refuse(sql)
    tree = parse(sql)
    for inside, column in zip(
        named_outputs(tree, [column.name for column in columns]), columns, strict=True
    ):
        if inside != column.name:
            raise Invalid(
                f"view {name}: its column {column.name} has no name of its own",
                remedy="give it one with AS",
            )
    casts = ", ".join(_cast(column.name, column.type) for column in columns)
    return _checked(
        f"CREATE OR REPLACE VIEW {quoted(name)} AS\nSELECT {casts} FROM "
        f"(\n{_render(tree)}\n) AS isthmus_rows"
    )


def refuse(sql: str) -> None:
    """Raise Invalid, with the line, if a query cannot be expressed in Athena's SQL."""
    if problems := athena.check(sql):
        first = problems[0]
        raise Invalid(
            f"SQL, line {first.line}: {first.what} cannot be said to Athena", remedy=first.why
        )


def _render(tree: exp.Query) -> str:
    """Return an SQL tree as text in Athena's SQL."""
    return athena.render(tree.sql("duckdb", copy=False)).sql


def _checked(text: str) -> str:
    """Return an SQL statement unchanged; raise Invalid if it is too long for Athena."""
    if len(text.encode()) > _LONGEST:
        raise Invalid(
            f"SQL: {len(text.encode()):,} bytes are more than the {_LONGEST:,} that Athena takes",
            remedy="ask in several queries",
        )
    return text


def _cast(name: str, kind: ColumnType) -> str:
    """Return SQL text that casts a column to its declared type."""
    return f"CAST({quoted(name)} AS {sql_type(kind)}) AS {quoted(name)}"


def _ordered(tree: exp.Query, names: Sequence[str]) -> tuple[exp.Query, bool]:
    """Add a row number by a query's ORDER BY as a column; return the query, and whether it has one.

    A file of UNLOAD keeps no order, so the rows are sorted by that number when they are read.
    """
    order = tree.args.get("order")
    if order is None:
        return tree, False
    outputs = {name.lower(): name for name in names}
    terms = []
    for place, term in enumerate(order.expressions):
        moved = term.copy()
        moved.set("this", _outer(tree, term.this, outputs, names, place))
        terms.append(moved)
    if tree.args.get("limit") is None:
        tree.set("order", None)
    number = exp.Window(this=exp.RowNumber(), order=exp.Order(expressions=terms))
    columns = [exp.column(exp.to_identifier(name, quoted=True)) for name in names]
    numbered = exp.select(*columns, exp.alias_(number, ROW)).from_(
        exp.Subquery(this=tree, alias=exp.TableAlias(this=exp.to_identifier("isthmus_inner")))
    )
    return numbered, True


def _outer(
    tree: exp.Query, key: exp.Expr, outputs: Mapping[str, str], names: Sequence[str], place: int
) -> exp.Expr:
    """Return a term of ORDER BY as an expression over the query's output columns.

    `outputs` are the output names by small letters, `names` in order. A term that is no output
    becomes a hidden column, named by `place`.
    """
    if isinstance(key, exp.Literal) and key.is_int:
        return exp.column(exp.to_identifier(names[int(key.name) - 1], quoted=True))
    used = list(key.find_all(exp.Column))
    if not key.find(exp.AggFunc, exp.Window) and all(
        not column.table and column.name.lower() in outputs for column in used
    ):
        copy = key.copy()
        for column in copy.find_all(exp.Column):
            column.set("this", exp.to_identifier(outputs[column.name.lower()], quoted=True))
        return copy
    if isinstance(tree, exp.Select):
        for output in tree.expressions:
            if output.unalias() == key and output.output_name:
                return exp.column(
                    exp.to_identifier(
                        outputs.get(output.output_name.lower(), output.output_name), quoted=True
                    )
                )
        if not tree.args.get("distinct"):
            tree.append("expressions", exp.alias_(key.copy(), f"{_KEY}{place}"))
            return exp.column(f"{_KEY}{place}")
    raise Invalid(
        f"SQL: ORDER BY {key.sql('duckdb')} is none of the result's columns",
        remedy="name a column of the SELECT list",
    )
