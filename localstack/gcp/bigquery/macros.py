"""What BigQuery's functions are in DuckDB, where a word of its own would not do. Installed once for a stack."""

from __future__ import annotations

MACROS: tuple[str, ...] = ()
