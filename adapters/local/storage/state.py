"""StateStore in SQLite.

Tokens come from one counter that only grows, so that a value that comes back has a new token.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import final

from ....storage import Versioned, check_document, state_conflict
from ....target import Target
from ....times import utc_milliseconds
from ..errors import translated
from ..sqlite import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB NOT NULL,
    token INTEGER NOT NULL, written TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state_clock (one INTEGER PRIMARY KEY CHECK (one = 1),
    last INTEGER NOT NULL);
"""


@final
class LocalStateStore:
    """The StateStore port over SQLite."""

    def __init__(self, target: Target) -> None:
        self._calls = target.calls
        self._database = Database(target, _SCHEMA)

    def get(self, key: str) -> Versioned | None:
        """Return a key's bytes, compare-and-swap token and time of writing; None if absent."""
        self._calls.reading("state.get", key)
        with translated(f"reading {key}"):
            row = self._database.connection.execute(
                "SELECT value, token, written FROM state WHERE key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        return Versioned(value=row[0], token=str(row[1]), written_at=datetime.fromisoformat(row[2]))

    def put(self, key: str, value: bytes, *, expect: str | None) -> str:
        """Write a key's value in one transaction; return its new token, a number that only rises.

        Raises:
            Conflict: The key's token is not `expect`.
            Invalid: The key is not valid, or the value is over 64 KiB.
        """
        check_document(key, value)
        written = utc_milliseconds(datetime.now(UTC)).isoformat()
        with (
            self._calls.mutating("state.put", key),
            self._database.transaction(f"writing {key}") as db,
        ):
            _expect(
                _token(db.execute("SELECT token FROM state WHERE key = ?", (key,)).fetchone()),
                expect,
                key,
            )
            (token,) = db.execute(
                "INSERT INTO state_clock VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET last "
                "= last + 1 RETURNING last"
            ).fetchone()
            db.execute(
                "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)", (key, value, token, written)
            )
        return str(token)

    def delete(self, key: str, *, expect: str) -> None:
        """Delete a key if it still has the token `expect`, in one transaction.

        Raises:
            Conflict: The key's token is not `expect`, or it is absent.
        """
        with (
            self._calls.mutating("state.delete", key),
            self._database.transaction(f"deleting {key}") as db,
        ):
            _expect(
                _token(db.execute("SELECT token FROM state WHERE key = ?", (key,)).fetchone()),
                expect,
                key,
            )
            db.execute("DELETE FROM state WHERE key = ?", (key,))

    def keys(self, prefix: str) -> tuple[str, ...]:
        """Return the keys that begin with `prefix`, in order."""
        self._calls.reading("state.keys", prefix)
        with translated("listing state"):
            rows = self._database.connection.execute(
                "SELECT key FROM state WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1 "
                "ORDER BY key",
                (prefix,),
            )
            return tuple(key for (key,) in rows)

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _token(row: tuple[int] | None) -> str | None:
    """Return the compare-and-swap token in a row; None stands for no row."""
    return None if row is None else str(row[0])


def _expect(token: str | None, expect: str | None, key: str) -> None:
    """Raise Conflict if the `token` of a key is not the token `expect`."""
    if token != expect:
        raise state_conflict(key, token, expect)
