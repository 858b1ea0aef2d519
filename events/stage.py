"""Between reading and storing: a batch waits in Parquet files of its own while it is judged as a whole, so its size is bounded by the disk.

Nothing here changes the world outside the stage's folder.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from ..project.specs import Event, ProjectSpec
from . import lookup, values
from .column_types import OF_ATTRIBUTE, arrow_type
from .read import ROWS, Source
from .refused import REFUSED, judged, unreadable
from .relations import CORRECTION, winning_order
from .validate import attributes_of, validate

if TYPE_CHECKING:
    from ..feature_store.port import Warehouse

pc: Any = pyarrow.compute


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """Events that are older than max_lateness."""

    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def with_all(self, moments: pa.ChunkedArray[Any]) -> Late:
        ends = [moment for moment in (self.first, self.last, pc.min(moments).as_py(), pc.max(moments).as_py()) if moment is not None]
        return Late(count=self.count + len(moments), first=min(ends), last=max(ends))


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """A source's events that keep every rule of their own, and the rows that do not."""

    folder: Path
    read: int
    days: tuple[str, str] | None  # first and last date of the good ones; None: there are none
    lateness: Late = Late()

    @property
    def good(self) -> Path:
        return self.folder / "good.parquet"

    @property
    def late(self) -> Path:
        """Those that keep every other rule, and are too old to be stored."""
        return self.folder / "late.parquet"

    @property
    def bad(self) -> Path:
        return self.folder / "bad.parquet"


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with a staged batch. `new` and `refused` stream tables of at most ROWS rows, in the source's order."""

    stored: int
    already_there: int
    corrected: int  # of the stored ones: those that take the place of another content
    new: Callable[[], Iterator[pa.Table]]  # as `new_schema` says
    refused: Callable[[], Iterator[pa.Table]]


def good_schema(event: Event) -> pa.Schema:
    attributes: list[Any] = [pa.field(a.name, arrow_type(OF_ATTRIBUTE[a.type])) for a in attributes_of(event)]
    own: list[Any] = [pa.field("line", pa.int64()), *(pa.field(name, pa.string()) for name in ("payload_digest", "dt", "source"))]
    return pa.schema([*attributes, *own])


def new_schema(event: Event) -> pa.Schema:
    return good_schema(event).append(pa.field(CORRECTION.name, pa.int64()))


def stage(event: Event, source: Source, folder: Path, *, now: datetime, progress: Callable[[int], None], backfill: bool = False) -> Staged:
    """Read and validate a whole source. An unreadable place in it raises here, when nothing has been changed yet."""
    folder.mkdir(parents=True, exist_ok=True)
    staged = Staged(folder=folder, read=0, days=None)
    schema = good_schema(event)
    read, days, lateness = 0, set[str](), Late()
    with (
        pq.ParquetWriter(staged.good, schema, compression="lz4") as good,
        pq.ParquetWriter(staged.late, schema, compression="lz4") as late,
        pq.ParquetWriter(staged.bad, REFUSED) as bad,
    ):
        for chunk in source.chunks():
            checked = validate(event, chunk, now=now, backfill=backfill)
            rows, old, ahead = (_from(source, table) for table in (checked.good, checked.late, checked.ahead))
            good.write_table(rows.select(schema.names))
            if old.num_rows:
                late.write_table(old.select(schema.names))
                lateness = lateness.with_all(old["event_timestamp"])
            if checked.bad:
                bad.write_table(unreadable(checked.bad, source.name))
            if ahead.num_rows:
                moments: list[Any] = ahead["event_timestamp"].to_pylist()
                early = [values.too_early(moment, event, now=values.naive(now)) for moment in moments]
                bad.write_table(judged(event, ahead, "event_timestamp", [fault for fault in early if fault], retry=True))
            days.update(pc.unique(rows["dt"]).to_pylist())
            read += chunk.rows + len(chunk.broken)
            progress(read)
    return msgspec.structs.replace(staged, read=read, days=(min(days), max(days)) if days else None, lateness=lateness)


def restage(event: Event, table: pa.Table, folder: Path) -> Staged:
    """Events that were validated before (late references), to be judged again beside what is stored now."""
    folder.mkdir(parents=True, exist_ok=True)
    staged = Staged(
        folder=folder, read=table.num_rows, days=(pc.min(table["dt"]).as_py(), pc.max(table["dt"]).as_py()) if table.num_rows else None
    )
    pq.write_table(table.select(good_schema(event).names), staged.good)
    pq.write_table(REFUSED.empty_table(), staged.bad)
    return staged


def settle(spec: ProjectSpec, warehouse: Warehouse, event: Event, staged: Staged, *, corrects: bool = False) -> Settled:
    """Judge a staged batch as a whole, beside what is stored: references, copies, conflicts.

    Under one id and date stands the first content of `winning_order`, so what is stored stays and another content of its id is refused;
    of several in the batch itself the one whose digest sorts first is taken. `corrects`: the batch's content takes the stored one's place.
    """
    with _refusals_of_the_system(), duckdb.connect() as connection:
        connection.execute(f"SET temp_directory = '{_quoted(staged.folder / 'spill')}'")
        unstored = staged.folder / "unstored.parquet" if staged.lateness.count else None
        late_there = _stored_before(warehouse, event, staged, connection, unstored=unstored) if unstored else 0
        if staged.days is None:
            refused = partial(_all_refused, event, staged, None, unstored)
            return Settled(stored=0, already_there=late_there, corrected=0, new=lambda: iter(()), refused=refused)
        good = f"read_parquet('{_quoted(staged.good)}', file_row_number = true)"
        connection.register("isthmus_missing", _missing(spec, warehouse, event, days=staged.days, connection=connection, good=good))
        ids = _distinct(connection, good, "event_id", limit=lookup.BY_ID + 1)
        existing = lookup.stored(warehouse, event, ids if len(ids) <= lookup.BY_ID else None, staged.days)
        connection.register("isthmus_existing", existing)
        settled = staged.folder / "settled.parquet"
        connection.execute(f"COPY ({_judge(event, good, corrects=corrects)}) TO '{_quoted(settled)}' (FORMAT parquet)")
        counts = dict(connection.execute(f"SELECT _state, count(*) FROM '{_quoted(settled)}' GROUP BY _state").fetchall())
        corrected = connection.execute(f"SELECT count(*) FROM '{_quoted(settled)}' WHERE _state = 'new' AND correction > 0").fetchall()
    return Settled(
        stored=counts.get("new", 0),
        already_there=counts.get("there", 0) + late_there,
        corrected=corrected[0][0],
        new=lambda: _selected(settled, "new", new_schema(event)),
        refused=partial(_all_refused, event, staged, settled, unstored),
    )


@contextmanager
def _refusals_of_the_system() -> Iterator[None]:
    """OSError whoever writes, Python or DuckDB: a full disk is told as one."""
    try:
        yield
    except duckdb.IOException as error:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES):
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number)) from error
        raise


def _stored_before(warehouse: Warehouse, event: Event, staged: Staged, connection: duckdb.DuckDBPyConnection, *, unstored: Path) -> int:
    """How many of the old ones are stored: they were in time then, or came as a back-fill. The others go to `unstored`."""
    late, lateness = f"read_parquet('{_quoted(staged.late)}', file_row_number = true)", staged.lateness
    ids = _distinct(connection, late, "event_id", limit=lookup.BY_ID + 1)
    days = (f"{lateness.first:%Y-%m-%d}", f"{lateness.last:%Y-%m-%d}")
    connection.register("isthmus_before", lookup.stored(warehouse, event, ids if len(ids) <= lookup.BY_ID else None, days))
    known = (
        "SELECT 1 FROM isthmus_before WHERE isthmus_before.dt = isthmus_late.dt AND isthmus_before.event_id = isthmus_late.event_id "
        "AND isthmus_before.payload_digest = isthmus_late.payload_digest"
    )
    rest = f"SELECT * EXCLUDE (file_row_number) FROM {late} AS isthmus_late WHERE NOT EXISTS ({known}) ORDER BY file_row_number"
    connection.execute(f"COPY ({rest}) TO '{_quoted(unstored)}' (FORMAT parquet)")
    return lateness.count - pq.read_metadata(unstored).num_rows


def _judge(event: Event, good: str, *, corrects: bool) -> str:
    """The staged rows with a state: new, there, conflict, or the name of the attribute whose reference is unresolved.

    `correction` is that of the new ones. A content that was corrected since it was stored is there: its file may come again.
    """
    references = [a.name for a in event.attributes if a.event is not None]
    unresolved = " ".join(
        "WHEN EXISTS (SELECT 1 FROM isthmus_missing "
        f"WHERE isthmus_missing.attribute = '{name}' AND isthmus_missing.id = isthmus_good.{name}) THEN '{name}'"
        for name in references
    )
    waiting = f"CASE {unresolved} END" if references else "CAST(NULL AS VARCHAR)"
    winner = "_first" if corrects else "coalesce(_standing, _first)"
    return f"""
        WITH isthmus_good AS (SELECT * FROM {good}),
        isthmus_awaited AS (SELECT *, {waiting} AS _waits_for FROM isthmus_good),
        isthmus_standing AS (
            SELECT dt, event_id, payload_digest, correction FROM isthmus_existing
            QUALIFY row_number() OVER (PARTITION BY dt, event_id ORDER BY {winning_order()}) = 1
        ),
        isthmus_corrected AS (
            SELECT DISTINCT isthmus_existing.dt, isthmus_existing.event_id, isthmus_existing.payload_digest FROM isthmus_existing
            JOIN isthmus_standing ON isthmus_standing.dt = isthmus_existing.dt AND isthmus_standing.event_id = isthmus_existing.event_id
            WHERE isthmus_existing.correction < isthmus_standing.correction
        ),
        isthmus_ranked AS (
            SELECT isthmus_awaited.*, isthmus_standing.payload_digest AS _standing,
                   isthmus_corrected.payload_digest IS NOT NULL AS _corrected,
                   coalesce(isthmus_standing.correction + 1, 0) AS correction,
                   row_number() OVER isthmus_copies AS _nth, first_value(isthmus_awaited.payload_digest) OVER isthmus_copies AS _first
            FROM isthmus_awaited
            LEFT JOIN isthmus_standing ON isthmus_standing.dt = isthmus_awaited.dt AND isthmus_standing.event_id = isthmus_awaited.event_id
            LEFT JOIN isthmus_corrected ON isthmus_corrected.dt = isthmus_awaited.dt
                 AND isthmus_corrected.event_id = isthmus_awaited.event_id
                 AND isthmus_corrected.payload_digest = isthmus_awaited.payload_digest
            WHERE _waits_for IS NULL
            WINDOW isthmus_copies AS (
                PARTITION BY isthmus_awaited.dt, isthmus_awaited.event_id
                ORDER BY isthmus_awaited.payload_digest, isthmus_awaited.file_row_number)
        )
        SELECT * EXCLUDE (_waits_for, _standing, _corrected, _nth, _first),
               CASE WHEN payload_digest = {winner} AND _nth = 1 AND _standing IS DISTINCT FROM payload_digest THEN 'new'
                    WHEN payload_digest IN ({winner}, _standing) OR _corrected THEN 'there'
                    ELSE '{CONFLICTING}' END AS _state
        FROM isthmus_ranked
        UNION ALL BY NAME
        SELECT * EXCLUDE (_waits_for), _waits_for || '{WAITING}' AS _state FROM isthmus_awaited WHERE _waits_for IS NOT NULL
        ORDER BY file_row_number"""


CONFLICTING = "conflict"
WAITING = ":waits"  # a name cannot hold a colon, so no attribute's state can be mistaken for another


def _missing(
    spec: ProjectSpec, warehouse: Warehouse, event: Event, *, days: tuple[str, str], connection: duckdb.DuckDBPyConnection, good: str
) -> pa.Table:
    """attribute, id: the references of the batch that lead nowhere. A batch may refer to its own events."""
    names: list[str] = []
    ids: list[str] = []
    for attribute in event.attributes:
        if attribute.event is None:
            continue
        wanted = _distinct(connection, good, attribute.name)
        if attribute.event == event.name:
            wanted = sorted(set(wanted).difference(_distinct(connection, good, "event_id")))
        found = sorted(lookup.unresolved(warehouse, spec.events[attribute.event], wanted, days))
        names += [attribute.name] * len(found)
        ids += found
    return pa.table({"attribute": pa.array(names, pa.string()), "id": pa.array(ids, pa.string())})


def _distinct(connection: duckdb.DuckDBPyConnection, good: str, column: str, *, limit: int | None = None) -> list[str]:
    sql = f'SELECT DISTINCT "{column}" FROM {good} WHERE "{column}" IS NOT NULL'
    return sorted(row[0] for row in connection.execute(sql if limit is None else f"{sql} LIMIT {limit}").fetchall())


def _all_refused(event: Event, staged: Staged, settled: Path | None, unstored: Path | None) -> Iterator[pa.Table]:
    yield from _tables(staged.bad)
    for part in () if unstored is None else _tables(unstored):
        moments: list[Any] = part["event_timestamp"].to_pylist()
        yield judged(event, part, "event_timestamp", [values.late(moment, event) for moment in moments], retry=False)
    if settled is None:
        return
    for attribute in event.attributes:
        if attribute.event is not None:
            fault = values.Fault(values.UNRESOLVED.format(event=attribute.event))
            for part in _selected(settled, attribute.name + WAITING, good_schema(event)):
                yield judged(event, part, attribute.name, [fault] * part.num_rows, retry=True)
    for part in _selected(settled, CONFLICTING, good_schema(event)):
        yield judged(event, part, "event_id", [values.Fault(values.CONFLICT)] * part.num_rows, retry=False)


def _from(source: Source, rows: pa.Table) -> pa.Table:
    return rows.append_column("source", pa.array([source.name] * rows.num_rows, pa.string()))


def _selected(settled: Path, state: str, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of one state, a chunk at a time; DuckDB has made microseconds of the times."""
    for table in _tables(settled):
        if found := table.filter(pc.equal(table["_state"], state)):
            yield found.select(schema.names).cast(schema)


def _tables(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS):
            if batch.num_rows:
                yield pa.Table.from_batches([batch])


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
