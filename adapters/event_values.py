"""What a single event's value must be, on every target. How it is then written is each adapter's."""

from __future__ import annotations

from datetime import datetime

from ..errors import Invalid
from ..events.port import Column

_PYTHON: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int64": (int,),
    "float64": (int, float),
    "string": (str,),
    "timestamp": (datetime,),
}


def checked(column: Column, value: object) -> object:
    """The value, an int of a float column as a float. Invalid: null in a required column, another type, no zone, beyond int64."""
    if value is None:
        if column.required:
            raise Invalid(f"{column.name} is missing")
        return None
    # a bool is an int to isinstance and not to an event
    if not isinstance(value, _PYTHON[column.type]) or (isinstance(value, bool) and column.type != "bool"):
        raise Invalid(f"{column.name} is {column.type}, not {type(value).__name__}")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise Invalid(f"{column.name} has no time zone")
    if column.type == "float64" and isinstance(value, int):
        return float(value)
    if column.type == "int64" and isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Invalid(f"{column.name} is beyond int64")
    return value
