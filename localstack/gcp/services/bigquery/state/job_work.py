"""A job's work while it runs: others wait for its end, or stop it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import BigQueryError

if TYPE_CHECKING:
    import duckdb

_AGAIN = (
    0.05  # seconds between two interrupts: DuckDB forgets one that comes between two statements
)


class RunningJob:
    """The work of one job, which ends once."""

    def __init__(self) -> None:
        self.ended = threading.Event()  # `end` sets it
        self._waiting: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._cursor: duckdb.DuckDBPyConnection | None = None

    def end(self) -> None:
        """Mark a job's work as ended, and wake those who wait for it."""
        with self._lock:
            self.ended.set()
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()

    async def wait(self, seconds: float) -> None:
        """Wait for the end of a job's work, at most `seconds`, without occupying a thread."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # that loop has been closed
                loop.call_soon_threadsafe(over.set)

        with self._lock:
            if self.ended.is_set():
                return
            self._waiting.append(wake)
        try:
            await asyncio.wait_for(over.wait(), seconds)
        except TimeoutError:
            with self._lock, contextlib.suppress(ValueError):  # it ended just now
                self._waiting.remove(wake)

    def watch(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Record the DuckDB connection that now works for the job, so that `stop` can end it."""
        self._cursor = cursor
        self.check()

    def check(self) -> None:
        """Raise the error `stopped` if the job was cancelled."""
        if self._stopped.is_set():
            raise BigQueryError(
                "stopped", "Job execution was cancelled: User requested cancellation"
            )

    @property
    def stopped(self) -> bool:
        """Whether the job was stopped."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Cancel the job: interrupt its DuckDB connection until its work has ended."""
        if not self._stopped.is_set() and not self.ended.is_set():
            self._stopped.set()
            threading.Thread(target=self._interrupt, name="interrupt", daemon=True).start()

    def _interrupt(self) -> None:
        """Interrupt the job's DuckDB connection repeatedly until the work ends."""
        import duckdb

        while not self.ended.wait(_AGAIN):
            cursor = self._cursor
            if cursor is not None:
                with contextlib.suppress(
                    duckdb.ConnectionException
                ):  # it was closed: the next one is interrupted
                    cursor.interrupt()
