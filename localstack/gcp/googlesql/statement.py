"""What an analyzed statement is and what comes out of it, read from the serialized answer without its expressions.

They are cut out of the bytes: protobuf for Python refuses what nests deeper than 100 messages, as `a + a + ...` does after 25 terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .types import text_of

_PREFIX, _SUFFIXES = "resolved_", ("_stmt_base_node", "_stmt_node", "_base_node", "_statement_node", "_node")
_DEEP = ("zetasql.AnyResolvedScanProto", "zetasql.AnyResolvedExprProto")
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # https://protobuf.dev/programming-guides/encoding/#structure


def statement_of(answer: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Of a serialized AnalyzeResponse: the statement's kind, and the names and types of what comes out or is made."""
    from zetasql.wasi._pb2.zetasql.local_service.local_service_pb2 import AnalyzeResponse

    message = AnalyzeResponse.FromString(_without_expressions(answer, AnalyzeResponse.DESCRIPTOR)).resolved_statement
    while True:
        field, message = message.ListFields()[0]
        if not message.DESCRIPTOR.name.startswith("AnyResolved"):
            break
    name = field.name.removeprefix(_PREFIX)
    return next(name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), _columns(message)


def _columns(statement: Any) -> tuple[tuple[str, str], ...]:
    if outputs := _field(statement, "output_column_list"):
        return tuple((output.name, text_of(output.column.type)) for output in outputs)
    return tuple((column.name, text_of(column.type)) for column in _field(statement, "column_definition_list") or ())


def _field(message: Any, name: str) -> Any:
    """A field of a message or of what it inherits from; None when there is none."""
    while name not in message.DESCRIPTOR.fields_by_name:
        if "parent" not in message.DESCRIPTOR.fields_by_name:
            return None
        message = message.parent
    return getattr(message, name)


def _without_expressions(data: bytes, descriptor: Any) -> bytes:
    """The message without what holds scans and expressions, down through statements and what they inherit from."""
    parts = []
    for number, kind, whole, body in _wire_fields(data):
        field = descriptor.fields_by_number.get(number)
        inner = field.message_type if field is not None and kind == _BYTES else None
        if inner is None:
            parts.append(whole)
        elif inner.full_name not in _DEEP:
            shorter = _without_expressions(body, inner) if _of_statement(inner.name) else body
            parts.append(whole[: _varint(whole, 0)[1]] + _as_varint(len(shorter)) + shorter)
    return b"".join(parts)


def _of_statement(name: str) -> bool:
    return name.removesuffix("Proto").endswith(("Stmt", "StmtBase", "Statement", "Base"))


def _wire_fields(data: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Number, wire type, the whole field, and its body."""
    place = 0
    while place < len(data):
        start = place
        tag, place = _varint(data, place)
        kind, body = tag & 7, place
        if kind == _VARINT:
            _, place = _varint(data, place)
        elif kind == _BYTES:
            size, body = _varint(data, place)
            place = body + size
        else:
            place += {_EIGHT: 8, _FOUR: 4}[kind]
        yield tag >> 3, kind, data[start:place], data[body:place]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def _as_varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
