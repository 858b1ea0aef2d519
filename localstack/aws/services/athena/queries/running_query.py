"""A query while it runs: its limits, how it is stopped, and from when on its effect stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import QueryFailed
from . import databases

if TYPE_CHECKING:
    import duckdb

SECONDS = 30 * 60.0  # Athena's quota "DML query timeout"
_AGAIN = 0.05  # seconds between two interrupts


class Cancelled(Exception):
    """The query was stopped by a user, or because the stack ends."""


class Exhausted(QueryFailed):
    """The query needs more memory than there is.

    Source of the words: Athena error catalog, error types 0 to 8.
    """

    def __init__(self) -> None:
        super().__init__("", "Query exhausted resources at this scale factor")
        self.type = 0


class TimedOut(QueryFailed):
    """The query ran longer than `SECONDS` (Athena error catalog, error type 206)."""

    def __init__(self) -> None:
        super().__init__("", "Query timeout")
        self.type = 206


class Running:
    """One query's limits and its off switch.

    It has a database of its own while it runs, so that no query can use up what another one needs.

    Args:
        memory: The bytes for DuckDB, and once more for the result that leaves it.
        folder: Where the stack's queries spill.
    """

    def __init__(self, *, memory: int, folder: Path) -> None:
        self.memory = memory
        self.folder = folder
        self.begun = threading.Event()
        self.loaded = False  # it has, or had, a database: what there is to wait for
        self.ended = threading.Event()  # its thread is through, and its database no longer its own
        self._lock = threading.Lock()
        self._reason: Exception | None = None
        self._kept = False
        self._connection: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def database(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a connection to an empty DuckDB database for this query.

        Raises:
            Exhausted: A statement in it needs more memory than the query may use.
        """
        import duckdb

        with self._lock:
            self.check()
            self.loaded = True
        try:
            with (
                databases.databases_of(self.folder, self.memory).session() as connection,
                self._interruptible(connection),
            ):
                yield connection
        except (duckdb.Error, OSError) as error:  # OSError: of a result that is being streamed
            self.check()
            if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory Error" in str(
                error
            ):
                raise Exhausted from error
            raise

    @contextmanager
    def _interruptible(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Let `stop` interrupt the statements of a DuckDB connection within the block."""
        try:
            with self._lock:
                self._connection = connection
            self.check()
            yield
        finally:
            with self._lock:
                self._connection = None

    def check(self) -> None:
        """Raise the reason for which the query was stopped (cancelled, timed out), if it was."""
        if self._reason is not None:
            raise self._reason

    def keep(self) -> None:
        """Make the query's effect final: from now on it can no longer be stopped.

        It raises as `check` does.
        """
        with self._lock:
            self.check()
            self._kept = True

    def stop(self, reason: Exception) -> bool:
        """Stop the query, which then raises `reason`; return False if it is too late."""
        with self._lock:
            if self._kept or self.ended.is_set():
                return False
            first, self._reason = self._reason is None, self._reason or reason
        if first and self.begun.is_set():
            threading.Thread(target=self._interrupt, name="interrupt", daemon=True).start()
        return True

    def run(self, function: Callable[[], object]) -> None:
        """Call the function that runs the query, and mark the query as ended when it returns."""
        self.begun.set()
        try:
            function()
        finally:
            self.ended.set()

    def _interrupt(self) -> None:
        """Interrupt DuckDB repeatedly until the query ends.

        DuckDB forgets an interrupt that comes between two statements.
        """
        while True:
            with self._lock:
                if self._connection is not None:
                    self._connection.interrupt()
            if self.ended.wait(_AGAIN):
                return
