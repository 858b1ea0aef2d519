"""The state of the feature store: what views serve, and the timers of their syncs."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from .....core.clock import Timer
from .values import Key


class Served:
    """The rows that every feature view serves, and the timers of their syncs.

    A view's rows are replaced as a whole, so that readers need no lock.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.snapshots: dict[
            str, Mapping[Key, bytes]
        ] = {}  # by the view's name with the project's number
        self.running: set[str] = set()
        self.timers: dict[str, Timer] = {}
        self.versions: dict[str, int] = {}  # of BigQuery, which a continuous sync has seen last
