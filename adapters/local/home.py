"""The folder where the laptop keeps everything, and the SQLite files in it."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

from ...core.formats import refuse_newer
from ...core.user_state import known_id, make
from ...target import Target
from .errors import translated

LOCAL, COUNTERS = "local.db", "counters.db"
# of both, their `user_version`: their tables, and the columns that hold JSON. Raise it with a step
# in `_migrate`
FORMAT = 1
_NO_ROOM = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_CANTOPEN,
)
_TRIES = 100  # of a copy that somebody who writes disturbs
PATIENCE = 30  # seconds that a connection waits for another process's write


def home(target: Target) -> Path:
    """Return the folder `.isthmus/` where the laptop keeps a project's data, made if needed.

    Raises:
        Refused: The folder exists, but this user's state folder has no record of it.
    """
    folder = Path(target.profile.options["home"])
    with translated(f"opening {folder}"):
        if known_id(folder) is None or not folder.is_dir():
            make(folder)
    return folder


@final
class Snapshot(sqlite3.Connection):
    """A copy in memory of a database whose folder cannot be written; it can only be read."""

    refusal = ""  # in SQLite's words

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Execute a statement.

        Raises:
            OperationalError: The statement would change something; the message is `refusal`.
        """
        try:
            return super().execute(*arguments)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_READONLY:
                raise sqlite3.OperationalError(self.refusal) from error
            raise

    @contextmanager
    def unlocked(self) -> Iterator[None]:
        """Allow changes inside the block, so that missing tables can be made, empty."""
        self.execute("PRAGMA query_only = OFF")
        yield
        self.execute("PRAGMA query_only = ON")


def database(folder: Path, file: str = LOCAL, *, snapshot: bool = False) -> sqlite3.Connection:
    """Return a connection to a database in a home.

    It is in WAL mode, commits by itself (write transactions are explicit: BEGIN IMMEDIATE) and
    waits 30 s for another process's write. Each adapter file creates its own tables with IF NOT
    EXISTS. One connection serves one thread at a time.

    Args:
        folder: The home.
        file: The database's name in it.
        snapshot: Return a Snapshot if the disk has no room for the files that SQLite makes to read
            a database that is not open.

    Raises:
        Refused: A later version wrote the file.
    """
    read_only = not os.access(folder, os.W_OK)
    if read_only and not _log(folder / file).exists():
        return _checked(
            _snapshot(folder / file, "attempt to write a readonly database"),
            folder,
            file,
            read_only=True,
        )
    try:
        connection = _read_only(folder / file) if read_only else _connect(folder / file)
        return _checked(connection, folder, file, read_only=read_only)
    except sqlite3.OperationalError as error:
        if _has_bytes(_log(folder / file)) or not (
            read_only or (snapshot and error.sqlite_errorcode in _NO_ROOM)
        ):
            raise
        refusal = (
            "attempt to write a readonly database" if read_only else "database or disk is full"
        )
        return _checked(_snapshot(folder / file, refusal), folder, file, read_only=True)


def _checked(
    connection: sqlite3.Connection, folder: Path, file: str, *, read_only: bool
) -> sqlite3.Connection:
    """Check a database's format and set its connection up; close the connection if that fails.

    An older format is migrated unless `read_only`.
    """
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
    """Open a SQLite connection with Isthmus's time-out and explicit transactions."""
    return sqlite3.connect(
        place, timeout=PATIENCE, isolation_level=None, check_same_thread=False, uri=uri
    )


def _read_only(file: Path) -> sqlite3.Connection:
    """Open a SQLite database for reading, in a folder where nothing can be created.

    Tables that are missing are made in memory, and are empty.
    """
    connection = _connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _log(file: Path) -> Path:
    """Return the path of a database's write-ahead log."""
    return file.with_name(f"{file.name}-wal")


def _has_bytes(file: Path) -> bool:
    """Return whether a file exists and is not empty."""
    stamp = _stamp(file)
    return stamp is not None and stamp[1] > 0


def _snapshot(file: Path, refusal: str) -> Snapshot:
    """Copy a SQLite database into memory, for a folder that cannot be written.

    SQLite's `immutable=1` alone would mix old pages with new ones while another process begins to
    write. Therefore all bytes are read, and read again if the database or its log changed
    meanwhile.

    Args:
        file: The database.
        refusal: The message for statements that would change something.
    """
    for _ in range(_TRIES):
        stamps = _stamps(file)
        with suppress(sqlite3.DatabaseError):
            content = _content(file)
            if stamps == _stamps(file) and not _has_bytes(_log(file)):
                break
    else:
        raise sqlite3.OperationalError("database is locked")
    snapshot = sqlite3.connect(
        ":memory:", isolation_level=None, check_same_thread=False, factory=Snapshot
    )
    if content:  # by its header it is a WAL one, which a database in memory cannot be
        snapshot.deserialize(content[:18] + b"\1\1" + content[20:])
    snapshot.refusal = refusal
    snapshot.execute("PRAGMA query_only = ON")
    return snapshot


def _content(file: Path) -> bytes:
    """Return a database's bytes, read by SQLite itself.

    Opening and closing the file by other means would end SQLite's locks on it
    (sqlite.org/howtocorrupt).
    """
    if not _has_bytes(file):
        return b""
    connection = _connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        return connection.serialize()
    finally:
        connection.close()


def _stamps(file: Path) -> tuple[tuple[int, int, int] | None, tuple[int, int, int] | None]:
    """Return inode, size and time of a database and of its write-ahead log.

    If they differ later, another process has written. Each is None if its file does not exist.
    """
    first, second = (_stamp(path) for path in (file, _log(file)))
    return first, second


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return inode, size and modification time, which identify a file's content; None if absent."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run the block in a write transaction: BEGIN IMMEDIATE, then COMMIT or ROLLBACK.

    A commit that the disk refuses leaves no transaction open either.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def prepare(connection: sqlite3.Connection, schema: str) -> None:
    """Create the tables of a schema (SQL) that are missing.

    `schema` is SQL. Tables are made in memory if the database can only be read.
    """
    if isinstance(connection, Snapshot):
        with connection.unlocked():
            connection.executescript(schema)
        return
    if not _only_read(connection):
        connection.executescript(schema)
        return
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    for statement in filter(str.strip, schema.split(";")):
        table = re.match(r"\s*CREATE TABLE IF NOT EXISTS (\w+)", statement)
        if table and table[1] not in present:
            connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))


def _only_read(connection: sqlite3.Connection) -> bool:
    """Return whether the connection's database lies in a folder that cannot be written."""
    file = next(
        (file for _, name, file in connection.execute("PRAGMA database_list") if name == "main"), ""
    )
    return bool(file) and not os.access(Path(file).parent, os.W_OK)


def _format(connection: sqlite3.Connection) -> int:
    """Return the number of the database's schema format; 0 if new or from before formats."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def _migrate(connection: sqlite3.Connection, folder: Path) -> None:
    """Bring a database to this version's schema format in one transaction.

    From 0 to 1 only the number is new.
    """
    with _alone(folder), transaction(connection):
        if _format(connection) < FORMAT:  # else another process was quicker
            connection.execute(f"PRAGMA user_version = {FORMAT}")


def _write_ahead(connection: sqlite3.Connection, folder: Path) -> None:
    """Switch a new database to SQLite's write-ahead mode, one process at a time.

    SQLite itself does not wait for a lock here, so it is repeated while another process writes.

    `folder` is locked meanwhile.
    """
    deadline = time.monotonic() + PATIENCE
    with _alone(folder):
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if (
                    error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY
                    or time.monotonic() > deadline
                ):
                    raise
                time.sleep(0.005)
            else:
                return


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on the folder while the block runs."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
