"""Single events that wait in SQLite until there are enough for a batch.

Readers see them at once: the engine reads files and spool together. A reader sees each event once:
it reads the spool, then lists the batches, and ignores what the spool still holds of published
`spool-<last>` batches. Compaction publishes first and deletes afterwards.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ....core.durable import make_folder
from ...common.warehouse.conformance import arrow_schema, in_time_order
from ...common.warehouse.tables import PARTITION, SPOOL, TableDocument
from ..sqlite import Database
from . import batches, contents, kept

if TYPE_CHECKING:
    import pyarrow as pa

# AUTOINCREMENT: a number is never given again, also after its row was deleted
SCHEMA = """
CREATE TABLE IF NOT EXISTS event_spool (sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    stream TEXT NOT NULL, rows BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS event_spool_stream ON event_spool (stream, sequence);
"""
SCHEMA += kept.SCHEMA
SEQUENCE = "isthmus_sequence"
# events that wait before a reader makes a batch of files of them; it reads no more at a time
COMPACT = 20_000
COMPACT_BYTES = 32 << 20  # the same, of events with long texts

Values = Sequence[object]  # in the order of the table's columns; timestamps as milliseconds


class Waiting(NamedTuple):
    """Waiting events; whether there may be more; and the bytes of them as they are stored."""

    events: pa.Table
    more: bool
    size: int


def insert(db: sqlite3.Connection, stream: str, rows: Sequence[Values]) -> int:
    """Add events to the SQLite spool in the caller's transaction; return the last sequence number.

    The spool holds single events until they are moved to Parquet files.
    """
    cursor = db.execute(
        "INSERT INTO event_spool (stream, rows) VALUES (?, ?)",
        (stream, msgspec.msgpack.encode(rows)),
    )
    return cursor.lastrowid or 0


def remove(db: sqlite3.Connection, stream: str, *, up_to: int | None = None) -> None:
    """Delete a stream's events from the SQLite spool, all or up to a sequence number."""
    db.execute(
        "DELETE FROM event_spool WHERE stream = ?1 AND (?2 IS NULL OR sequence <= ?2)",
        (stream, up_to),
    )


def read(
    db: sqlite3.Connection, document: TableDocument, *, after: int, about: int | None = None
) -> Waiting:
    """Return a stream's events in the SQLite spool after a sequence number, as an Arrow table.

    Its columns are `isthmus_sequence` (int64), those of the stream, and dt. With `about` it stops
    near so many events.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    stored = db.execute(
        "SELECT sequence, rows FROM event_spool WHERE stream = ? AND sequence > ? ORDER BY "
        "sequence",
        (document.name, after),
    )
    sequences: list[int] = []
    rows: list[list[object]] = []
    size, more = 0, False
    for sequence, encoded in stored:
        decoded = msgspec.msgpack.decode(encoded)
        rows += decoded
        sequences += [sequence] * len(decoded)
        size += len(encoded)
        if about is not None and (len(rows) >= about or size >= COMPACT_BYTES):
            more = True
            break
    schema = arrow_schema(document.columns)
    # without pa.array([]), which imports pandas to see whether it was given some of its own; so
    # does schema.empty_table
    if not rows:
        none = pa.Table.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)
        return Waiting(
            none.append_column(SEQUENCE, pa.nulls(0, pa.int64())).append_column(
                PARTITION, pa.nulls(0, pa.string())
            ),
            False,
            0,
        )
    width = len(schema)
    # a column that the table gained since the event was written is null in it
    columns = zip(*(row + [None] * (width - len(row)) for row in rows), strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    data = pa.Table.from_arrays(arrays, schema=schema)
    dates = pc.strftime(data.column(document.time_column), format="%Y-%m-%d")
    return Waiting(
        data.append_column(SEQUENCE, pa.array(sequences, pa.int64())).append_column(
            PARTITION, dates
        ),
        more,
        size,
    )


def last_published(published: Sequence[batches.Batch]) -> int:
    """Return the last sequence number of events that the batches hold; 0 if they hold none.

    Events up to it must not be read from the spool again.
    """
    return max(
        (
            int(batch.name.removeprefix(SPOOL))
            for batch in published
            if batch.name.startswith(SPOOL)
        ),
        default=0,
    )


def compact(
    database: Database,
    table: Path,
    document: TableDocument,
    *,
    now: datetime,
    about: int | None = None,
) -> bool:
    """Move a stream's events from the SQLite spool into Parquet files, about `about` or all.

    What a consumer of the stream may still read at `now` is kept for it. It returns False if
    another process is doing so.
    """
    make_folder(table.parent)
    with (table.parent / f".compact-{document.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        done = last_published(batches.list_batches(table, {}))
        waiting = read(database.connection, document, after=done, about=about).events
        last = done
        if waiting.num_rows:
            last = waiting.column(SEQUENCE)[-1].as_py()
            rows = in_time_order(
                document,
                waiting.drop_columns([SEQUENCE, PARTITION]).cast(arrow_schema(document.columns)),
            )
            written = batches.write(table, f"{SPOOL}{last:020d}", document, iter(rows.to_batches()))
            contents.note(database, table, f"{SPOOL}{last:020d}", again=not written)
        with database.transaction(f"compacting {document.name}") as db:
            kept.keep(db, document.name, up_to=last, now=now)
            remove(db, document.name, up_to=last)
    return True
