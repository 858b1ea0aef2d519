"""Bias: the monitors of a project, and which of them had an alarm when somebody looked last."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from ....core.runtime.project import Project
from ....experiments.monitors import monitor
from ....experiments.monitors.monitor import ListedMonitor
from ....reports import page as kit
from ...parts.reads import ReadFailure, Reads
from ...parts.view import PageContent


class BiasData(msgspec.Struct, frozen=True, kw_only=True):
    monitors: tuple[ListedMonitor, ...] | ReadFailure  # as `isthmus monitor list --json`
    unread: tuple[ReadFailure, ...]


def page(project: Project, _query: Mapping[str, str]) -> PageContent:
    """Draw the page of all bias monitors with their newest stored snapshots, without a query."""
    reads = Reads()
    lines = reads.attempt("what monitors saw", lambda: monitor.list(project))
    return PageContent(
        title="Bias",
        below="Whether groups of items and of people are served alike. These are stored looks: the "
        "log is not asked.",
        parts=(*reads.box(), *([] if isinstance(lines, ReadFailure) else _table(lines))),
        data=BiasData(monitors=lines, unread=tuple(reads.unread)),
    )


def path(monitor: str) -> str:
    """Return the URL path of a monitor's page."""
    return f"/bias/{quote(monitor, safe='')}"


def _table(lines: tuple[ListedMonitor, ...]) -> list[str]:
    """Return an HTML table of the bias monitors and their alarms."""
    if not lines:
        return [kit.words("project.yaml has no monitors yet.")]
    head = ("monitor", "alarms", "last day", "groups", "window", "endpoint")
    return [kit.table(head, map(_row, lines), wordy=1)]


def _row(line: ListedMonitor) -> tuple[str, ...]:
    """Return a monitor's cells in the table: link, alarms, last day, groups, window, endpoint."""
    quiet = "none" if line.until else "nobody has looked"
    alarms = ", ".join(line.alarms).replace("_", " ") or quiet
    window = f"{line.window} day{'s' if line.window > 1 else ''}"
    return (
        kit.link(line.monitor, path(line.monitor)),
        alarms,
        line.until or "",
        f"{line.kind} by {line.groups}",
        window,
        line.endpoint,
    )
