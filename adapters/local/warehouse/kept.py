"""Events that consumers of a stream may still read when they are in files of the warehouse.

Compaction moves single events from the spool into Parquet files. While a stream has consumers it
also keeps them here as they were, under the same numbers, until every consumer has committed them,
at most for a day. A stream without consumers keeps nothing here. Every number is in the spool or
here, never in both: an event moves in the transaction that empties the spool. Readers of the
warehouse do not look here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from ....errors import Invalid
from ....times import epoch_milliseconds

KEPT = timedelta(hours=24)  # since an event was stored

# `event_arrivals` has the moment at which the events under a number of the spool were stored, as
# a table of its own: an older version writes to the spool, too, and knows of no such column.
SCHEMA = """
CREATE TABLE IF NOT EXISTS event_arrivals (sequence INTEGER PRIMARY KEY, stream TEXT NOT NULL,
    arrived INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS event_arrivals_stream ON event_arrivals (stream, arrived);
CREATE TABLE IF NOT EXISTS event_kept (sequence INTEGER PRIMARY KEY, stream TEXT NOT NULL,
    rows BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS event_kept_stream ON event_kept (stream, sequence);
CREATE TABLE IF NOT EXISTS event_consumers (stream TEXT NOT NULL, consumer TEXT NOT NULL,
    sequence INTEGER NOT NULL, taken INTEGER NOT NULL, PRIMARY KEY (stream, consumer)) WITHOUT ROWID;
"""
