"""The ports EventLog and EventSource: the way in for single events, and reading as they come.

Whoever can wait reads the Warehouse; a consumer that cannot reads an EventSource.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from ..storage import Phase

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, object]
ColumnType = Literal["bool", "int64", "float64", "string", "timestamp"]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a stream, a table or a view."""

    name: str
    type: ColumnType  # timestamp: UTC, milliseconds, no zone in the type
    required: bool = False


class StreamSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A stream of events: the name, which is also its table's, the columns and the key."""

    name: str  # also the warehouse table that the events land in
    columns: tuple[Column, ...]
    key: str


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was not taken: its place among the events of the call, and the reason."""

    index: int
    reason: str
    # columns that the event has and the stream lacks: `apply` adds what a later version logs
    unknown: tuple[str, ...] = ()


class EventLog(Protocol):
    """Single events, each with event_id, event_timestamp, dt, payload_digest.

    An event arrives at least once, in any order, and is visible after `events.delay`.
    """

    def apply(self, stream: StreamSpec) -> None:
        """Create the event stream, or add columns to it.

        Raises:
            Invalid: a column would be dropped or get another type, or the key is no column.
        """
        ...

    def observe(self, stream: str) -> Phase | None:
        """Return the phase of an event stream, or None if there is no such stream."""
        ...

    def append(self, stream: str, events: Sequence[Row]) -> tuple[Rejected, ...]:
        """Append events to a stream durably, and return the events that were rejected."""
        ...


class EventBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Some events of a stream, and the place after them."""

    # each with the columns of the stream, without dt; timestamps are aware UTC datetimes, and a
    # column that an event lacks is None
    events: tuple[Row, ...]
    receipt: bytes  # the place after them: `after` of the next read, and what `commit` takes
    # the age of the oldest event that is not yet read; zero: all are read; None: not known
    behind: timedelta | None


class EventSource(Protocol):
    """A stream's events in batches, for a named consumer that cannot wait for the Warehouse.

    Each event comes at least once, in no order. What was not committed comes again to a consumer
    that begins again. A stream keeps its events for as long as the capability `events.replay` says.
    """

    def apply(self, stream: str, consumer: str, *, since: datetime) -> bytes:
        """Make a consumer of a stream, and return the place from which it reads.

        A new consumer begins with the events that arrived at `since` or later, as far as the stream
        keeps them; it may get a few older ones. One that is there stays where it is.

        Raises:
            NotFound: There is no such stream.
        """
        ...

    def read(
        self, stream: str, consumer: str, *, after: bytes, limit: int, patience: timedelta
    ) -> EventBatch:
        """Return up to `limit` events after a place; wait for the first as long as `patience`.

        Where the provider keeps the consumer's place, `after` is not looked at: a process that goes
        on gets what follows, and one that begins gets what was not committed.

        Raises:
            NotFound: There is no such stream or consumer.
            Throttled: The provider asks for a pause; nothing is lost.
        """
        ...

    def commit(self, stream: str, consumer: str, receipt: bytes) -> None:
        """Tell that a batch and those before it need not come again; a repeat changes nothing."""
        ...

    def remove(self, stream: str, consumer: str) -> None:
        """Forget a consumer of a stream with its place; do nothing if there is none."""
        ...


class Sources(Protocol):
    """Users' own data in a cloud, read where `ingest` runs. An optional port.

    Adapter.sources says which schemes it reads. Nothing is changed there.
    """

    def copy(self, uri: str, folder: Path) -> None:
        """Copy the objects at a URI into a folder, under the path that follows its fixed part.

        The URI names one object, a prefix (it ends in /), or a glob (`*` within a folder, `**`
        across).

        Raises:
            NotFound: there is no such object.
        """
        ...

    def rows(self, table: str) -> Iterator[pa.Table]:
        """Yield the rows of the table `database.table` as Arrow tables of bounded size.

        There is at least one table, and all have the same schema.

        Raises:
            NotFound: there is no such table.
        """
        ...
