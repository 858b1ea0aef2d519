"""The laptop's SQL dialect: the neutral subset is DuckDB's own, so nothing is rewritten.

The functions that mean something else in it are macros there (adapters/common/warehouse).
"""

from __future__ import annotations

from ...feature_store.port import Rendered
from ...feature_store.sql.subset import check

__all__ = ["check", "render"]


def render(sql: str) -> Rendered:
    """Return SQL that all targets share unchanged, as DuckDB runs it."""
    return Rendered(sql=sql, windows_rewritten=0)
