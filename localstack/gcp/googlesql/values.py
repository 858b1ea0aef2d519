"""Convert GoogleSQL's values from and to Python's.

They are int, float, bool, str, bytes, Decimal (NUMERIC), date, aware datetime in UTC (TIMESTAMP),
list and dict.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from .types import text_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN = {
    "INT64": "int64_value",
    "FLOAT64": "double_value",
    "BOOL": "bool_value",
    "STRING": "string_value",
    "BYTES": "bytes_value",
    "JSON": "json_value",
}
_SCALE = 10**9  # a NUMERIC is a little-endian two's complement integer of 10^-9


def encoded_value(value: object, kind: Any) -> Any:
    """Return a Python value as a ValueProto of a type; None is NULL.

    Raises:
        ValueError: The type is not in this module's list.
    """
    from zetasql.wasi._pb2.zetasql.public.value_pb2 import ValueProto

    message = ValueProto()
    name = text_of(kind)
    if value is None:
        return message
    if name in _PLAIN:
        setattr(message, _PLAIN[name], value)
    elif name == "TIMESTAMP" and isinstance(value, datetime):
        passed = value - _EPOCH
        message.timestamp_value.seconds = passed // timedelta(seconds=1)
        message.timestamp_value.nanos = passed.microseconds * 1000
    elif name == "DATE" and isinstance(value, date):
        message.date_value = (value - _EPOCH.date()).days
    elif name == "NUMERIC" and isinstance(value, Decimal):
        units = int(value * _SCALE)
        message.numeric_value = units.to_bytes(units.bit_length() // 8 + 1, "little", signed=True)
    elif name.startswith("ARRAY<") and isinstance(value, list):
        message.array_value.element.extend(
            encoded_value(item, kind.array_type.element_type) for item in value
        )
        message.array_value.SetInParent()
    else:
        raise ValueError(
            f"{value!r} of type {name} cannot be handed to the reference implementation"
        )
    return message


def decoded_value(message: Any, kind: Any) -> Any:
    """Return the Python value of a ValueProto of a type.

    Raises:
        ValueError: The type is not in this module's list.
    """
    name = text_of(kind).partition("<")[0]
    if message.WhichOneof("value") is None:
        return None
    if name in _PLAIN:
        return getattr(message, _PLAIN[name])
    if name not in _DECODED:
        raise ValueError(f"a value of type {name} cannot be read from the reference implementation")
    return _DECODED[name](message, kind)


def _timestamp(message: Any, _: Any) -> datetime:
    """Return a ValueProto's TIMESTAMP as a datetime."""
    stamp = message.timestamp_value
    return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)


def _date(message: Any, _: Any) -> date:
    """Return a ValueProto's DATE as a date."""
    return _EPOCH.date() + timedelta(days=message.date_value)


def _numeric(message: Any, _: Any) -> Decimal:
    """Return a ValueProto's NUMERIC as a Decimal."""
    return Decimal(int.from_bytes(message.numeric_value, "little", signed=True)) / _SCALE


def _array(message: Any, kind: Any) -> list[object]:
    """Return a ValueProto's ARRAY as a list of Python values."""
    return [
        decoded_value(item, kind.array_type.element_type) for item in message.array_value.element
    ]


def _struct(message: Any, kind: Any) -> dict[str, object]:
    """Return a ValueProto's STRUCT as a dictionary of Python values."""
    fields = zip(kind.struct_type.field, message.struct_value.field, strict=True)
    return {field.field_name: decoded_value(value, field.field_type) for field, value in fields}


_DECODED = {
    "TIMESTAMP": _timestamp,
    "DATE": _date,
    "NUMERIC": _numeric,
    "ARRAY": _array,
    "STRUCT": _struct,
}
