"""Rows as Athena writes them: text per type, CSV quoted throughout, and the .metadata beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from ..hive import types
from .engine import Result

Row = list[str | None]


def texts(result: Result) -> list[Row]:
    """Every row as text; null is None."""
    columns = [[text(value) for value in result.rows.column(index).to_pylist()] for index in range(len(result.names))]
    return [list(row) for row in zip(*columns, strict=True)] if columns else []


def text(value: object) -> str | None:  # noqa: C901, PLR0911  one line a kind
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _double(value)
    if isinstance(value, datetime):
        moment = f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}"
        return f"{moment} UTC" if value.tzinfo else moment
    if isinstance(value, bytes):
        return " ".join(f"{byte:02x}" for byte in value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_field(key)}={text(inner) if inner is not None else 'null'}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        if value and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):  # a map
            return text(dict(value))
        return "[" + ", ".join("null" if inner is None else str(text(inner)) for inner in value) + "]"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (int, date)):
        return str(value)
    return str(value)


def _field(name: object) -> object:
    """A row without names has field0, field1, ...; DuckDB says element1, element2."""
    found = re.fullmatch(r"element(\d+)", name) if isinstance(name, str) else None
    return f"field{int(found.group(1)) - 1}" if found else name


def _double(value: float) -> str:
    """As Java's Double.toString: 1.0, 1.0E10, NaN, Infinity."""
    if value != value:  # noqa: PLR0124
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


def csv(result: Result, rows: list[Row]) -> bytes:
    lines = [",".join(_quoted(name) for name in result.names)]
    lines += [",".join("" if cell is None else _quoted(cell) for cell in row) for row in rows]
    return ("\n".join(lines) + "\n").encode()


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def columns(result: Result) -> list[dict[str, Any]]:
    """ColumnInfo."""
    made = []
    for name, kind in zip(result.names, result.types, strict=True):
        precision, scale = types.precision(kind)
        made.append(
            {
                "CatalogName": "hive",
                "SchemaName": "",
                "TableName": "",
                "Name": name,
                "Label": name,
                "Type": types.athena(kind),
                "Precision": precision,
                "Scale": scale,
                "Nullable": "UNKNOWN",
                "CaseSensitive": types.athena(kind) == "varchar",
            }
        )
    return made


def metadata(information: list[dict[str, Any]]) -> bytes:
    """The real file is a binary protocol that AWS does not document; readers look only for its being there."""
    return json.dumps({"ColumnInfo": information}).encode()


def page(rows: list[Row], header: Row | None, start: int, size: int) -> tuple[list[dict[str, Any]], str | None]:
    """GetQueryResults' rows from `start` on, the header being the first of all, and the next token."""
    every: Iterator[Row] | list[Row] = [header, *rows] if header is not None else rows
    some = list(every)[start : start + size]
    made = [{"Data": [{"VarCharValue": cell} if cell is not None else {} for cell in row]} for row in some]
    total = len(rows) + (header is not None)
    return made, str(start + size) if start + size < total else None
