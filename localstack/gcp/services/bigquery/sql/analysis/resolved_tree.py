"""The tree of a resolved statement, or of a parsed script, read from its bytes as it is walked.

protobuf for Python refuses what nests deeper than 100 messages, which `a + a + ...` does after 25
terms. A Node is one node of the tree: the fields that it inherits are its own, and it is what a
union holds, never the union.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from ...errors import BigQueryError

_VARINT, _EIGHT, _BYTES, _FOUR = (
    0,
    1,
    2,
    5,
)  # https://protobuf.dev/programming-guides/encoding/#structure
_LEAVES = {
    "TypeProto", "ValueWithTypeProto", "TableRefProto", "FunctionRefProto",
    "FunctionSignatureProto", "AnnotationMapProto", "ColumnRefProto",
    "ResolvedFunctionCallInfoProto", "TypeModifiersProto", "TypeParametersProto",
}  # fmt: skip


class ResolvedNode:
    """A node, whose `kind` is its name, such as `function_call`.

    Every field of its message is an attribute: a scalar, a Node, a message or a list.
    """

    def __init__(self, data: bytes, descriptor: Any) -> None:
        while descriptor.name.startswith(("AnyResolved", "AnyAST")):
            number, _, data = next(_wire(data))
            descriptor = descriptor.fields_by_number[number].message_type
        self.kind = _node_kind(descriptor.name)
        self._raw: dict[str, list[tuple[int, Any]]] = {}
        self._fields: dict[str, Any] = {}
        self._read(data, descriptor)

    def _read(self, data: bytes, descriptor: Any) -> None:
        """Store the fields of a serialized message, still encoded, and of its base messages."""
        for name, field in descriptor.fields_by_name.items():
            self._fields.setdefault(name, field)
        for number, kind, value in _wire(data):
            field = descriptor.fields_by_number.get(number)
            if field is None:
                continue
            if field.name == "parent":
                self._read(value, field.message_type)
            else:
                self._raw.setdefault(field.name, []).append((kind, value))
        if "parent" in descriptor.fields_by_name and "parent" not in self._raw:
            self._inherit(descriptor.fields_by_name["parent"].message_type)

    def _inherit(self, descriptor: Any) -> None:
        """Store the names of the fields that a message type declares or inherits."""
        for name, field in descriptor.fields_by_name.items():
            self._fields.setdefault(name, field)
        if "parent" in descriptor.fields_by_name:
            self._inherit(descriptor.fields_by_name["parent"].message_type)

    def __getattr__(self, name: str) -> Any:
        field = self._fields.get(name)
        if field is None:
            raise AttributeError(f"{self.kind} has no field {name}")
        values = [value for part in self._raw.get(name, ()) for value in _values(field, *part)]
        answer = (
            values
            if field.is_repeated
            else values[-1]
            if values
            else None
            if field.message_type
            else _default(field)
        )
        self.__dict__[name] = answer
        return answer

    def __contains__(self, name: str) -> bool:
        """Return whether a field is set, and not to an empty message, which the analyzer writes."""
        return any(value for _, value in self._raw.get(name, ()))

    def part(self, name: str) -> ResolvedNode | None:
        """Return the node in a field of this node, or None if the field is unset."""
        return getattr(self, name) if name in self._fields and name in self else None

    def walk(self) -> Iterator[ResolvedNode]:
        """Yield this node and all nodes below it in the tree."""
        waiting: list[ResolvedNode] = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.children())

    def children(self) -> Iterator[ResolvedNode]:
        """Yield the nodes directly below this one."""
        for name in self._raw:
            value = getattr(self, name)
            yield from (
                child
                for child in (value if isinstance(value, list) else (value,))
                if isinstance(child, ResolvedNode)
            )


def statement(answer: bytes) -> ResolvedNode:
    """Return the root node of the statement in a serialized AnalyzeResponse."""
    from zetasql.wasi._pb2.zetasql.local_service.local_service_pb2 import AnalyzeResponse

    return _member(answer, AnalyzeResponse.DESCRIPTOR, "resolved_statement")


def script(answer: bytes) -> ResolvedNode:
    """Return the root node of the script in a serialized ParseResponse."""
    from zetasql.wasi._pb2.zetasql.local_service.local_service_pb2 import ParseResponse

    return _member(answer, ParseResponse.DESCRIPTOR, "parsed_script")


def _member(answer: bytes, descriptor: Any, name: str) -> ResolvedNode:
    """Return the root node in the field `name` of the analyzer's serialized answer."""
    fields = descriptor.fields_by_number
    for number, _, value in _wire(answer):
        if fields[number].name == name:
            return ResolvedNode(value, fields[number].message_type)
    raise BigQueryError("internalError", f"GoogleSQL answered without {name}")


@cache
def _node_kind(name: str) -> str:
    """Return the kind of node that a message name means: table_scan for ResolvedTableScanProto."""
    words = name.removeprefix("Resolved").removeprefix("AST").removesuffix("Proto")
    return "".join(
        f"_{c.lower()}" if c.isupper() and i and not words[i - 1].isupper() else c.lower()
        for i, c in enumerate(words)
    )


def _values(field: Any, kind: int, value: Any) -> Iterator[Any]:
    """Yield the decoded values of a field, nodes, messages or scalars, from its wire form.

    `kind` is the wire type; a packed field has several values.
    """
    if field.message_type is not None:
        if (
            field.message_type.name.endswith("Proto")
            and field.message_type.name not in _LEAVES
            and _is_tree_node(field.message_type)
        ):
            yield ResolvedNode(value, field.message_type)
        else:
            yield _message_class(field.message_type).FromString(value)
    elif kind == _BYTES and field.type not in (field.TYPE_STRING, field.TYPE_BYTES):  # packed
        place = 0
        while place < len(value):
            number, place = _varint(value, place)
            yield _scalar(field, number)
    else:
        yield _scalar(field, value)


def _is_tree_node(descriptor: Any) -> bool:
    """Return whether a message type is a node of the resolved tree or the parse tree."""
    name, file = str(descriptor.name), str(descriptor.file.name)
    return file.endswith(("resolved_ast.proto", "parse_tree.proto")) or name.startswith(
        ("AnyResolved", "Resolved")
    )


@cache
def _message_class(descriptor: Any) -> Any:
    """Return the Python class for a protobuf message descriptor, cached."""
    from google.protobuf.message_factory import GetMessageClass

    return GetMessageClass(descriptor)


def _scalar(field: Any, value: Any) -> Any:
    """Convert a scalar read from the wire to the field's type."""
    if field.type == field.TYPE_BOOL:
        return bool(value)
    if field.type == field.TYPE_STRING:
        return value.decode()
    if field.type in (field.TYPE_INT32, field.TYPE_INT64) and value >= 1 << 63:
        return value - (1 << 64)
    return value


def _default(field: Any) -> Any:
    """Return the default value of a scalar protobuf field."""
    return {field.TYPE_BOOL: False, field.TYPE_STRING: "", field.TYPE_BYTES: b""}.get(field.type, 0)


def _wire(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Yield field number, wire type and raw value of each field of a serialized message."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        kind = tag & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            yield tag >> 3, kind, value
            continue
        size = {_EIGHT: 8, _FOUR: 4}.get(kind)
        if size is None:
            size, place = _varint(data, place)
        yield tag >> 3, kind, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Decode the varint at `place` in bytes; return it, and the position after it."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
