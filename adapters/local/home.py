"""The folder where the laptop keeps everything, and the one SQLite file in it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...formats import refuse_newer
from ...target import Target

FORMAT = 1  # of local.db, its `user_version`: its tables, and the columns that hold JSON. Raise it with a step in `_migrate`
PATIENCE = 30  # seconds that a connection waits for another process's write


def home(target: Target) -> Path:
    """`.isthmus/` of the project, made on first use."""
    folder = Path(target.profile.options["home"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def database(folder: Path) -> sqlite3.Connection:
    """A connection to `local.db` in a home: WAL, autocommit (write transactions are explicit: BEGIN IMMEDIATE), 30 s of patience.

    Each adapter file creates its own tables with IF NOT EXISTS. One connection serves one thread at a time.
    Refused: a later version wrote the file.
    """
    connection = sqlite3.connect(folder / "local.db", timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        written = _format(connection)
        refuse_newer(str(folder / "local.db"), written, FORMAT)
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            _write_ahead(connection, folder)
        if written < FORMAT:
            _migrate(connection, folder)
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _format(connection: sqlite3.Connection) -> int:
    """0: nobody has said, as in a new database and in those from before there were formats."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def _migrate(connection: sqlite3.Connection, folder: Path) -> None:
    """Bring an older database to this format, once and whole. From 0 to 1 only the number is new."""
    with _alone(folder):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _format(connection) < FORMAT:  # else another process was quicker
                connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


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
