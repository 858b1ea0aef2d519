"""Read whole numbers from the parameters of requests."""

from __future__ import annotations

from typing import Any

from .errors import BigQueryError


def whole(text: str, name: str) -> int:
    if not text.isdigit():
        raise BigQueryError(
            "invalid", f"Invalid value at '{name}': {text!r} is not a whole number", name
        )
    return int(text)


def whole_or_none(value: Any, name: str) -> int | None:
    return None if value is None else whole(str(value), name)
