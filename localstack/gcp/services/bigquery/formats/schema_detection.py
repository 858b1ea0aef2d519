"""Detect schemas by what values look like (`autodetect`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..data import decode
from ..data.types import SchemaField
from ..errors import invalid

_INTEGER = re.compile(r"[+-]?\d{1,18}")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"\d{1,2}:\d{2}:\d{2}(\.\d{1,6})?")
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[ T]\d{1,2}:\d{2}:\d{2}(\.\d+)?( ?(Z|UTC|[+-]\d{1,2}(:?\d{2})?))?"
)


def text_type(text: str) -> str:
    """Return the BigQuery type that a text from a CSV file looks like, such as INTEGER."""
    words = text.strip()
    if words.lower() in ("true", "false"):
        return "BOOLEAN"
    for kind, pattern in (
        ("INTEGER", _INTEGER),
        ("FLOAT", _FLOAT),
        ("DATE", _DATE),
        ("TIME", _TIME),
    ):
        if pattern.fullmatch(words):
            return kind
    match = _MOMENT.fullmatch(words)
    if match:
        try:
            decode.timestamp_of(words)
        except ValueError:
            return "STRING"
        return "TIMESTAMP" if match.group(2) else "DATETIME" if "T" in words else "TIMESTAMP"
    return "STRING"


def common_type(kinds: Iterable[str]) -> str:
    """Return the narrowest BigQuery type that holds values of all these types."""
    distinct_kinds = set(kinds)
    if len(distinct_kinds) == 1:
        return distinct_kinds.pop()
    return "FLOAT" if distinct_kinds == {"INTEGER", "FLOAT"} else "STRING"


def columns_of_objects(rows: Sequence[Any]) -> tuple[SchemaField, ...]:
    """Detect the columns of JSON objects, in the order in which members first come."""
    values: dict[str, list[Any]] = {}
    for row in rows:
        if not isinstance(row, Mapping):
            raise invalid("A row of newline-delimited JSON is an object")
        for name, value in row.items():
            values.setdefault(name, []).append(value)
    return tuple(_field(name, column) for name, column in values.items())


def _field(name: str, values: Sequence[Any]) -> SchemaField:
    """Detect the column of a JSON member from its values."""
    repeated = any(isinstance(value, list) for value in values)
    flat = [
        v
        for value in values
        for v in (value if isinstance(value, list) else [value])
        if v is not None
    ]
    mode = "REPEATED" if repeated else "NULLABLE"
    if any(isinstance(value, Mapping) for value in flat):
        return SchemaField(name=name, type="RECORD", mode=mode, fields=columns_of_objects(flat))
    return SchemaField(
        name=name, type=common_type(map(_json_type, flat)) if flat else "STRING", mode=mode
    )


def _json_type(value: Any) -> str:
    """Return the type of a JSON value for schema detection."""
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "INTEGER"
    return "FLOAT" if isinstance(value, float) else text_type(str(value))
