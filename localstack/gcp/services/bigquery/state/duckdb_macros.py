"""Macros of DuckDB for functions of BigQuery that one expression would not do.

They are installed once for a stack.
"""

from __future__ import annotations

MACROS: tuple[str, ...] = (
    "CREATE MACRO floor_div_(a, b) AS CASE WHEN a % b < 0 THEN a // b - 1 ELSE a // b END",
    "CREATE MACRO make_timestamptz_(micros) AS make_timestamp(micros) AT TIME ZONE 'UTC'",
)
