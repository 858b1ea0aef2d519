"""Check that a table of the warehouse is as the project declares it."""

from __future__ import annotations

from ...errors import NotFound
from ...feature_store.port import TableSpec
from ...target import Target


def require_table(target: Target, table: TableSpec) -> None:
    """Raise NotFound if a warehouse table, or one of its columns, was not created by `apply`."""
    state = target.warehouse.observe(table.name)
    lacks = {c.name for c in table.columns} - ({c.name for c in state.columns} if state else set())
    if lacks:
        what = (
            f"has no table {table.name}"
            if state is None
            else f"has no {', '.join(sorted(lacks))} in {table.name}"
        )
        raise NotFound(f"{target.name} {what}", remedy="isthmus apply")
