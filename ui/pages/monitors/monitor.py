"""One monitor: its newest stored look, and its figures over the days and by version.

`look` asks the log anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ....core.runtime.project import Project
from ....experiments.monitors import monitor, snapshot
from ....experiments.monitors.snapshot import MonitorSnapshot
from ....experiments.monitors.text import meanings
from ....project.specs.monitors import AlarmLimits
from ....reports import page as kit
from ...parts.forms import Form
from ...parts.reads import ReadFailure, Reads, whole
from ...parts.view import PageContent
from .figures import newest_parts, over_time, versions_parts
from .monitors import path

_DAYS, _MOST_DAYS = 28, 366


class MonitorData(msgspec.Struct, frozen=True, kw_only=True):
    looks: list[MonitorSnapshot]  # the oldest first, each as `isthmus monitor NAME --json`
    unread: tuple[ReadFailure, ...]


def page(project: Project, query: Mapping[str, str]) -> PageContent:
    """Draw the page of one bias monitor, with the stored snapshots of the query's `days`.

    Raises:
        NotFound: There is no such monitor.
    """
    spec = monitor.monitor_of(project, query["monitor"])
    days, reads = whole(query, "days", default=_DAYS, most=_MOST_DAYS), Reads()
    read = reads.attempt(
        f"the looks of {spec.name}",
        lambda: list(snapshot.stored_snapshots(project.target.blobs, spec.name, days)),
    )
    looks = [] if isinstance(read, ReadFailure) else read
    return PageContent(
        title=spec.name,
        below=f"{spec.kind.capitalize()} of {spec.endpoint} by {spec.groups}, "
        f"{spec.window.days} days at a time.",
        parts=(
            *reads.box(),
            *([] if isinstance(read, ReadFailure) else _looks(looks)),
            _look(spec.name),
            _more(spec.name),
        ),
        data=MonitorData(looks=looks, unread=tuple(reads.unread)),
    )


def look(project: Project, fields: Mapping[str, str]) -> str:
    """Query the log now, store what the monitor measures, and return the URL path of its page.

    Errors are those of monitor.show.
    """
    return path(monitor.show(project, fields["monitor"]).monitor)


def _looks(looks: Sequence[MonitorSnapshot]) -> list[str]:
    """Return HTML on a monitor's stored snapshots: verdict, newest window, by day, by version."""
    if not looks:
        return [kit.words("Nobody has looked yet.")]
    newest = looks[-1]
    return [_verdict(newest), *newest_parts(newest), *over_time(looks), *versions_parts(looks)]


def _verdict(newest: MonitorSnapshot) -> str:
    """Return an HTML box that says whether the newest snapshot raised alarms."""
    summary = f"{newest.since} to {newest.until}, {newest.units:,} active units"
    if newest.alarm == AlarmLimits():
        return kit.verdict(["No limit is set, so nothing is an alarm", summary])
    if not newest.alarms:
        return kit.verdict(["No alarm", summary], "pass")
    number = len(newest.alarms)
    return kit.verdict(
        [f"{number} alarm{'s' if number > 1 else ''}", *meanings(newest), summary], "fail"
    )


def _look(name: str) -> Form:
    """Return the form that queries the log now for a new snapshot of a monitor."""
    return Form(action=f"{path(name)}/look", button="Look now", command=f"isthmus monitor {name}")


def _more(name: str) -> str:
    """Return HTML on what a new snapshot of a monitor costs, with links to longer periods."""
    cost = kit.words(
        "A look is one query of the log, and the last one of a day stays. Run it daily.", "soft"
    )
    return cost + kit.links(
        [(f"looks of {days} days", f"{path(name)}?days={days}") for days in (_DAYS, 92, _MOST_DAYS)]
    )
