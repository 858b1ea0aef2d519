"""Join features to rows as they were known at one moment, the same for all rows.

The rule is the point-in-time join's. With one moment a view has one row at most for each key: its
newest row that was known by then. So the rows need not be laid among the history in the order of
time, as where each has a time of its own: the view's rows are numbered from the newest on, once,
and joined by key. It is one statement in the neutral subset, the same for every target.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ...times import utc_milliseconds
from .point_in_time import (
    JoinView,
    canonical_order,
    check_names,
    interval,
    published_rows,
    stamp_name,
)


def one_moment_sql(
    rows: str,
    columns: Sequence[str],
    views: Sequence[JoinView],
    *,
    moment: datetime,
    order_by: Sequence[str] = (),
) -> str:
    """Return SQL that joins feature views to the rows of a SELECT as of one moment.

    Args:
        rows: A SELECT.
        columns: The columns to take from it; the features follow, view by view.
        views: The views. The SQL has the parameter `$known_<n>` for the n-th that has `known_until`
            (see `join_params`).
        moment: The moment; a view's rows that became known later do not count.
        order_by: Columns to sort by.

    Raises:
        Invalid: two columns would have one name.
    """
    check_names(columns, views)
    time = utc_milliseconds(moment)
    literal = f"TIMESTAMP '{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03d}'"
    joins, outputs = [], [f"isthmus_spine.{name}" for name in columns]
    for number, view in enumerate(views):
        name = f"isthmus_view_{number}"
        joins.append(
            f"LEFT JOIN (\n{_newest(number, view, literal)}\n) AS {name} "
            f"ON isthmus_spine.{view.key} = {name}.{view.key}"
        )
        outputs += [f"{name}.{feature.name}" for feature in view.features]
        outputs += [f"{name}.event_timestamp AS {stamp}" for stamp in stamp_name(view)]
    listed = ", ".join(f"isthmus_spine.{name}" for name in order_by)
    return "\n".join(
        [
            f"SELECT {', '.join(outputs)}",
            f"FROM (\n{rows}\n) AS isthmus_spine",
            *joins,
            *([f"ORDER BY {listed}"] if order_by else []),
        ]
    )


def _newest(number: int, view: JoinView, moment: str) -> str:
    """Return SQL for each key's newest row of a view that was known at a moment, a SQL literal.

    `number` is the view's in the join. A row that was older than the view's ttl by then is left
    out.
    """
    names = "".join(f", {feature.name}" for feature in view.features)
    ties = [] if view.unique else [t for f in view.features for t in canonical_order(f)]
    terms = ["event_timestamp", "coalesce(created_timestamp, event_timestamp)", *ties]
    order = ", ".join(f"{term} DESC" for term in terms)
    fresh = "" if view.ttl is None else f" AND event_timestamp + {interval(view.ttl)} >= {moment}"
    return (
        f"SELECT {view.key}, event_timestamp{names} FROM (SELECT {view.key}, event_timestamp"
        f"{names}, row_number() OVER (PARTITION BY {view.key} ORDER BY {order}) AS isthmus_place "
        f"FROM ({published_rows(number, view)}) AS isthmus_published "
        f"WHERE isthmus_known <= {moment}) AS isthmus_known_rows WHERE isthmus_place = 1{fresh}"
    )
