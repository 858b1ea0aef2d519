"""Parameters' values: their types, and how a value looks inside a word of a command. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .spec import Kind


class WrongType(Exception):
    """A value that is not of its parameter's type."""


def typed(value: Any, kind: Kind) -> Any:
    """The value in Python's type for `kind`.

    A whole number is an integer: protobuf has one kind of number. WrongType.
    """
    if value is None or kind not in _MAKE:
        return value
    if isinstance(value, bool) != (kind == "BOOLEAN") or not isinstance(value, _TAKES[kind]):
        raise WrongType(f"{value!r} is not of type {kind}.")
    if kind == "NUMBER_INTEGER" and isinstance(value, float) and not value.is_integer():
        raise WrongType(f"{value!r} is not of type {kind}.")
    return _MAKE[kind](value)


_TAKES: Mapping[str, tuple[type, ...]] = {
    "NUMBER_DOUBLE": (int, float),
    "NUMBER_INTEGER": (int, float),
    "STRING": (str,),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}
_MAKE: Mapping[str, Callable[[Any], Any]] = {
    "NUMBER_DOUBLE": float,
    "NUMBER_INTEGER": int,
    "STRING": str,
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}


def coerced(value: Any, kind: Kind) -> Any:
    """A value that one task hands to another: what is no string becomes JSON where one is declared,
    and the other way round. WrongType.

    kfp declares the items of a plain `list` as strings, whatever they are.
    """
    if kind == "STRING":
        return value if value is None else text(value)
    return (
        output_value(value, kind)
        if isinstance(value, str) and kind in _MAKE
        else typed(value, kind)
    )


def text(value: Any) -> str:
    """A value as a part of a word: a string as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def output_value(content: str, kind: Kind) -> Any:
    """The value that a container wrote to an output file. WrongType when it is none of `kind`."""
    if kind == "STRING":
        return content
    try:
        value = json.loads(content.lower() if kind == "BOOLEAN" else content)
    except ValueError as error:
        raise WrongType(f"{content[:100]!r} is not of type {kind}.") from error
    return typed(value, kind)
