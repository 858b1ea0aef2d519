"""Tables as queries see them: their columns, place, format and parameters."""

from __future__ import annotations

from typing import Any

import msgspec


class Column(msgspec.Struct, frozen=True):
    name: str
    type: str  # Hive's


class Table(msgspec.Struct, frozen=True, kw_only=True):
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
        return (*self.columns, *self.partitions)
