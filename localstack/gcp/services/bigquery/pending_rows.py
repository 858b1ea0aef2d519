"""Rows on their way into BigQuery's tables: whoever reads one lets them arrive first.

A BigQuery subscription, or an endpoint's request-response log, writes its rows in batches, some
time after what they tell of. Here that time is over when somebody looks: the writer is noted, and
BigQuery settles before it reads.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable


class PendingRows:
    """The writers that have rows to bring; there is one a stack.

    A writer appends what it has, and is noted again when it has more.
    """

    def __init__(self) -> None:
        self._writers: dict[object, Callable[[], object]] = {}
        self._lock = threading.Lock()
        self._settling = threading.RLock()  # who reads meanwhile waits for the rows
        self._within = False  # while rows are written: who reads then is a writer

    def note(self, owner: object, writer: Callable[[], object]) -> None:
        """Register a function that writes an owner's pending rows, to be called before a read.

        An owner has one writer at most.
        """
        with self._lock:
            self._writers[owner] = writer

    def settle(self) -> None:
        """Write all pending rows, by calling each registered writer, before a read.

        It returns at once if nothing is pending, and within a writer that reads.
        """
        if not self._writers and not self._busy():
            return
        with self._settling:
            if (
                self._within
            ):  # or a writer would be called within itself, again and again while rows keep coming
                return
            self._within = True
            try:
                self._write()
            finally:
                self._within = False

    def _write(self) -> None:
        """Call the registered writers, and those of other owners that are registered meanwhile.

        An owner that registers again while this runs is called before the next read.
        """
        written: set[object] = set()
        while todo := self._take_unwritten(written):
            written |= todo.keys()
            for write in todo.values():
                try:
                    write()
                except Exception:  # noqa: BLE001  who reads must not suffer for who could not write
                    traceback.print_exc()

    def _take_unwritten(self, written: set[object]) -> dict[object, Callable[[], object]]:
        """Remove and return the writers of all owners that are not in `written`."""
        with self._lock:
            return {
                owner: self._writers.pop(owner)
                for owner in [*self._writers]
                if owner not in written
            }

    def _busy(self) -> bool:
        """Return whether another thread is writing pending rows."""
        if self._settling.acquire(blocking=False):
            self._settling.release()
            return False
        return True
