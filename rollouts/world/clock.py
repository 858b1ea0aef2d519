"""A clock that is moved, and what is due on it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import datetime
from typing import final


@final
class VirtualClock:
    """A clock that stands still until it is moved.

    What is due then happens in the order of its times.
    """

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def now(self) -> datetime:
        """Return the simulated time."""
        return self._now

    def schedule(self, moment: datetime, action: Callable[[], None]) -> None:
        """Schedule a function to be called at a simulated time."""
        heapq.heappush(self._due, (max(moment, self._now), next(self._count), action))

    def next_due(self) -> datetime | None:
        """Return the time of the next scheduled event, or None."""
        return self._due[0][0] if self._due else None

    def move(self, moment: datetime) -> None:
        """Move the simulated clock to a moment, or to a scheduled event before it, which is run."""
        self._now = max(self._now, moment)
        while self._due and self._due[0][0] <= self._now:
            heapq.heappop(self._due)[2]()
