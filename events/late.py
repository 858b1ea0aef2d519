"""Late references: events that wait in quarantine for the event that they refer to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from ..project.specs import Event
from .quarantine import open_sql
from .stage import good_schema
from .validate import attributes_of, payloads
from .values import digest

if TYPE_CHECKING:
    from ..feature_store.port import Warehouse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def open_late(warehouse: Warehouse, event: Event) -> pa.Table:
    """Those that wait still, as validated events. They kept every other rule when they came: lateness is judged at arrival, not again.

    One that the event's present attributes cannot hold (its type was changed since) stays in quarantine.
    """
    found = warehouse.query(f"SELECT payload, payload_digest, source, line FROM ({open_sql(event)}) AS waiting WHERE retry = TRUE", {})
    schema = good_schema(event)
    tables = []
    for row in sorted(found.to_pylist(), key=lambda row: str(row["payload_digest"])):
        content = msgspec.json.decode(row["payload"])
        times = [a.name for a in attributes_of(event) if a.type == "timestamp" and content.get(a.name) is not None]
        moments = {name: _EPOCH + timedelta(milliseconds=content[name]) for name in times}
        day = moments["event_timestamp"].date().isoformat()
        try:
            table = pa.Table.from_pylist(
                [
                    {
                        **content,
                        **{name: moment.replace(tzinfo=None) for name, moment in moments.items()},
                        **{name: row[name] for name in ("source", "line", "payload_digest")},
                        "dt": day,
                    }
                ],
                schema=schema,
            )
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            continue
        if digest(payloads(table, sorted(a.name for a in attributes_of(event)))[0]) == row["payload_digest"]:
            tables.append(table)
    return pa.concat_tables(tables) if tables else schema.empty_table()
