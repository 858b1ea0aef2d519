"""The state of the feature store: what views serve, and the timers of their syncs."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from .....core.clock import Timer
from .direct_writes import Written
from .values import Key


class Served:
    """The rows that every feature view serves, and the timers of their syncs.

    A view's synced rows are replaced as a whole, and those of an entity that was written directly,
    so that readers need no lock.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.snapshots: dict[
            str, Mapping[Key, bytes]
        ] = {}  # by the view's name with the project's number
        self.written: dict[str, dict[Key, Written]] = {}  # directly, by the view's name
        self.running: set[str] = set()
        self.timers: dict[str, Timer] = {}
        self.versions: dict[str, int] = {}  # of BigQuery, which a continuous sync has seen last

    def row(self, view: str, key: Key) -> bytes | None:
        """Return what a view serves of an entity, or None."""
        written = self.written.get(view, {}).get(key)
        return written.row if written is not None else self.snapshots.get(view, {}).get(key)
