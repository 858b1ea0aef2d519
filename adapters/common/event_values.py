"""The rules for a single event, the same on every target.

How the values are then written is up to each adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from ...errors import Invalid
from ...events.port import Column, ColumnType, Rejected, Row, StreamSpec
from ...events.tables.column_types import COLUMN_TYPES
from .warehouse.tables import PARTITION, TableDocument

T = TypeVar("T")
TIME = "event_timestamp"
_ANY_VALUE: Mapping[ColumnType, type] = {
    "string": str,
    "bool": bool,
}  # every target takes it as it is


class EventRules(msgspec.Struct, frozen=True, kw_only=True):
    """The checks of every event of a stream, derived once from its table."""

    columns: tuple[Column, ...]
    # of each column its name, and the type of which any value will do
    plan: tuple[tuple[str, type | None, Column], ...]
    names: frozenset[str]  # what an event may name: the columns and dt
    key: str
    key_place: int  # among the columns


def check_stream(stream: StreamSpec) -> None:
    """Raise Invalid if the key of an event stream is not one of its columns."""
    if stream.key not in {column.name for column in stream.columns}:
        raise Invalid(f"stream {stream.name}: its key {stream.key} is not among its columns")


def rules_of(document: TableDocument) -> EventRules:
    """Return the rules by which events of a stream are checked before they are stored.

    They follow from the stored description of the stream's table.
    """
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
    """An event has columns that its stream lacks; `names` lists them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(
            f"unknown column {', '.join(names)}; `isthmus apply` adds what a stream lacks"
        )
        self.names = names


def encode_events(
    events: Sequence[Row], encode: Callable[[Row], T]
) -> tuple[list[T], list[Rejected]]:
    """Encode each event with `encode`, and collect the events that it refuses as Invalid.

    Returns:
        The encoded events, and for each event that raised Invalid its index and the reason.
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
    """Check an event; return its values in column order, and the UTC date of its time.

    Args:
        rules: The rules of the event's stream.
        event: The values by column name.
        write: Turns a checked number or time into the form in which the adapter stores it.

    Raises:
        Invalid: A value does not fit its column, the time or the key is missing, or `dt` is not the
            date of the time.
        UnknownColumns: The event has a column that the stream lacks.
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
    """Return an event's value if it fits its column; an int of a float column becomes a float.

    Raises:
        Invalid: It is null in a required column, of another type, a time without a zone, or beyond
            int64.
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
