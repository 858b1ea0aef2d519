"""What a single event must be, on every target. How its values are then written is each adapter's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from ...errors import Invalid
from ...events.column_types import COLUMN_TYPES
from ...events.port import UNKNOWN_COLUMN, Column, Row, StreamSpec
from .tables import PARTITION, Document

TIME = "event_timestamp"


class EventRules(msgspec.Struct, frozen=True, kw_only=True):
    """What `event_values` asks of a stream for every event, found once."""

    columns: tuple[Column, ...]
    names: frozenset[str]  # what an event may name: the columns and dt
    key: str
    key_place: int  # among the columns


def check_stream(stream: StreamSpec) -> None:
    """Invalid: its key is no column."""
    if stream.key not in {column.name for column in stream.columns}:
        raise Invalid(f"stream {stream.name}: its key {stream.key} is not among its columns")


def rules_of(document: Document) -> EventRules:
    """Of a table that single events are appended to."""
    names = [column.name for column in document.columns]
    key = document.stream_key or ""
    return EventRules(columns=document.columns, names=frozenset({*names, PARTITION}), key=key, key_place=names.index(key))


def event_values(rules: EventRules, event: Row, write: Callable[[Column, object], object]) -> tuple[list[object], str]:
    """The event's values in the order of the columns, each as `write` puts it, and the UTC date of its time.

    Invalid: an unknown column, a value that is not its column's, no time, no key, or a dt that is not the date of its time.
    """
    if not rules.names.issuperset(event):
        unknown = sorted(name for name in event if name not in rules.names)
        raise Invalid(f"{UNKNOWN_COLUMN} {', '.join(unknown)}; `isthmus apply` adds what a stream lacks")
    values = [write(column, checked(column, event.get(column.name))) for column in rules.columns]
    moment = event.get(TIME)
    if not isinstance(moment, datetime):
        raise Invalid(f"{TIME} is missing")
    if values[rules.key_place] in {None, ""}:
        raise Invalid(f"{rules.key} is missing")
    date = moment.astimezone(UTC).date().isoformat()
    if event.get(PARTITION, date) != date:
        raise Invalid(f"dt is {event[PARTITION]} and {TIME} is on {date}")
    return values, date


def checked(column: Column, value: object) -> object:
    """The value, an int of a float column as a float. Invalid: null in a required column, another type, no zone, beyond int64."""
    if value is None:
        if column.required:
            raise Invalid(f"{column.name} is missing")
        return None
    # a bool is an int to isinstance and not to an event
    if not isinstance(value, COLUMN_TYPES[column.type].python) or (isinstance(value, bool) and column.type != "bool"):
        raise Invalid(f"{column.name} is {column.type}, not {type(value).__name__}")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise Invalid(f"{column.name} has no time zone")
    if column.type == "float64" and isinstance(value, int):
        return float(value)
    if column.type == "int64" and isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Invalid(f"{column.name} is beyond int64")
    return value
