"""The ports Warehouse and OnlineStore.

Data crosses as `pyarrow.Table`, every timestamp UTC in milliseconds without a zone in the type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from ..events.port import Column
from ..storage import Phase

if TYPE_CHECKING:
    import pyarrow as pa

Params = Mapping[str, object]
RowSink = Callable[[Iterator["pa.Table"]], None]  # takes a query's rows, some at a time


class TableSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A table partitioned by `dt`, or a view if `view_sql` is given.

    `dt` is a string: the UTC date of `time_column`.
    """

    name: str
    columns: tuple[Column, ...]  # without dt; of a view: empty, they follow from the SQL
    time_column: str
    view_sql: str | None = None


class TableState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a table or view: its columns, and its rows and bytes if they cost no query."""

    columns: tuple[Column, ...]
    rows: (
        int | None
    )  # stored; None: of a view, or only a query could tell (a cloud's table of many files)
    size: int | None = (
        # bytes of its files, where reading them is paid for; None of a view, and where nothing is
        None
    )


class SqlProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A construct in SQL that a target has not.

    PORTS.md calls it Problem; errors.Problem is about files.
    """

    line: int
    what: str
    why: str


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """SQL in a target's own words."""

    sql: str
    windows_rewritten: int  # windows whose RANGE had to be said in other terms than the author's


class OnlineViewSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A view to serve online: its history table and the features to serve from it."""

    name: str
    history: str  # the Warehouse table: entity_key, event_timestamp, created_timestamp, features
    features: tuple[Column, ...]
    ttl: timedelta | None  # enforced by the room on read, nowhere else


class OnlineViewState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the making of an online view is, and the columns that it serves."""

    phase: Phase
    columns: tuple[Column, ...]


class SyncReport(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that a sync moved, and the moment up to which the store serves now."""

    rows: int
    until: datetime


class Warehouse(Protocol):
    """Append-only tables, and SQL in our subset of DuckDB's.

    A batch is written once, however often it is repeated.
    """

    def apply(self, table: TableSpec) -> None:
        """Create a table or view in the warehouse, or add columns to it, to match its spec.

        Raises:
            Invalid: a column would be dropped, renamed or narrowed.
        """
        ...

    def observe(self, table: str) -> TableState | None:
        """Return the state of a warehouse table or view, or None if there is none."""
        ...

    def append(self, table: str, data: pa.Table, *, batch: str) -> None:
        """Append rows to a table and wait until they are stored.

        The same `batch` again changes nothing.
        """
        ...

    def save(self, table: str, sql: str, params: Params, *, batch: str) -> None:
        """Append a query's rows to a table and wait until they are stored.

        The rows never leave the warehouse. The same `batch` again changes nothing.
        """
        ...

    def query(self, sql: str, params: Params, *, into: RowSink | None = None) -> pa.Table:
        """Run a SELECT and return its rows; their order is that of its ORDER BY alone.

        Args:
            sql: A statement in our subset, with `$name` for parameters.
            params: The parameters' values by name.
            into: Takes the rows in their order, in tables of limited size, so that they need not
                fit in memory; none are returned then. It is called again, from the first row on,
                where the query has to be begun again. It need not read them all.

        Raises:
            Invalid: the statement is wrong. The error names the position.
        """
        ...

    def check(self, sql: str) -> tuple[SqlProblem, ...]:
        """Return the parts of a SQL statement that this target cannot express.

        It takes no connection.
        """
        ...


class OnlineStore(Protocol):
    """The latest row of each entity in a history table, for reads in milliseconds.

    The store is a projection of the history: it can always be rebuilt.
    """

    def apply(self, view: OnlineViewSpec) -> None:
        """Create a feature view in the online store, or update it to its spec.

        Its history table must be there: BigQuery makes no view of one that is not.
        """
        ...

    def observe(self, view: str) -> OnlineViewState | None:
        """Return a view's state in the online store: phase and features; None if it is absent."""
        ...

    def sync(self, view: OnlineViewSpec, *, since: datetime | None, until: datetime) -> SyncReport:
        """Copy a view's history up to `until` to the online store, and wait until it is served.

        Afterwards `get` serves for every entity the row that the history held at `until`, or that
        of a later sync. A sync that was cut short can be repeated.

        Args:
            view: The view to sync.
            since: When the store was last synced; None for never.
            until: The moment in the history.
        """
        ...

    def put(self, view: OnlineViewSpec, rows: pa.Table, *, written_at: datetime) -> None:
        """Write entities' rows to the online store, each in place of the one that it serves.

        A view has either `put` or `sync`, never both, and its one writer's `written_at` grows with
        every call: a row of an earlier `written_at` than the stored one is not served, so that a
        writer that was paused takes nothing back. The same rows may be put again at the same
        `written_at`.

        Args:
            view: The view; it must have been applied.
            rows: entity_key (string, each once), feature_timestamp (timestamp) and the features.
            written_at: The moment of this call by its writer.

        Raises:
            NotFound: There is no such view.
        """
        ...

    def get(
        self, keys: Mapping[str, Sequence[str]]
    ) -> Mapping[str, list[dict[str, object] | None]]:
        """Return each view's rows for some keys, in one round trip where the cloud can.

        A row has feature_timestamp (the history row's event_timestamp) and the view's features;
        timestamps are aware UTC datetimes.

        Args:
            keys: The keys to read, by view.

        Returns:
            One row for each key of a view, in their order, duplicates kept; None where the store
            has none.
        """
        ...
