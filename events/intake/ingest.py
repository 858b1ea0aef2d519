"""Take batches of events into the warehouse: read, validate, judge beside what is stored, store.

Refused rows go to the quarantine, and what was read is kept as it was. Nothing is changed before
every source has been read to its end and judged. What then changes is appended under names made
from the content, and every step first asks what is stored already: after a kill at any point the
same command goes on, loses nothing and doubles nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute

from ...core.runtime.project import Project
from ...errors import Invalid, NotFound, Refused
from ...feature_store.port import TableSpec
from ...project.reading.fence import fence
from ...project.specs.description import Event, ProjectSpec
from ...reports.results import StructRows
from ..refusals.reasons import Reason, Tally
from ..sources import files
from ..sources.origins import is_declared, open_source
from ..sources.proposals import proposal
from ..sources.raw_copies import keep_raw
from ..sources.source import Source
from ..sources.sql import bounded
from ..tables import lookup
from ..tables.presence import require_table
from ..tables.relations import CORRECTION, STORED_TIMESTAMP, quarantine_table, raw_table
from ..validation.values import naive
from .late_events import late_events
from .settlement import ValidatedBatch, settle
from .staging import Late, StagedBatch, restage, stage
from .stamps import forget, stored_timestamp
from .tolerance import MAX_BAD, allowed_rows, bad_rows, share_and_limit
from .workspace import full_disk_as_error, workspace

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

pc: Any = pyarrow.compute
ConfirmBackfill = Callable[
    [str, Late], bool
]  # an event's name, what is older than its max_lateness


class IngestReport(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of an event's ingest: read = stored + already_there + quarantined.

    `retried` events of earlier batches, which had waited, were stored besides.
    """

    event: str
    read: int
    stored: int
    already_there: int
    quarantined: int
    reasons: tuple[Reason, ...] = ()
    seconds: float = 0.0
    retried: int = 0
    corrected: int = 0  # of the stored ones: those that took the place of another content


_Batch = tuple[Event, Source, StagedBatch, float]  # with the moment when its reading began


class TooManyBad(Refused):
    """More rows are bad than `max_bad` allows; `reports` has the counts and the reasons.

    Nothing was stored, unless a report counts stored rows.
    """

    def __init__(self, message: str, *, remedy: str, reports: tuple[IngestReport, ...]) -> None:
        super().__init__(message, remedy=remedy)
        self.reports = reports


def ingest(
    project: Project,
    *,
    event: str | None = None,
    data: Path | str | pa.Table | pd.DataFrame | None = None,
    max_bad: float = MAX_BAD,
    corrects: bool = False,
    backfill: bool = False,
    confirm_backfill: ConfirmBackfill | None = None,
) -> StructRows[IngestReport]:
    """Store the events of the project's sources, or of `data` for one event.

    Events that others refer to go first. What waited for its reference or its time is tried again,
    whatever is ingested.

    Args:
        project: The project.
        event: The only event to ingest; None for every one that has a source.
        data: A file, a folder, a glob or a table to read instead of the event's source.
        max_bad: How many of an event's rows may be quarantined: up to 1 a share of those that were
            read, above 1 a number of rows.
        corrects: Whether another content of a stored event takes that event's place, for every
            reader. Else it is quarantined.
        backfill: Whether events older than max_lateness are stored. Else they are quarantined.
        confirm_backfill: A function that is asked whether this is a back-fill, where an event's
            first ingest holds such old ones.

    Raises:
        Invalid: a source cannot be read. Nothing is changed then.
        NotFound: there is no such event or source. Nothing is changed then.
        TooManyBad: more of an event's rows than `max_bad` break rules of their own, such as types:
            nothing is changed then. Or more are quarantined, with those that lost to what is stored
            or refer to nothing: the good ones are stored then. It has the `reports`.
    """
    with project.lock("ingest"), workspace(project.folder) as folder, full_disk_as_error(folder):
        chosen = _chosen_events(project, event, data is not None)
        if isinstance(data, str | Path):
            files.matching(
                Path(data), shown=str(data)
            )  # NotFound for a mistyped name, whatever else is missing
        _check_tables(project, chosen)
        fenced = fence(project.folder, project.spec.paths)
        staged: list[_Batch] = []
        for spec in chosen:
            started = time.perf_counter()
            source = open_source(
                fenced, spec, data, folder / spec.name / "raw", target=project.target
            )
            batch = _stage(project, spec, source, folder / spec.name, backfill=backfill)
            if (
                batch.lateness.count
                and confirm_backfill
                and _nothing_stored(project, spec)
                and confirm_backfill(spec.name, batch.lateness)
            ):
                batch = _stage(project, spec, source, folder / spec.name, backfill=True)
            staged.append((spec, source, batch, started))
        _require_readable(project, staged, max_bad)
        with bounded(folder / "spill", reads=(folder,)) as connection:
            reports = {
                spec.name: _store(
                    project,
                    spec,
                    source,
                    waiting,
                    started,
                    connection=connection,
                    corrects=corrects,
                )
                for spec, source, waiting, started in staged
            }
            for name, retried in _retry(project, folder, connection).items():
                report = reports.get(name) or IngestReport(
                    event=name, read=0, stored=0, already_there=0, quarantined=0
                )
                reports[name] = msgspec.structs.replace(report, retried=retried)
    done = StructRows(reports.values())
    _require_few_bad(done, staged, max_bad)
    return done


def in_order(spec: ProjectSpec) -> tuple[Event, ...]:
    """Return the events sorted so that each comes after those that its attributes refer to."""
    done: dict[str, Event] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if (
            name in done or name in above
        ):  # two that refer to each other: any order, the retry settles it
            return
        for attribute in spec.events[name].attributes:
            if attribute.event is not None:
                visit(attribute.event, (*above, name))
        done[name] = spec.events[name]

    for name in spec.events:
        visit(name, ())
    return tuple(done.values())


def _chosen_events(project: Project, event: str | None, has_data: bool) -> tuple[Event, ...]:
    """Return the events to ingest: the named one, or all that have a data source."""
    events = project.spec.events
    if event is not None:
        if event not in events:
            raise NotFound(
                f"there is no event {event}",
                remedy=f"project.yaml has {', '.join(events) or 'no events'}",
            )
        return (events[event],)
    if has_data:
        raise Invalid(
            "data without its event's name",
            remedy=f"say which event it holds: --event, one of {', '.join(events)}",
        )
    chosen = tuple(spec for spec in in_order(project.spec) if is_declared(project.folder, spec))
    if not chosen:
        raise NotFound(
            "no event has a source",
            remedy="write sources/<event>.sql or events.<event>.source, or: isthmus ingest FILE "
            "--event NAME",
        )
    return chosen


def _check_tables(project: Project, chosen: Iterable[Event]) -> None:
    """Raise NotFound if an event's table is missing or differs from project.yaml.

    So are the tables of events that they refer to.
    """
    names = {spec.name for spec in chosen}
    names |= {a.event for spec in chosen for a in spec.attributes if a.event is not None}
    for name in sorted(names):
        for table in (
            raw_table(project.spec.events[name]),
            quarantine_table(project.spec.events[name]),
        ):
            require_table(project.target, table)


def _stage(
    project: Project, event: Event, source: Source, folder: Path, *, backfill: bool
) -> StagedBatch:
    """Read and validate a source; write valid and invalid rows to Parquet files in a folder.

    With `backfill` events older than the allowed lateness are valid, too.
    """

    def progress(done: int) -> None:
        project.progress(event.name, done, source.rows)

    return stage(event, source, folder, now=project.now(), progress=progress, backfill=backfill)


def _nothing_stored(project: Project, event: Event) -> bool:
    """Return whether the event's raw table in the warehouse is empty."""
    return not project.target.warehouse.query(
        f"SELECT event_id FROM {raw_table(event).name} LIMIT 1", {}
    ).num_rows


def _store(
    project: Project,
    event: Event,
    source: Source,
    staged: StagedBatch,
    started: float,
    *,
    connection: duckdb.DuckDBPyConnection,
    corrects: bool,
) -> IngestReport:
    """Store an event's checked rows in the warehouse, and return the counts of the ingest.

    `started` is when it began; `corrects` lets a new content of a stored event replace it.

    `staged` are the rows as they were checked and written to files.
    """
    with settle(
        project.spec,
        project.target.warehouse,
        event,
        staged,
        connection=connection,
        corrects=corrects,
    ) as settled:
        digest = keep_raw(project, event, source)
        first_ingest = staged.lateness.count > 0 and _nothing_stored(project, event)
        refused = _quarantine(project, event, settled)
        _append(project, event, settled, batch=digest)
    return IngestReport(
        event=event.name,
        read=staged.read,
        stored=settled.stored,
        already_there=settled.already_there,
        corrected=settled.corrected,
        quarantined=refused.rows,
        reasons=_reasons(
            project, event, source, refused, read=staged.read, first_ingest=first_ingest
        ),
        seconds=round(time.perf_counter() - started, 3),
    )


def _quarantine(project: Project, event: Event, settled: ValidatedBatch) -> Tally:
    """Append rejected rows to the quarantine table, each once; return the counts by reason.

    `settled` has, of a checked batch, the rows to store and those to refuse.
    """
    table, tally = quarantine_table(event), Tally()
    wall = naive(project.log_time())
    for part in settled.refused():
        tally.add(part)
        columns: list[list[Any]] = [
            part[name].to_pylist() for name in ("payload_digest", "attribute")
        ]
        quarantined = lookup.quarantined(project.target.warehouse, event, columns[0])
        fresh = []
        for row, key in enumerate(zip(*columns, strict=True)):
            if key not in quarantined:
                quarantined.add(key)
                fresh.append(row)
        if fresh:
            rows = part.take(pa.array(fresh, pa.int64()))
            rows = rows.append_column(
                "quarantined_timestamp", pa.array([wall] * len(fresh), pa.timestamp("ms"))
            )
            # one payload may be there for two attributes: it waited for its reference, then it lost
            # to another content of its id
            _write(project, table, rows, keys=("payload_digest", "attribute"))
    return tally


def _append(project: Project, event: Event, settled: ValidatedBatch, *, batch: str) -> None:
    """Append a batch's new rows to the event's raw table in the warehouse.

    `settled` has, of a checked batch, the rows to store; `batch` is the batch's name.
    """
    if not settled.stored:
        forget(project, event, batch)
        return
    table = raw_table(event)
    with stored_timestamp(project, event, batch) as moment:
        for part in settled.new():
            stamps = pa.array([naive(moment)] * part.num_rows, pa.timestamp("ms"))
            # a content may come back: it was corrected, and now it corrects
            _write(
                project,
                table,
                part.append_column(STORED_TIMESTAMP.name, stamps),
                keys=("payload_digest", CORRECTION.name),
            )


def _write(project: Project, table: TableSpec, rows: pa.Table, *, keys: tuple[str, ...]) -> None:
    """Append rows to a table, as a batch named by a hash of the columns `keys`.

    So the same rows are the same batch when they are appended again.
    """
    content = hashlib.blake2b(digest_size=16)
    columns: list[Any] = [rows[name].to_pylist() for name in keys]
    content.update("".join(":".join(map(str, row)) for row in zip(*columns, strict=True)).encode())
    project.target.warehouse.append(
        table.name,
        rows.select([c.name for c in table.columns]),
        batch=f"ingest-{content.hexdigest()}",
    )


def _retry(project: Project, folder: Path, connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Store the quarantined rows that are valid by now; return the number of rows by event.

    `folder` is for temporary files. Rows that wait for one of these are tried after it.
    """
    warehouse = project.target.warehouse
    order = [
        event
        for event in in_order(project.spec)
        if warehouse.observe(quarantine_table(event).name) is not None
    ]
    stored: dict[str, int] = {}
    due, turn = {event.name for event in order}, 0
    while due:
        event = next(event for event in order if event.name in due)
        due, turn = due - {event.name}, turn + 1
        if rows := _retry_event(project, event, folder / f"late-{turn}", connection):
            stored[event.name] = stored.get(event.name, 0) + rows
            due |= {
                other.name
                for other in order
                if any(a.event == event.name for a in other.attributes)
            }
    return stored


def _retry_event(
    project: Project, event: Event, folder: Path, connection: duckdb.DuckDBPyConnection
) -> int:
    """Store an event's quarantined rows that are valid by now, and return their number."""
    stored = 0
    for part, late in enumerate(
        late_events(project.target.warehouse, event, now=naive(project.now()))
    ):
        waiting = restage(event, late, folder / str(part))
        with settle(
            project.spec, project.target.warehouse, event, waiting, connection=connection
        ) as settled:
            _quarantine(project, event, settled)  # one that meets another content under its id
            _append(project, event, settled, batch=_late_batch(late))
        stored += settled.stored
    return stored


def _late_batch(late: pa.Table) -> str:
    """Return a name for a batch of rows that waited in quarantine: a hash of their digests.

    So the same events are the same batch when they are stored again.
    """
    digests: list[Any] = late["payload_digest"].to_pylist()
    return f"late-{hashlib.blake2b(''.join(digests).encode(), digest_size=16).hexdigest()}"


def _judged_rows(source: Source, batch: StagedBatch) -> int:
    """Return the number of rows that the share of bad rows is computed from.

    For a query that selects few rows of a file it is the number of rows in the file, as all broken
    lines of the file are counted as bad.
    """
    return max(batch.read, source.file_rows)


def _require_few_bad(
    reports: tuple[IngestReport, ...], staged: Sequence[_Batch], max_bad: float
) -> None:
    """Raise TooManyBad if more of an event's rows were quarantined than `max_bad` allows."""
    totals = {event.name: _judged_rows(source, batch) for event, source, batch, _ in staged}
    for report in reports:
        # of all that was read: a repeat is judged as the first time was
        total = totals.get(report.event, report.read)
        if report.quarantined > allowed_rows(max_bad, total):
            share, allowed = share_and_limit(report.quarantined, total, max_bad)
            raise TooManyBad(
                f"{share} quarantined, more than the {allowed} allowed (--max-bad)",
                remedy=f"see: isthmus events quarantine {report.event}",
                reports=reports,
            )


def _require_readable(project: Project, staged: Sequence[_Batch], max_bad: float) -> None:
    """Raise TooManyBad if a batch has more malformed rows than `max_bad` allows.

    A row is malformed if, for example, a value has a wrong type, whatever is stored already.
    """
    for event, source, batch, _ in staged:
        tally = bad_rows(batch)
        total = _judged_rows(source, batch)
        if tally.rows <= allowed_rows(max_bad, total):
            continue
        reasons = _reasons(project, event, source, tally, read=batch.read, first_ingest=False)
        share, allowed = share_and_limit(tally.rows, total, max_bad)
        first = min(reasons, key=lambda reason: (reason.first_source, reason.first_line or 0))
        line = "" if first.first_line is None else f", line {first.first_line}"
        attribute = "" if first.attribute == "line" else f"{first.attribute} "
        remedies = [reason.remedy for reason in reasons if reason.remedy]
        report = IngestReport(
            event=event.name,
            read=batch.read,
            stored=0,
            already_there=0,
            quarantined=0,
            # the error says the first remedy
            reasons=tuple(msgspec.structs.replace(reason, remedy="") for reason in reasons),
        )
        raise TooManyBad(
            f"{event.name}: {share} of {total:,} read cannot be taken, more than the "
            f"{allowed} allowed (--max-bad); nothing was stored. The first: {first.first_source}"
            f"{line}: {attribute}{first.first_reason}",
            remedy=next(iter(remedies), f"mend the source, or allow more: --max-bad {tally.rows}"),
            reports=(report,),
        )


def _reasons(
    project: Project,
    event: Event,
    source: Source,
    tally: Tally,
    *,
    read: int,
    first_ingest: bool,
) -> tuple[Reason, ...]:
    """Return the reasons for which rows were rejected, with their counts, most frequent first.

    `read` is the number of rows read. If a text file is badly formatted, a reason has a hint on how
    to read it, for which the file is read once more.
    """
    reasons = list(tally.reasons(project.description, event, first_ingest=first_ingest))
    done: set[str] = set()
    for number, reason in enumerate(reasons):
        if reason.key or not reason.first_source or reason.first_source in done:
            continue
        done.add(reason.first_source)
        remedy = proposal(
            source,
            event.name,
            reason.first_source,
            reason.first_reason,
            most=2 * reason.count > read,
        )
        reasons[number] = msgspec.structs.replace(reason, remedy=reason.remedy or remedy)
    return tuple(reasons)
