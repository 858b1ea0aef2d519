"""The pace at which shards of Kinesis streams are read, so that Kinesis need not refuse.

A shard gives at most five answers and 2 MiB a second, to all its readers together. Firehose takes
one of the five.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

_INTERVAL = 0.25  # seconds between two reads of a shard
_RATE = 2 << 20  # bytes of a shard in a second
_PAUSE, _LONGEST = 0.5, 8.0  # seconds after a refusal, doubled each time, and at most


class Pace:
    """Keeps when each shard may be read next by this process."""

    def __init__(self) -> None:
        self._free: dict[tuple[str, str], float] = {}
        self._refusals: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def take(self, stream: str, shard: str) -> bool:
        """Return whether a shard may be read now; if so, nobody else may for a moment."""
        with self._lock:
            now = time.monotonic()
            if self._free.get((stream, shard), 0.0) > now:
                return False
            self._free[stream, shard] = now + _INTERVAL
            return True

    def note_answer(self, stream: str, shard: str, size: int) -> None:
        """Take note that a shard gave so many bytes."""
        with self._lock:
            self._refusals.pop((stream, shard), None)
            self._later(stream, shard, size / _RATE)

    def note_refusal(self, stream: str, shard: str) -> None:
        """Take note that a shard refused a read: the next has to wait, longer each time."""
        with self._lock:
            count = self._refusals.get((stream, shard), 0)
            self._refusals[stream, shard] = count + 1
            self._later(stream, shard, min(_PAUSE * 2**count, _LONGEST))

    def wait(self, stream: str, shards: Iterable[str]) -> float:
        """Return the seconds until the first of some shards may be read; a moment for none."""
        now = time.monotonic()
        with self._lock:
            free = [self._free.get((stream, shard), 0.0) for shard in shards]
        return max(0.0, min(free) - now) if free else _INTERVAL

    def _later(self, stream: str, shard: str, seconds: float) -> None:
        """Put off the next read of a shard to so many seconds from now, if it is to be earlier."""
        later = time.monotonic() + seconds
        self._free[stream, shard] = max(self._free.get((stream, shard), 0.0), later)
