"""Count the rows of a training set that have no value because a view's history was known too late.

A row may lack a view's value for honest reasons: nothing had happened to its entity, or what had
happened was older than the view's ttl. Where the entity did have rows by then, and all of them
became known only later, the model learns from less than it will be served: the events were
ingested late, or the view was materialized late.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.runtime.project import Project
from ..views.sources import view_sources
from . import watermarks
from .training_set import STAMP

if TYPE_CHECKING:
    import pyarrow as pa

_WORTH_TELLING = 0.01  # share of a training set's rows


class LateHistory(msgspec.Struct, frozen=True, kw_only=True):
    """A view whose history became known too late for some rows of a training set."""

    view: str
    rows: int  # without a value, of entities that had events by then
    of: int  # rows of the training set
    known: datetime  # the earliest moment at which one of these entities' rows was known

    def __str__(self) -> str:
        return (
            f"{self.view} has no value in {self.rows:,} of {self.of:,} rows "
            f"({100 * self.rows / self.of:.1f} %) of which it tells earlier events: these became "
            f"known only later (the first on {self.known:%Y-%m-%d %H:%M}), as events were "
            "ingested or the view was materialized late"
        )


def late_histories(project: Project, stamped: pa.Table) -> tuple[LateHistory, ...]:
    """Return the views whose history was known too late for over 1 % of a training set's rows.

    Args:
        project: The project.
        stamped: A training set with the views' stamps (`training_set(..., stamps=True)`).

    Returns:
        A finding for each such view. The views' usual delay (the least time between a row's event
        and its being known) is not counted.
    """
    names = [name.removeprefix(STAMP) for name in stamped.column_names if name.startswith(STAMP)]
    findings = []
    for source in view_sources(project.description, names) if names else ():
        view, key = source.view.name, source.entity.key
        findings += _late_history(project, view, key, stamped)
    return tuple(findings)


def _late_history(project: Project, view: str, key: str, stamped: pa.Table) -> list[LateHistory]:
    """Return a finding, in a list, if one view's history came too late for many training rows.

    `key` is the entity's column in the training set, `stamped` the set with the joined rows' times.
    """
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute
    empty = stamped.filter(pc.is_null(stamped[f"{STAMP}{view}"]))
    until = watermarks.read(project, view).mark.until
    if until is None or empty.num_rows <= _WORTH_TELLING * stamped.num_rows:
        return []
    sql = (
        f"SELECT {key}, min(event_timestamp) AS isthmus_first, min(created_timestamp) AS "
        "isthmus_known, min(date_diff('millisecond', event_timestamp, created_timestamp)) AS "
        f"isthmus_delay FROM {view} WHERE created_timestamp <= $until GROUP BY {key}"
    )
    begins = project.target.warehouse.query(sql, {"until": until})
    if not begins.num_rows:
        return []
    place = pc.index_in(empty[key], value_set=begins[key].cast(empty[key].type).combine_chunks())
    milliseconds = pa.timestamp("ms")
    shown = empty["event_timestamp"].cast(milliseconds).cast(pa.int64())
    first, since = (
        begins[name].cast(milliseconds).cast(pa.int64()).take(place)
        for name in ("isthmus_first", "isthmus_known")
    )
    delay = pc.min(begins["isthmus_delay"])
    late = pc.and_(
        pc.less_equal(pc.add(first, delay.cast(pa.int64())), shown), pc.less(shown, since)
    )
    rows = int(pc.sum(late).as_py() or 0)
    if rows <= _WORTH_TELLING * stamped.num_rows:
        return []
    earliest = pc.min(since.filter(pc.fill_null(late, False))).as_py()
    return [
        LateHistory(
            view=view,
            rows=rows,
            of=stamped.num_rows,
            known=datetime.fromtimestamp(earliest / 1000, UTC),
        )
    ]
