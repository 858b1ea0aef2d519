"""The backlog of a subscription: messages that wait, that are leased, or that are in backoff.

A message is redelivered when it is nacked (a deadline of 0) or its lease ends. With ordering, the
messages of a key go out to one pull (or one stream) at a time, and when one comes back all later
ones of its key come back with it. Times are those of the stack's clock.
"""

from __future__ import annotations

import heapq
import itertools
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ....core.clock import Clock, Timer


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery rules of a subscription. Seconds."""

    ack_deadline: float
    retention: float
    ordered: bool = False
    exactly_once: bool = False
    retains_acked: bool = False
    backoff: tuple[float, float] | None = None  # the smallest and the largest; None: at once
    most_attempts: int | None = None  # None: no dead letter topic


class Entry:
    """One message of one subscription."""

    __slots__ = ("ack_id", "failures", "holder", "message", "number", "size", "until")

    def __init__(self, number: int, message: Any) -> None:
        self.number = number
        self.message = message
        self.size: int = message.ByteSize()
        self.failures = 0  # nacks and leases that ended
        self.ack_id = ""  # of its lease, while it is out
        self.holder: object = None  # who has it
        self.until: datetime | None = None  # when its lease ends


class Delivery(msgspec.Struct, frozen=True):
    ack_id: str
    message: Any
    attempt: int  # 0: nobody counts


class Backlog:
    """The messages of one subscription; thread-safe.

    `dead(message, attempts)` is called, without a lock, for what failed too often; it returns
    whether somebody took it.
    """

    def __init__(self, clock: Clock, rules: Rules, dead: Callable[[Any, int], bool]) -> None:
        self.rules = rules
        self.changed = threading.Condition()
        self.changes = 0  # how often something may have become ready
        self.closed = False
        self._clock = clock
        self._dead = dead
        self._numbers = itertools.count()
        # ack ids are as long as Google's, so that a request holds as few: 176 characters and more
        self._ack_prefix = secrets.token_urlsafe(132)
        self._ready: list[tuple[int, Entry]] = []  # a heap: the oldest first
        self._later: list[tuple[datetime, int, Entry]] = []  # a heap: those in backoff
        self._leases: dict[str, Entry] = {}  # by ack id
        self._ends: list[
            tuple[datetime, str]
        ] = []  # a heap of leases' ends, some of them out of date
        self._lanes: dict[str, OrderedDict[int, Entry]] = {}  # by ordering key: what is out
        self._acked: deque[Entry] = deque()
        self._failed: list[Entry] = []  # for the dead letter topic
        self._timer: Timer | None = None

    def add(self, messages: Iterable[Any]) -> None:
        """Append messages to the subscription's backlog, ready for delivery."""
        with self.changed:
            for message in messages:
                number = next(self._numbers)
                heapq.heappush(self._ready, (number, Entry(number, message)))
            self._tell()

    def take(
        self,
        most: int,
        holder: object,
        *,
        deadline: float | None = None,
        most_bytes: int | None = None,
    ) -> list[Delivery]:
        """Lease up to `most` ready messages to `holder`, a pulling client, and return them.

        They have at most `most_bytes` together, but one message is always allowed. `deadline` is
        the lease's seconds, by default the subscription's.
        """
        with self._change(quiet=True):
            entries: list[Entry] = []
            passed: list[tuple[int, Entry]] = []
            blocked: set[str] = set()
            left = most_bytes
            while self._ready and len(entries) < most:
                number, entry = heapq.heappop(self._ready)
                if not self._may_go(entry, holder, blocked):
                    blocked.add(entry.message.ordering_key)
                    passed.append((number, entry))
                    continue
                if left is not None and entries and entry.size > left:
                    passed.append((number, entry))
                    break
                left = None if left is None else left - entry.size
                entries.append(entry)
            for item in passed:
                heapq.heappush(self._ready, item)
            return [
                self._lease(entry, holder, deadline or self.rules.ack_deadline) for entry in entries
            ]

    def wait(self, changes: int, timeout: float) -> None:
        """Wait until a message may have become ready, at most `timeout` real seconds.

        `changes` is the count of changes that the caller has seen; a newer one ends the wait.
        """
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self.changes != changes, timeout)

    def wake(self) -> None:
        """Wake all threads that wait for messages, so that they look again."""
        with self.changed:
            self._tell()

    def acknowledge(self, ack_ids: Iterable[str]) -> list[str]:
        """Acknowledge leased messages; return the ack ids whose lease is over or unknown.

        Messages with such ids may be delivered again.
        """
        with self._change():
            invalid = []
            for ack_id in ack_ids:
                entry = self._leases.get(ack_id)
                if entry is None:
                    invalid.append(ack_id)
                    continue
                self._take_back(entry)
                if self.rules.retains_acked:
                    self._acked.append(entry)
            return invalid

    def modify(self, ack_ids: Iterable[str], seconds: float) -> list[str]:
        """Set the deadline of leased messages to `seconds` from now; 0 returns them (a nack).

        It returns the ack ids whose lease is over or unknown.
        """
        with self._change():
            invalid = []
            for ack_id in ack_ids:
                entry = self._leases.get(ack_id)
                if entry is None:
                    invalid.append(ack_id)
                elif seconds <= 0:
                    self._fail(entry)
                else:
                    entry.until = self._clock.now() + timedelta(seconds=seconds)
                    heapq.heappush(self._ends, (entry.until, ack_id))
            return invalid

    def reject(self, ack_ids: Iterable[str]) -> None:
        """Send leased messages that cannot be delivered to the dead letter topic.

        If the subscription has no such topic, they are delivered again.
        """
        with self._change(quiet=True):
            for ack_id in ack_ids:
                entry = self._leases.get(ack_id)
                if entry is not None:
                    entry.failures = max(entry.failures, (self.rules.most_attempts or 1) - 1)
                    self._fail(entry)

    def outstanding(self, holder: object) -> tuple[int, int]:
        """Return how many messages a holder has leased, and their size in bytes."""
        with self.changed:
            entries = [entry for entry in self._leases.values() if entry.holder is holder]
            return len(entries), sum(entry.size for entry in entries)

    def unacknowledged(self) -> list[Any]:
        """Return every message that is not acknowledged, in the order of publishing."""
        with self.changed:
            return [entry.message for entry in self._entries()]

    def retained(self) -> list[Any]:
        """Return the unacknowledged messages, and the acknowledged ones that are still retained."""
        with self.changed:
            return [
                entry.message
                for entry in sorted(
                    [*self._entries(), *self._acked], key=lambda entry: entry.number
                )
            ]

    def replace(self, messages: Iterable[Any]) -> None:
        """Replace all messages of the backlog, as Seek does, and end every lease."""
        with self.changed:
            self._ready, self._later, self._ends = [], [], []
            self._leases.clear()
            self._lanes.clear()
            self._acked.clear()
            self.add(messages)

    def change(self, rules: Rules) -> None:
        """Replace the subscription's delivery rules (deadline, retries, ordering ...)."""
        with self.changed:
            self.rules = rules

    def close(self) -> None:
        """End every wait for messages, and stop the timer."""
        with self.changed:
            self.closed = True
            if self._timer is not None:
                self._timer.cancel()
            self._tell()

    @contextmanager
    def _change(self, *, quiet: bool = False) -> Iterator[None]:
        """Wrap a change of the backlog: end expired leases before it, wake waiters after it.

        Waiters are threads that wait for messages. Dead letters are sent at its end. With `quiet`,
        they are woken only if time made messages ready.
        """
        with self.changed:
            news = self._settle()
            yield
            self._set_timer()
            if news or not quiet:
                self._tell()
            failed, self._failed = self._failed, []
        for entry in failed:
            if not self._dead(entry.message, entry.failures):
                with self.changed:
                    heapq.heappush(self._ready, (entry.number, entry))
                    self._tell()

    def _tell(self) -> None:
        """Wake the threads that wait, as messages may have become ready."""
        self.changes += 1
        self.changed.notify_all()

    def _entries(self) -> list[Entry]:
        """Return all unacknowledged entries in the order of publishing."""
        waiting = [entry for _, entry in self._ready] + [entry for _, _, entry in self._later]
        return sorted([*waiting, *self._leases.values()], key=lambda entry: entry.number)

    def _may_go(self, entry: Entry, holder: object, blocked: set[str]) -> bool:
        """Return whether ordering keys allow that a ready message is leased to a holder now.

        `blocked` are the keys of earlier messages that could not be leased.
        """
        key = entry.message.ordering_key
        if not (self.rules.ordered and key):
            return True
        lane = self._lanes.get(key)
        return key not in blocked and (not lane or next(iter(lane.values())).holder is holder)

    def _lease(self, entry: Entry, holder: object, deadline: float) -> Delivery:
        """Lease a message to a holder for `deadline` seconds, and return the delivery."""
        entry.ack_id = f"{self._ack_prefix}:{entry.number}-{next(self._numbers)}"
        entry.holder, entry.until = holder, self._clock.now() + timedelta(seconds=deadline)
        self._leases[entry.ack_id] = entry
        heapq.heappush(self._ends, (entry.until, entry.ack_id))
        if self.rules.ordered and entry.message.ordering_key:
            self._lanes.setdefault(entry.message.ordering_key, OrderedDict())[entry.number] = entry
        return Delivery(
            entry.ack_id,
            entry.message,
            entry.failures + 1 if self.rules.most_attempts is not None else 0,
        )

    def _take_back(self, entry: Entry) -> None:
        """End a message's lease, which makes its ack id invalid."""
        self._leases.pop(entry.ack_id, None)
        entry.ack_id, entry.holder, entry.until = "", None, None
        lane = self._lanes.get(entry.message.ordering_key)
        if lane is not None:
            lane.pop(entry.number, None)
            if not lane:
                del self._lanes[entry.message.ordering_key]

    def _fail(self, entry: Entry) -> None:
        """Handle a nack or an expired lease: end the lease, and deliver the message again later.

        With ordering, later messages of its key are delivered again, too. After too many failures
        the message goes to the dead letter topic.
        """
        lane = self._lanes.get(entry.message.ordering_key)
        again = [
            entry,
            *(other for number, other in list((lane or {}).items()) if number > entry.number),
        ]
        for other in again:
            self._take_back(other)
        entry.failures += 1
        most = self.rules.most_attempts
        if most is not None and entry.failures >= most:
            self._failed.append(again.pop(0))
        due = self._clock.now() + timedelta(seconds=self._backoff(entry.failures))
        for other in again:
            heapq.heappush(self._later, (due, other.number, other))

    def _backoff(self, failures: int) -> float:
        """Return the seconds before a message is delivered again after so many failures."""
        if self.rules.backoff is None:
            return 0.0
        least, most = self.rules.backoff
        return min(least * 2.0 ** min(failures - 1, 30), most)

    def _settle(self) -> bool:
        """End what is over: leases, delays and retention; return whether messages became ready."""
        now = self._clock.now()
        ready = len(self._ready)
        while self._ends and self._ends[0][0] <= now:
            end, ack_id = heapq.heappop(self._ends)
            entry = self._leases.get(ack_id)
            if entry is not None and entry.until == end:
                self._fail(entry)
        self._release(now)
        oldest = now - timedelta(seconds=self.rules.retention)
        while self._ready and _publish_time(self._ready[0][1]) < oldest:
            heapq.heappop(self._ready)
        while self._acked and _publish_time(self._acked[0]) < oldest:
            self._acked.popleft()
        return len(self._ready) > ready

    def _release(self, now: datetime) -> None:
        """Make the messages ready whose delay before redelivery is over at `now`."""
        while self._later and self._later[0][0] <= now:
            _, number, entry = heapq.heappop(self._later)
            heapq.heappush(self._ready, (number, entry))

    def _set_timer(self) -> None:
        """Set a timer for the next time at which a lease or a delay before redelivery ends."""
        self._release(self._clock.now())
        times = [heap[0][0] for heap in (self._ends, self._later) if heap]
        if self.closed or not times:
            return
        due, timer = min(times), self._timer
        if timer is not None and not timer.cancelled and self._clock.now() < timer.due <= due:
            return
        if timer is not None:
            timer.cancel()
        self._timer = self._clock.call_at_limit(
            max((due - self._clock.now()).total_seconds(), 0.0), self._wake
        )

    def _wake(self) -> None:
        """Handle expired leases; called by the timer."""
        with self._change():
            pass


def _publish_time(entry: Entry) -> datetime:
    """Return the time at which an entry's message was published."""
    moment: datetime = entry.message.publish_time.ToDatetime(tzinfo=UTC)
    return moment
