"""Events that consumers of a stream may still read after they became files of the warehouse.

Compaction moves single events from the spool into Parquet files. While a stream has consumers it
also keeps them here as they were, under the same numbers, until every consumer has committed them,
at most for a day. A stream without consumers keeps nothing here. Every number is in the spool or
here, never in both: an event moves in the transaction that empties the spool. Readers of the
warehouse do not look here.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from ....times import epoch_milliseconds
from ..capabilities import EVENTS_KEPT

# Arrivals are a table of their own, as older versions write to the spool, too, and know of none.
SCHEMA = """
CREATE TABLE IF NOT EXISTS event_arrivals (sequence INTEGER PRIMARY KEY, stream TEXT NOT NULL,
    arrived INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS event_kept (sequence INTEGER PRIMARY KEY, stream TEXT NOT NULL,
    rows BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS event_kept_stream ON event_kept (stream, sequence);
CREATE TABLE IF NOT EXISTS event_consumers (stream TEXT NOT NULL, consumer TEXT NOT NULL,
    sequence INTEGER NOT NULL, taken INTEGER NOT NULL, PRIMARY KEY (stream, consumer))
    WITHOUT ROWID;
"""


def note_arrival(db: sqlite3.Connection, stream: str, sequence: int, moment: datetime) -> None:
    """Record when the events under a number of the spool were stored, in the caller's transaction.

    Args:
        db: A connection in a write transaction.
        stream: The events' stream.
        sequence: Their number in the spool.
        moment: The present time.
    """
    db.execute(
        "INSERT INTO event_arrivals VALUES (?, ?, ?)",
        (sequence, stream, epoch_milliseconds(moment)),
    )


def keep(db: sqlite3.Connection, stream: str, *, up_to: int, now: datetime) -> None:
    """Copy what some consumer has not committed of the spool's events, and drop what is too old.

    The caller removes those events from the spool in the same transaction.

    Args:
        db: A connection in a write transaction.
        stream: The stream.
        up_to: The last number of the spool that is now in files.
        now: The present time.
    """
    least = _least_committed(db, stream)
    if least is not None:
        span = (stream, least, up_to)
        # what an older version stored, without its moment, counts as stored now
        db.execute(
            "INSERT OR IGNORE INTO event_arrivals SELECT sequence, stream, ?4 FROM event_spool "
            "WHERE stream = ?1 AND sequence BETWEEN ?2 AND ?3",
            (*span, epoch_milliseconds(now)),
        )
        db.execute(
            "INSERT OR IGNORE INTO event_kept SELECT sequence, stream, rows FROM event_spool "
            "WHERE stream = ?1 AND sequence BETWEEN ?2 AND ?3",
            span,
        )
    db.execute(
        "DELETE FROM event_kept WHERE stream = ?1 AND sequence IN "
        "(SELECT sequence FROM event_arrivals WHERE stream = ?1 AND arrived < ?2)",
        (stream, epoch_milliseconds(now - EVENTS_KEPT)),
    )
    drop_committed(db, stream)
    db.execute(
        "DELETE FROM event_arrivals WHERE stream = ?1 AND sequence <= ?2 AND sequence NOT IN "
        "(SELECT sequence FROM event_kept WHERE stream = ?1)",
        (stream, up_to),
    )


def drop_committed(db: sqlite3.Connection, stream: str) -> None:
    """Delete the kept events that every consumer of a stream has committed.

    Without consumers these are all.
    """
    condition = "stream = ?1 AND (?2 IS NULL OR sequence < ?2)"
    values = (stream, _least_committed(db, stream))
    db.execute(
        "DELETE FROM event_arrivals WHERE sequence IN "
        f"(SELECT sequence FROM event_kept WHERE {condition})",
        values,
    )
    db.execute(f"DELETE FROM event_kept WHERE {condition}", values)


def forget(db: sqlite3.Connection, stream: str) -> None:
    """Delete a stream's consumers and all that is kept for them."""
    for table in ("event_consumers", "event_kept", "event_arrivals"):
        db.execute(f"DELETE FROM {table} WHERE stream = ?", (stream,))


def _least_committed(db: sqlite3.Connection, stream: str) -> int | None:
    """Return the number from which on some consumer has not committed, or None without any."""
    row: tuple[int | None] = db.execute(
        "SELECT min(sequence) FROM event_consumers WHERE stream = ?", (stream,)
    ).fetchone()
    return row[0]
