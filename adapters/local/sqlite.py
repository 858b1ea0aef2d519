"""Databases of a home, for classes that are used from many threads.

Each thread has its connection, and write transactions are explicit.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from ...target import Target
from .errors import translated
from .home import LOCAL, Snapshot, database, home, prepare, transaction

# seconds that a copy, taken where the disk is full, is looked at before the database itself is
# tried again
_FRESH = 1.0


@final
class Database:
    """One connection for each thread of each process, as a connection must not cross a fork.

    `schema` is applied to each. With `synced=False` a commit outlives its process at once, and a
    loss of power only once another one is synced.
    """

    def __init__(
        self, target: Target, schema: str, *, file: str = LOCAL, synced: bool = True
    ) -> None:
        self._target = target
        self._schema = schema
        self._file = file
        self._synced = synced
        self._local = threading.local()
        self._all: list[tuple[int, sqlite3.Connection]] = []
        self._lock = threading.Lock()

    @property
    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection, opened when it is first used."""
        cached: tuple[int, sqlite3.Connection | None] = getattr(self._local, "cached", (0, None))
        pid, connection = cached
        if connection is None or pid != os.getpid():
            return self._open()
        if isinstance(connection, Snapshot) and time.monotonic() - self._local.opened > _FRESH:
            with self._lock:
                # and not closed: somebody may read it to its end
                self._all.remove((pid, connection))
            return self._open()
        return connection

    def _open(self) -> sqlite3.Connection:
        """Open a connection for this thread."""
        with translated(f"opening {home(self._target) / self._file}"):
            connection = database(home(self._target), self._file, snapshot=True)
            prepare(connection, self._schema)
            if not self._synced:
                connection.execute("PRAGMA synchronous = NORMAL")
        self._local.opened = time.monotonic()
        self._local.cached = (os.getpid(), connection)
        with self._lock:
            self._all.append((os.getpid(), connection))
        return connection

    @contextmanager
    def transaction(self, what: str) -> Iterator[sqlite3.Connection]:
        """Run the block in a write transaction, all or nothing.

        `what` begins the messages of its errors.
        """
        with translated(what), transaction(self.connection) as connection:
            yield connection

    def close(self) -> None:
        """Close all connections of this process to the database."""
        with self._lock:
            connections, self._all = self._all, []
        for pid, connection in connections:
            if pid == os.getpid():
                connection.close()
        self._local = threading.local()
