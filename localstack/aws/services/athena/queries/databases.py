"""DuckDB's databases for queries: one for each query that runs.

Making one takes most of a short query's CPU, so a database then serves another query.
"""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..sql import rules

if TYPE_CHECKING:
    import duckdb

_SPILL = 4  # times its memory is what a query may put on the disk
_IDLE = 4  # databases that wait for a query
# bytes; an allocator that has given out more keeps them until its database is closed
_GROWTH = 32 << 20
_RESIDENT = Path("/proc/self/statm")


class Database(NamedTuple):
    """A DuckDB database, and the folder into which it spills."""

    connection: duckdb.DuckDBPyConnection
    folder: Path  # where it spills


class Databases:
    """The databases of one stack.

    Args:
        folder: Where they spill, up to four times their memory.
        memory: The bytes of memory of each database.
    """

    def __init__(self, folder: Path, memory: int) -> None:
        self._folder = folder
        self._memory = memory
        self._idle: list[Database] = []
        self._lock = threading.Lock()

    @contextmanager
    def session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a connection to an empty DuckDB database that no other query uses.

        Tables are to be TEMP: they go with the connection.
        """
        database, resident_before, ended = self._take(), _resident(), False
        try:
            # what tidies a machine takes a folder that has long been empty
            database.folder.mkdir(parents=True, exist_ok=True)
            with database.connection.cursor() as session:
                _set_arithmetic(session)
                yield session
            ended = True
        finally:
            reusable = (
                ended
                and resident_before is not None
                and (_resident() or 0) - resident_before <= _GROWTH
                and not any(database.folder.iterdir())
            )
            self._leave(database, reusable=reusable)

    def _take(self) -> Database:
        """Return an idle DuckDB database for a query, or a new one."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._open()

    def _open(self) -> Database:
        """Create a DuckDB database with its memory limit and temporary folder."""
        import duckdb

        folder = self._folder / uuid.uuid4().hex
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": 2,
            "memory_limit": f"{self._memory}B",
            "temp_directory": str(folder),
            "max_temp_directory_size": f"{self._memory * _SPILL}B",
        }
        connection = duckdb.connect(":memory:", config=config)
        connection.execute("SET enable_external_access = false")
        for statement in rules.PRELUDE.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        return Database(connection, folder)

    def _leave(self, database: Database, *, reusable: bool) -> None:
        """Keep a DuckDB database for another query if it is `reusable`, or close it."""
        with self._lock:
            if reusable and len(self._idle) < _IDLE:
                self._idle.append(database)
                return
        database.connection.close()
        shutil.rmtree(database.folder, ignore_errors=True)


@cache
def databases_of(folder: Path, memory: int) -> Databases:
    """Return the stack's DuckDB databases; a reset keeps them, as they are empty.

    `folder` is for their temporary files, and `memory` is what one query may use.
    """
    return Databases(folder, memory)


def _set_arithmetic(session: duckdb.DuckDBPyConnection) -> None:
    """Set DuckDB's options that make its arithmetic that of Trino."""
    session.execute("SET TimeZone = 'UTC'")
    session.execute("SET integer_division = true")
    session.execute("SET ieee_floating_point_ops = true")
    session.execute("SET error_on_division_by_zero = false")


def _resident() -> int | None:
    """Return the bytes of memory that this process occupies.

    None: the system does not say; a database then serves one query.
    """
    try:
        return int(_RESIDENT.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
