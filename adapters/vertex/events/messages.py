"""Events as Pub/Sub's messages of JSON. Pure.

A BigQuery subscription writes them by the table's own schema.
"""

from __future__ import annotations

import math
from datetime import datetime

import msgspec

from ....errors import Invalid
from ....events.port import Column, Row
from ....times import utc_milliseconds
from ...common.event_values import EventRules, event_values
from ...common.warehouse.tables import PARTITION

_MESSAGES = 1_000  # a call
_BYTES = 8 << 20  # a call; the service takes 10 MB, base64 and all
_LONGEST = 1 << 20  # bytes of one message; a BigQuery row takes 10 MB


def message(rules: EventRules, event: Row) -> bytes:
    """Return an event, with its date, as the JSON message that the BigQuery subscription takes.

    Raises:
        Invalid: The event does not fit the stream.
    """
    values, date = event_values(rules, event, _json_value)
    present = {
        column.name: value
        for column, value in zip(rules.columns, values, strict=True)
        if value is not None
    }
    body = msgspec.json.encode(present | {PARTITION: date})
    if len(body) > _LONGEST:
        raise Invalid(f"{len(body):,} bytes are more than the {_LONGEST:,} that an event may have")
    return body


def _json_value(column: Column, value: object) -> object:
    """Convert a column's value for JSON: a timestamp to BigQuery's text, in UTC ms.

    Raises:
        Invalid: A float that JSON does not have.
    """
    if isinstance(value, datetime):
        return (
            utc_milliseconds(value).replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
            + "+00"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise Invalid(f"{column.name} is {value}: JSON has no such number")
    return value


def calls(messages: list[bytes]) -> list[list[bytes]]:
    """Split Pub/Sub messages into groups, one for each Publish call, within the limits."""
    calls: list[list[bytes]] = [[]]
    size = 0
    for body in messages:
        if calls[-1] and (len(calls[-1]) == _MESSAGES or size + len(body) > _BYTES):
            calls.append([])
            size = 0
        calls[-1].append(body)
        size += len(body)
    return calls
