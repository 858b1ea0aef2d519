"""Append what became known to each view's history, then bring the online store up to it.

A batch (view, sequence, until) holds what the view's SQL says up to `until` and the published
history does not. Every row of it has a created_timestamp in (since, until]: rows that the SQL calls
created since then keep their time, and what changed or appeared later than its own
created_timestamp (a late event) is a correction created at `until`, for it became known only now.
History is append-only.

Before a view's first batch, and after its SQL changed, it is checked that its rows see no later
data (as_known/): all views that are due, before any is written. A check that looked at something is
noted by the digest of the SQL.

Killed at any point, running again doubles and loses nothing:

1. the state notes `pending` = until before anything is written;
2. `Warehouse.save` writes the batch under a name made of view, sequence and until. It reads
   published rows only (created_timestamp <= since), so that a repeat, which the state makes exactly
   this batch again, replaces or completes it with the same rows;
3. the watermark moves to `until`. Readers filter by created_timestamp <= watermark, and all rows of
   a half-written batch are above it;
4. the online store is synced over (synced, until] and `synced` is noted. A sync may be repeated.
   A stream view is not synced: the consumer of its streams puts it online.

`until` grows with every batch that has rows. Where the project's clock stands still (`now:` of an
old log), a further batch is dated one millisecond after the last: its corrections must be newer
than what they correct.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from ...core.runtime.project import Project
from ...reports.results import StructRows
from ...times import utc_milliseconds
from ..as_known.check import MOMENTS, AsKnown, require_as_known
from ..as_known.queries import inputs_of
from ..joins.view_history import ViewSource, first_sql, next_sql
from ..sql.subset import digest
from ..tables.relations import extracted_table, history_table
from ..views.sources import online_spec, view_sources
from . import watermarks
from .watermarks import VersionedWatermark, Watermark

_TICK = timedelta(milliseconds=1)


class MaterializeReport(msgspec.Struct, frozen=True, kw_only=True):
    view: str
    rows: int  # appended to the history
    keys_online: int  # 0 of a stream view, which its stream's consumer puts online
    until: datetime  # what was known then is in the history and served
    seconds: float
    as_known: AsKnown | None = None  # what was checked before this batch


def watermark(project: Project, view: str) -> datetime | None:
    """Return the time until which a view's history is published; None before its first batch."""
    return watermarks.read(project, view).mark.until


def materialize(
    project: Project,
    views: Sequence[str] | None = None,
    *,
    until: datetime | None = None,
    moments: int = MOMENTS,
) -> StructRows[MaterializeReport]:
    """Publish the new rows of feature views (default: all) up to `until`, offline and online.

    Default of `until` is the project's now. It is safe to run again at any time. An `until` before
    the watermark cannot unpublish: the view stays where it is, and only late events are picked up.

    Args:
        project: The project.
        views: The views' names; None for all.
        until: Rows that became known up to this time are published.
        moments: The number of points in time at which an unchecked view is checked: fewer cost
            less, and find less.

    Raises:
        NotFound: there is no such view.
        ProjectError: a view's SQL is wrong.
        Busy: another command holds the project.
        Refused: a view that was not checked before holds rows that have seen later data. Nothing is
            written then.
    """
    with project.lock("materialize"):
        sources = view_sources(project.description, views)
        moment = utc_milliseconds(until) if until else project.now()
        checks = require_as_known(
            project, [source for source in sources if _unchecked(project, source)], moments=moments
        )
        reports = []
        for done, source in enumerate(sources):
            project.progress(f"materialize {source.view.name}", done, len(sources))
            reports.append(_materialize(project, source, moment, checks.get(source.view.name)))
        project.progress("materialize", len(sources), len(sources))
        return StructRows(reports)


def unchecked(project: Project, views: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the names of the views that `materialize` would first check for leaks of later data.

    Those are the views that read something with a time, by SQL that was not checked yet.
    """
    return tuple(
        source.view.name
        for source in view_sources(project.description, views)
        if _unchecked(project, source)
    )


def _unchecked(project: Project, source: ViewSource) -> bool:
    """Return whether a view reads inputs with times and its SQL was not checked for leaks yet."""
    is_checked = watermarks.read(project, source.view.name).mark.checked == digest(source.view.sql)
    return not is_checked and any(read.known for read in inputs_of(source, project.description))


def _materialize(
    project: Project, source: ViewSource, until: datetime, check: AsKnown | None
) -> MaterializeReport:
    """Compute a view's new rows, append them to its history, and sync the online store.

    `until` is the time up to which rows are published, `check` the report of the leakage check.
    """
    started = time.monotonic()
    view = source.view.name
    current = _prepare_tables(project, source)
    checked = (
        digest(source.view.sql) if check is not None and check.moments else current.mark.checked
    )
    rows_before = current.mark.rows
    if current.mark.pending is not None:
        current = _publish(project, source, current)
    last = current.mark.until
    if last is None or until > last:
        current = _record_begin(project, source, current, until, checked)
    elif _anything_new(project, source, since=_published_until(current.mark), until=last + _TICK):
        current = _record_begin(project, source, current, last + _TICK, checked)
    elif checked != current.mark.checked:
        current = watermarks.move(project, view, current, checked=checked)
    is_stream = source.view.stream is not None  # its rows are put by one writer, the consumer
    if not is_stream:
        current = _sync(project, source, current)
    return MaterializeReport(
        view=view,
        rows=current.mark.rows - rows_before,
        keys_online=0 if is_stream else _online_key_count(project, source, current.mark),
        until=current.mark.until or until,
        seconds=time.monotonic() - started,
        as_known=check,
    )


def _prepare_tables(project: Project, source: ViewSource) -> VersionedWatermark:
    """Create a view's warehouse and online tables, and return its watermark.

    The watermark says up to when the history is published; it is reset if the history was removed.
    """
    view, target = source.view.name, project.target
    current = watermarks.read(project, view)
    table = history_table(project.spec, source.view, source.features)
    if source.view.extract:
        target.warehouse.apply(extracted_table(project.spec, source.view, source.view.extract))
    state = target.warehouse.observe(view)
    if current.token is not None and (state is None or (state.rows == 0 and current.mark.rows > 0)):
        # The sequence goes on: a name that was used for other rows is never used again.
        fresh = Watermark(sequence=current.mark.sequence + 1, checked=current.mark.checked)
        current = watermarks.move(
            project, view, VersionedWatermark(mark=fresh, token=current.token)
        )
    target.warehouse.apply(table)
    target.online.apply(online_spec(source))
    return current


def _record_begin(
    project: Project,
    source: ViewSource,
    current: VersionedWatermark,
    until: datetime,
    checked: str | None,
) -> VersionedWatermark:
    """Record in a view's watermark that a batch has begun; return the new watermark.

    `checked` is the digest of the SQL that was checked for leaks.

    `current` is the watermark, which says up to when the history is published.
    """
    return _publish(
        project,
        source,
        watermarks.move(project, source.view.name, current, pending=until, checked=checked),
    )


def _publish(
    project: Project, source: ViewSource, current: VersionedWatermark
) -> VersionedWatermark:
    """Write the batch that a watermark names to a view's history; return the new watermark."""
    view, mark, until = source.view.name, current.mark, current.mark.pending
    assert until is not None  # noqa: S101  callers have just put it there
    warehouse = project.target.warehouse
    batch = f"{view}-{mark.sequence + 1:06d}-{until:%Y%m%dT%H%M%S}{until.microsecond // 1000:03d}"
    sql, params = _batch_sql(source, since=_published_until(mark), until=until)
    warehouse.save(view, sql, params, batch=batch)
    rows, lag = _batch_size_and_lag(project, source, since=_published_until(mark), until=until)
    lag_fits = mark.rows == 0 or lag == (mark.lag_ms, mark.lag_ms)
    steady = mark.steady and (rows == 0 or (lag[0] == lag[1] and lag_fits))
    return watermarks.move(
        project,
        view,
        current,
        until=until,
        sequence=mark.sequence + 1,
        rows=mark.rows + rows,
        lag_ms=(lag[0] if rows else mark.lag_ms) if steady else None,
        steady=steady,
        pending=None,
        synced=mark.synced if mark.rows else None,  # rows may be older than a sync of nothing
    )


def _published_until(mark: Watermark) -> datetime | None:
    """Return the time up to which a view's history is published; None before the first rows.

    `mark` is the view's watermark. Batches without rows published nothing: a view that was
    materialized before its first event was ingested begins with the history that its events tell,
    not with corrections.
    """
    return mark.until if mark.rows else None


def _batch_sql(
    source: ViewSource, *, since: datetime | None, until: datetime
) -> tuple[str, dict[str, object]]:
    """Return SQL for the next batch of a view's history, and its parameters.

    `since` is the end of the last batch, None for the first one.
    """
    if since is None:
        return first_sql(source), {"until": until}
    return next_sql(source), {"since": since, "until": until}


def _batch_size_and_lag(
    project: Project, source: ViewSource, *, since: datetime | None, until: datetime
) -> tuple[int, tuple[int | None, int | None]]:
    """Return the number of rows in a published batch, and their least and greatest lag in ms.

    The lag is from event_timestamp to created_timestamp. A lag that is always the same lets a later
    join skip its own look at the history (point_in_time.py).
    """
    after = "" if since is None else " AND created_timestamp > $since"
    lag = "date_diff('millisecond', event_timestamp, created_timestamp)"
    measures = (
        f"count(*) AS isthmus_rows, min({lag}) AS isthmus_least, max({lag}) AS isthmus_greatest"
    )
    sql = f"SELECT {measures} FROM {source.view.name} WHERE created_timestamp <= $until{after}"
    params: dict[str, object] = (
        {"until": until} if since is None else {"since": since, "until": until}
    )
    row = project.target.warehouse.query(sql, params).to_pylist()[0]
    return row["isthmus_rows"], (row["isthmus_least"], row["isthmus_greatest"])


def _anything_new(
    project: Project, source: ViewSource, *, since: datetime | None, until: datetime
) -> bool:
    """Return whether a view's SQL gives rows between two times that are not in its history."""
    sql, params = _batch_sql(source, since=since, until=until)
    return bool(
        project.target.warehouse.query(
            f"SELECT count(*) AS isthmus_rows FROM (\n{sql}\n) AS isthmus_batch", params
        )["isthmus_rows"][0].as_py()
    )


def _sync(project: Project, source: ViewSource, current: VersionedWatermark) -> VersionedWatermark:
    """Copy a view's new history rows to the online store; return its new watermark."""
    until = current.mark.until
    if until is None:
        return current
    since = None if _online_lost(project, source, current.mark) else current.mark.synced
    if since == until:
        return current
    project.target.online.sync(online_spec(source), since=since, until=until)
    return watermarks.move(project, source.view.name, current, synced=until)


def _online_lost(project: Project, source: ViewSource, mark: Watermark) -> bool:
    """Return whether the online store was recreated and has lost a view's rows.

    One entity is read to find out.
    """
    if mark.synced is None:
        return True
    view, params = source.view.name, {"synced": mark.synced}
    sample = project.target.warehouse.query(
        f"SELECT min(entity_key) AS isthmus_key FROM {view} WHERE created_timestamp <= $synced",
        params,
    )["isthmus_key"][0].as_py()
    return sample is not None and project.target.online.get({view: [sample]})[view][0] is None


def _online_key_count(project: Project, source: ViewSource, mark: Watermark) -> int:
    """Return how many entity keys a view serves online, counted in its published history."""
    if mark.until is None:
        return 0
    sql = (
        f"SELECT count(DISTINCT entity_key) AS isthmus_keys FROM {source.view.name} WHERE "
        "created_timestamp <= $until"
    )
    return int(
        project.target.warehouse.query(sql, {"until": mark.until})["isthmus_keys"][0].as_py()
    )
