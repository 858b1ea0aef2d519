"""Rows as Athena writes them: text for each type, CSV quoted throughout, and the .metadata file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import time
from typing import Any

from ..formats import types
from ..tables.result import Result, text

Row = list[str | None]


def texts(result: Result) -> list[Row]:
    """Return every row of a result, each cell as the text that Athena shows; None is NULL."""
    columns = [
        [text(value) for value in _values(result, index)] for index in range(len(result.names))
    ]
    return [list(row) for row in zip(*columns, strict=True)] if columns else []


def _values(result: Result, index: int) -> list[Any]:
    """Return the values of one column of a result, prepared for their text form.

    A real is the shortest number that is that real, as Java prints it; a time(n) has n digits.
    """
    values: list[Any] = result.rows.column(index).to_pylist()
    if result.types[index].startswith("TIME("):
        return [
            value if value is None else _time(value, int(result.types[index][5:-1]))
            for value in values
        ]
    if result.types[index] != "FLOAT":
        return values
    import numpy as np

    return [None if value is None else float(str(np.float32(value))) for value in values]


def _time(value: time, digits: int) -> str:
    """Return a time as text with this number of fractional digits."""
    fraction = f"{value.microsecond:06d}"[:digits]
    return f"{value:%H:%M:%S}.{fraction}" if digits else f"{value:%H:%M:%S}"


def csv(result: Result, rows: list[Row]) -> bytes:
    """Return a query's result as the bytes of the CSV file that Athena writes."""
    lines = [",".join(_quoted(name) for name in result.names)]
    lines += [",".join("" if cell is None else _quoted(cell) for cell in row) for row in rows]
    return ("\n".join(lines) + "\n").encode()


def _quoted(cell: str) -> str:
    """Return a CSV cell in quotation marks."""
    return '"' + cell.replace('"', '""') + '"'


def columns(result: Result) -> list[dict[str, Any]]:
    """Return the result's columns as GetQueryResults describes them (ColumnInfo)."""
    infos = []
    for name, kind in zip(result.names, result.types, strict=True):
        precision, scale = types.precision(kind)
        infos.append(
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
                "CaseSensitive": types.athena(kind) in ("varchar", "char"),
            }
        )
    return infos


def metadata(information: list[dict[str, Any]]) -> bytes:
    """Return the bytes of the .metadata file beside a result's CSV file.

    `information` describes the columns. The real file is in a binary form that AWS does not
    document; readers only look whether it exists.
    """
    return json.dumps({"ColumnInfo": information}).encode()


def page(
    rows: list[Row], header: Row | None, start: int, size: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return one page of rows in the form of GetQueryResults, and the next token.

    The page begins at row `start`, and has `size` rows. The header, if there is one, counts as the
    first row.
    """
    every: Iterator[Row] | list[Row] = [header, *rows] if header is not None else rows
    some = list(every)[start : start + size]
    result_rows = [
        {"Data": [{"VarCharValue": cell} if cell is not None else {} for cell in row]}
        for row in some
    ]
    total = len(rows) + (header is not None)
    return result_rows, str(start + size) if start + size < total else None
