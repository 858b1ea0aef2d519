"""Join features to any SELECT's rows as of one moment, for scoring."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ...times import utc_milliseconds
from ..joins.one_moment import one_moment_sql
from ..joins.point_in_time import join_params
from ..sql.subset import parameter_names, parse
from ..views.row_queries import AS_OF
from .training_set import views_to_join

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...project.specs.description import Feature
    from ..port import RowSink


def entity_rows(
    project: Project,
    sql: str,
    columns: Sequence[str],
    features: Sequence[Feature],
    *,
    as_of: datetime,
    into: RowSink,
) -> None:
    """Hand over a SELECT's rows, each with features of views as they were known at one moment.

    Args:
        project: The project.
        sql: One SELECT in the neutral subset; `$as_of` in it is the moment.
        columns: The names of the columns that it returns.
        features: Features of views, whose entities' keys are among the columns.
        as_of: The moment; rows of views that became known later do not count.
        into: Takes the rows: `columns`, then the features, view by view; sorted by `columns` from
            left to right, in tables of limited size. It may be called again from the first row on.

    Raises:
        Invalid: a view has not been materialized, or its entity's key is not a column.
    """
    views = views_to_join(project, columns, features, rows="the rows to score")
    moment = utc_milliseconds(as_of)
    statement = one_moment_sql(sql, columns, views, moment=moment, order_by=columns)
    params = {AS_OF: moment} if AS_OF in parameter_names(parse(sql)) else {}
    project.target.warehouse.query(statement, {**params, **join_params(views)}, into=into)
