"""What a single event must be, on every target.

How its values are then written is each adapter's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from ...errors import Invalid
from ...events.port import Column, ColumnType, Rejected, Row, StreamSpec
from ...events.tables.column_types import COLUMN_TYPES
from .warehouse.tables import PARTITION, Document

T = TypeVar("T")
TIME = "event_timestamp"
_ANY_VALUE: Mapping[ColumnType, type] = {
    "string": str,
    "bool": bool,
}  # every target takes it as it is


class EventRules(msgspec.Struct, frozen=True, kw_only=True):
    """What `event_values` asks of a stream for every event, found once."""

    columns: tuple[Column, ...]
    plan: tuple[
        tuple[str, type | None, Column], ...
    ]  # of each column its name, and the type of which any value will do
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
    plan = tuple((column.name, _ANY_VALUE.get(column.type), column) for column in document.columns)
    return EventRules(
        columns=document.columns,
        plan=plan,
        names=frozenset({*names, PARTITION}),
        key=key,
        key_place=names.index(key),
    )


class UnknownColumns(Invalid):
    """`names`: what an event has and its stream lacks."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(
            f"unknown column {', '.join(names)}; `isthmus apply` adds what a stream lacks"
        )
        self.names = names


def encode_events(
    events: Sequence[Row], encode: Callable[[Row], T]
) -> tuple[list[T], list[Rejected]]:
    """Of each event what `encode` makes of it, and those of which it says that they do not fit
    (Invalid).
    """
    good: list[T] = []
    rejected: list[Rejected] = []
    for index, event in enumerate(events):
        try:
            good.append(encode(event))
        except Invalid as error:
            unknown = error.names if isinstance(error, UnknownColumns) else ()
            rejected.append(Rejected(index=index, reason=error.message, unknown=unknown))
    return good, rejected


def event_values(
    rules: EventRules, event: Row, write: Callable[[Column, object], object]
) -> tuple[list[object], str]:
    """The event's values in the order of the columns, numbers and times as `write` puts them, and
    the UTC date of its time.

    Invalid: a value that is not its column's, no time, no key, or a dt that is not the date of its
    time. UnknownColumns.
    """
    if not rules.names.issuperset(event):
        raise UnknownColumns(tuple(sorted(name for name in event if name not in rules.names)))
    values = [
        value if type(value := event.get(name)) is kind else write(column, checked(column, value))
        for name, kind, column in rules.plan
    ]
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
    """The value, an int of a float column as a float.

    Invalid: null in a required column, another type, no zone, beyond int64.
    """
    if value is None:
        if column.required:
            raise Invalid(f"{column.name} is missing")
        return None
    # a bool is an int to isinstance and not to an event
    if not isinstance(value, COLUMN_TYPES[column.type].python) or (
        isinstance(value, bool) and column.type != "bool"
    ):
        raise Invalid(f"{column.name} is {column.type}, not {type(value).__name__}")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise Invalid(f"{column.name} has no time zone")
    if column.type == "float64" and isinstance(value, int):
        return float(value)
    if column.type == "int64" and isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Invalid(f"{column.name} is beyond int64")
    return value
