"""Answers in JSON, written without moto's general serializer.

With 60 feature records that serializer takes most of the time. Text, numbers, truth values, lists
and structures, each of its own Python type, are written here; anything else (times, blobs, maps,
members that are headers) is left to moto.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

import msgspec

from ....core.http.answers import WsgiAnswer
from ..moto_internals import OperationModel, get_serializer_class

PROTOCOLS = frozenset({"json", "rest-json"})
JsonWriter = Callable[
    [Any], Any
]  # from a value to what is encoded; _Other where it is moto's business
_SCALARS: Mapping[str, type] = {"string": str, "integer": int, "long": int, "boolean": bool}
_encode = msgspec.json.Encoder().encode


class _Other(Exception):
    """A value that only moto's serializer can write."""


def answer(service: str, protocol: str, model: OperationModel, result: object) -> WsgiAnswer | None:
    """Serialize a result as a JSON response; None where moto's serializer has to do it."""
    shape: Any = model.output_shape
    if shape is None or "payload" in shape.serialization:
        return None
    status, headers, write = _form(service, protocol, _Named(model))
    try:
        body = _encode(write(result))
    except (_Other, UnicodeEncodeError):
        return None
    return WsgiAnswer(status, headers, body) if headers else None


class _Named:
    """An operation's model that is equal to every other one of the same names.

    A model that is read again is then found in the cache.
    """

    def __init__(self, model: OperationModel) -> None:
        self.model = model
        self._name = (str(model.service_model.service_name), str(model.name))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)


@lru_cache(maxsize=1024)
def _form(
    service: str, protocol: str, operation: _Named
) -> tuple[int, tuple[tuple[str, str], ...], JsonWriter]:
    """Return the HTTP status, the headers and the body serializer of an operation's responses.

    Without headers the operation has no response body: moto would name no content type for it.
    """
    empty = get_serializer_class(service, protocol)(operation_model=operation.model).serialize({})
    headers = tuple((name, str(value)) for name, value in empty["headers"].items())
    return empty["status_code"], headers, _writer(operation.model.output_shape, ())


def _writer(shape: Any, outer_structures: tuple[str, ...]) -> JsonWriter:
    """Return a function that converts values of a botocore shape to what JSON can encode.

    Args:
        shape: botocore's shape.
        outer_structures: The names of the structures around this one; a structure within itself is
            left to moto.
    """
    if shape.type_name in _SCALARS:
        return _scalar(_SCALARS[shape.type_name])
    if shape.type_name in ("float", "double"):
        return _real
    if shape.type_name == "list":
        return _list(_writer(shape.member, outer_structures))
    if (
        shape.type_name == "structure"
        and not shape.is_document_type
        and shape.name not in outer_structures
    ):
        return _structure(shape, (*outer_structures, shape.name))
    return _other


def _scalar(kind: type) -> JsonWriter:
    """Return a function that passes on values of one Python type, for JSON.

    The function leaves values of other types to moto's serializer.
    """

    def write(value: Any) -> Any:
        if type(value) is not kind:
            raise _Other
        return value

    return write


def _real(value: Any) -> float:
    """Return a finite number as a float for JSON; others are left to moto's serializer."""
    if type(value) not in (float, int) or not isfinite(value):
        raise _Other
    return float(value)


def _list(write: JsonWriter) -> JsonWriter:
    """Return a function that converts lists for JSON, given the one for their items."""

    def write_all(value: Any) -> Any:
        if type(value) is not list:
            raise _Other
        return [write(item) for item in value]

    return write_all


def _structure(shape: Any, outer_structures: tuple[str, ...]) -> JsonWriter:
    """Return a function that converts structures for JSON, by their members' shapes."""
    members = [
        (
            key,
            member.serialization.get("name", key),
            _other if "location" in member.serialization else _writer(member, outer_structures),
        )
        for key, member in shape.members.items()
    ]

    def write(value: Any) -> Any:
        if type(value) is not dict:
            raise _Other
        return {
            name: write_member(item)
            for key, name, write_member in members
            if (item := value.get(key)) is not None
        }

    return write


def _other(_: Any) -> Any:
    """Raise the exception that leaves a value to moto's serializer, whatever the value is."""
    raise _Other
