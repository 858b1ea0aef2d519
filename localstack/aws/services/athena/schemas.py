"""Tables as queries see them: their columns, place, format and parameters."""

from __future__ import annotations

from typing import Any

import msgspec


class Column(msgspec.Struct, frozen=True):
    """A column of a table, with its type in Hive's words."""

    name: str
    type: str  # Hive's


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the Glue catalogue."""

    database: str
    name: str
    columns: tuple[Column, ...]
    partitions: tuple[Column, ...]
    location: str
    serde: str
    serde_parameters: dict[str, str]
    parameters: dict[str, str]
    input: dict[str, Any]  # what Glue gave
    view: str | None = None  # a view's SQL

    @property
    def every(self) -> tuple[Column, ...]:
        """All columns, the partitions' last."""
        return (*self.columns, *self.partitions)
