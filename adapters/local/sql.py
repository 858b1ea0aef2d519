"""The neutral subset is DuckDB's own dialect: nothing to add, nothing to render."""

from __future__ import annotations

from ...feature_store.sql.subset import Rendered, check

__all__ = ["check", "render"]


def render(sql: str) -> Rendered:
    return Rendered(sql=sql, windows_rewritten=0)
