"""The five column types as BigQuery and the online store spell them."""

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
# of a FeatureValue; a timestamp is served as whole milliseconds
FEATURE_VALUE_FIELDS: Mapping[ColumnType, str] = {
    "bool": "bool_value",
    "int64": "int64_value",
    "float64": "double_value",
    "string": "string_value",
    "timestamp": "int64_value",
}
