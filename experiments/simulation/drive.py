"""Drives the genuine gateway over HTTP through simulated days.

Visits come in the order of their time; the clock is moved before each group.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import islice
from types import FrameType
from typing import Any, final

import msgspec
from msgspec.structs import replace

from ...core.runtime.project import Progress
from ...errors import Unavailable
from .behaviour import (
    PendingEvent,
    ShownAnswer,
    SimulationSetting,
    events,
    is_lost,
    question,
    request,
)
from .clock import MovedClock, SimulatedTime
from .http_calls import HttpCalls, HttpReply
from .visits import DAY, HOUR, Visit, by_hour, visits

_GROUP = 32  # visits that share a moment
_MOMENT = timedelta(milliseconds=1)
_MOST_EVENTS = 500  # of a request to /track

Note = Callable[[SimulatedTime], None]


class SimulationTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The calls that were made, and their answers.

    `units`, `bots`: who came in this time, also who had come before. `lost`: who the broken split
    lost.
    """

    began: datetime
    ended: datetime
    units: int
    bots: int
    lost: int
    requests: int
    failed: dict[str, int]  # by what the gateway said
    shown: int
    sent: dict[str, int]  # by event
    late: int
    waiting: int  # late events that are still on their way
    rejected: dict[str, int]  # by reason
    undelivered: int = 0  # rows of the gateway's streams


@final
class Stopping:
    """Lets the group that is under way end at Ctrl-C. A second one does not wait."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Generator[None, None, None]:
        """Handle Ctrl-C within the block: the first one stops after the current hour."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, former)

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """Record the first Ctrl-C; stop at the second."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@final
class Drive:
    """A drive of the gateway through simulated days."""

    def __init__(
        self, setting: SimulationSetting, calls: HttpCalls, clock: MovedClock, time: SimulatedTime
    ) -> None:
        self._setting, self._calls, self._clock, self._time = setting, calls, clock, time
        self._ahead = [
            (waiting.due, number, waiting) for number, waiting in enumerate(time.waiting)
        ]  # a heap: sorted by who wrote it
        self._number = len(self._ahead)
        self._broken = setting.simulation.broken.arm if setting.simulation.broken else None
        self._units: set[str] = set()
        self._bots: set[str] = set()
        self._lost: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._sent: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()

    def run(self, note: Note, progress: Progress, stopping: Stopping) -> SimulationTotals:
        """Simulate the visits of all days against the gateway, hour by hour.

        Args:
            note: Stores the simulated time: before each day its end, so that no moment is simulated
                twice after a kill; and at the end.
            progress: Called with the number of simulated hours and of all hours.
            stopping: Whether the user asked to stop.
        """
        began, hours = self._clock.moment, 24 * self._setting.simulation.days
        for hour, coming in enumerate(
            by_hour(self._visits(began, began + hours * HOUR), began, hours)
        ):
            if hour % 24 == 0:
                note(self._time_at(began + hour * HOUR + DAY))
            progress("simulated hours", hour, hours)
            if not self._play_hour(coming, began + (hour + 1) * HOUR, stopping):
                break
        note(self._time_at(self._clock.moment))
        return self._totals(began)

    def _visits(self, start: datetime, end: datetime) -> Iterator[Visit]:
        """Yield the visits between two times, including those of returning visitors."""
        setting = self._setting
        return visits(
            setting.simulation,
            setting.world,
            setting.unit,
            since=self._time.since,
            start=start,
            end=end,
        )

    def _play_hour(self, coming: Sequence[Visit], ends: datetime, stopping: Stopping) -> bool:
        """Send the requests and events of an hour's visits; return False if the user stopped it."""
        for group in _in_groups(iter(coming), _GROUP):
            if stopping.asked:
                return False
            self._clock.move(group[0].at)
            self._send_visits(group)
            self._clock.move(
                group[-1].at + _MOMENT
            )  # whoever goes on from here begins with the next one
        self._track(ends)
        return not stopping.asked

    def _send_visits(self, group: Sequence[Visit]) -> None:
        """Send the ranking requests of a group of visits, and record the answers."""
        coming = self._without_lost(group)
        replies = self._calls.post("/rank", [request(self._setting, visit) for visit in coming])
        if coming and not any(reply.status == 200 for reply in replies):
            raise Unavailable(
                f"the gateway answers no request: {replies[0].status} {replies[0].error}",
                remedy="isthmus endpoints list",
            )
        for visit, reply in zip(coming, replies, strict=True):
            self._units.add(visit.unit)
            if visit.bot:
                self._bots.add(visit.unit)
            self._note_answer(visit, reply)

    def _without_lost(self, group: Sequence[Visit]) -> list[Visit]:
        """Return the visits without those of units that a simulated fault loses.

        To learn a unit's arm it asks the gateway's /assign, without logging.
        """
        doubtful = {
            visit.unit: visit
            for visit in group
            if is_lost(self._setting, visit.unit) and visit.unit not in self._lost
        }
        questions = [
            {**question(self._setting, visit), "log": False} for visit in doubtful.values()
        ]
        for unit, reply in zip(doubtful, self._calls.post("/assign", questions), strict=True):
            if reply.status != 200:
                raise Unavailable(f"/assign: {reply.status} {reply.error}", remedy="isthmus doctor")
            if self._arm_of(reply) == self._broken:
                self._lost.add(unit)
        return [visit for visit in group if visit.unit not in self._lost]

    def _note_answer(self, visit: Visit, reply: HttpReply) -> None:
        """Record an answer of the gateway, and schedule the events that follow it."""
        self._counts["requests"] += 1
        if reply.status != 200:
            self._failed[f"{reply.status} {reply.error}"] += 1
            return
        body = reply.body
        answer = ShownAnswer(
            items=body["items"],
            positions=body.get("positions") or range(1, len(body["items"]) + 1),
            exposures=body.get("exposures") or [""] * len(body["items"]),
            arm=self._arm_of(reply),
        )
        self._counts["shown"] += len(answer.items)
        for waiting in events(self._setting, visit, answer, self._clock.moment):
            heappush(self._ahead, (waiting.due, self._number, waiting))
            self._number += 1

    def _arm_of(self, reply: HttpReply) -> str | None:
        """Return the arm of the simulated experiment that a reply names for its unit, or None."""
        arms = reply.body.get("assignments", {})
        return next(
            (
                arm
                for run, arm in arms.items()
                if run.rpartition(".")[0] == self._setting.simulation.experiment
            ),
            None,
        )

    def _track(self, until: datetime) -> None:
        """Send the events that the gateway is to receive up to a simulated time."""
        self._clock.move(until)
        due: list[PendingEvent] = []
        while self._ahead and self._ahead[0][0] <= until:
            due.append(heappop(self._ahead)[-1])
        parts = list(_in_groups(iter(due), _MOST_EVENTS))
        for part, reply in zip(
            parts,
            self._calls.post("/track", [[waiting.event for waiting in part] for part in parts]),
            strict=True,
        ):
            self._count_sent(part, reply)

    def _count_sent(self, part: Sequence[PendingEvent], reply: HttpReply) -> None:
        """Count the events that the gateway accepted and refused."""
        rejected: list[dict[str, Any]] | None = reply.fields.get("rejected")
        if rejected is None:
            raise Unavailable(f"/track: {reply.status} {reply.error}", remedy="isthmus doctor")
        self._rejected.update(rejection["reason"] for rejection in rejected)
        refused = {rejection["index"] for rejection in rejected}
        for index, waiting in enumerate(part):
            if index not in refused:
                self._sent[waiting.event["event"]] += 1
                self._counts["late"] += waiting.late

    def _time_at(self, moment: datetime) -> SimulatedTime:
        """Return the simulated time to store, with the events that are still to be sent."""
        waiting = tuple(
            waiting for _, _, waiting in sorted(self._ahead, key=lambda entry: entry[:2])
        )
        return replace(self._time, at=moment, waiting=waiting)

    def _totals(self, began: datetime) -> SimulationTotals:
        """Return the totals of what the simulation sent and what was answered."""
        return SimulationTotals(
            began=began,
            ended=self._clock.moment,
            units=len(self._units - self._bots),
            bots=len(self._bots),
            lost=len(self._lost),
            requests=self._counts["requests"],
            failed=dict(self._failed),
            shown=self._counts["shown"],
            sent=dict(self._sent),
            late=self._counts["late"],
            waiting=len(self._ahead),
            rejected=dict(self._rejected),
        )


def _in_groups(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Yield the items in lists of a given size; the last may be shorter."""
    while group := list(islice(items, size)):
        yield group
