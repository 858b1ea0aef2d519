"""`im.query`: read any table or view of a target with the SQL that all targets share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ...errors import Invalid
from ...project.reading.names import did_you_mean
from .subset import parse

if TYPE_CHECKING:
    import pyarrow as pa

    from ...core.runtime.project import Project


def query(project: Project, sql: str, /, *, limit: int | None = None, **params: object) -> pa.Table:
    """The rows of one SELECT, in the order of its ORDER BY. `params` are its `$names`: bool, int,
    float, string or datetime.

    `limit`: at most so many rows; without it all of them come into memory. Timestamps are UTC, in
    milliseconds, without a zone. Invalid, with the line: what is no SELECT, what the target cannot
    say, a table that is not there, a parameter too many or too few.
    """
    warehouse = project.target.warehouse
    if problems := warehouse.check(sql):
        first = problems[0]
        raise Invalid(f"SQL, line {first.line}: {first.what}: {first.why}")
    tree = parse(sql)
    _check_params(tree, params)
    if limit is None:
        return warehouse.query(sql, params)
    if limit < 0:
        raise Invalid(f"a limit of {limit} rows")
    return warehouse.query(_limited(sql, tree, limit), params).slice(0, limit)


def _check_params(tree: exp.Query, params: dict[str, object]) -> None:
    """Invalid: one that the query does not name; one that is missing is refused by the warehouse."""
    names = sorted({placeholder.name for placeholder in tree.find_all(exp.Placeholder)})
    if unknown := next((name for name in params if name not in names), None):
        raise Invalid(
            f"SQL: there is no ${unknown} in it", remedy=did_you_mean(unknown, names, has="it has")
        )


def _limited(sql: str, tree: exp.Query, limit: int) -> str:
    """The text as it stands, for the places of errors, with LIMIT behind it; one with a LIMIT of
    its own keeps it.
    """
    if tree.args.get("limit") is not None:
        return sql
    return f"{tree.sql('duckdb') if ';' in sql else sql}\nLIMIT {limit}"
