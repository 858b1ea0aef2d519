"""Neutral queries as the statements that BigQuery runs. Pure.

A parameter that is None is written out, as BigQuery wants a type of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlglot import exp

from ....errors import Invalid
from ....events.port import Column
from ....feature_store.port import Params
from ....feature_store.sql.subset import parse
from ...common.warehouse.output_columns import named_outputs
from ...common.warehouse.tables import PARTITION, TableDocument
from .. import sql as bigquery
from ..column_types import BIGQUERY

_LONGEST = 1 << 20  # characters of a query


class Select(msgspec.Struct, frozen=True, kw_only=True):
    """A query's text, and the names of its columns in BigQuery."""

    text: str
    names: tuple[str, ...]  # of its columns, in BigQuery


def select(sql: str, params: Params, returned: Sequence[str], dataset: str) -> Select:
    """Return BigQuery SQL for a query, with the names of its columns.

    Columns (`returned`) are renamed so that no two clash; tables are in a dataset.
    """
    tree = _parsed(sql, params)
    names = named_outputs(tree, returned)
    return Select(text=_render(tree, dataset), names=tuple(names))


def select_into(
    sql: str, params: Params, returned: Sequence[str], document: TableDocument, dataset: str
) -> str:
    """Return BigQuery SQL that selects a query's rows as a table stores them, with their date.

    `returned` are the query's columns. A null where a value is required is an error.
    """
    tree = _parsed(sql, params)
    inside = dict(zip(returned, named_outputs(tree, returned), strict=True))
    outputs = [
        _stored_value(document, column, inside.get(column.name)) for column in document.columns
    ]
    date = f"FORMAT_TIMESTAMP('%F', {quoted(inside[document.time_column])}) AS {PARTITION}"
    return _checked(
        f"SELECT {', '.join([*outputs, date])}\nFROM (\n{_render(tree, dataset)}\n) AS isthmus_rows"
    )


def view(name: str, sql: str, columns: Sequence[Column], dataset: str) -> str:
    """Return the SQL of a BigQuery view that lists its columns.

    A column that is added to the table below a `SELECT *` then does not change the view.
    """
    tree = _parsed(sql, {})
    for inside, column in zip(
        named_outputs(tree, [column.name for column in columns]), columns, strict=True
    ):
        if inside != column.name:
            raise Invalid(
                f"view {name}: its column {column.name} has no name of its own",
                remedy="give it one with AS",
            )
    casts = ", ".join(
        f"{_cast(column, column.name)} AS {quoted(column.name)}" for column in columns
    )
    return _checked(f"SELECT {casts}\nFROM (\n{_render(tree, dataset)}\n) AS isthmus_rows")


def refuse(sql: str) -> None:
    """Raise Invalid, with the line, if a query cannot be expressed in BigQuery's SQL."""
    if problems := bigquery.check(sql):
        first = problems[0]
        raise Invalid(
            f"SQL, line {first.line}: {first.what} cannot be said to BigQuery", remedy=first.why
        )


def quoted(name: str) -> str:
    """Return a name as an identifier of BigQuery's SQL, in backticks."""
    return f"`{name}`"


def _parsed(sql: str, params: Params) -> exp.Query:
    """Parse a query; parameters whose value is None become NULL in its tree."""
    refuse(sql)
    empty = {name for name, value in params.items() if value is None}
    tree = parse(sql)
    for placeholder in [node for node in tree.find_all(exp.Placeholder) if node.name in empty]:
        placeholder.replace(exp.null())
    return tree


def _render(tree: exp.Query, dataset: str) -> str:
    """Return an SQL tree as text in BigQuery's SQL, with tables in a dataset."""
    return _checked(bigquery.render(tree.sql("duckdb", copy=False), dataset).sql)


def _stored_value(document: TableDocument, column: Column, inside: str | None) -> str:
    """Return SQL of a column as the table stores it: cast, and with an error for a refused null.

    `inside` is the column's name in the query, or None if the query lacks it.
    """
    if inside is None:
        return f"CAST(NULL AS {BIGQUERY[column.type]}) AS {quoted(column.name)}"
    value = _cast(column, inside)
    if column.required or column.name == document.time_column:
        words = f"table {document.name}: column {column.name} is required and null in a row"
        value = f"IFNULL({value}, ERROR('{words}'))"
    return f"{value} AS {quoted(column.name)}"


def _cast(column: Column, inside: str) -> str:
    """Return SQL that casts a column to its type, cutting a timestamp to milliseconds.

    `inside` is the column's name in the query.
    """
    value = f"CAST({quoted(inside)} AS {BIGQUERY[column.type]})"
    return f"TIMESTAMP_TRUNC({value}, MILLISECOND)" if column.type == "timestamp" else value


def _checked(text: str) -> str:
    """Return an SQL statement unchanged; raise Invalid if it is too long for BigQuery."""
    if len(text) > _LONGEST:
        raise Invalid(
            f"SQL: {len(text):,} characters are more than the {_LONGEST:,} that BigQuery takes",
            remedy="ask in several queries",
        )
    return text
