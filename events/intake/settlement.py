"""Judge a staged batch as a whole, beside what is stored: references, copies, conflicts.

Its size is bounded by the disk and not by memory: DuckDB judges narrow rows (ids, dates, digests)
and spills, what is stored comes in parts, and a row's state stands in a file beside the staged
rows, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ...project.specs.description import Event, ProjectSpec
from ..refusals.refused_rows import judged
from ..sources.source import ROWS
from ..tables import lookup
from ..tables.relations import CORRECTION, winning_order
from ..validation import values
from .staging import StagedBatch, good_schema

if TYPE_CHECKING:
    from ...feature_store.port import Warehouse

_JUDGED = 4_000_000  # rows, staged and stored, that are judged at a time
_SAMPLE = 10_000  # ids that show how a batch's ids are spread
CONFLICTING = "conflict"
WAITING = (
    ":waits"  # a name cannot hold a colon, so no attribute's state can be mistaken for another
)


class ValidatedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a staged batch that are to be stored, and those that are refused.

    `new` and `refused` stream tables of at most ROWS rows, in the source's order, one after the
    other, as long as `settle` is open.
    """

    stored: int
    already_there: int
    corrected: int  # of the stored ones: those that take the place of another content
    new: Callable[[], Iterator[pa.Table]]  # as `new_schema` says
    refused: Callable[[], Iterator[pa.Table]]


def new_schema(event: Event) -> pa.Schema:
    """Return the Arrow schema of rows to store: the event's columns and `correction`."""
    return good_schema(event).append(pa.field(CORRECTION.name, pa.int64()))


@contextmanager
def settle(
    spec: ProjectSpec,
    warehouse: Warehouse,
    event: Event,
    staged: StagedBatch,
    *,
    connection: duckdb.DuckDBPyConnection,
    corrects: bool = False,
) -> Iterator[ValidatedBatch]:
    """Decide which rows of a validated batch are stored: check references and duplicates.

    Of several contents with one id and date, the first by `winning_order` is stored: one that is
    stored already stays, and of several in the batch the one whose digest sorts first is taken. The
    others are refused. With `corrects` the batch's content replaces the stored one. A `connection`
    (sql.bounded) serves one batch at a time.
    """
    unstored = staged.folder / "unstored.parquet" if staged.lateness.count else None
    late_there = (
        _stored_before(warehouse, event, staged, connection, unstored=unstored) if unstored else 0
    )
    if staged.days is None:
        refused = partial(_all_refused, event, staged, lambda _state: iter(()), unstored)
        yield ValidatedBatch(
            stored=0, already_there=late_there, corrected=0, new=lambda: iter(()), refused=refused
        )
        return
    good = _rows_of(staged.good)
    _note_missing(spec, warehouse, event, days=staged.days, connection=connection, good=good)
    existing, states = staged.folder / "existing.parquet", staged.folder / "states.parquet"
    _note_stored(
        warehouse, event, _ids(connection, good), staged.days, connection=connection, to=existing
    )
    _judge_all(connection, event, staged, corrects=corrects, existing=existing, to=states)
    counts = dict(
        connection.execute(
            f"SELECT _state, count(*) FROM '{_quoted(states)}' GROUP BY _state"
        ).fetchall()
    )
    corrected = connection.execute(
        f"SELECT count(*) FROM '{_quoted(states)}' WHERE _state = 'new' AND correction > 0"
    ).fetchall()
    connection.unregister("isthmus_part")
    connection.execute("DROP TABLE isthmus_missing; DROP TABLE IF EXISTS isthmus_wanted")  # memory

    def selected(state: str, schema: pa.Schema | None = None) -> Iterator[pa.Table]:
        return (
            _selected(connection, staged, states, state, schema or good_schema(event))
            if state in counts
            else iter(())
        )

    yield ValidatedBatch(
        stored=counts.get("new", 0),
        already_there=counts.get("there", 0) + late_there,
        corrected=corrected[0][0],
        new=partial(selected, "new", new_schema(event)),
        refused=partial(_all_refused, event, staged, selected, unstored),
    )


def _stored_before(
    warehouse: Warehouse,
    event: Event,
    staged: StagedBatch,
    connection: duckdb.DuckDBPyConnection,
    *,
    unstored: Path,
) -> int:
    """Count the events of a batch that are too old now but were stored before.

    The other ones are written to the file `unstored`.
    """
    late, lateness = _rows_of(staged.late), staged.lateness
    days = (f"{lateness.first:%Y-%m-%d}", f"{lateness.last:%Y-%m-%d}")
    _note_stored(
        warehouse,
        event,
        _ids(connection, late),
        days,
        connection=connection,
        to=staged.folder / "existing_late.parquet",
    )
    stored_copies = (
        "SELECT 1 FROM isthmus_existing WHERE isthmus_existing.dt = isthmus_late.dt AND "
        "isthmus_existing.event_id = isthmus_late.event_id "
        "AND isthmus_existing.payload_digest = isthmus_late.payload_digest"
    )
    rest = (
        f"SELECT * EXCLUDE (file_row_number) FROM {late} AS isthmus_late WHERE NOT EXISTS "
        f"({stored_copies}) ORDER BY file_row_number"
    )
    connection.execute(f"COPY ({rest}) TO '{_quoted(unstored)}' (FORMAT parquet)")
    return lateness.count - _count(unstored)


def _judge_all(
    connection: duckdb.DuckDBPyConnection,
    event: Event,
    staged: StagedBatch,
    *,
    corrects: bool,
    existing: Path,
    to: Path,
) -> None:
    """Write to a Parquet file, for each row of a batch, whether it will be stored.

    `existing` is the file with the stored rows of the same ids, `to` the file to write. DuckDB
    cannot spill all of two joins and a window, so large batches are done some ids at a time.
    """
    parts = -(-(_count(staged.good) + _count(existing)) // _JUDGED)
    judge = partial(_judge, event, _rows_of(staged.good), corrects=corrects)
    rows = f"({judge()})"
    if parts > 1:
        paths = [to.with_name(f"states-{part}.parquet") for part in range(parts)]
        for part, path in enumerate(paths):
            sql = judge(among=f"hash(event_id) % {parts} = {part}")
            connection.execute(f"COPY ({sql}) TO '{_quoted(path)}' (FORMAT parquet)")
        files = ", ".join(f"'{_quoted(path)}'" for path in paths)
        rows = f"read_parquet([{files}])"
    ordered = f"SELECT * EXCLUDE (file_row_number) FROM {rows} ORDER BY file_row_number"
    connection.execute(f"COPY ({ordered}) TO '{_quoted(to)}' (FORMAT parquet)")


def _judge(event: Event, good: str, *, corrects: bool, among: str = "TRUE") -> str:
    """Return SQL for the state of each row: new, stored already, conflicting or waiting.

    The state is `new`, `there`, `conflict`, or the name of the attribute whose reference is
    unresolved. A new row also has its `correction`. A content that was stored and then corrected
    counts as `there`, as its file may be ingested again. `good` is the table of the rows, and
    `among` a condition on them.
    """
    references = [a.name for a in event.attributes if a.event is not None]
    columns = ", ".join(("file_row_number", "dt", "event_id", "payload_digest", *references))
    unresolved = " ".join(
        "WHEN EXISTS (SELECT 1 FROM isthmus_missing "
        f"WHERE isthmus_missing.attribute = '{name}' AND isthmus_missing.id = "
        f"isthmus_good.{name}) THEN '{name}'"
        for name in references
    )
    waiting = f"CASE {unresolved} END" if references else "CAST(NULL AS VARCHAR)"
    winner = "_first" if corrects else "coalesce(_standing, _first)"
    return f"""
        WITH isthmus_good AS (SELECT {columns} FROM {good} WHERE {among}),
        isthmus_here AS (SELECT * FROM isthmus_existing WHERE {among}),
        isthmus_awaited AS (
            SELECT file_row_number, dt, event_id, payload_digest, {waiting} AS _waits_for
            FROM isthmus_good
        ),
        isthmus_standing AS (
            SELECT dt, event_id, payload_digest, correction FROM isthmus_here
            QUALIFY row_number() OVER (PARTITION BY dt, event_id ORDER BY {winning_order()}) = 1
        ),
        isthmus_corrected AS (
            SELECT DISTINCT dt, event_id, payload_digest FROM (
                SELECT * FROM isthmus_here
                WHERE EXISTS (SELECT 1 FROM isthmus_here AS later
                              WHERE later.dt = isthmus_here.dt
                              AND later.event_id = isthmus_here.event_id AND later.correction > 0)
                QUALIFY correction < max(correction) OVER (PARTITION BY dt, event_id)
                    AND row_number() OVER (
                        PARTITION BY dt, event_id, correction ORDER BY {winning_order()}) = 1)
        ),
        isthmus_ranked AS (
            SELECT isthmus_awaited.file_row_number, isthmus_awaited.payload_digest,
                   isthmus_standing.payload_digest AS _standing,
                   isthmus_corrected.payload_digest IS NOT NULL AS _corrected,
                   coalesce(isthmus_standing.correction + 1, 0) AS correction,
                   row_number() OVER isthmus_copies AS _nth,
                   first_value(isthmus_awaited.payload_digest) OVER isthmus_copies AS _first
            FROM isthmus_awaited
            LEFT JOIN isthmus_standing ON isthmus_standing.dt = isthmus_awaited.dt
                 AND isthmus_standing.event_id = isthmus_awaited.event_id
            LEFT JOIN isthmus_corrected ON isthmus_corrected.dt = isthmus_awaited.dt
                 AND isthmus_corrected.event_id = isthmus_awaited.event_id
                 AND isthmus_corrected.payload_digest = isthmus_awaited.payload_digest
            WHERE _waits_for IS NULL
            WINDOW isthmus_copies AS (
                PARTITION BY isthmus_awaited.dt, isthmus_awaited.event_id
                ORDER BY isthmus_awaited.payload_digest, isthmus_awaited.file_row_number)
        )
        SELECT file_row_number, correction,
               CASE WHEN payload_digest = {winner} AND _nth = 1
                         AND _standing IS DISTINCT FROM payload_digest THEN 'new'
                    WHEN payload_digest IN ({winner}, _standing) OR _corrected THEN 'there'
                    ELSE '{CONFLICTING}' END AS _state
        FROM isthmus_ranked
        UNION ALL
        SELECT file_row_number, NULL AS correction, _waits_for || '{WAITING}' AS _state
        FROM isthmus_awaited WHERE _waits_for IS NOT NULL"""


def _note_missing(
    spec: ProjectSpec,
    warehouse: Warehouse,
    event: Event,
    *,
    days: lookup.DateRange,
    connection: duckdb.DuckDBPyConnection,
    good: str,
) -> None:
    """Create the DuckDB table isthmus_missing: references of a batch to events that do not exist.

    They are neither in the warehouse nor in the batch. `good` is the table of the batch's rows,
    which may refer to each other; `days` are their dates.
    """
    connection.execute("CREATE OR REPLACE TABLE isthmus_missing (attribute VARCHAR, id VARCHAR)")
    for attribute in event.attributes:
        if attribute.event is None:
            continue
        own = (
            f" AND {attribute.name} NOT IN (SELECT event_id FROM {good})"
            if attribute.event == event.name
            else ""
        )
        references = (
            f"SELECT DISTINCT {attribute.name} AS event_id FROM {good} WHERE {attribute.name} IS "
            f"NOT NULL{own}"
        )
        connection.execute(f"CREATE OR REPLACE TABLE isthmus_wanted AS {references}")
        for around in (days, None):
            ids = _ids(connection, "isthmus_wanted", dated=False)
            if ids.few == ():
                break
            for part in lookup.stored_ids(
                warehouse, spec.events[attribute.event], ids, around=around
            ):
                connection.register("isthmus_part", part)
                connection.execute(
                    "DELETE FROM isthmus_wanted WHERE event_id IN (SELECT event_id FROM "
                    "isthmus_part)"
                )
            if ids.few is not None:
                break
        connection.execute(
            f"INSERT INTO isthmus_missing SELECT '{attribute.name}', event_id FROM isthmus_wanted"
        )


def _note_stored(
    warehouse: Warehouse,
    event: Event,
    ids: lookup.Ids,
    days: lookup.DateRange,
    *,
    connection: duckdb.DuckDBPyConnection,
    to: Path,
) -> None:
    """Write the stored rows of a batch's ids to the file `to`; create the view isthmus_existing.

    `days` are the dates to look at. A long history takes room on the disk and none in memory.
    """
    with pq.ParquetWriter(to, lookup.STORED, compression="lz4", use_dictionary=False) as file:
        for part in lookup.stored(warehouse, event, ids, days):
            file.write_table(part)
    connection.execute(f"CREATE OR REPLACE VIEW isthmus_existing AS SELECT * FROM '{_quoted(to)}'")


def _ids(connection: duckdb.DuckDBPyConnection, rows: str, *, dated: bool = True) -> lookup.Ids:
    """Return the event ids in the table `rows`, to query the warehouse by; of many, a sample."""
    few = connection.execute(
        f"SELECT DISTINCT event_id FROM {rows} LIMIT {lookup.BY_ID + 1}"
    ).fetchall()
    if len(few) <= lookup.BY_ID:
        return lookup.Ids(few=tuple(sorted(row[0] for row in few)))
    ends = connection.execute(f"SELECT min(event_id), max(event_id) FROM {rows}").fetchall()[0]
    columns = "event_id, dt" if dated else "event_id, NULL"
    sample = connection.execute(
        f"SELECT {columns} FROM (FROM {rows}) USING SAMPLE reservoir({_SAMPLE} ROWS) REPEATABLE (0)"
    ).fetchall()
    by_day: dict[str, list[str]] = {}
    for event_id, day in sorted(sample):
        by_day.setdefault(day, []).append(event_id)
    return lookup.Ids(
        few=None,
        sample=tuple(sorted({*ends, *(event_id for event_id, _ in sample)})),
        by_day=by_day if dated else {},
    )


def _all_refused(
    event: Event,
    staged: StagedBatch,
    selected: Callable[[str], Iterator[pa.Table]],
    unstored: Path | None,
) -> Iterator[pa.Table]:
    """Yield the rows of a batch that go to quarantine: invalid, too old, waiting, conflicting.

    `selected` yields the rows of a state. Rows that are too old are taken from `unstored`.

    `staged` is the batch as it was checked and written to files.
    """
    yield from _tables(staged.bad)
    for part in () if unstored is None else _tables(unstored):
        moments: list[Any] = part["event_timestamp"].to_pylist()
        yield judged(
            event,
            part,
            "event_timestamp",
            [values.late(moment, event) for moment in moments],
            retry=False,
        )
    for attribute in event.attributes:
        if attribute.event is not None:
            fault = values.Fault(values.UNRESOLVED.format(event=attribute.event))
            for part in selected(attribute.name + WAITING):
                yield judged(event, part, attribute.name, [fault] * part.num_rows, retry=True)
    for part in selected(CONFLICTING):
        yield judged(
            event, part, "event_id", [values.Fault(values.CONFLICT)] * part.num_rows, retry=False
        )


def _selected(
    connection: duckdb.DuckDBPyConnection,
    staged: StagedBatch,
    states: Path,
    state: str,
    schema: pa.Schema,
) -> Iterator[pa.Table]:
    """Yield the rows of a batch that have this state, as tables of limited size.

    `states` is the file with each row's state. Times are in milliseconds again, as DuckDB has made
    microseconds of them.
    """
    # qualified: every Parquet file has a column `filename` for DuckDB, and an event's attribute may
    # be called so
    names = ", ".join(
        f'{"isthmus_states" if name == CORRECTION.name else "isthmus_good"}."{name}"'
        for name in schema.names
    )
    both = (
        f"read_parquet('{_quoted(staged.good)}') AS isthmus_good POSITIONAL JOIN "
        f"read_parquet('{_quoted(states)}') AS isthmus_states"
    )
    rows = connection.sql(f"SELECT {names} FROM {both} WHERE isthmus_states._state = '{state}'")
    for batch in rows.to_arrow_reader(ROWS):
        if batch.num_rows:
            yield pa.Table.from_batches([batch]).cast(schema)


def _tables(path: Path) -> Iterator[pa.Table]:
    """Yield a Parquet file's rows in tables of limited size."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS):
            if batch.num_rows:
                yield pa.Table.from_batches([batch])


def _count(path: Path) -> int:
    """Return the number of rows in a Parquet file, by its footer."""
    return int(pq.read_metadata(path).num_rows)


def _rows_of(path: Path) -> str:
    """Return the DuckDB expression that reads a Parquet file with its row numbers."""
    return f"read_parquet('{_quoted(path)}', file_row_number = true)"


def _quoted(path: Path) -> str:
    """Return a path with its quotes doubled, for a string literal of SQL."""
    return str(path).replace("'", "''")
