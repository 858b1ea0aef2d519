"""The folder where the laptop keeps everything, and the one SQLite file in it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...target import Target

PATIENCE = 30  # seconds that a connection waits for another process's write


def home(target: Target) -> Path:
    """`.isthmus/` of the project, made on first use."""
    folder = Path(target.profile.options["home"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def database(target: Target) -> sqlite3.Connection:
    """A connection to `.isthmus/local.db`: WAL, autocommit (write transactions are explicit: BEGIN IMMEDIATE), 30 s of patience.

    Each adapter file creates its own tables with IF NOT EXISTS. One connection serves one thread at a time.
    """
    folder = home(target)
    connection = sqlite3.connect(folder / "local.db", timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        _write_ahead(connection, folder)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _write_ahead(connection: sqlite3.Connection, folder: Path) -> None:
    """Make a new database a WAL one, for good. SQLite does not wait for a lock here (the busy time-out is not asked): one process at a time
    tries, and tries again while a process that is past this place writes.
    """
    deadline = time.monotonic() + PATIENCE
    with _alone(folder):
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
            else:
                return


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of the folder itself; the kernel frees it when its holder dies."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
