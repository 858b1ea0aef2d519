"""EventLog in SQLite: appends of several threads share a commit, and every event is in the stream's table at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import final

import msgspec

from ...errors import Invalid, NotFound
from ...events.port import Column, Rejected, Row, StreamSpec
from ...feature_store.port import TableSpec
from ...storage import Phase, Resource
from ...target import Target
from ...times import epoch_milliseconds, from_epoch
from ..event_values import checked
from . import catalogue, inventory, spool, warehouse
from .errors import translated
from .home import home
from .sqlite import Database

TIME = "event_timestamp"
_COMPACT = 20_000  # events that wait before they become a batch of files


class _Ticket:
    """One caller's events on their way to the disk."""

    def __init__(self, stream: str, rows: list[spool.Values]) -> None:
        self.stream = stream
        self.rows = rows
        self.done = False
        self.error: Exception | None = None


@final
class LocalEventLog:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._calls = target.calls
        self._folder = home(target).absolute() / "warehouse"
        self._database = Database(target, catalogue.SCHEMA + inventory.SCHEMA + spool.SCHEMA)
        self._queued: list[_Ticket] = []
        self._queue = threading.Lock()
        self._leader = threading.Lock()
        self._since_compaction: dict[str, int] = {}

    def apply(self, stream: StreamSpec) -> None:
        if stream.key not in {column.name for column in stream.columns}:
            raise Invalid(f"stream {stream.name}: its key {stream.key} is not among its columns")
        warehouse.of(self._target).apply_stream(TableSpec(name=stream.name, columns=stream.columns, time_column=TIME), stream.key)

    def observe(self, stream: str) -> Phase | None:
        self._calls.reading("events.observe", stream)
        document = self._document(stream)
        return None if document is None or document.stream_key is None else "ready"

    def append(self, stream: str, events: Sequence[Row]) -> tuple[Rejected, ...]:
        document = self._document(stream)
        if document is None or document.stream_key is None:
            raise _absent(stream)
        rows: list[spool.Values] = []
        rejected: list[Rejected] = []
        encode = _encoder(document)
        for index, event in enumerate(events):
            try:
                rows.append(encode(event))
            except Invalid as error:
                rejected.append(Rejected(index=index, reason=error.message))
        if rows:
            with self._calls.mutating("events.append", stream):
                self._commit(_Ticket(stream, rows))
            self._compact_sometimes(document, len(rows))
        return tuple(rejected)

    def _commit(self, ticket: _Ticket) -> None:
        """Whoever becomes leader commits all that is queued, so that one fsync serves every thread that waits for one."""
        with self._queue:
            self._queued.append(ticket)
        with self._leader:
            if not ticket.done:
                with self._queue:
                    together, self._queued = self._queued, []
                try:
                    self._write(together)
                except Exception as error:  # noqa: BLE001  every waiting caller must hear of it, whatever it was
                    for one in together:
                        one.error = error
                for one in together:
                    one.done = True
        if ticket.error is not None:
            raise ticket.error

    def _write(self, together: list[_Ticket]) -> None:
        with self._database.transaction("appending events") as db:
            here = catalogue.read_all(db)  # a stream that was deleted since must not swallow events
            for ticket in together:
                document = here.get(ticket.stream)
                if document is None or document.stream_key is None:
                    ticket.error = _absent(ticket.stream)
                else:
                    spool.insert(db, ticket.stream, ticket.rows)

    def _compact_sometimes(self, document: catalogue.Document, appended: int) -> None:
        count = self._since_compaction.get(document.name, 0) + appended
        self._since_compaction[document.name] = count % _COMPACT
        if count >= _COMPACT:
            with translated(f"compacting {document.name}"):
                spool.compact(self._database, self._folder / document.name, document, at_least=_COMPACT // 2)

    def _document(self, stream: str) -> catalogue.Document | None:
        with translated("reading the catalogue"):
            return catalogue.read(self._database.connection, stream)

    def close(self) -> None:
        self._database.close()


class _Encoder(msgspec.Struct, frozen=True):
    """Checks one event against a stream's columns; gives its values in their order."""

    document: catalogue.Document
    names: frozenset[str]
    time: int  # the place of the event's time among the columns
    key: int

    def __call__(self, event: Row) -> list[object]:
        if not self.names.issuperset(event):
            unknown = sorted(name for name in event if name not in self.names)
            raise Invalid(f"unknown column {', '.join(unknown)}")
        values = [_encoded(column, event.get(column.name)) for column in self.document.columns]
        time = values[self.time]
        if not isinstance(time, int):
            raise Invalid(f"{TIME} is missing")
        if values[self.key] in {None, ""}:
            raise Invalid(f"{self.document.stream_key} is missing")
        date = from_epoch(time).date().isoformat()
        if event.get(catalogue.PARTITION, date) != date:
            raise Invalid(f"dt is {event[catalogue.PARTITION]} and {TIME} is on {date}")
        return values


def _encoder(document: catalogue.Document) -> _Encoder:
    names = [column.name for column in document.columns]
    return _Encoder(document, frozenset({*names, catalogue.PARTITION}), names.index(TIME), names.index(document.stream_key or ""))


def _encoded(column: Column, value: object) -> object:
    """A timestamp becomes milliseconds. Invalid."""
    found = checked(column, value)
    return epoch_milliseconds(found) if isinstance(found, datetime) else found


def _absent(stream: str) -> NotFound:
    return NotFound(f"there is no stream {stream}", remedy="`isthmus apply` makes the streams that the project needs")


def delete(target: Target, resource: Resource) -> None:
    """Inventory's deleter of streams. The table stays."""
    warehouse.of(target).remove_stream(resource.name)
