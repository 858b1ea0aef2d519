"""The days that a monitor reads: its window, the one before, and the first one that there is."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid
from ...project.specs.monitors import Monitor
from ...project.specs.streams import Stream
from ...times import utc_milliseconds
from .snapshot import GroupFigure

_DAY = timedelta(days=1)
_MILLISECOND = timedelta(milliseconds=1)


class MonitorFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures that a query showed. `units`: active in the window."""

    units: int
    rows: tuple[GroupFigure, ...]
    trained: dict[str, dict[str, float]] = {}
    notes: tuple[str, ...] = ()


class MonitorWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The UTC days that a look reads.

    What happened before `ends` is counted, and outcomes that are known at `known`; both are the
    moment asked for.
    """

    since: date
    # included: the last that has begun before the moment; it is over only where that is midnight
    until: date
    first: date
    length: timedelta
    ends: datetime
    known: datetime

    @property
    def first_end(self) -> date:
        """Return the day after the monitor's first window."""
        return self.first + self.length

    def parameters(self) -> dict[str, object]:
        """Return the SQL parameters: times, and dates as the tables write them."""
        days = {
            "since": self.since,
            "before": self.since - self.length,
            "first": self.first,
            "first_end": self.first_end,
        }
        return {"until": self.ends, **{name: day.isoformat() for name, day in days.items()}}


def reading(project: Project, monitor: Monitor, stream: Stream, moment: datetime) -> MonitorWindow:
    """Return the days that a monitor reads at a moment: its window, and the first window.

    `stream` is the log that it reads.

    Raises:
        Invalid: The endpoint had answered no request by then.
    """
    ends, known_at = _cutoffs(project, monitor, moment)
    until = (moment - _MILLISECOND).date()
    return MonitorWindow(
        since=until - monitor.window + _DAY,
        until=until,
        first=_first_day(project, monitor, stream, ends),
        length=monitor.window,
        ends=ends,
        known=known_at,
    )


def _cutoffs(project: Project, monitor: Monitor, moment: datetime) -> tuple[datetime, datetime]:
    """Return the time before which a monitor counts events, and by which outcomes are known.

    Both are for a look at `moment`. An old log (`now:`) is complete: its last moment counts, with
    its outcomes.
    """
    if project.spec.now is None or moment != utc_milliseconds(project.spec.now):
        return moment, moment
    objective = project.spec.objectives[project.spec.endpoints[monitor.endpoint].objective]
    return moment + _MILLISECOND, moment + objective.within


def _first_day(project: Project, monitor: Monitor, stream: Stream, ends: datetime) -> date:
    """Return the first day of the log that a monitor can read.

    For a monitor of units it is the first day on which a request carried the attribute, as a log
    may be older than its monitor. If no request did, or for items, it is the log's first day.
    """
    state, first = project.target.warehouse.observe(stream), None
    if state is not None:
        has_attribute = monitor.units and any(
            column.name == "attributes" for column in state.columns
        )
        says = f"""attributes LIKE '%"{monitor.units}":%'""" if has_attribute else "dt IS NULL"
        sql = (
            f"SELECT coalesce(min(CASE WHEN {says} THEN dt END), min(dt)) AS first_day "
            f"FROM {stream} WHERE endpoint = $endpoint AND event_timestamp < $until"
        )
        first = project.target.warehouse.query(sql, {"endpoint": monitor.endpoint, "until": ends})[
            "first_day"
        ][0].as_py()
    if first is None:
        raise Invalid(
            f"{monitor.endpoint} has answered nobody that {stream} tells of: monitor "
            f"{monitor.name} has nothing to see",
            remedy=f"isthmus apply; then answers of isthmus gateway {monitor.endpoint} are logged",
        )
    return date.fromisoformat(first)
