"""The verbs of `isthmus monitor`: look at what an endpoint does to groups, list the monitors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid, NotFound
from ...project.reading.names import did_you_mean
from ...project.specs.monitors import Monitor
from ...reports.results import StructRows
from ...times import utc_milliseconds
from . import items, snapshot, units
from .snapshot import MonitorSnapshot
from .windows import reading


def show(
    project: Project, name: str, *, as_of: datetime | None = None, last: bool = False
) -> MonitorSnapshot:
    """Compute a monitor's metrics now, and store them; with `as_of` nothing is stored.

    Args:
        project: The project.
        name: The monitor.
        as_of: Where the log, as it is known now, is cut: events that arrived later count when they
            happened before.
        last: Return the snapshot that was stored last, without a query.

    Raises:
        NotFound: There is no such monitor; or nothing was stored yet.
        Invalid: The endpoint has answered nobody, or `as_of` has not come yet.
    """
    monitor = monitor_of(project, name)
    if last:
        return _last(project, monitor, as_of)
    now = project.now()
    moment = now if as_of is None else utc_milliseconds(as_of)
    if moment > now:
        raise Invalid(f"{moment:%Y-%m-%d %H:%M} has not come yet", remedy="leave it out")
    shown = _snapshot(project, monitor, moment)
    if as_of is None:
        snapshot.keep(project.target.blobs, shown)
    return shown


def monitor_of(project: Project, name: str) -> Monitor:
    """Return the declaration of a monitor in project.yaml, by its name.

    Raises:
        NotFound: There is none of this name; with the nearest name.
    """
    monitors = project.spec.monitors
    if name not in monitors:
        names = ", ".join(monitors) or "none"
        raise NotFound(
            f"project.yaml has no monitor {name} (it has: {names})",
            remedy=did_you_mean(name, monitors),
        )
    return monitors[name]


def _last(project: Project, monitor: Monitor, as_of: datetime | None) -> MonitorSnapshot:
    """Return a monitor's last stored snapshot."""
    if as_of is not None:
        raise Invalid(
            "--last is the newest look, and --as-of is another one",
            remedy="take one of the two out",
        )
    stored = snapshot.newest(project.target.blobs, monitor.name)
    if stored is None:
        raise NotFound(
            f"nobody has looked at {monitor.name} yet", remedy=f"isthmus monitor {monitor.name}"
        )
    return stored


def _snapshot(project: Project, monitor: Monitor, moment: datetime) -> MonitorSnapshot:
    """Query the log for a monitor's metrics, and return its snapshot."""
    kind = units if monitor.units else items
    days = reading(project, monitor, kind.STREAM, moment)
    shown = kind.figures(project, monitor, days)
    if not shown.units:
        raise Invalid(
            f"{monitor.endpoint} has answered nobody from {days.since} to {days.until}: monitor "
            f"{monitor.name} has nothing to see",
            remedy=f"its log begins on {days.first}: write a longer window, or --as-of a day of it",
        )
    return MonitorSnapshot(
        target=project.target.name,
        monitor=monitor.name,
        endpoint=monitor.endpoint,
        kind=monitor.kind,
        groups=monitor.groups,
        window=monitor.window.days,
        alarm=monitor.alarm,
        as_of=moment,
        since=days.since,
        until=days.until,
        first=(days.first, days.first_end - timedelta(days=1)),
        units=shown.units,
        rows=shown.rows,
        trained=shown.trained,
        notes=shown.notes,
    )


class ListedMonitor(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor of project.yaml and its last alarms; None: nobody has looked."""

    monitor: str
    endpoint: str
    kind: str
    groups: str
    window: int  # days
    until: str | None = None  # the last day that was looked at
    alarms: tuple[str, ...] = ()  # figures, with the group


def list(project: Project) -> StructRows[ListedMonitor]:
    """Return the monitors of project.yaml with their last snapshots, without a query of the log."""
    return StructRows(_listing(project, monitor) for monitor in project.spec.monitors.values())


def _listing(project: Project, monitor: Monitor) -> ListedMonitor:
    """Return a monitor with its last stored snapshot, for the list of monitors."""
    newest = snapshot.newest(project.target.blobs, monitor.name)
    return ListedMonitor(
        monitor=monitor.name,
        endpoint=monitor.endpoint,
        kind=monitor.kind,
        groups=monitor.groups,
        window=monitor.window.days,
        until=newest.until.isoformat() if newest else None,
        alarms=tuple(dict.fromkeys(f"{row.figure} {row.group}".strip() for row in newest.alarms))
        if newest
        else (),
    )


def counterpart(monitors: Mapping[str, Monitor], name: str) -> str | None:
    """Return the name of the same endpoint's monitor of the other kind (items, units), or None.

    It is suggested as the next one to look at.
    """
    own = monitors[name]
    return next(
        (
            other.name
            for other in monitors.values()
            if (other.endpoint, other.kind) == (own.endpoint, _OTHER[own.kind])
        ),
        None,
    )


_OTHER = {"items": "units", "units": "items"}
