"""Counters in SQLite: a row a number, and a row a unit with the time until which its numbers count.

They have a file of their own. Writers of local.db hold it until the disk has their changes, and an
answer waits for its count; so no count waits for the disk. A kill loses none.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import closing
from datetime import datetime
from sqlite3 import Connection
from typing import final

import msgspec

from ....storage import Phase, Resource
from ....target import Target
from ....times import epoch_milliseconds
from ...common.storage.counters import KIND, not_found
from .. import inventory
from ..errors import translated
from ..home import COUNTERS
from ..sqlite import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS counted_endpoints (endpoint TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unit_counts (
    endpoint TEXT NOT NULL, unit TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (endpoint, unit, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counted_units (
    endpoint TEXT NOT NULL, unit TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (endpoint, unit)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS counted_until ON counted_units (until);
"""
# a statement each, as every one is a moment in which another thread may take the interpreter
_UNTIL = "SELECT until FROM counted_units WHERE endpoint = ? AND unit = ?"
_NEEDED = (
    "INSERT OR REPLACE INTO counted_units SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM "
    "counted_endpoints WHERE endpoint = ?)"
)
_ADDED = """
INSERT INTO unit_counts SELECT ?, ?, key, value FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
_FORGOTTEN = (
    "DELETE FROM unit_counts WHERE endpoint = ? AND unit = ? AND name IN (SELECT value FROM "
    "json_each(?))"
)
_BETWEEN, _SWEPT = (
    1.0,
    1_000,
)  # seconds between two looks for units whose time is over, and how many of them one takes
# milliseconds that a unit stays beyond its time, so that not every count writes the time, too
_LONGER = 600_000
_encode = msgspec.json.Encoder().encode


@final
class LocalCounters:
    """The Counters port over SQLite."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._calls = target.calls
        self._database = Database(target, _SCHEMA, file=COUNTERS, synced=False)
        self._sweep_at = 0.0  # monotonic

    def apply(self, endpoint: str) -> None:
        """Record, synced to disk, that an endpoint keeps counters; repeating it changes nothing.

        The counts themselves are not synced.
        """
        if self.observe(endpoint) is None:
            with self._calls.mutating("counters.apply", endpoint):
                # first: what a crash leaves is listed
                inventory.record(self._target, KIND, endpoint)
                with (
                    _synced(self._target) as database,
                    database.transaction(f"making counters of {endpoint}") as db,
                ):
                    db.execute("INSERT OR IGNORE INTO counted_endpoints VALUES (?)", (endpoint,))

    def observe(self, endpoint: str) -> Phase | None:
        """Return "ready" if the endpoint keeps counters, or None if `apply` was not called."""
        self._calls.reading("counters.observe", endpoint)
        with translated(f"looking at counters of {endpoint}"):
            return "ready" if _is_there(self._database.connection, endpoint) else None

    def get(self, endpoint: str, unit: str) -> Mapping[str, int]:
        """Return the counts of a unit (such as a user) by name; empty if nothing was added for it.

        Raises:
            NotFound: `apply` was not called for the endpoint.
        """
        self._calls.reading("counters.get", endpoint)
        db = self._database.connection
        with translated(f"reading counters of {endpoint}"):
            counts = dict(
                db.execute(
                    "SELECT name, count FROM unit_counts WHERE endpoint = ? AND unit = ?",
                    (endpoint, unit),
                ).fetchall()
            )
            if not counts and not _is_there(db, endpoint):
                raise not_found(endpoint)
        return counts

    def add(
        self,
        endpoint: str,
        unit: str,
        amounts: Mapping[str, int],
        *,
        forget: Collection[str] = (),
        until: datetime,
    ) -> None:
        """Add amounts to a unit's counts, and keep them until `until`.

        Then the counts named in `forget` are removed. A power loss may take the last changes.
        Raises NotFound if `apply` was not called for the endpoint.
        """
        with (
            self._calls.mutating("counters.add", endpoint),
            self._database.transaction(f"counting for {endpoint}") as db,
        ):
            if time.monotonic() > self._sweep_at:
                self._sweep_at = time.monotonic() + _BETWEEN
                _sweep(db, epoch_milliseconds(self._target.clock()))
            _keep(db, endpoint, unit, epoch_milliseconds(until))
            if amounts:
                db.execute(_ADDED, (endpoint, unit, _encode(amounts).decode()))
            if forget:
                db.execute(_FORGOTTEN, (endpoint, unit, _encode(list(forget)).decode()))

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _is_there(db: Connection, endpoint: str) -> bool:
    """Return whether the endpoint keeps counters: whether `apply` was called for it."""
    return (
        db.execute("SELECT 1 FROM counted_endpoints WHERE endpoint = ?", (endpoint,)).fetchone()
        is not None
    )


def _keep(db: Connection, endpoint: str, unit: str, until: int) -> None:
    """Keep a unit's counts at least until the time `until`.

    A unit is whoever is counted, such as a user. Raises NotFound if the endpoint keeps no counters.
    """
    row = db.execute(_UNTIL, (endpoint, unit)).fetchone()
    if (row is None or row[0] < until) and not db.execute(
        _NEEDED, (endpoint, unit, until + _LONGER, endpoint)
    ).rowcount:
        raise not_found(endpoint)


def _sweep(db: Connection, now: int) -> None:
    """Delete some units' counts that have expired at `now`."""
    over = db.execute(
        "SELECT endpoint, unit FROM counted_units WHERE until < ? LIMIT ?", (now, _SWEPT)
    ).fetchall()
    for table in ("unit_counts", "counted_units") if over else ():
        db.executemany(f"DELETE FROM {table} WHERE endpoint = ? AND unit = ?", over)


def delete(target: Target, resource: Resource) -> None:
    """Delete an endpoint's counters, which may be absent. The inventory calls this."""
    with (
        _synced(target) as database,
        database.transaction(f"deleting counters of {resource.name}") as db,
    ):
        for table in ("unit_counts", "counted_units", "counted_endpoints"):
            db.execute(f"DELETE FROM {table} WHERE endpoint = ?", (resource.name,))


def _synced(target: Target) -> closing[Database]:
    """Open the counters' database so that each commit is synced to disk; the caller closes it."""
    return closing(Database(target, _SCHEMA, file=COUNTERS))
