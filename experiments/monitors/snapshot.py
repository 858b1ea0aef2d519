"""The figures that a monitor saw, as it is stored.

One document a day, `monitors/<monitor>/<day>.json` in the blob store, the newest last.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Literal

import msgspec

from ...core.formats import StoredDocument, decode
from ...project.specs.monitors import AlarmLimits
from ...reports.results import Shown
from ...storage import BlobStore

ItemFigure = Literal[
    "shown",  # share of the exposures
    "seen",  # ... each weighed by 1 / log2(1 + position)
    "catalogue",  # share of the items that there are
    "never_shown",  # share of the group's items that nobody was shown
    "organic",  # share of the clicks among answers that were drawn
    "shown_to_organic",
    "calibration",  # clicks over the sum of scores
    "gini",  # of the exposures over the items that there are
    "gini_rise",  # ... less that of the first window
    "served_to_trained",  # of a version, its share shown over that of its training set; told alone
    "effective_items",  # as many items, shown equally often, are as spread: exp(entropy)
]
UnitFigure = Literal[
    "mix",  # share of the active units
    "mix_drift",  # ... less that of the first window
    "satisfied",  # share of the group's units with an outcome
    "satisfied_ratio",  # the lowest of these over the highest, which is that of `against`
    "returning",  # share of the group's units of the window before that are active in this one
]
Figure = ItemFigure | UnitFigure
Scope = Literal["window", "day", "version"]


class GroupFigure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of a group; group "": of all.

    An end that is None: too little is there for an interval, and for an alarm.
    """

    figure: Figure
    group: str
    value: float
    low: float | None = None  # 95 %
    high: float | None = None
    alarm: bool = False  # the whole interval lies beyond the limit
    scope: Scope = "window"
    of: str = ""  # the day (YYYY-MM-DD), or model@version
    count: int = 0  # what it rests on: exposures, explored clicks, clicks, items, or units
    against: str = ""  # of a ratio, the group below the line


class MonitorSnapshot(Shown, StoredDocument, frozen=True, kw_only=True):
    """The figures of a look at a monitor.

    `since` .. `until`: UTC days, both included. `first`: the first window's, which drift and rise
    are measured from.
    """

    target: str
    monitor: str
    endpoint: str
    kind: Literal["items", "units"]
    groups: str  # `view.feature`, a key, or an attribute of requests
    window: int  # days
    alarm: AlarmLimits
    as_of: datetime
    since: date
    until: date
    first: tuple[date, date]
    units: int  # active in the window
    rows: tuple[GroupFigure, ...]
    trained: dict[str, dict[str, float]] = {}  # by version and group, the share of its training set
    notes: tuple[str, ...] = ()  # what could not be told, and why

    @property
    def alarms(self) -> tuple[GroupFigure, ...]:
        """Return the snapshot's rows whose metric is beyond its limit."""
        return tuple(row for row in self.rows if row.alarm)

    def by_group(
        self, figure: Figure, *, scope: Scope = "window", label: str = ""
    ) -> dict[str, GroupFigure]:
        """Return one metric's rows by group, of the whole window or of one day or version."""
        return {
            row.group: row
            for row in self.rows
            if (row.figure, row.scope, row.of) == (figure, scope, label)
        }

    def labels(self, scope: Scope) -> tuple[str, ...]:
        """Return the days, or the model versions, for which the snapshot has metrics."""
        return tuple(dict.fromkeys(row.of for row in self.rows if row.scope == scope))

    def __str__(self) -> str:
        from .text import text

        return text(self)


def keep(blobs: BlobStore, snapshot: MonitorSnapshot) -> None:
    """Store a monitor's snapshot, in place of an earlier one of the same day."""
    blobs.put(
        f"{_folder(blobs, snapshot.monitor)}{snapshot.until:%Y-%m-%d}.json",
        msgspec.json.encode(snapshot),
    )


def newest(blobs: BlobStore, monitor: str) -> MonitorSnapshot | None:
    """Return a monitor's newest stored snapshot, or None if there is none."""
    uris = _uris(blobs, monitor)
    return _read(blobs, uris[-1]) if uris else None


def stored_snapshots(blobs: BlobStore, monitor: str, days: int = 92) -> Iterator[MonitorSnapshot]:
    """Yield a monitor's stored snapshots of the last `days` days, oldest first, one at a time."""
    for uri in _uris(blobs, monitor)[-days:]:
        yield _read(blobs, uri)


def _read(blobs: BlobStore, uri: str) -> MonitorSnapshot:
    """Read a monitor's snapshot from its URI."""
    return decode(blobs.get(uri), MonitorSnapshot, what=uri)


def _uris(blobs: BlobStore, monitor: str) -> list[str]:
    """Return the URIs of a monitor's stored snapshots."""
    return [blob.uri for blob in blobs.list(_folder(blobs, monitor))]


def _folder(blobs: BlobStore, monitor: str) -> str:
    """Return the URI of the folder with a monitor's snapshots."""
    return f"{blobs.root.rstrip('/')}/monitors/{monitor}/"
