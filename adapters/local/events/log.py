"""EventLog in SQLite: appends of several threads share a commit, and events are readable at once.

A process that serves only appends. Readers make files of the events (warehouse/engine.py), so that
it needs no Arrow.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import final

from ....errors import NotFound
from ....events.port import Column, Rejected, Row, StreamSpec
from ....feature_store.port import TableSpec
from ....storage import Phase, Resource
from ....target import Target
from ....times import epoch_milliseconds
from ...common.event_values import TIME, check_stream, encode_events, event_values, rules_of
from ...common.warehouse.tables import TableDocument
from .. import inventory
from ..errors import translated
from ..sqlite import Database
from ..warehouse import catalogue, contents, kept, spool, warehouse


class _Ticket:
    """One caller's events on their way to the disk."""

    def __init__(self, stream: str, rows: Sequence[spool.Values]) -> None:
        self.stream = stream
        self.rows = rows
        self.done = False
        self.error: Exception | None = None


@final
class LocalEventLog:
    """The EventLog port over the spool."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._calls = target.calls
        self._database = Database(
            target, catalogue.SCHEMA + contents.SCHEMA + inventory.SCHEMA + spool.SCHEMA
        )
        self._queued: list[_Ticket] = []
        self._queue = threading.Lock()
        self._leader = threading.Lock()

    def apply(self, stream: StreamSpec) -> None:
        """Make the stream's table if needed, and mark it as one that takes single events.

        Raises Invalid for a spec that the port does not allow.
        """
        check_stream(stream)
        warehouse.local_warehouse(self._target).apply_stream(
            TableSpec(name=stream.name, columns=stream.columns, time_column=TIME), stream.key
        )

    def observe(self, stream: str) -> Phase | None:
        """Return "ready" if the stream exists and takes single events, else None."""
        self._calls.reading("events.observe", stream)
        document = self._document(stream)
        return None if document is None or document.stream_key is None else "ready"

    def append(self, stream: str, events: Sequence[Row]) -> tuple[Rejected, ...]:
        """Store events in the stream's SQLite spool; concurrent callers share one commit.

        Returns:
            The events that do not fit the stream, each with its reason.

        Raises:
            NotFound: There is no such stream.
        """
        document = self._document(stream)
        if document is None or document.stream_key is None:
            raise absent(stream)
        rules = rules_of(document)
        rows, rejected = encode_events(
            events, lambda event: event_values(rules, event, _stored_value)[0]
        )
        if rows:
            with self._calls.mutating("events.append", stream):
                self._commit(_Ticket(stream, rows))
        return tuple(rejected)

    def _commit(self, ticket: _Ticket) -> None:
        """Commit the queued events of all waiting threads in one transaction, with one fsync.

        One thread does it for all of them; `ticket` stands for this thread's events.
        """
        with self._queue:
            self._queued.append(ticket)
        with self._leader:
            if not ticket.done:
                with self._queue:
                    together, self._queued = self._queued, []
                try:
                    self._write(together)
                except Exception as error:  # noqa: BLE001  every waiting caller must hear of it, whatever it was
                    for waiting in together:
                        waiting.error = error
                for waiting in together:
                    waiting.done = True
        if ticket.error is not None:
            raise ticket.error

    def _write(self, together: list[_Ticket]) -> None:
        """Write the events of several callers to the spool in one transaction."""
        with self._database.transaction("appending events") as db:
            for ticket in together:
                # a stream that was deleted since must not swallow events
                document = catalogue.read(db, ticket.stream)
                if document is None or document.stream_key is None:
                    ticket.error = absent(ticket.stream)
                else:
                    sequence = spool.insert(db, ticket.stream, ticket.rows)
                    kept.note_arrival(db, ticket.stream, sequence, self._target.clock())

    def _document(self, stream: str) -> TableDocument | None:
        """Read the stored description of a stream's table."""
        with translated("reading the catalogue"):
            return catalogue.read(self._database.connection, stream)

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _stored_value(_column: Column, value: object) -> object:
    """Convert an event's value for the spool: a timestamp becomes milliseconds."""
    return epoch_milliseconds(value) if isinstance(value, datetime) else value


def absent(stream: str) -> NotFound:
    """Return the error for a stream that does not exist."""
    return NotFound(
        f"there is no stream {stream}",
        remedy="`isthmus apply` makes the streams that the project needs",
    )


def delete(target: Target, resource: Resource) -> None:
    """Stop a stream from taking single events; its table stays.

    The inventory calls this for the stream's resource.
    """
    warehouse.local_warehouse(target).remove_stream(resource.name)
