"""The folder where the laptop keeps everything, and the one SQLite file in it."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...formats import refuse_newer
from ...target import Target
from ...user_state import known_id, make
from .errors import translated

LOCAL, COUNTERS = "local.db", "counters.db"
FORMAT = 1  # of both, their `user_version`: their tables, and the columns that hold JSON. Raise it with a step in `_migrate`
PATIENCE = 30  # seconds that a connection waits for another process's write


def home(target: Target) -> Path:
    """Return `.isthmus/` of the project, made on first use. Refused: one that this user's state folder does not know."""
    folder = Path(target.profile.options["home"])
    with translated(f"opening {folder}"):
        if known_id(folder) is None or not folder.is_dir():
            make(folder)
    return folder


def database(folder: Path, file: str = LOCAL) -> sqlite3.Connection:
    """A connection to a database in a home: WAL, autocommit (write transactions are explicit: BEGIN IMMEDIATE), 30 s of patience.

    Each adapter file creates its own tables with IF NOT EXISTS. One connection serves one thread at a time.
    Refused: a later version wrote the file.
    """
    read_only = not os.access(folder, os.W_OK)
    connection = _read_only(folder / file) if read_only else _connect(folder / file)
    try:
        written = _format(connection)
        refuse_newer(str(folder / file), written, FORMAT)
        if read_only:
            return connection
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            _write_ahead(connection, folder)
        if written < FORMAT:
            _migrate(connection, folder)
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(place: Path | str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(place, timeout=PATIENCE, isolation_level=None, check_same_thread=False, uri=uri)


def _read_only(file: Path) -> sqlite3.Connection:
    """Of a folder in which nothing can be made. Tables that a reader wants and that are not there are temporary: they are empty.

    SQLite could not make the files that WAL needs beside the database. Where there are none, nobody writes, and it is taken as it is.
    """
    log = file.with_name(f"{file.name}-wal")
    if not file.exists():
        return _connect(":memory:")
    untouched = "" if log.exists() and log.stat().st_size else "&immutable=1"
    connection = _connect(f"{file.absolute().as_uri()}?mode=ro{untouched}", uri=True)
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """The one writer of the file. A commit that the disk refuses leaves no transaction open either."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def prepare(connection: sqlite3.Connection, schema: str) -> None:
    """Make the tables of a schema that are missing; in memory when the database can only be read."""
    if not _only_read(connection):
        connection.executescript(schema)
        return
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    for statement in filter(str.strip, schema.split(";")):
        table = re.match(r"\s*CREATE TABLE IF NOT EXISTS (\w+)", statement)
        if table and table[1] not in there:
            connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))


def _only_read(connection: sqlite3.Connection) -> bool:
    file = next((file for _, name, file in connection.execute("PRAGMA database_list") if name == "main"), "")
    return bool(file) and not os.access(Path(file).parent, os.W_OK)


def _format(connection: sqlite3.Connection) -> int:
    """0: nobody has said, as in a new database and in those from before there were formats."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def _migrate(connection: sqlite3.Connection, folder: Path) -> None:
    """Bring an older database to this format, once and whole. From 0 to 1 only the number is new."""
    with _alone(folder), transaction(connection):
        if _format(connection) < FORMAT:  # else another process was quicker
            connection.execute(f"PRAGMA user_version = {FORMAT}")


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
