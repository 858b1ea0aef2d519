"""A job's work while it runs: how it is stopped, and what it is told to stop with."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .errors import BigQueryError

if TYPE_CHECKING:
    import duckdb

_AGAIN = 0.05  # seconds between two interrupts: DuckDB forgets one that comes between two statements


class Running:
    def __init__(self) -> None:
        self.ended = threading.Event()
        self._stopped = threading.Event()
        self._cursor: duckdb.DuckDBPyConnection | None = None

    def watch(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """This connection does the work now."""
        self._cursor = cursor
        self.check()

    def check(self) -> None:
        """Raise what the job was stopped with."""
        if self._stopped.is_set():
            raise BigQueryError("stopped", "Job execution was cancelled: User requested cancellation")

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        if not self._stopped.is_set() and not self.ended.is_set():
            self._stopped.set()
            threading.Thread(target=self._interrupt, name="interrupt", daemon=True).start()

    def _interrupt(self) -> None:
        while not self.ended.wait(_AGAIN):
            cursor = self._cursor
            if cursor is not None:
                cursor.interrupt()
