"""CSV, with the options of a load job [docs: bigquery/docs/loading-data-cloud-storage-csv]."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..data import decode
from ..data.types import SchemaField
from ..errors import BigQueryError, invalid, not_run
from . import schema_detection
from .json_files import table_of, unzipped

_DETECTED = 500  # rows from which a schema is made
_ENCODINGS = {
    "UTF-8": "utf-8-sig",
    "ISO-8859-1": "latin-1",
    "UTF-16BE": "utf-16-be",
    "UTF-16LE": "utf-16-le",
}


def read(
    content: bytes, schema: tuple[SchemaField, ...] | None, configuration: Mapping[str, Any]
) -> tuple[tuple[SchemaField, ...], Any, list[BigQueryError]]:
    """Parse a CSV file; return its columns, its rows as an Arrow table, and bad rows' errors.

    `configuration` is the load job's. Without a schema the columns are detected.
    """
    lines = _lines(content, configuration)
    one_column = schema is not None and len(schema) == 1
    lines = [
        line or [""] for line in lines if line or one_column
    ]  # an empty line is a NULL where there is one column
    skip = int(configuration.get("skipLeadingRows") or 0)
    if schema is None:
        if not configuration.get("autodetect"):
            raise invalid("No schema specified on job or table.")
        schema, has_header = _detect_columns(lines, skip)
        lines = lines[max(skip, int(has_header)) :]
    else:
        lines = lines[skip:]
    nulls = set(configuration.get("nullMarkers") or ()) | {configuration.get("nullMarker", "")}
    rows, wrong = [], list[BigQueryError]()
    for number, line in enumerate(lines, skip + 1):
        try:
            rows.append(_row(line, schema, nulls, configuration))
        except decode.WrongValue as error:
            wrong.append(
                invalid(
                    f"CSV processing encountered too many errors, giving up. Row {number}: {error}"
                )
            )
    return schema, table_of(rows, schema), wrong


def _lines(content: bytes, configuration: Mapping[str, Any]) -> list[list[str]]:
    """Split the bytes of a CSV file into rows of texts, by the load job's CSV options."""
    encoding = configuration.get("encoding") or "UTF-8"
    if encoding not in _ENCODINGS:
        raise not_run(f"encoding {encoding}")
    delimiter = {"tab": "\t", "\\t": "\t"}.get(
        configuration.get("fieldDelimiter") or ",", configuration.get("fieldDelimiter") or ","
    )
    quote = configuration.get("quote", '"')
    try:
        text = unzipped(content).decode(_ENCODINGS[encoding])
    except UnicodeDecodeError as error:
        raise invalid(
            f"Error while reading data, error message: the file is not {encoding}: {error}"
        ) from error
    quoting = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE, "quotechar": None}
    csv.field_size_limit(100 << 20)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, **quoting))


def _row(
    line: Sequence[str],
    fields: Sequence[SchemaField],
    nulls: set[str],
    configuration: Mapping[str, Any],
) -> dict[str, Any]:
    """Convert a CSV line to a row's values by column name.

    `nulls` are the texts that stand for NULL; `configuration` is the load job's.
    """
    if len(line) > len(fields) and not configuration.get("ignoreUnknownValues"):
        raise decode.WrongValue(
            "",
            f"Too many values in line. Found {len(line)} column(s) while expected {len(fields)}.",
        )
    if len(line) < len(fields) and not configuration.get("allowJaggedRows"):
        raise decode.WrongValue(
            "", f"Too few values in line. Found {len(line)} column(s) while expected {len(fields)}."
        )
    values = [*line, *[None] * (len(fields) - len(line))]
    return {
        field.name: decode.column(_value(value, field, nulls), field)
        for field, value in zip(fields, values, strict=False)
    }


def _value(text: str | None, field: SchemaField, nulls: set[str]) -> str | None:
    """Return the text of a CSV cell, or None if it is one of `nulls`, the texts that mean NULL.

    An empty text of a STRING column stays an empty text.
    """
    if text is None or (text in nulls and (text != "" or field.type != "STRING")):
        return None
    return text


def _detect_columns(
    lines: Sequence[Sequence[str]], skip: int
) -> tuple[tuple[SchemaField, ...], bool]:
    """Detect a CSV file's columns, and return whether its first row holds their names.

    The first row does so if all of it is text and a row below is not. `skip` rows come before it.
    """
    if not lines:
        raise invalid("No schema could be detected: the file is empty")
    first, sample = lines[max(skip - 1, 0)], lines[max(skip, 1) : _DETECTED]
    kinds = [
        _detected_type([line[i] for line in sample if len(line) > i and line[i]])
        for i in range(len(first))
    ]
    header = skip > 0 or (
        all(schema_detection.text_type(word) == "STRING" for word in first)
        and (any(kind != "STRING" for kind in kinds))
    )
    if not header:
        kinds = [
            schema_detection.common_type([kind, schema_detection.text_type(word)]) if word else kind
            for kind, word in zip(kinds, first, strict=True)
        ]
    names = [
        _column_name(word, i) if header else f"{kinds[i].lower()}_field_{i}"
        for i, word in enumerate(first)
    ]
    return tuple(
        SchemaField(name=name, type=kind) for name, kind in zip(names, kinds, strict=True)
    ), header


def _detected_type(values: Sequence[str]) -> str:
    """Return the type that fits all values of a CSV column."""
    return (
        schema_detection.common_type(map(schema_detection.text_type, values))
        if values
        else "STRING"
    )


def _column_name(word: str, place: int) -> str:
    """Return a valid column name for a CSV header's `word`, or one made of the column's `place`."""
    name = re.sub(r"\W", "_", word.strip()) or f"field_{place}"
    return f"_{name}" if name[0].isdigit() else name
