"""Read any table or view of a target with the SQL that all targets share (`im.query`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ...errors import Invalid
from ...project.reading.names import did_you_mean
from ..sql.subset import parameter_names, parse

if TYPE_CHECKING:
    import pyarrow as pa

    from ...core.runtime.project import Project


def query(project: Project, sql: str, /, *, limit: int | None = None, **params: object) -> pa.Table:
    """Run one SELECT and return its rows as an Arrow table, in the order of its ORDER BY.

    Timestamps are UTC, in milliseconds, without a zone.

    Args:
        project: The project.
        sql: One SELECT in the subset that all targets share.
        limit: The most rows to return; without it all of them come into memory.
        **params: The values of the statement's `$names`: bool, int, float, string or datetime.

    Raises:
        Invalid: it is no SELECT, or it has what the target cannot say, a table that is not there,
            or a parameter too many or too few. The error names the line.
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
    """Raise Invalid if a parameter is given that the SQL does not name.

    The warehouse refuses one that is missing.
    """
    names = sorted(parameter_names(tree))
    if unknown := next((name for name in params if name not in names), None):
        raise Invalid(
            f"SQL: there is no ${unknown} in it", remedy=did_you_mean(unknown, names, has="it has")
        )


def _limited(sql: str, tree: exp.Query, limit: int) -> str:
    """Return the SQL text with a LIMIT at its end, unless it has one.

    `tree` is its syntax tree. The text before the LIMIT is unchanged, so that errors name its
    places.
    """
    if tree.args.get("limit") is not None:
        return sql
    return f"{tree.sql('duckdb') if ';' in sql else sql}\nLIMIT {limit}"
