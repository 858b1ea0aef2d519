"""Read newline-delimited JSON; without a schema, the first rows show the columns."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..data import arrow, decode
from ..data.types import SchemaField
from ..errors import BigQueryError, invalid
from . import schema_detection

_DETECTED = 500  # rows from which a schema is made [docs: bigquery/docs/schema-detect]


def read(
    content: bytes, schema: tuple[SchemaField, ...] | None, configuration: Mapping[str, Any]
) -> tuple[tuple[SchemaField, ...], Any, list[BigQueryError]]:
    """Parse JSON Lines; return columns, rows as an Arrow table, and the bad rows' errors.

    `configuration` is the load job's. Without a schema the columns are detected.
    """
    lines = [line for line in unzipped(content).split(b"\n") if line.strip()]
    if schema is None:
        schema = schema_detection.columns_of_objects(
            [_object(line, number) for number, line in enumerate(lines[:_DETECTED], 1)]
        )
    unknown = bool(configuration.get("ignoreUnknownValues"))
    rows, wrong = [], list[BigQueryError]()
    for number, line in enumerate(lines, 1):
        try:
            rows.append(decode.record(_object(line, number), schema, ignore_unknown=unknown))
        except decode.WrongValue as error:
            wrong.append(
                invalid(f"JSON parsing error in row starting at position {number}: {error}")
            )
        except BigQueryError as error:
            wrong.append(error)
    return schema, table_of(rows, schema), wrong


def table_of(rows: Sequence[Mapping[str, Any]], fields: Sequence[SchemaField]) -> Any:
    """Return rows (dictionaries of Python values by column) as an Arrow table for DuckDB."""
    return arrow.table({field.name: [row[field.name] for row in rows] for field in fields}, fields)


def _object(line: bytes, number: int) -> Any:
    """Parse line `number` of a JSON Lines file; raise an error that names this number."""
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(
            f"JSON table encountered too many errors, giving up. Row {number}: Parser "
            f"terminated before end of string: {error}"
        ) from error


def unzipped(content: bytes) -> bytes:
    """Return the content of a gzip file; other bytes as they are."""
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
