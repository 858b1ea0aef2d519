"""Counters in SQLite: a row a number, and one a unit that says until when its numbers are needed.

An answer waits for its count, so no count waits for the disk: that took 4 ms of it, where a kill loses nothing either way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from sqlite3 import Connection
from typing import final

from ...storage import Phase, Resource
from ...target import Target
from ...times import epoch_milliseconds
from ..common.counters import KIND, not_found
from . import inventory
from .errors import translated
from .sqlite import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS unit_counts (
    endpoint TEXT NOT NULL, unit TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (endpoint, unit, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counted_units (
    endpoint TEXT NOT NULL, unit TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (endpoint, unit)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS counted_until ON counted_units (until);
"""
_SWEPT = 4  # units that one `add` looks after: more than it makes


@final
class LocalCounters:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._calls = target.calls
        self._database = Database(target, inventory.SCHEMA + _SCHEMA, synced=False)

    def apply(self, endpoint: str) -> None:
        if self.observe(endpoint) is None:
            with self._calls.mutating("counters.apply", endpoint):
                inventory.record(self._target, KIND, endpoint)

    def observe(self, endpoint: str) -> Phase | None:
        self._calls.reading("counters.observe", endpoint)
        with translated(f"looking at counters of {endpoint}"):
            return "ready" if self._is_there(self._database.connection, endpoint) else None

    def get(self, endpoint: str, unit: str) -> Mapping[str, int]:
        self._calls.reading("counters.get", endpoint)
        db = self._database.connection
        with translated(f"reading counters of {endpoint}"):
            counts = dict(db.execute("SELECT name, count FROM unit_counts WHERE endpoint = ? AND unit = ?", (endpoint, unit)).fetchall())
            if not counts and not self._is_there(db, endpoint):
                raise not_found(endpoint)
        return counts

    def add(self, endpoint: str, unit: str, amounts: Mapping[str, int], *, forget: Collection[str] = (), until: datetime) -> None:
        with self._calls.mutating("counters.add", endpoint), self._database.transaction(f"counting for {endpoint}") as db:
            if not self._is_there(db, endpoint):
                raise not_found(endpoint)
            _sweep(db, epoch_milliseconds(self._target.clock()))
            db.executemany(
                "INSERT INTO unit_counts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
                [(endpoint, unit, name, amount) for name, amount in amounts.items()],
            )
            db.executemany(
                "DELETE FROM unit_counts WHERE endpoint = ? AND unit = ? AND name = ?", [(endpoint, unit, name) for name in forget]
            )
            db.execute("INSERT OR REPLACE INTO counted_units VALUES (?, ?, ?)", (endpoint, unit, epoch_milliseconds(until)))

    def _is_there(self, db: Connection, endpoint: str) -> bool:
        where = (self._target.profile.project, KIND, endpoint)
        return db.execute("SELECT 1 FROM resources WHERE project = ? AND kind = ? AND name = ?", where).fetchone() is not None

    def close(self) -> None:
        self._database.close()


def _sweep(db: Connection, now: int) -> None:
    over = db.execute("SELECT endpoint, unit FROM counted_units WHERE until < ? LIMIT ?", (now, _SWEPT)).fetchall()
    for table in ("unit_counts", "counted_units") if over else ():
        db.executemany(f"DELETE FROM {table} WHERE endpoint = ? AND unit = ?", over)


def delete(target: Target, resource: Resource) -> None:
    """The Inventory's. Absent is success."""
    database = Database(target, _SCHEMA)
    try:
        with database.transaction(f"deleting counters of {resource.name}") as db:
            for table in ("unit_counts", "counted_units"):
                db.execute(f"DELETE FROM {table} WHERE endpoint = ?", (resource.name,))
    finally:
        database.close()
