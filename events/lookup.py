"""What the warehouse knows about a batch: asked by id when it is small, by date when it is large, so that neither side is flooded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..project.specs import Event
from .relations import CORRECTION, STORED_TIMESTAMP, quarantine_name, raw_name

if TYPE_CHECKING:
    from ..feature_store.port import Warehouse

BY_ID = 2_000  # up to here ids travel in the query, GROUP at a time; above, a scan is cheaper than the queries
GROUP = 500

_COLUMNS: list[Any] = [
    *(pa.field(name, pa.string()) for name in ("dt", "event_id", "payload_digest")),
    pa.field(CORRECTION.name, pa.int64()),
    pa.field(STORED_TIMESTAMP.name, pa.timestamp("ms")),
]
STORED = pa.schema(_COLUMNS)


def stored(warehouse: Warehouse, event: Event, ids: Sequence[str] | None, days: tuple[str, str]) -> pa.Table:
    """The contents stored under these ids (None: under any) and dates, each with what `winning_order` asks for.

    One row a content and number of corrections. `max_lateness` keeps the dates of a batch few.
    """
    corrected = f"coalesce({CORRECTION.name}, 0)"
    stamp = f"coalesce({STORED_TIMESTAMP.name}, TIMESTAMP '1970-01-01 00:00:00')"
    sql = (
        f"SELECT dt, event_id, payload_digest, {corrected} AS {CORRECTION.name}, min({stamp}) AS {STORED_TIMESTAMP.name} "
        f"FROM {raw_name(event.name)} WHERE dt >= $since AND dt <= $until{{among}} GROUP BY dt, event_id, payload_digest, {corrected}"
    )
    span: dict[str, object] = {"since": days[0], "until": days[1]}
    if ids is None:
        return warehouse.query(sql.format(among=""), span).select(STORED.names).cast(STORED)
    return _grouped(warehouse, sql.replace("{among}", " AND event_id IN ({among})"), ids, span).select(STORED.names).cast(STORED)


def unresolved(warehouse: Warehouse, referred: Event, ids: Sequence[str], days: tuple[str, str]) -> set[str]:
    """Of these ids of the referred event, those that it does not have, whenever it happened."""
    left = set(ids)
    if len(left) > BY_ID:  # most refer to the days just before: look there first
        since = (date.fromisoformat(days[0]) - timedelta(days=7)).isoformat()
        until = (date.fromisoformat(days[1]) + timedelta(days=1)).isoformat()
        sql = f"SELECT event_id FROM {raw_name(referred.name)} WHERE dt >= $since AND dt <= $until GROUP BY event_id"
        left.difference_update(warehouse.query(sql, {"since": since, "until": until})["event_id"].to_pylist())
    if len(left) > BY_ID:
        everything = warehouse.query(f"SELECT event_id FROM {raw_name(referred.name)} GROUP BY event_id", {})
        return left.difference(everything["event_id"].to_pylist())
    if left:
        sql = f"SELECT event_id FROM {raw_name(referred.name)} WHERE event_id IN ({{among}}) GROUP BY event_id"
        left.difference_update(_grouped(warehouse, sql, sorted(left), {})["event_id"].to_pylist())
    return left


def quarantined(warehouse: Warehouse, event: Event, digests: Sequence[str]) -> set[tuple[str, str]]:
    """Which of these payloads are in quarantine already, and for which attribute."""
    if not digests:
        return set()
    table = quarantine_name(event.name)
    if len(digests) > BY_ID:
        found = warehouse.query(f"SELECT payload_digest, attribute FROM {table} GROUP BY payload_digest, attribute", {})
    else:
        sql = f"SELECT payload_digest, attribute FROM {table} WHERE payload_digest IN ({{among}}) GROUP BY payload_digest, attribute"
        found = _grouped(warehouse, sql, digests, {})
    return {(row["payload_digest"], row["attribute"]) for row in found.to_pylist()}


def _grouped(warehouse: Warehouse, sql: str, values: Sequence[str], params: dict[str, object]) -> pa.Table:
    """One query for each GROUP of values: they travel as parameters, which providers limit in number and in size."""
    parts = []
    for start in range(0, max(len(values), 1), GROUP):
        group = {f"v{n}": value for n, value in enumerate(values[start : start + GROUP])} or {"v0": ""}
        parts.append(warehouse.query(sql.replace("{among}", ", ".join(f"${name}" for name in group)), {**params, **group}))
    return pa.concat_tables(parts)
