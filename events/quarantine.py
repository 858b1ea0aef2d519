"""What was refused and is still open. The quarantine is append-only: a row is closed by what was stored since, not by an update."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..errors import NotFound
from ..project.specs import Event
from ..runtime import Project
from .relations import quarantine_name, raw_name

if TYPE_CHECKING:
    import pyarrow as pa


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Open rows that were refused in the same words."""

    count: int
    attribute: str
    reason: str
    retry: bool


def open_sql(event: Event) -> str:
    """The open rows, in the neutral subset.

    A row is closed when its own content is what readers see (a late reference that was stored), when it was refused for a value and its id
    is stored since (it came again, mended), or when it waited and has lost to another content of its id (that row is open instead).
    """
    quarantine, raw = quarantine_name(event.name), raw_name(event.name)
    columns = "quarantined_timestamp, event_id, attribute, reason, source, line, payload, payload_digest, retry"
    listed = ", ".join(f"q.{name.strip()}" for name in columns.split(","))
    return (
        f"SELECT {listed} FROM {quarantine} AS q "
        f"LEFT JOIN (SELECT won.payload_digest FROM (SELECT dt, event_id, min(payload_digest) AS payload_digest FROM {raw} "
        "GROUP BY dt, event_id) AS won GROUP BY won.payload_digest) AS seen ON seen.payload_digest = q.payload_digest "
        f"LEFT JOIN (SELECT event_id FROM {raw} GROUP BY event_id) AS mended "
        "ON mended.event_id = q.event_id AND q.retry = FALSE AND q.attribute <> 'event_id' "
        f"LEFT JOIN (SELECT payload_digest FROM {quarantine} WHERE retry = FALSE GROUP BY payload_digest) AS lost "
        "ON lost.payload_digest = q.payload_digest AND q.retry = TRUE "
        "WHERE seen.payload_digest IS NULL AND mended.event_id IS NULL AND lost.payload_digest IS NULL"
    )


def quarantine(project: Project, event: str, *, limit: int = 100) -> pa.Table:
    """The open rows, newest batch first, in the order of their lines.

    Columns: quarantined_timestamp, event_id, attribute, reason, source, line, payload (JSON as it was read), payload_digest, retry.
    NotFound for an unknown event, or before `apply`.
    """
    found = _event(project, event)
    sql = f"SELECT * FROM ({open_sql(found)}) AS open_rows ORDER BY quarantined_timestamp DESC, source, line LIMIT {int(limit)}"
    return project.target.warehouse.query(sql, {})


def summary(project: Project, event: str) -> tuple[Group, ...]:
    """The open rows by reason, the most frequent first."""
    found = _event(project, event)
    sql = (
        f"SELECT attribute, reason, retry, count(*) AS rows_of_it FROM ({open_sql(found)}) AS open_rows "
        "GROUP BY attribute, reason, retry ORDER BY rows_of_it DESC, attribute, reason"
    )
    return tuple(
        Group(count=row["rows_of_it"], attribute=row["attribute"], reason=row["reason"], retry=row["retry"])
        for row in project.target.warehouse.query(sql, {}).to_pylist()
    )


def _event(project: Project, event: str) -> Event:
    if event not in project.spec.events:
        raise NotFound(f"there is no event {event}", remedy=f"project.yaml has {', '.join(project.spec.events) or 'no events'}")
    if project.target.warehouse.observe(quarantine_name(event)) is None:
        raise NotFound(f"{project.target.name} has no table {quarantine_name(event)}", remedy="isthmus apply")
    return project.spec.events[event]
