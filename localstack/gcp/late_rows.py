"""Rows that are on their way into BigQuery's tables: whoever reads one lets them arrive first.

A BigQuery subscription, or an endpoint's request-response log, writes its rows in batches, some time after what they tell of. Here that
time is over when somebody looks: the writer is noted, and BigQuery settles before it reads.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable


class LateRows:
    """One a stack. A writer appends what it has, and is noted again when it has more."""

    def __init__(self) -> None:
        self._writers: dict[object, Callable[[], object]] = {}
        self._lock = threading.Lock()
        self._settling = threading.RLock()  # who reads meanwhile waits for the rows; a writer may read itself

    def note(self, owner: object, writer: Callable[[], object]) -> bool:
        """`writer()` is to be called before the next read; whether it was not noted already."""
        with self._lock:
            new = owner not in self._writers
            self._writers[owner] = writer
            return new

    def settle(self) -> None:
        """Let every writer write. Costs nothing where there is none."""
        if not self._writers and not self._busy():
            return
        with self._settling:
            with self._lock:
                writers, self._writers = list(self._writers.values()), {}
            for write in writers:
                try:
                    write()
                except Exception:  # noqa: BLE001  who reads must not suffer for who could not write
                    traceback.print_exc()

    def _busy(self) -> bool:
        """Another thread is settling: its rows are not there yet."""
        if self._settling.acquire(blocking=False):
            self._settling.release()
            return False
        return True
