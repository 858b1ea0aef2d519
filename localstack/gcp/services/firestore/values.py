"""Values and maps of them: their limits, their sizes, paths into them, numbers. Pure.

They are messages of google.firestore.v1. Sizes: firebase.google.com/docs/firestore/storage-size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

from google.cloud.firestore_v1 import types

from ...core.errors import invalid
from . import paths

Value = types.Value.pb()
_MOST_BYTES = (1 << 20) - 89  # of a text and of bytes
_DEEPEST = 20  # maps and arrays within each other
_MOST, _LEAST = (1 << 63) - 1, -(1 << 63)
_UNWRITTEN = (
    "field_reference_value",
    "variable_reference_value",
    "function_value",
    "pipeline_value",
)
_BYTES = {"geo_point_value": 16, "null_value": 1, "boolean_value": 1}
Fields = MutableMapping[str, Any]


def check(fields: Fields, depth: int = 1) -> None:
    """Raise INVALID_ARGUMENT for a document's fields if a value is not allowed.

    `depth` is how deep they are nested.
    """
    for name, value in fields.items():
        paths.check_field(name)
        _check_value(name, value, depth)


def _check_value(name: str, value: Any, depth: int) -> None:
    """Raise INVALID_ARGUMENT if the value of the field `name`, at this depth, is not allowed."""
    kind = value.WhichOneof("value_type")
    if kind is None or kind in _UNWRITTEN:
        raise invalid(f'Property "{name}" has no value that a document can hold.')
    if depth > _DEEPEST:
        raise invalid(
            f'Property "{name}" contains an invalid nested entity: at most {_DEEPEST} levels.'
        )
    if kind in ("string_value", "bytes_value") and _size(value) > _MOST_BYTES + (
        kind == "string_value"
    ):
        raise invalid(f'The value of property "{name}" is longer than {_MOST_BYTES} bytes.')
    if kind == "map_value":
        check(value.map_value.fields, depth + 1)
    for item in value.array_value.values if kind == "array_value" else ():
        if item.WhichOneof("value_type") == "array_value":
            raise invalid("Cannot convert an array value in an array value.")
        _check_value(name, item, depth + 1)


def size(path: str, fields: Fields) -> int:
    """Return a document's size in bytes by Firestore's rules."""
    return (
        sum(len(segment.encode()) + 1 for segment in path.split("/"))
        + 16
        + _size_of_map(fields)
        + 32
    )


def _size_of_map(fields: Fields) -> int:
    """Return the size in bytes of a map's names and values, by Firestore's rules."""
    return sum(len(name.encode()) + 1 + _size(value) for name, value in fields.items())


def _size(value: Any) -> int:
    """Return the size in bytes of a value, by Firestore's rules."""
    kind = value.WhichOneof("value_type")
    if kind in ("string_value", "reference_value"):
        return len(getattr(value, kind).encode()) + 1
    if kind == "bytes_value":
        return len(value.bytes_value)
    if kind == "map_value":
        return _size_of_map(value.map_value.fields)
    if kind == "array_value":
        return sum(map(_size, value.array_value.values))
    return _BYTES.get(kind, 8)


def value_at(fields: Fields, path: Sequence[str]) -> Any | None:
    """Return the value at a field path in a document's fields, or None."""
    *above, last = path
    for name in above:
        if name not in fields or fields[name].WhichOneof("value_type") != "map_value":
            return None
        fields = fields[name].map_value.fields
    return fields.get(last, None)


def put_value(fields: Fields, path: Sequence[str], value: Any | None) -> None:
    """Set the value at a field path, creating the maps above it; None removes it."""
    *above, last = path
    for name in above:
        if name not in fields or fields[name].WhichOneof("value_type") != "map_value":
            if value is None:
                return
            fields[name].map_value.SetInParent()
        fields = fields[name].map_value.fields
    if value is None:
        fields.pop(last, None)
    else:
        fields[last].CopyFrom(value)


def copy_masked(fields: Fields, mask: Iterable[Sequence[str]], into: Fields) -> None:
    """Copy the fields that a mask's field paths name from one document's fields to another's."""
    for path in mask:
        if (value := value_at(fields, path)) is not None:
            put_value(into, path, value)


def number(value: Any | None) -> float | int | None:
    """Return the number in an integer or double value, or None for other values."""
    kind = None if value is None else value.WhichOneof("value_type")
    return getattr(value, kind) if kind in ("integer_value", "double_value") else None


def number_value(amount: float) -> Any:
    """Return a number as a Firestore value.

    An integer beyond 64 bits becomes the largest of its sign.
    """
    if isinstance(amount, int):
        return Value(integer_value=max(_LEAST, min(_MOST, amount)))
    return Value(double_value=amount)


def are_equal(left: Any, right: Any) -> bool:
    """Return whether two values are equal as array transforms compare them: 3 and 3.0, two NaN."""
    numbers = [amount for amount in (number(left), number(right)) if amount is not None]
    if len(numbers) == 2:
        return numbers[0] == numbers[1] or all(map(math.isnan, numbers))
    return bool(left == right)
