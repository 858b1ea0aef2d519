"""Events as Pub/Sub's messages of JSON. Pure.

A BigQuery subscription writes them by the table's own schema.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ....errors import Invalid
from ....events.port import Column, Row
from ....events.tables.column_types import COLUMN_TYPES
from ....times import utc_milliseconds
from ...common.event_values import EventRules, event_values
from ...common.warehouse.tables import PARTITION

DATE = PARTITION  # what a message has beyond its stream's columns
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


def event(columns: Sequence[Column], body: bytes) -> dict[str, object] | None:
    """Return the event in a JSON message as a row of the stream's columns.

    It is the inverse of `message`. A column that the message lacks is None.

    Returns:
        The row, or None for a message that is no event of these columns: BigQuery does not take it
        either, so that it is among the stream's dead letters.
    """
    try:
        values = msgspec.json.decode(body)
        return {column.name: _python_value(column, values.get(column.name)) for column in columns}
    except (msgspec.DecodeError, AttributeError, TypeError, ValueError):
        return None


def column_names(body: bytes) -> frozenset[str]:
    """Return the names of a JSON message's members; none if it is no object."""
    try:
        return frozenset(msgspec.json.decode(body, type=dict[str, msgspec.Raw]))
    except msgspec.DecodeError:
        return frozenset()


def _python_value(column: Column, value: Any) -> object:
    """Convert a JSON value to a column's type: a timestamp to an aware UTC datetime.

    Raises:
        ValueError: The value does not fit the column, or a required one is missing.
    """
    if value is None:
        if column.required:
            raise ValueError(column.name)
        return None
    if column.type == "timestamp":
        return datetime.fromisoformat(value).astimezone(UTC)
    if column.type == "float64" and type(value) is int:
        return float(value)
    if type(value) not in COLUMN_TYPES[column.type].python:
        raise ValueError(column.name)
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
