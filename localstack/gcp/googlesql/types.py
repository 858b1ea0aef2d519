"""Convert GoogleSQL's types between text (`ARRAY<STRUCT<a INT64, b STRING>>`) and message."""

from __future__ import annotations

import re
from typing import Any

_KINDS = {
    "INT64": 2,
    "BOOL": 5,
    "FLOAT64": 7,
    "STRING": 8,
    "BYTES": 9,
    "DATE": 10,
    "TIMESTAMP": 19,
    "TIME": 20,
    "DATETIME": 21,
    "GEOGRAPHY": 22,
    "NUMERIC": 23,
    "BIGNUMERIC": 24,
    "JSON": 26,
    "INTERVAL": 27,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_ARRAY, _STRUCT, _RANGE = 16, 17, 29
_TOKEN = re.compile(
    r"\s*(<|>|,|`[^`]*`|\w+(?:\s*\([^)]*\))?)"
)  # a type's parameters, as in NUMERIC(10, 2), are not part of it


def encoded(text: str) -> Any:
    """Parse a type's text, such as ARRAY<INT64>, into a TypeProto; raise ValueError otherwise."""
    tokens = _TOKEN.findall(text)
    if "".join(tokens).replace(" ", "") != re.sub(r"\s", "", text):
        raise ValueError(f"{text!r} is not a type of GoogleSQL")
    message = _parse(tokens, text)
    if tokens:
        raise ValueError(f"{text!r} is not a type of GoogleSQL: {tokens[0]!r} is too much")
    return message


def text_of(message: Any) -> str:
    """Return the text of a TypeProto as GoogleSQL writes it, such as ARRAY<INT64>."""
    kind = message.type_kind
    if kind == _ARRAY:
        return f"ARRAY<{text_of(message.array_type.element_type)}>"
    if kind == _RANGE:
        return f"RANGE<{text_of(message.range_type.element_type)}>"
    if kind == _STRUCT:
        fields = (f"{f.field_name} {text_of(f.field_type)}" for f in message.struct_type.field)
        return f"STRUCT<{', '.join(map(str.strip, fields))}>"
    if kind not in _NAMES:
        raise ValueError(f"a type of kind {kind} is not known here")
    return _NAMES[kind]


def _parse(tokens: list[str], text: str) -> Any:
    """Parse one type from a list of tokens, and return its TypeProto.

    The tokens that it read are removed from the list; `text` is the whole type, for the error.
    """
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

    name = tokens.pop(0).partition("(")[0].strip().upper() if tokens else ""
    message: Any = TypeProto()
    if name in _KINDS:
        message.type_kind = _KINDS[name]
    elif name in ("ARRAY", "RANGE"):
        _expect(tokens, "<", text)
        message.type_kind = _ARRAY if name == "ARRAY" else _RANGE
        inner = message.array_type if name == "ARRAY" else message.range_type
        inner.element_type.CopyFrom(_parse(tokens, text))
        _expect(tokens, ">", text)
    elif name == "STRUCT":
        _expect(tokens, "<", text)
        message.type_kind = _STRUCT
        message.struct_type.SetInParent()
        while tokens and tokens[0] != ">":
            field = message.struct_type.field.add()
            if len(tokens) > 1 and tokens[1] not in ("<", ">", ","):
                field.field_name = tokens.pop(0).strip("`")
            field.field_type.CopyFrom(_parse(tokens, text))
            if tokens and tokens[0] == ",":
                tokens.pop(0)
        _expect(tokens, ">", text)
    else:
        raise ValueError(f"{text!r} is not a type of GoogleSQL: there is no {name or 'name'!r}")
    return message


def _expect(tokens: list[str], token: str, text: str) -> None:
    """Remove the first token, which must be `token`; raise ValueError with `text` otherwise."""
    if not tokens or tokens.pop(0) != token:
        raise ValueError(f"{text!r} is not a type of GoogleSQL: a {token} is missing")
