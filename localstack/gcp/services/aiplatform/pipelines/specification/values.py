"""Values of parameters: their types, and their text inside a word of a command. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .spec import Kind


class WrongType(Exception):
    """A value that is not of its parameter's type."""


def typed(value: Any, kind: Kind) -> Any:
    """Return a parameter's value in the Python type of its declared `kind`.

    A whole number is an integer, as protobuf has one kind of number.

    Raises:
        WrongType: The value is not of that kind.
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
    """Return a task's output converted to the type `kind` that another task's input declares.

    Raises WrongType if it cannot be. A value becomes JSON text for a string, and JSON text becomes
    a value otherwise; kfp declares the items of a plain `list` as strings.
    """
    if kind == "STRING":
        return value if value is None else text(value)
    return (
        output_value(value, kind)
        if isinstance(value, str) and kind in _MAKE
        else typed(value, kind)
    )


def text(value: Any) -> str:
    """Return a value as text: a string unchanged, others as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def output_value(content: str, kind: Kind) -> Any:
    """Parse an output parameter's value from the content of the file a container wrote.

    Raises:
        WrongType: The file's content is none of `kind`.
    """
    if kind == "STRING":
        return content
    try:
        value = json.loads(content.lower() if kind == "BOOLEAN" else content)
    except ValueError as error:
        raise WrongType(f"{content[:100]!r} is not of type {kind}.") from error
    return typed(value, kind)
