"""Find refused rows that are still open.

The quarantine is append-only: a row is closed by what was stored since, not by an update. Contents
that lost to another one of their id and were never judged are open, too: single events, and two
checkouts that ingested at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.runtime.project import Project
from ...errors import NotFound
from ...project.specs.description import Event
from ..tables.presence import require_table
from ..tables.relations import (
    CORRECTION,
    STORED_TIMESTAMP,
    quarantine_name,
    quarantine_table,
    raw_name,
    raw_table,
    winning_order,
)
from ..validation.values import CONFLICT, Fault

if TYPE_CHECKING:
    import pyarrow as pa


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Open rows that were refused by one rule.

    The reason is in the row's own words where these are the same in all of them.
    """

    count: int
    attribute: str
    reason: str
    retry: bool
    first: datetime | None = (
        None  # the earliest and latest event_timestamp, UTC, of what was refused for it
    )
    last: datetime | None = None


def open_sql(event: Event) -> str:
    """Return SQL for the quarantined rows of an event that are still unresolved.

    A row is resolved if its own content was stored since; if it was refused for a value, and its id
    was stored with a mended content; if it waited for its reference or its time, and another
    content of its id was stored; or if it waited for its time and now waits for its reference, as
    another row.
    """
    quarantine, raw = quarantine_name(event.name), raw_name(event.name)
    listed = ", ".join(f"q.{column.name}" for column in quarantine_table(event).columns)
    return (
        f"SELECT {listed} FROM {quarantine} AS q LEFT JOIN (SELECT payload_digest FROM (SELECT "
        f"payload_digest, coalesce({CORRECTION.name}, 0) AS isthmus_correction, row_number() "
        f"OVER (PARTITION BY dt, event_id ORDER BY {winning_order()}) AS isthmus_copy FROM "
        f"{raw}) AS copies WHERE isthmus_copy = 1 OR isthmus_correction > 0 GROUP BY "
        "payload_digest) AS seen ON seen.payload_digest = q.payload_digest LEFT JOIN (SELECT "
        f"event_id FROM {raw} GROUP BY event_id) AS mended ON mended.event_id = q.event_id AND "
        "q.retry = FALSE AND q.attribute <> 'event_id' LEFT JOIN (SELECT payload_digest FROM "
        f"{quarantine} WHERE retry = FALSE GROUP BY payload_digest) AS lost ON "
        "lost.payload_digest = q.payload_digest AND q.retry = TRUE LEFT JOIN (SELECT "
        f"payload_digest FROM {quarantine} WHERE attribute <> 'event_timestamp' GROUP BY "
        "payload_digest) AS due ON due.payload_digest = q.payload_digest AND q.retry = TRUE AND "
        "q.attribute = 'event_timestamp' WHERE seen.payload_digest IS NULL AND mended.event_id "
        "IS NULL AND lost.payload_digest IS NULL AND due.payload_digest IS NULL"
    )


def losers_sql(event: Event) -> str:
    """Return SQL for stored contents of an event id that readers do not see.

    Readers see one content of an id, by `winning_order`. The query selects the first copy of each
    other one, in the SQL that all targets share. Contents that a correction replaced, and those in
    quarantine, are left out.
    """
    quarantine, raw = quarantine_name(event.name), raw_name(event.name)
    names = [column.name for column in raw_table(event).columns]
    id_, content = "PARTITION BY dt, event_id", "PARTITION BY dt, event_id, payload_digest"
    return (
        f"SELECT {', '.join(f'isthmus_copies.{name}' for name in names)} FROM (SELECT "
        f"{', '.join(names)}, row_number() OVER ({id_} ORDER BY {winning_order()}) AS "
        f"isthmus_place, row_number() OVER ({content} ORDER BY {winning_order()}) AS "
        f"isthmus_copy, max(coalesce({CORRECTION.name}, 0)) OVER ({id_}) AS isthmus_corrections "
        f"FROM {raw}) AS isthmus_copies LEFT JOIN (SELECT payload_digest FROM {quarantine} WHERE "
        "attribute = 'event_id' GROUP BY payload_digest) AS isthmus_listed ON "
        "isthmus_listed.payload_digest = isthmus_copies.payload_digest WHERE isthmus_place > 1 "
        f"AND isthmus_copy = 1 AND coalesce({CORRECTION.name}, 0) = isthmus_corrections AND "
        "isthmus_listed.payload_digest IS NULL"
    )


def quarantine(project: Project, event: str, *, limit: int = 100) -> pa.Table:
    """Return an event's unresolved quarantined rows, newest batch first, by line.

    Columns: quarantined_timestamp, event_id, attribute, reason, source, line, payload (JSON as it
    was read), payload_digest, retry, rule (the reason without the row's own value), event_timestamp
    (where the row has one).

    Raises:
        NotFound: there is no such event, or `apply` has not made its tables yet.
    """
    import pyarrow as pa

    spec = _event(project, event)
    sql = (
        f"SELECT * FROM ({open_sql(spec)}) AS isthmus_open ORDER BY quarantined_timestamp DESC, "
        f"source, line LIMIT {int(limit)}"
    )
    rows = project.target.warehouse.query(sql, {})
    losers = (
        f"SELECT * FROM ({losers_sql(spec)}) AS losers ORDER BY {STORED_TIMESTAMP.name} DESC, "
        f"source, line LIMIT {int(limit)}"
    )
    lost = _as_refused(spec, project.target.warehouse.query(losers, {}))
    newest: Any = [
        ("quarantined_timestamp", "descending"),
        ("source", "ascending"),
        ("line", "ascending"),
    ]
    return (
        pa.concat_tables([rows, lost.select(rows.schema.names).cast(rows.schema)])
        .sort_by(newest)
        .slice(0, limit)
    )


def summary(project: Project, event: str) -> tuple[Group, ...]:
    """Return the number of unresolved quarantined rows by reason, the most frequent first."""
    spec = _event(project, event)
    sql = (
        "SELECT attribute, coalesce(rule, reason) AS rule, retry, count(*) AS rows_of_it, "
        "min(reason) AS one, max(reason) AS other, min(event_timestamp) AS earliest, "
        f"max(event_timestamp) AS latest FROM ({open_sql(spec)}) AS isthmus_open GROUP BY "
        "attribute, coalesce(rule, reason), retry"
    )
    groups = [_group(row) for row in project.target.warehouse.query(sql, {}).to_pylist()]
    (lost,) = project.target.warehouse.query(
        f"SELECT count(*) AS rows_of_it FROM ({losers_sql(spec)}) AS losers", {}
    ).to_pylist()
    conflicts = [group for group in groups if group.reason == CONFLICT]
    if count := lost["rows_of_it"]:
        count += sum(group.count for group in conflicts)
        groups = [group for group in groups if group not in conflicts]
        groups.append(Group(count=count, attribute="event_id", reason=CONFLICT, retry=False))
    return tuple(sorted(groups, key=lambda group: (-group.count, group.attribute, group.reason)))


def _group(row: dict[str, Any]) -> Group:
    """Convert a row of the query to a group: the rows refused for one reason, and their number."""
    timed = row["attribute"] == "event_timestamp"
    return Group(
        count=row["rows_of_it"],
        attribute=row["attribute"],
        reason=row["one"] if row["one"] == row["other"] else row["rule"],
        retry=row["retry"],
        first=row["earliest"] if timed else None,
        last=row["latest"] if timed else None,
    )


def _as_refused(event: Event, copies: pa.Table) -> pa.Table:
    """Convert stored rows whose event id occurs twice to the form of quarantined rows.

    `copies` are the stored rows that readers do not see.
    """
    import pyarrow as pa

    from .refused_rows import judged

    refused = judged(event, copies, "event_id", [Fault(CONFLICT)] * copies.num_rows, retry=False)
    return refused.append_column(
        "quarantined_timestamp", copies[STORED_TIMESTAMP.name].cast(pa.timestamp("ms"))
    )


def _event(project: Project, event: str) -> Event:
    """Return an event as declared in project.yaml; raise NotFound if there is none of the name."""
    if event not in project.spec.events:
        raise NotFound(
            f"there is no event {event}",
            remedy=f"project.yaml has {', '.join(project.spec.events) or 'no events'}",
        )
    spec = project.spec.events[event]
    for table in (quarantine_table(spec), raw_table(spec)):
        require_table(project.target, table)
    return spec
