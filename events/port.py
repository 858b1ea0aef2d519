"""EventLog: the durable way in for single events. Reading is the Warehouse's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from ..storage import Phase

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, object]
ColumnType = Literal["bool", "int64", "float64", "string", "timestamp"]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: ColumnType  # timestamp: UTC, milliseconds, no zone in the type
    required: bool = False


class StreamSpec(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # also the warehouse table that the events land in
    columns: tuple[Column, ...]
    key: str


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    reason: str
    unknown: tuple[
        str, ...
    ] = ()  # the columns that the event has and the stream lacks: `apply` adds what a later version logs


class EventLog(Protocol):
    """Single events, each with event_id, event_timestamp, dt, payload_digest.

    At least once, unordered; visible after `events.delay`.
    """

    def apply(self, stream: StreamSpec) -> None:
        """Make the stream, or add columns to it.

        Invalid: a column dropped, or of another type; a key that is no column.
        """
        ...

    def observe(self, stream: str) -> Phase | None:
        """None: there is no such stream."""
        ...

    def append(self, stream: str, events: Sequence[Row]) -> tuple[Rejected, ...]:
        """What is not returned is durable."""
        ...


class Sources(Protocol):
    """Optional: users' own data in a cloud, read where `ingest` runs.

    Which schemes, Adapter.sources says. Nothing is changed there.
    """

    def copy(self, uri: str, folder: Path) -> None:
        """One object, those below a prefix (it ends in /), or those that a glob matches (`*` within
        a folder, `**` across), into a folder, under their names below what is fixed in the URI.
        NotFound: there is none.
        """
        ...

    def rows(self, table: str) -> Iterator[pa.Table]:
        """`database.table` in tables of bounded size, at least one, all of one schema. NotFound."""
        ...
