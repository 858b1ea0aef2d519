"""Write rows as the REST API answers them: `{"f": [{"v": ...}]}`, every value as text."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .bignumeric import number
from .types import SchemaField

if TYPE_CHECKING:
    import pyarrow as pa

FLOAT, MICROSECONDS, ISO = (
    "FLOAT64",
    "INT64",
    "ISO8601_STRING",
)  # how a timestamp is written (formatOptions)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017  a name of its own beside `time`
_MICROSECOND = timedelta(microseconds=1)


def rows(
    table: pa.Table, fields: Sequence[SchemaField], timestamps: str = FLOAT
) -> list[dict[str, Any]]:
    """Return an Arrow table's rows in the REST API's form, {"f": [{"v": value}, ...]}.

    `timestamps` is the format of TIMESTAMP values.
    """
    columns = [_cells(table.column(index), field, timestamps) for index, field in enumerate(fields)]
    return (
        [{"f": list(cells)} for cells in zip(*columns, strict=True)]
        if columns
        else [{"f": []} for _ in range(table.num_rows)]
    )


def _cells(
    column: pa.ChunkedArray[Any], field: SchemaField, timestamps: str
) -> list[dict[str, Any]]:
    """Return a column's values as REST cells; `timestamps` is the format of TIMESTAMP values."""
    write = _writer(field, timestamps)
    return [{"v": write(value)} for value in column.to_pylist()]


def _writer(field: SchemaField, timestamps: str) -> Callable[[Any], Any]:
    """Return a function that converts a column's Python value to its JSON in REST rows.

    `timestamps` is the format of TIMESTAMP values.
    """
    element = _element_writer(field, timestamps)
    if field.repeated:
        return lambda values: [
            {"v": None if value is None else element(value)} for value in values or ()
        ]
    return lambda value: None if value is None else element(value)


def _element_writer(field: SchemaField, timestamps: str) -> Callable[[Any], Any]:
    """Return a function that converts one non-null element of a column to its REST JSON.

    `timestamps` is the format of TIMESTAMP values.
    """
    if field.type == "RECORD":
        members = [(child.name, _writer(child, timestamps)) for child in field.fields]
        return lambda value: {"f": [{"v": write(value[name])} for name, write in members]}
    if field.type == "RANGE":
        bound = _element_writer(field.fields[0], timestamps)
        return lambda value: (
            "["
            + ", ".join(
                "UNBOUNDED" if value[end] is None else bound(value[end]) for end in ("start", "end")
            )
            + ")"
        )
    if field.type == "TIMESTAMP":
        return {FLOAT: _seconds, MICROSECONDS: lambda value: str(microseconds(value)), ISO: _iso}[
            timestamps
        ]
    return _WRITERS[field.type]


def microseconds(value: datetime) -> int:
    """Return a time as microseconds since 1970, exactly."""
    aware = value if value.tzinfo else value.replace(tzinfo=_EPOCH.tzinfo)
    return (aware - _EPOCH) // _MICROSECOND


def _seconds(value: datetime) -> str:
    """Return a time as seconds since 1970, in Java's notation of a double: 1.7E9."""
    return float_text(microseconds(value) / 1e6)


def _iso(value: datetime) -> str:
    """Return a time as ISO 8601 text with Z."""
    return f"{datetime_text(value.astimezone(_EPOCH.tzinfo))}Z"


def float_text(value: float) -> str:
    """Return a FLOAT as text, in Java's notation of a double."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    mantissa, _, exponent = f"{value!r}".partition("e")
    if not exponent:
        digits = Decimal(repr(value)).normalize().as_tuple()
        figures = "".join(map(str, digits.digits))
        power = len(figures) + int(digits.exponent) - 1
        return f"{'-' if digits.sign else ''}{figures[0]}.{figures[1:] or '0'}E{power}"
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}E{int(exponent)}"


def decimal_text(value: Decimal) -> str:
    """Return a decimal as text, without an exponent or trailing zeros."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def datetime_text(value: datetime) -> str:
    """Return a DATETIME as text in BigQuery's format."""
    return value.replace(tzinfo=None).isoformat()


def _time_text(value: time) -> str:
    """Return a TIME as text in BigQuery's format."""
    return value.isoformat()


def _date_text(value: date) -> str:
    """Return a DATE as text, YYYY-MM-DD."""
    return value.isoformat()


def _json_text(value: Any) -> str:
    """Return a JSON column's value as compact JSON text."""
    return (
        value
        if isinstance(value, str)
        else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    )


def interval_text(value: dict[str, int]) -> str:
    """Return an INTERVAL as text, `Y-M D H:M:S`."""
    years, months = divmod(abs(value["months"]), 12)
    seconds, fraction = divmod(abs(value["micros"]), 1_000_000)
    clock = f"{seconds // 3600}:{seconds // 60 % 60}:{seconds % 60}" + (
        f".{fraction:06d}" if fraction else ""
    )
    return (
        f"{'-' if value['months'] < 0 else ''}{years}-{months} {value['days']} "
        f"{'-' if value['micros'] < 0 else ''}{clock}"
    )


_WRITERS: dict[str, Callable[[Any], Any]] = {
    "INTEGER": str,
    "FLOAT": float_text,
    "BOOLEAN": lambda value: "true" if value else "false",
    "STRING": str,
    "GEOGRAPHY": str,
    "BYTES": lambda value: base64.b64encode(value).decode(),
    "NUMERIC": decimal_text,
    "BIGNUMERIC": lambda value: decimal_text(
        number(value["bignumeric"]) if isinstance(value, dict) else value
    ),
    "DATE": _date_text,
    "DATETIME": datetime_text,
    "TIME": _time_text,
    "JSON": _json_text,
    "INTERVAL": interval_text,
}
