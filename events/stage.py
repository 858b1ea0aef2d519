"""Between reading and storing: a batch waits in Parquet files of its own while it is judged as a whole, so its size is bounded by the disk.

Nothing here changes the world outside the stage's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
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
from .validate import Bad, attributes_of, payloads, validate

if TYPE_CHECKING:
    from ..feature_store.port import Warehouse

pc: Any = pyarrow.compute

_REFUSED: list[Any] = [
    *(pa.field(name, pa.string()) for name in ("event_id", "attribute", "reason", "payload", "payload_digest", "source")),
    pa.field("line", pa.int64()),
    pa.field("retry", pa.bool_()),
]
REFUSED = pa.schema(_REFUSED)


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """A source's events that keep every rule of their own, and the rows that do not."""

    folder: Path
    read: int
    days: tuple[str, str] | None  # first and last date of the good ones; None: there are none

    @property
    def good(self) -> Path:
        return self.folder / "good.parquet"

    @property
    def bad(self) -> Path:
        return self.folder / "bad.parquet"


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with a staged batch. `new` and `refused` stream tables of at most ROWS rows, in the source's order."""

    stored: int
    already_there: int
    displaced: int  # stored ones that lose to a new content of their id: refused beside the batch's own
    new: Callable[[], Iterator[pa.Table]]
    refused: Callable[[], Iterator[pa.Table]]


def good_schema(event: Event) -> pa.Schema:
    attributes: list[Any] = [pa.field(a.name, arrow_type(OF_ATTRIBUTE[a.type])) for a in attributes_of(event)]
    own: list[Any] = [pa.field("line", pa.int64()), *(pa.field(name, pa.string()) for name in ("payload_digest", "dt", "source"))]
    return pa.schema([*attributes, *own])


def stage(event: Event, source: Source, folder: Path, *, now: datetime, progress: Callable[[int], None]) -> Staged:
    """Read and validate a whole source. An unreadable place in it raises here, when nothing has been changed yet."""
    folder.mkdir(parents=True, exist_ok=True)
    staged = Staged(folder=folder, read=0, days=None)
    schema = good_schema(event)
    read, days = 0, set[str]()
    with pq.ParquetWriter(staged.good, schema, compression="lz4") as good, pq.ParquetWriter(staged.bad, REFUSED) as bad:
        for chunk in source.chunks():
            checked = validate(event, chunk, now=now)
            kept = checked.good.append_column("source", pa.array([source.name] * checked.good.num_rows, pa.string()))
            good.write_table(kept.select(schema.names))
            if checked.bad:
                bad.write_table(_refused(checked.bad, source.name))
            days.update(pc.unique(kept["dt"]).to_pylist())
            read += chunk.rows + len(chunk.broken)
            progress(read)
    return msgspec.structs.replace(staged, read=read, days=(min(days), max(days)) if days else None)


def restage(event: Event, table: pa.Table, folder: Path) -> Staged:
    """Events that were validated before (late references), to be judged again beside what is stored now."""
    folder.mkdir(parents=True, exist_ok=True)
    staged = Staged(
        folder=folder, read=table.num_rows, days=(pc.min(table["dt"]).as_py(), pc.max(table["dt"]).as_py()) if table.num_rows else None
    )
    pq.write_table(table.select(good_schema(event).names), staged.good)
    pq.write_table(REFUSED.empty_table(), staged.bad)
    return staged


def settle(spec: ProjectSpec, warehouse: Warehouse, event: Event, staged: Staged) -> Settled:
    """Judge a staged batch as a whole, beside what is stored: references, copies, conflicts.

    Of several contents under one id and date the one with the smallest digest is the event, whichever came first, as in the view
    `events_<event>` (PORTS.md, section 3). So a batch that comes second may win: then the stored one goes to quarantine as the loser.
    """
    if staged.days is None:
        return Settled(stored=0, already_there=0, displaced=0, new=lambda: iter(()), refused=lambda: _tables(staged.bad))
    with duckdb.connect() as connection:
        connection.execute(f"SET temp_directory = '{_quoted(staged.folder / 'spill')}'")
        good = f"read_parquet('{_quoted(staged.good)}', file_row_number = true)"
        connection.register("isthmus_missing", _missing(spec, warehouse, event, days=staged.days, connection=connection, good=good))
        ids = _distinct(connection, good, "event_id", limit=lookup.BY_ID + 1)
        existing = lookup.stored(warehouse, event, ids if len(ids) <= lookup.BY_ID else None, staged.days)
        connection.register("isthmus_existing", existing)
        settled = staged.folder / "settled.parquet"
        connection.execute(f"COPY ({_judge(event, good)}) TO '{_quoted(settled)}' (FORMAT parquet)")
        counts = dict(connection.execute(f"SELECT _state, count(*) FROM '{_quoted(settled)}' GROUP BY _state").fetchall())
        beaten = connection.execute(
            f"SELECT DISTINCT e.payload_digest FROM isthmus_existing AS e JOIN '{_quoted(settled)}' AS s "
            "ON s.dt = e.dt AND s.event_id = e.event_id WHERE s._state = 'new' ORDER BY 1"
        ).fetchall()
    losers = lookup.rows(warehouse, event, [digest for (digest,) in beaten], staged.days) if beaten else None
    return Settled(
        stored=counts.get("new", 0),
        already_there=counts.get("there", 0),
        displaced=0 if losers is None else losers.num_rows,
        new=lambda: _selected(settled, "new", good_schema(event)),
        refused=lambda: _all_refused(event, staged, settled, losers),
    )


def _judge(event: Event, good: str) -> str:
    """The staged rows with a state: new, there, conflict, or the name of the attribute whose reference is unresolved."""
    references = [a.name for a in event.attributes if a.event is not None]
    unresolved = " ".join(
        "WHEN EXISTS (SELECT 1 FROM isthmus_missing "
        f"WHERE isthmus_missing.attribute = '{name}' AND isthmus_missing.id = isthmus_good.{name}) THEN '{name}'"
        for name in references
    )
    waiting = f"CASE {unresolved} END" if references else "CAST(NULL AS VARCHAR)"
    return f"""
        WITH isthmus_good AS (SELECT * FROM {good}),
        isthmus_awaited AS (SELECT *, {waiting} AS _waits_for FROM isthmus_good),
        isthmus_ranked AS (
            SELECT isthmus_awaited.*, isthmus_existing.payload_digest AS _stored_digest,
                   row_number() OVER isthmus_copies AS _nth,
                   least(first_value(isthmus_awaited.payload_digest) OVER isthmus_copies, isthmus_existing.payload_digest) AS _winner
            FROM isthmus_awaited LEFT JOIN isthmus_existing
            ON isthmus_existing.dt = isthmus_awaited.dt AND isthmus_existing.event_id = isthmus_awaited.event_id
            WHERE _waits_for IS NULL
            WINDOW isthmus_copies AS (
                PARTITION BY isthmus_awaited.dt, isthmus_awaited.event_id
                ORDER BY isthmus_awaited.payload_digest, isthmus_awaited.file_row_number)
        )
        SELECT * EXCLUDE (_waits_for, _stored_digest, _nth, _winner),
               CASE WHEN payload_digest <> _winner THEN '{CONFLICTING}'
                    WHEN _nth = 1 AND _stored_digest IS DISTINCT FROM _winner THEN 'new'
                    ELSE 'there' END AS _state
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


def _all_refused(event: Event, staged: Staged, settled: Path, losers: pa.Table | None) -> Iterator[pa.Table]:
    yield from _tables(staged.bad)
    if losers is not None:
        yield _judged(event, losers, ["event_id"] * losers.num_rows, [values.CONFLICT] * losers.num_rows, retry=False)
    for attribute in event.attributes:
        if attribute.event is not None:
            reason = values.UNRESOLVED.format(event=attribute.event)
            for part in _selected(settled, attribute.name + WAITING, good_schema(event)):
                yield _judged(event, part, [attribute.name] * part.num_rows, [reason] * part.num_rows, retry=True)
    for part in _selected(settled, CONFLICTING, good_schema(event)):
        yield _judged(event, part, ["event_id"] * part.num_rows, [values.CONFLICT] * part.num_rows, retry=False)


def _judged(event: Event, part: pa.Table, attributes: list[str], reasons: list[str], *, retry: bool) -> pa.Table:
    names = sorted(a.name for a in attributes_of(event))
    columns: dict[str, Any] = {
        "event_id": part["event_id"],
        "attribute": pa.array(attributes, pa.string()),
        "reason": pa.array(reasons, pa.string()),
        "line": part["line"],
        "payload": pa.array([content.decode() for content in payloads(part, names)], pa.string()),
        "payload_digest": part["payload_digest"],
        "source": part["source"],
        "retry": pa.array([retry] * part.num_rows, pa.bool_()),
    }
    return pa.table(columns).select(REFUSED.names).cast(REFUSED)


def _refused(bad: tuple[Bad, ...], source: str) -> pa.Table:
    return pa.table(
        {
            **{name: [getattr(row, name) for row in bad] for name in ("event_id", "attribute", "reason", "line", "payload", "retry")},
            "payload_digest": [values.digest(row.payload.encode()) for row in bad],
            "source": [source] * len(bad),
        },
        schema=REFUSED,
    )


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
