"""Make rows for the quarantine, in one schema for what could not be read and what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ...project.specs.description import Event
from ..validation import values
from ..validation.chunks import Bad, attributes_of, payloads

_REFUSED: list[Any] = [
    *(
        pa.field(name, pa.string())
        for name in (
            "event_id",
            "attribute",
            "reason",
            "rule",
            "key",
            "payload",
            "payload_digest",
            "source",
        )
    ),
    pa.field("event_timestamp", pa.timestamp("ms")),
    pa.field("line", pa.int64()),
    pa.field("retry", pa.bool_()),
]
REFUSED = pa.schema(_REFUSED)


def unreadable(bad: tuple[Bad, ...], source: str) -> pa.Table:
    """Return unreadable input as rows for the quarantine table, a row for each fault.

    `source` names the file. The columns are those of REFUSED; the payload is as it was read.
    """
    return pa.table(
        {
            **{
                name: [getattr(row, name) for row in bad]
                for name in ("event_id", "event_timestamp", "attribute", "line", "payload")
            },
            **_reason_columns([row.fault for row in bad]),
            "retry": [False] * len(bad),
            "payload_digest": [values.digest(row.payload.encode()) for row in bad],
            "source": [source] * len(bad),
        },
        schema=REFUSED,
    )


def judged(
    event: Event, part: pa.Table, attribute: str, faults: Sequence[values.Fault], *, retry: bool
) -> pa.Table:
    """Return valid events that cannot be stored as rows for the quarantine table.

    `part` are the events, with a fault for each in `faults`, which concerns `attribute`; `retry`
    says whether they are tried again later. The columns are those of REFUSED; the payload is the
    event's content.
    """
    names = sorted(a.name for a in attributes_of(event))
    columns: dict[str, Any] = {
        "event_id": part["event_id"],
        "event_timestamp": part["event_timestamp"],
        "attribute": pa.array([attribute] * part.num_rows, pa.string()),
        **_reason_columns(faults),
        "line": part["line"],
        "payload": pa.array([content.decode() for content in payloads(part, names)], pa.string()),
        "payload_digest": part["payload_digest"],
        "source": part["source"],
        "retry": pa.array([retry] * part.num_rows, pa.bool_()),
    }
    return pa.table(columns).select(REFUSED.names).cast(REFUSED)


def _reason_columns(faults: Sequence[values.Fault]) -> dict[str, Any]:
    """Return the quarantine columns that say why rows were refused: reason, rule and key."""
    return {
        name: pa.array(column, pa.string())
        for name, column in (
            ("reason", [str(fault) for fault in faults]),
            ("rule", [fault.rule for fault in faults]),
            ("key", [fault.key for fault in faults]),
        )
    }
