"""Find events that waited in quarantine for the event that they refer to, or for their own time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute

from ...project.specs.description import Event
from ...times import from_epoch
from ..tables import lookup
from ..validation.chunks import attributes_of, payloads
from ..validation.values import digest
from .staging import good_schema

if TYPE_CHECKING:
    from ...feature_store.port import Warehouse

pc: Any = pyarrow.compute


def late_events(warehouse: Warehouse, event: Event, *, now: datetime) -> Iterator[pa.Table]:
    """Yield the quarantined events that had to wait and may be valid by now, in small tables.

    They passed every other rule when they arrived, and are not too late now. Some may have been
    stored meanwhile: `settle` leaves these out. An event that no longer fits its attributes, as
    after a change of a type, stays in quarantine.
    """
    for rows in lookup.waiting(warehouse, event):
        late = _late_events(event, rows)
        late = late.filter(
            pc.less_equal(
                late["event_timestamp"], pa.scalar(now + event.max_ahead, pa.timestamp("ms"))
            )
        )
        if late.num_rows:
            yield late


def _late_events(event: Event, rows: pa.Table) -> pa.Table:
    """Convert quarantined rows back to rows of the event's own table.

    Left out are those that the present attributes cannot hold, as after a change of a type.
    """
    waiting = {
        str(row["payload_digest"]): row for row in rows.to_pylist()
    }  # one may have waited for both
    events = [_event(event, waiting[digest]) for digest in sorted(waiting)]
    schema = good_schema(event)
    try:
        late = pa.Table.from_pylist(events, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        late = pa.concat_tables(
            [
                schema.empty_table(),
                *(table for row in events if (table := _alone(row, schema)) is not None),
            ]
        )
    digests = [
        digest(content) for content in payloads(late, sorted(a.name for a in attributes_of(event)))
    ]
    unchanged = [
        stored == computed
        for stored, computed in zip(late["payload_digest"].to_pylist(), digests, strict=True)
    ]
    return late.filter(pa.array(unchanged, pa.bool_()))


def _event(event: Event, row: dict[str, Any]) -> dict[str, Any]:
    """Return an event as a row, parsed from the JSON payload of its quarantined row."""
    content = msgspec.json.decode(row["payload"])
    for attribute in attributes_of(event):
        value = content.get(attribute.name)
        if attribute.type == "timestamp" and isinstance(value, int):
            content[attribute.name] = from_epoch(value).replace(tzinfo=None)
    return {
        **content,
        **{name: row[name] for name in ("source", "line", "payload_digest")},
        "dt": str(content["event_timestamp"])[:10],
    }


def _alone(row: dict[str, Any], schema: pa.Schema) -> pa.Table | None:
    """Convert a row to an Arrow table of one row; None if it does not fit the schema."""
    try:
        return pa.Table.from_pylist([row], schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
