"""The five column types as AWS's services spell them.

Athena says them as the neutral subset does (events/tables/column_types.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from ...events.port import ColumnType

GLUE: Mapping[ColumnType, str] = {
    "bool": "boolean",
    "int64": "bigint",
    "float64": "double",
    "string": "string",
    "timestamp": "timestamp",
}
FEATURE_STORE: Mapping[ColumnType, str] = {
    "bool": "String",
    "int64": "Integral",
    "float64": "Fractional",
    "string": "String",
    "timestamp": "Integral",  # milliseconds since 1970
}
