"""Join features to any SELECT's rows as of one moment, for scoring."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ...errors import Invalid
from ...times import utc_milliseconds
from ..joins.point_in_time import point_in_time
from ..sql.subset import parse
from ..views.sources import view_sources
from .training_set import join_view

if TYPE_CHECKING:
    import pyarrow as pa

    from ...core.runtime.project import Project
    from ...project.specs.description import Feature

_TIME = "isthmus_as_of"


def entity_rows(
    project: Project,
    sql: str,
    columns: Sequence[str],
    features: Sequence[Feature],
    *,
    as_of: datetime,
) -> pa.Table:
    """Return a SELECT's rows, each with features of views as they were known at one moment.

    Args:
        project: The project.
        sql: One SELECT in the neutral subset; `$as_of` in it is the moment.
        columns: The names of the columns that it returns.
        features: Features of views, whose entities' keys are among the columns.
        as_of: The moment; rows of views that became known later do not count.

    Returns:
        `columns`, then the features; sorted by `columns` from left to right.

    Raises:
        Invalid: a view has not been materialized, or its entity's key is not a column.
    """
    names_by_view: dict[str, list[str]] = {}
    for feature in features:
        if feature.view is not None:
            names_by_view.setdefault(feature.view, []).append(feature.name)
    sources = view_sources(project.description, tuple(names_by_view)) if names_by_view else ()
    for source in sources:
        if source.entity.key not in columns:
            raise Invalid(
                f"{source.view.name} is of entity {source.entity.name}, and the rows have no "
                f"{source.entity.key}",
                remedy=f"add {source.entity.key} to the SELECT",
            )
    views = [join_view(project, source, names_by_view[source.view.name]) for source in sources]
    moment = utc_milliseconds(as_of)
    literal = f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}'"
    listed = ", ".join(f"isthmus_rows.{name}" for name in columns)
    spine = f"SELECT {listed}, {literal} AS {_TIME} FROM (\n{sql}\n) AS isthmus_rows"
    from sqlglot import exp

    parameters = {placeholder.name for placeholder in parse(sql).find_all(exp.Placeholder)}
    table = point_in_time(
        project.target,
        spine,
        list(columns),
        views,
        params={"as_of": moment} if "as_of" in parameters else {},
        time=_TIME,
        order_by=list(columns),
    )
    return table.select([*columns, *(name for names in names_by_view.values() for name in names)])
