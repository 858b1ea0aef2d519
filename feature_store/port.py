"""Warehouse and OnlineStore.

Data crosses as `pyarrow.Table`, every timestamp UTC in milliseconds without a zone in the type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from ..events.port import Column
from ..storage import Phase

if TYPE_CHECKING:
    import pyarrow as pa

Params = Mapping[str, object]


class TableSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A table partitioned by `dt` (STRING, the UTC date of `time_column`), or a view when
    `view_sql` is given.
    """

    name: str
    columns: tuple[Column, ...]  # without dt; of a view: empty, they follow from the SQL
    time_column: str
    view_sql: str | None = None


class TableState(msgspec.Struct, frozen=True, kw_only=True):
    columns: tuple[Column, ...]
    rows: (
        int | None
    )  # stored; None: of a view, or only a query could tell (a cloud's table of many files)
    size: int | None = (
        # bytes of its files, where reading them is paid for; None of a view, and where nothing is
        None
    )


class SqlProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What a target cannot say. PORTS.md calls it Problem; errors.Problem is about files."""

    line: int
    what: str
    why: str


class OnlineViewSpec(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    history: str  # the Warehouse table: entity_key, event_timestamp, created_timestamp, features
    features: tuple[Column, ...]
    ttl: timedelta | None  # enforced by the room on read, nowhere else


class OnlineViewState(msgspec.Struct, frozen=True, kw_only=True):
    phase: Phase
    columns: tuple[Column, ...]


class SyncReport(msgspec.Struct, frozen=True, kw_only=True):
    rows: int
    until: datetime


class Warehouse(Protocol):
    """Append-only tables, and SQL in our subset of DuckDB's.

    A batch is written once, whoever repeats it.
    """

    def apply(self, table: TableSpec) -> None:
        """Create, or add columns. Invalid: drop, rename, narrowing."""
        ...

    def observe(self, table: str) -> TableState | None:
        """Columns, and rows and bytes where they cost no query (TableState); None: there is no such
        table or view.
        """
        ...

    def append(self, table: str, data: pa.Table, *, batch: str) -> None:
        """Blocking. The same batch again changes nothing."""
        ...

    def save(self, table: str, sql: str, params: Params, *, batch: str) -> None:
        """Blocking. Append a query's rows without their leaving the warehouse."""
        ...

    def query(self, sql: str, params: Params) -> pa.Table:
        """Blocking. Invalid with the position. `$name` parameters. Row order only by ORDER BY."""
        ...

    def check(self, sql: str) -> tuple[SqlProblem, ...]:
        """Pure, offline: what this target cannot say."""
        ...


class OnlineStore(Protocol):
    """The latest row per entity of a history table, for reads of milliseconds.

    A projection: it can always be rebuilt.
    """

    def apply(self, view: OnlineViewSpec) -> None:
        """Over a history table that is there: BigQuery makes no view of one that is not."""
        ...

    def observe(self, view: str) -> OnlineViewState | None:
        """How far its making is, and the features that it serves; None: there is no such view."""
        ...

    def sync(self, view: OnlineViewSpec, *, since: datetime | None, until: datetime) -> SyncReport:
        """Blocking, resumable.

        Afterwards `get` serves for every entity the row that history held at `until`, or a later
        sync's.
        """
        ...

    def get(
        self, keys: Mapping[str, Sequence[str]]
    ) -> Mapping[str, list[dict[str, object] | None]]:
        """By view, one row per key of it, in order, duplicates kept; None where the store has none.

        One round trip where the cloud can.

        A row has feature_timestamp (the history row's event_timestamp) and the view's features;
        timestamps are aware UTC datetimes.
        """
        ...
