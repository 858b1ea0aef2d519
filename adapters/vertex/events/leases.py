"""The messages that this process holds of one Pub/Sub subscription, until they are committed.

A message that was pulled is leased: it does not go to anybody until its ack deadline is over. What
a process holds is extended here before that, and what it gives back comes again at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, final

import msgspec

from ..session import VertexSession

# of a message that was pulled: long enough to write a checkpoint, and well below the lateness that
# streams have, as the messages of a lost answer come again only after it
ACK_DEADLINE = timedelta(minutes=2)
_EXTENDED = ACK_DEADLINE / 3  # the age of a lease that is extended
# a request; Google refuses one of more than 524,288 bytes, and an ack id has 200 or more
_ACK_IDS = 1_000


class _Batch(msgspec.Struct):
    """The messages of one read, which are committed together."""

    ack_ids: list[str]
    leased_at: datetime


@final
class Leases:
    """The leased messages of one subscription, by the number of their batch."""

    def __init__(self, session: VertexSession, path: str) -> None:
        self._session = session
        self._path = path
        self._batches: dict[int, _Batch] = {}
        self._last = 0

    @property
    def last(self) -> int:
        """The number of the newest batch; 0 before the first."""
        return self._last

    def add(self, ack_ids: list[str], *, leased_at: datetime) -> None:
        """Add the messages of a read as a batch."""
        self._last += 1
        self._batches[self._last] = _Batch(ack_ids, leased_at)

    def acknowledge(self, number: int) -> None:
        """Acknowledge the batches up to a number; do nothing if there are none."""
        batches = [batch for batch in self._batches if batch <= number]
        ack_ids = [ack_id for batch in batches for ack_id in self._batches[batch].ack_ids]
        if not ack_ids:
            return
        with self._session.mutating("Acknowledge", self._path):
            for some in _requests(ack_ids):
                self._session.subscriber.acknowledge(
                    request={"subscription": self._path, "ack_ids": some}
                )
        for batch in batches:
            del self._batches[batch]

    def extend(self, now: datetime) -> None:
        """Extend the leases that are old enough at `now`."""
        old = [batch for batch in self._batches.values() if now - batch.leased_at >= _EXTENDED]
        if not old:
            return
        self._modify((ack_id for batch in old for ack_id in batch.ack_ids), ACK_DEADLINE)
        for batch in old:
            batch.leased_at = now

    def give_back(self) -> None:
        """End all leases, so that the messages go to the next process that reads."""
        self._modify(
            (ack_id for batch in self._batches.values() for ack_id in batch.ack_ids), timedelta()
        )
        self._batches.clear()

    def _modify(self, ack_ids: Iterable[str], deadline: timedelta) -> None:
        """Set the ack deadline of messages, counted from now; zero returns them."""
        for some in _requests(ack_ids):
            request: dict[str, Any] = {
                "subscription": self._path,
                "ack_ids": some,
                "ack_deadline_seconds": int(deadline.total_seconds()),
            }
            with self._session.reading("ModifyAckDeadline", self._path):
                self._session.subscriber.modify_ack_deadline(request=request)


def _requests(ack_ids: Iterable[str]) -> Iterator[list[str]]:
    """Yield ack ids in lists, one for each request."""
    remaining = iter(ack_ids)
    while some := list(islice(remaining, _ACK_IDS)):
        yield some
