"""EventSource over Pub/Sub: each consumer of a stream has a pull subscription of its own.

Pub/Sub keeps the place: what is not acknowledged comes again. A receipt names a batch of this
process; the ack ids of its messages stay in memory.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, final

from ....errors import IsthmusError, Throttled
from ....events.port import Column, EventBatch, Row
from ....target import Target
from .. import names
from ..session import session_of
from ..warehouse import catalogue
from . import consumers, messages
from .leases import Leases

_MESSAGES = 1_000  # of one Pull, the most that Google gives
_ANSWERED = 15.0  # seconds within which a Pull is answered
_PAUSE = 0.1  # seconds between two Pulls while there is no message
_Reader = tuple[str, str]  # stream, consumer


@final
class PubSubEventSource:
    """The EventSource port over Pub/Sub."""

    def __init__(self, target: Target) -> None:
        self._session = session_of(target)
        self._target = target
        self._process = secrets.token_hex(4)
        # of the consumers that this process has begun to read
        self._leases: dict[_Reader, Leases] = {}
        self._columns: dict[str, tuple[Column, ...]] = {}

    def apply(self, stream: str, consumer: str, *, since: datetime) -> bytes:
        """Create a consumer's subscription, beginning at `since`, and return its first receipt.

        Pub/Sub keeps a day of a stream. Raises NotFound if there is no such stream.
        """
        names.check("consumer", consumer)
        if consumers.create(self._session, stream, consumer, since=since):
            self._leases[stream, consumer] = self._new_leases(stream, consumer)
        return self._receipt(0)

    def read(
        self,
        stream: str,
        consumer: str,
        *,
        after: bytes,  # noqa: ARG002  Pub/Sub keeps the place
        limit: int,
        patience: timedelta,
    ) -> EventBatch:
        """Pull up to `limit` events, and wait for the first as long as `patience`.

        The first read of a process takes over what an earlier one did not commit, and so does the
        one after a read that failed, whose messages are leased by nobody. Raises NotFound if there
        is no such stream or consumer, Throttled if Google asks for a pause.
        """
        leases = self._begin(stream, consumer)
        received: list[Any] = []
        try:
            leases.extend(self._target.clock())
            received, is_empty = self._pull_all(stream, consumer, limit=limit, patience=patience)
            events = self._rows(stream, [message.message.data for message in received])
        except IsthmusError as error:
            if received or not isinstance(error, Throttled):
                self._leases.pop((stream, consumer), None)
            raise
        if received:
            leases.add([message.ack_id for message in received], leased_at=self._target.clock())
        return EventBatch(
            events=events,
            receipt=self._receipt(leases.last),
            behind=timedelta() if is_empty else self._oldest_age(received),
        )

    def commit(self, stream: str, consumer: str, receipt: bytes) -> None:
        """Acknowledge the events of a batch and those before it.

        A receipt of another process, or a repeated one, changes nothing.
        """
        process, _, number = receipt.decode("ascii", "replace").partition(".")
        leases = self._leases.get((stream, consumer))
        if leases is not None and process == self._process and number.isdecimal():
            leases.extend(self._target.clock())
            leases.acknowledge(int(number))

    def remove(self, stream: str, consumer: str) -> None:
        """Delete a consumer's subscription; do nothing if there is none."""
        self._leases.pop((stream, consumer), None)
        consumers.delete(self._session, stream, consumer)

    def close(self) -> None:
        """Give back what was not committed, so that the next process gets it at once."""
        for leases in self._leases.values():
            with suppress(IsthmusError):  # otherwise it comes when the ack deadline is over
                leases.give_back()
        self._leases.clear()

    def _begin(self, stream: str, consumer: str) -> Leases:
        """Return what this process holds of a consumer; the first call takes the consumer over.

        Raises:
            NotFound: There is no such stream or consumer.
        """
        leases = self._leases.get((stream, consumer))
        if leases is None:
            path = consumers.subscription_path(self._session, stream, consumer)
            if not consumers.exists(self._session, path):
                raise consumers.no_consumer(stream, consumer)
            consumers.take_over(self._session, stream, consumer)
            leases = self._leases[stream, consumer] = self._new_leases(stream, consumer)
        return leases

    def _new_leases(self, stream: str, consumer: str) -> Leases:
        """Return an empty set of leases for a consumer."""
        return Leases(self._session, consumers.subscription_path(self._session, stream, consumer))

    def _receipt(self, number: int) -> bytes:
        """Return the receipt of this process's batch of that number."""
        return f"{self._process}.{number}".encode()

    def _pull_all(
        self, stream: str, consumer: str, *, limit: int, patience: timedelta
    ) -> tuple[list[Any], bool]:
        """Pull repeatedly up to `limit` messages.

        Returns:
            The received messages, and whether the last pull came back empty.
        """
        path = consumers.subscription_path(self._session, stream, consumer)
        received: list[Any] = []
        wait = patience
        while len(received) < limit:
            most = min(limit - len(received), _MESSAGES)
            try:
                pulled = self._pull(path, most, wait=wait)
            except Throttled:
                if not received:
                    raise
                return received, False  # what has come is leased, and must not be lost
            received += pulled
            if not pulled:
                return received, True
            if len(pulled) < most:
                break
            wait = timedelta()
        return received, False

    def _pull(self, path: str, most: int, *, wait: timedelta) -> list[Any]:
        """Return some of a subscription's messages; ask again while there are none, up to `wait`.

        Each call answers at once and is waited for. Where a call that waits for messages is cut
        off by a deadline of ours, an answer under way is lost: its messages are leased by nobody,
        and come again only when their ack deadline is over.
        """
        ends = time.monotonic() + wait.total_seconds()
        with self._session.reading("Pull", path):
            while True:
                received = self._call_pull(path, most)
                left = ends - time.monotonic()
                if received or left <= 0:
                    return received
                time.sleep(min(left, _PAUSE))

    def _call_pull(self, path: str, most: int) -> list[Any]:
        """Call Pull once: where its answer was lost, the next read must take over first.

        The generated method is passed by: it warns of `return_immediately`, which Google
        discourages as a way to wait, and nothing else answers that there is no message.
        """
        from google.pubsub_v1.types import PullRequest

        request = PullRequest(subscription=path, max_messages=most, return_immediately=True)
        answer = self._session.subscriber.transport.pull(
            request,
            timeout=_ANSWERED,
            metadata=[("x-goog-request-params", f"subscription={path}")],
        )
        return list(type(answer).pb(answer).received_messages)

    def _rows(self, stream: str, bodies: Sequence[bytes]) -> tuple[Row, ...]:
        """Return the events in messages, with the stream's columns.

        A message that is no event is left out: BigQuery sends it to the dead letters. The columns
        are looked up again for a message that names others: another process may have added some.
        """
        if not bodies:
            return ()
        columns = self._columns.get(stream)
        if columns is not None:
            stream_names = frozenset(column.name for column in columns) | {messages.DATE}
            if any(not names <= stream_names for names in map(messages.column_names, bodies)):
                columns = None
        if columns is None:
            columns = self._columns[stream] = self._look(stream)
        rows = (messages.event(columns, body) for body in bodies)
        return tuple(row for row in rows if row is not None)

    def _look(self, stream: str) -> tuple[Column, ...]:
        """Return the columns of a stream's table; raise NotFound if it is no stream."""
        table = catalogue.look(self._session, stream)
        document = None if table is None else catalogue.document_of(self._session, table)
        if document is None or document.stream_key is None:
            raise consumers.no_stream(stream)
        return document.columns

    def _oldest_age(self, received: Sequence[Any]) -> timedelta | None:
        """Return the age of the oldest of some messages; None if there are none."""
        published = [message.message.publish_time for message in received]
        if not published:
            return None
        oldest = min(published, key=lambda moment: (moment.seconds, moment.nanos))
        published_at: datetime = oldest.ToDatetime(tzinfo=UTC)
        return max(self._target.clock() - published_at, timedelta())
