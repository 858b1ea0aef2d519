"""Convert google.protobuf.Value to Python's values and back, faster than json_format does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import struct_pb2

Value = struct_pb2.Value
_NULL = struct_pb2.NULL_VALUE


def plain(value: Any) -> Any:
    """Return a protobuf Value as a JSON value in Python; a whole number becomes an int."""
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "struct_value":
        fields = value.struct_value.fields
        return {
            key: plain(fields[key]) for key in fields
        }  # its items() is the abstract Mapping's, at twice the time
    if kind == "list_value":
        return [plain(item) for item in value.list_value.values]
    return None if kind in (None, "null_value") else getattr(value, kind)


def fill(value: Any, item: Any) -> None:
    """Set a protobuf Value to a JSON value, in place."""
    if isinstance(item, bool):
        value.bool_value = item
    elif isinstance(item, int | float):
        value.number_value = item
    elif isinstance(item, str):
        value.string_value = item
    elif item is None:
        value.null_value = _NULL
    elif isinstance(item, dict):
        fields = value.struct_value.fields
        value.struct_value.SetInParent()
        for key, part in item.items():
            fill(fields[key], part)
    else:
        value.list_value.SetInParent()
        extend(value.list_value.values, item)


def extend(values: Any, items: Iterable[Any]) -> None:
    """Append JSON values to a repeated field of protobuf Values."""
    for item in items:
        fill(values.add(), item)
