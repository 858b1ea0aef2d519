"""The five column types as BigQuery spells them."""

from __future__ import annotations

from collections.abc import Mapping

from ...events.port import ColumnType

BIGQUERY: Mapping[ColumnType, str] = {
    "bool": "BOOL",
    "int64": "INT64",
    "float64": "FLOAT64",
    "string": "STRING",
    "timestamp": "TIMESTAMP",
}
