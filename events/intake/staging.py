"""Hold a batch in Parquet files of its own from its reading until it is judged as a whole.

settlement.py judges it. Nothing is changed outside the stage's folder.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from ...project.specs.description import Event
from ..refusals.refused_rows import REFUSED, judged, unreadable
from ..sources.source import Source
from ..tables.column_types import OF_ATTRIBUTE, arrow_type
from ..validation import values
from ..validation.chunks import attributes_of, validate

pc: Any = pyarrow.compute


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a batch that are older than max_lateness."""

    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def with_all(self, moments: pa.ChunkedArray[Any]) -> Late:
        """Return this count and time range of too old events, with the times of more ones added."""
        ends = [
            moment
            for moment in (self.first, self.last, pc.min(moments).as_py(), pc.max(moments).as_py())
            if moment is not None
        ]
        return Late(count=self.count + len(moments), first=min(ends), last=max(ends))


class StagedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A source's events that keep every rule of their own, and the rows that do not."""

    folder: Path
    read: int
    days: tuple[str, str] | None  # first and last date of the good ones; None: there are none
    lateness: Late = Late()

    @property
    def good(self) -> Path:
        """Return the path of the Parquet file of valid rows."""
        return self.folder / "good.parquet"

    @property
    def late(self) -> Path:
        """Return the path of the Parquet file of events that are valid but too old to be stored."""
        return self.folder / "late.parquet"

    @property
    def bad(self) -> Path:
        """Return the path of the Parquet file of invalid rows."""
        return self.folder / "bad.parquet"


def good_schema(event: Event) -> pa.Schema:
    """Return the Arrow schema of an event's valid rows: attributes, line, digest, date, source."""
    attributes: list[Any] = [
        pa.field(a.name, arrow_type(OF_ATTRIBUTE[a.type])) for a in attributes_of(event)
    ]
    own: list[Any] = [
        pa.field("line", pa.int64()),
        *(pa.field(name, pa.string()) for name in ("payload_digest", "dt", "source")),
    ]
    return pa.schema([*attributes, *own])


def stage(
    event: Event,
    source: Source,
    folder: Path,
    *,
    now: datetime,
    progress: Callable[[int], None],
    backfill: bool = False,
) -> StagedBatch:
    """Read and check all rows of a source; write valid and invalid ones to files in `folder`.

    `now` is the time by which events are too old or in the future; `progress` is called with the
    number of rows. With `backfill` events of any age are valid. An error of reading is raised here,
    before anything has been changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staged = StagedBatch(folder=folder, read=0, days=None)
    schema = good_schema(event)
    read, days, lateness = 0, set[str](), Late()
    with (
        pq.ParquetWriter(staged.good, schema, compression="lz4") as good,
        pq.ParquetWriter(staged.late, schema, compression="lz4") as late,
        pq.ParquetWriter(staged.bad, REFUSED) as bad,
    ):
        for chunk in source.chunks():
            checked = validate(event, chunk, now=now, backfill=backfill)
            rows, old, ahead = (
                _from(chunk.source or source.name, table)
                for table in (checked.good, checked.late, checked.ahead)
            )
            good.write_table(rows.select(schema.names))
            if old.num_rows:
                late.write_table(old.select(schema.names))
                lateness = lateness.with_all(old["event_timestamp"])
            if checked.bad:
                bad.write_table(unreadable(checked.bad, chunk.source or source.name))
            if ahead.num_rows:
                moments: list[Any] = ahead["event_timestamp"].to_pylist()
                early = [
                    values.too_early(moment, event, now=values.naive(now)) for moment in moments
                ]
                bad.write_table(
                    judged(
                        event,
                        ahead,
                        "event_timestamp",
                        [fault for fault in early if fault],
                        retry=True,
                    )
                )
            days.update(pc.unique(rows["dt"]).to_pylist())
            read += chunk.rows + len(chunk.broken)
            progress(read)
    pa.default_memory_pool().release_unused()  # of the chunks: what judges the batch needs the room
    return msgspec.structs.replace(
        staged, read=read, days=(min(days), max(days)) if days else None, lateness=lateness
    )


def restage(event: Event, table: pa.Table, folder: Path) -> StagedBatch:
    """Write a table of events to files in `folder`, as a batch to be checked again for storing."""
    folder.mkdir(parents=True, exist_ok=True)
    staged = StagedBatch(
        folder=folder,
        read=table.num_rows,
        days=(pc.min(table["dt"]).as_py(), pc.max(table["dt"]).as_py()) if table.num_rows else None,
    )
    pq.write_table(table.select(good_schema(event).names), staged.good)
    pq.write_table(REFUSED.empty_table(), staged.bad)
    return staged


def _from(source: str, rows: pa.Table) -> pa.Table:
    """Return the rows with a column `source` added, the name of the file they came from."""
    return rows.append_column("source", pa.array([source] * rows.num_rows, pa.string()))
