"""Events as the records that Kinesis takes and Firehose reads as JSON, and back. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ....errors import Invalid
from ....events.port import Column, Row
from ....times import utc_milliseconds
from ...common.event_values import EventRules, checked, event_values
from ...common.warehouse.tables import PARTITION

_RECORDS = 500  # a call
_BYTES = 5 << 20  # a call; the service takes 10 MiB, keys included
_LONGEST = 1 << 20  # bytes of one record


def record(rules: EventRules, event: Row) -> tuple[dict[str, Any], str]:
    """Return an event as a Kinesis record with JSON inside, and the date of its time.

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
    # a key may be longer than the 256 characters of a partition key
    return {
        "Data": body,
        "PartitionKey": hashlib.blake2b(
            str(values[rules.key_place]).encode(), digest_size=16
        ).hexdigest(),
    }, date


def _json_value(column: Column, value: object) -> object:
    """Convert a column's value for JSON: a timestamp to text that Hive reads, in UTC ms.

    Raises:
        Invalid: A float that JSON does not have.
    """
    if isinstance(value, datetime):
        return (
            utc_milliseconds(value).replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise Invalid(f"{column.name} is {value}: JSON has no such number")
    return value


def calls(records: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Split Kinesis records into groups, one for each PutRecords call, within the limits."""
    calls: list[list[dict[str, Any]]] = [[]]
    size = 0
    for record in records:
        bytes_ = len(record["Data"]) + len(record["PartitionKey"])
        if len(calls[-1]) == _RECORDS or size + bytes_ > _BYTES:
            calls.append([])
            size = 0
        calls[-1].append(record)
        size += bytes_
    return calls


def events(columns: Sequence[Column], records: Sequence[bytes]) -> tuple[list[Row], frozenset[str]]:
    """Return the events in Kinesis records, and names in them that are no columns of the stream.

    A record that is no event of the stream is left out.
    """
    rows: list[Row] = []
    strange: set[str] = set()
    for data in records:
        try:
            values = msgspec.json.decode(data, type=dict[str, Any])
            rows.append(
                {
                    column.name: _from_json(column, values.pop(column.name, None))
                    for column in columns
                }
            )
        except (msgspec.MsgspecError, UnicodeDecodeError, Invalid):
            continue
        strange.update(values)
    return rows, frozenset(strange - {PARTITION})


def _from_json(column: Column, value: object) -> object:
    """Convert a column's value back from JSON: a timestamp from text, in UTC.

    Raises:
        Invalid: It does not fit the column.
    """
    if column.type == "timestamp" and isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise Invalid(f"{column.name} is no timestamp: {value!r}") from error
        value = utc_milliseconds(value if value.tzinfo else value.replace(tzinfo=UTC))
    return checked(column, value)
