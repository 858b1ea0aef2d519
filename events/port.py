"""EventLog: the durable way in for single events. Reading is the Warehouse's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from ..storage import Phase

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


class EventLog(Protocol):
    """Single events, each with event_id, event_timestamp, dt, payload_digest. At least once, unordered; visible after `events.delay`."""

    def apply(self, stream: StreamSpec) -> None: ...

    def observe(self, stream: str) -> Phase | None: ...

    def append(self, stream: str, events: Sequence[Row]) -> tuple[Rejected, ...]:
        """What is not returned is durable."""
        ...
