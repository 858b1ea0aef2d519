"""A query's result: rows with DuckDB's types, and a value of them as text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime, time
from decimal import Decimal
from typing import Any

import msgspec


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A query's rows, with the names and types of their columns."""

    names: tuple[str, ...]
    types: tuple[str, ...]  # DuckDB's
    rows: Any  # pyarrow.Table, columns by position
    scanned: int = 0  # bytes
    read_rows: int = 0


def text(value: object) -> str | None:
    """Return a value as the text that Athena shows, in results and in their file. None: NULL."""
    if value is None or isinstance(value, str):
        return value
    write = _TEXTS.get(type(value)) or next(
        (write for kind, write in _TEXTS.items() if isinstance(value, kind)), _other
    )
    return write(value)


def _moment(value: datetime) -> str:
    """Return a timestamp as the text that Athena shows."""
    moment = f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}"
    return f"{moment} UTC" if value.tzinfo else moment


def _row(value: dict[object, object]) -> str:
    """Return a row or a map as the text that Athena shows."""
    return "{" + ", ".join(f"{_field(key)}={_inner(inner)}" for key, inner in value.items()) + "}"


def _list(value: list[Any]) -> str:
    """Return a list, or a map as pairs, as the text that Athena shows."""
    if value and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):  # a map
        return _row(dict(value))
    return "[" + ", ".join(map(_inner, value)) + "]"


def _other(value: object) -> str:
    # pyarrow's MonthDayNano
    """Return a value of any other type as the text that Athena shows."""
    return _interval(value) if hasattr(value, "nanoseconds") else str(value)


def _inner(value: object) -> str:
    """Return a value nested in another one as the text that Athena shows."""
    written = text(value)
    return "null" if written is None else written


def _interval(value: Any) -> str:
    """Return an interval as Trino prints INTERVAL YEAR TO MONTH and INTERVAL DAY TO SECOND."""
    if value.months:
        years, months = divmod(abs(value.months), 12)
        return f"{'-' if value.months < 0 else ''}{years}-{months}"
    total = value.days * 86_400_000 + value.nanoseconds // 1_000_000
    days, rest = divmod(abs(total), 86_400_000)
    hours, minutes, millis = rest // 3_600_000, rest // 60_000 % 60, rest % 60_000
    return (
        f"{'-' if total < 0 else ''}{days} "
        f"{hours:02d}:{minutes:02d}:{millis // 1000:02d}.{millis % 1000:03d}"
    )


def _field(name: object) -> object:
    """Return the name of a row's field.

    A row without names has field0, field1, ... in Athena; DuckDB says element1, element2.
    """
    match = re.fullmatch(r"element(\d+)", name) if isinstance(name, str) else None
    return f"field{int(match.group(1)) - 1}" if match else name


def _double(value: float) -> str:
    """Return a double as Java's Double.toString prints it: 1.0, 1.0E10, NaN, Infinity."""
    if math.isnan(value):
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if str(value).startswith("-") else "0.0"
    if 1e-3 <= abs(value) < 1e7:
        plain = repr(value)
        return plain if "e" not in plain and "." in plain else f"{value:.1f}"
    mantissa, _, exponent = f"{Decimal(repr(value)).normalize():E}".partition("E")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"


_TEXTS: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _double,
    Decimal: lambda value: format(value, "f"),
    datetime: _moment,
    time: lambda value: f"{value:%H:%M:%S}.{value.microsecond // 1000:03d}",
    bytes: lambda value: " ".join(f"{byte:02x}" for byte in value),
    dict: _row,
    list: _list,
}
