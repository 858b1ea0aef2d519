"""Events as the records that Kinesis takes and Firehose reads as JSON. Pure."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Invalid
from ...events.port import Column, Row
from ...times import utc_milliseconds
from ..event_values import checked

if TYPE_CHECKING:
    from ..local.catalogue import Document

TIME = "event_timestamp"
_RECORDS = 500  # a call
_BYTES = 5 << 20  # a call; the service takes 10 MiB, keys included
_LONGEST = 1 << 20  # bytes of one record


def record(document: Document, event: Row) -> tuple[dict[str, Any], str]:
    """One event as Firehose's JSON, and its date. Invalid: it does not fit the stream."""
    known = {column.name for column in document.columns} | {"dt"}
    if unknown := sorted(name for name in event if name not in known):
        raise Invalid(f"unknown column {', '.join(unknown)}")
    values = {column.name: _encoded(column, event.get(column.name)) for column in document.columns}
    moment = event.get(TIME)
    if not isinstance(moment, datetime):
        raise Invalid(f"{TIME} is missing")
    key = values.get(document.stream_key or "")
    if key in {None, ""}:
        raise Invalid(f"{document.stream_key} is missing")
    date = moment.astimezone(UTC).date().isoformat()
    if event.get("dt", date) != date:
        raise Invalid(f"dt is {event['dt']} and {TIME} is on {date}")
    body = msgspec.json.encode({name: value for name, value in values.items() if value is not None} | {"dt": date})
    if len(body) > _LONGEST:
        raise Invalid(f"{len(body):,} bytes are more than the {_LONGEST:,} that an event may have")
    # a key may be longer than the 256 characters of a partition key
    return {"Data": body, "PartitionKey": hashlib.blake2b(str(key).encode(), digest_size=16).hexdigest()}, date


def _encoded(column: Column, value: object) -> object:
    """A timestamp becomes the text that Hive reads, in UTC milliseconds. Invalid."""
    found = checked(column, value)
    if isinstance(found, datetime):
        return utc_milliseconds(found).replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
    if isinstance(found, float) and not math.isfinite(found):
        raise Invalid(f"{column.name} is {found}: JSON has no such number")
    return found


def calls(records: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Records as the calls that they fit into."""
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
