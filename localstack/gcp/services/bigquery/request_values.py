"""Read whole numbers from the parameters of requests."""

from __future__ import annotations

from typing import Any

from .errors import BigQueryError


def whole_number(text: str, name: str) -> int:
    """Parse a request parameter that must be a whole number.

    Raises:
        BigQueryError: `invalid`, by the parameter's name.
    """
    if not text.isdigit():
        raise BigQueryError(
            "invalid", f"Invalid value at '{name}': {text!r} is not a whole number", name
        )
    return int(text)


def whole_number_or_none(value: Any, name: str) -> int | None:
    """Parse a request parameter that is a whole number, or return None if it is absent."""
    return None if value is None else whole_number(str(value), name)
