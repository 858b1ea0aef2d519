"""Binding of queries in DuckDB, and its errors as ours.

An error has DuckDB's words with their position, and the table that was probably meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from ....errors import Invalid
from ....project.reading.names import did_you_mean
from .duckdb_functions import use_duckdbs_own
from .relations import quoted
from .results import parameters

if TYPE_CHECKING:
    import duckdb

_CAST = re.compile(r"\bcast\b|::", re.IGNORECASE)
_LINE = re.compile(r"\n\nLINE (\d+): (.*)\n( *)\^")
_MISSING = re.compile(r"Table with name (\w+) does not exist")
_SUGGESTION = re.compile(r"\nDid you mean [^\n]*")  # DuckDB suggests tables of its own catalogue


def bind(
    connection: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, object]
) -> tuple[duckdb.DuckDBPyRelation, dict[str, object]]:
    """Bind a query in DuckDB; return a lazy relation, and the parameters that the query uses.

    Raises:
        Invalid: It is not one SELECT, the value of a parameter is missing, or a cast in it differs
            between engines.
        duckdb.Error: The query is wrong; see `with_position` and `sql_error`.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type.name != "SELECT":
        raise Invalid(
            "SQL: a query is one SELECT statement", remedy="tables change by append and save only"
        )
    statement = statements[0]
    values = parameters(params, set(statement.named_parameters))
    # without parameters the relation stays lazy and the result is not copied
    relation = connection.sql(statement, params=values) if values else connection.sql(statement)
    assert relation is not None  # noqa: S101  a SELECT always gives a relation
    if _CAST.search(sql):
        _refuse_lossy_casts(connection, sql, values)
    return relation, values


def _refuse_lossy_casts(
    connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, object]
) -> None:
    """Raise Invalid for a cast in a query whose result differs between the targets' engines.

    `values` are its parameters. `values` are the query's parameters. SQL outside of the subset that
    all targets share is not checked.
    """
    from sqlglot import exp

    from ....feature_store.sql.subset import check, parse, tables
    from ....feature_store.sql.typed_rules import cast_problems

    if check(sql):
        return
    types: dict[str, dict[str, str]] = {}
    for name in tables(sql):
        columns = connection.sql(f"SELECT * FROM {quoted(name)}")
        types[name] = dict(zip(columns.columns, map(str, columns.types), strict=True))
    tree = parse(sql)
    for placeholder in list(tree.find_all(exp.Placeholder)):
        if isinstance(value := values.get(placeholder.name), datetime):
            placeholder.replace(exp.cast(exp.Literal.string(value.isoformat()), "TIMESTAMP"))
        elif isinstance(value, float):
            placeholder.replace(exp.cast(exp.Literal.string(str(value)), "DOUBLE"))
    for problem in cast_problems(tree, types):
        raise Invalid(f"SQL, line {problem.line}: {problem.what}", remedy=problem.why)


def with_position(
    connection: duckdb.DuckDBPyConnection,
    error: duckdb.Error,
    sql: str,
    params: Mapping[str, object],
) -> duckdb.Error:
    """Return DuckDB's error for a query with its line and column in the query.

    Binding a relation loses the position; preparing the same statement brings it back.
    """
    import duckdb

    if "\n\nLINE " in str(error):
        return error
    try:
        cursor = connection.cursor()
        use_duckdbs_own(cursor)
        statement = cursor.extract_statements(sql)[0]
        cursor.execute(statement, parameters(params, set(statement.named_parameters)))
    except duckdb.Error as again:
        return again
    return error


def sql_error(error: Exception, tables: Iterable[str]) -> Invalid:
    """Return DuckDB's error as Invalid, its message with `line L, column C` in front.

    For an unknown table it names the nearest of `tables`.
    """
    text = str(error)
    if (missing := _MISSING.search(text)) is None:
        return sql_invalid(text)
    names = sorted(tables)
    remedy = (
        did_you_mean(missing.group(1).lower(), names, has="there are")
        if names
        else "`isthmus apply` makes the tables that the project declares"
    )
    return sql_invalid(_SUGGESTION.sub("", text), remedy=remedy)


def sql_invalid(text: str, *, remedy: str | None = None) -> Invalid:
    """Return DuckDB's error text as Invalid, with `line L, column C` in front."""
    place = _LINE.search(text)
    words = text.split("\n\n", maxsplit=1)[0].replace("\n", " ")
    words = re.sub(r"^\w+ Error: ", "", words)
    if place is None:
        return Invalid(f"SQL: {words}", remedy=remedy)
    number, line, indent = place.groups()
    column = len(indent) - len(f"LINE {number}: ") + 1
    # DuckDB shortens long lines with dots; the column would then be a lie
    where = f"line {number}" if line.startswith("...") else f"line {number}, column {column}"
    return Invalid(f"SQL, {where}: {words}", remedy=remedy)
