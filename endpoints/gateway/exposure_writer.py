"""Exposures leave in groups: a thread of its own hands them to the stream, so that an answer waits for no commit.

A process that is killed loses what waits: what came in the last 20 ms, and the group that is on its way.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, MutableSet, Sequence
from datetime import timedelta
from typing import final

from ...errors import Busy, Conflict, IsthmusError, OutcomeUnknown, Throttled, Unavailable
from ...events.port import Rejected, Row

GROUP = 500  # rows; what a call of Kinesis takes
GATHER = timedelta(milliseconds=20)  # after a group's first row
ROOM = 10_000  # rows that may wait
PATIENCE = timedelta(seconds=1)  # that an answer waits for room
RETRIES = timedelta(seconds=30)
CLOSING = timedelta(seconds=30)

_TRANSIENT = (Unavailable, Throttled, Busy, Conflict, OutcomeUnknown)  # after the last a row may be there twice, which is read once
_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds before the next try, doubled each time
_LOOK = 0.25  # seconds between looks of an idle writer at whether the program ends

Emit = Callable[[Sequence[Row]], Sequence[Rejected]]


class _Answer:
    """One answer's rows on their way."""

    __slots__ = ("arrived", "done", "problem", "rows")

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.arrived = time.monotonic()
        self.done = False
        self.problem = ""


@final
class ExposureWriter:
    """Many threads may `put`. Its own thread begins with the first row, ends with `close`, and is waited for when the program ends.

    A forked process has a writer of its own, with nothing in it: what waited is the parent's to deliver.
    """

    def __init__(
        self,
        emit: Emit,
        *,
        name: str,
        durable: bool = False,
        closers: MutableSet[Callable[[], None]] | None = None,
        room: int = ROOM,
        patience: timedelta = PATIENCE,
        retries: timedelta = RETRIES,
    ) -> None:
        """`name`: of the endpoint, for messages. `durable`: `put` returns when the rows are delivered, or given up.

        `closers`: where `close` is while there is a thread, for what must come before the target is closed.
        """
        self._emit = emit
        self._name = name
        self._durable = durable
        self._closers = closers
        self._room = room
        self._patience = patience.total_seconds()
        self._retries = retries.total_seconds()
        self.renew()
        _writers.add(self)

    def renew(self) -> None:
        """As it was made, and without a thread: what a forked process begins with."""
        self.undelivered = 0  # rows
        self.waiting = 0  # rows, with those of the group that is on its way
        lock = threading.RLock()  # `end` may be called by the garbage collector inside of any of this
        self._arrived = threading.Condition(lock)
        self._left = threading.Condition(lock)
        self._queue: deque[_Answer] = deque()
        self._queued = 0  # rows
        self._on_its_way: list[_Answer] = []
        self._thread: threading.Thread | None = None
        self._idle = False
        self._ending = False
        self._deadline = float("inf")  # monotonic; afterwards nothing is tried again
        self._stuck = False  # there was no room, and no group has left since: nobody else waits for room
        self._untold = ""

    def put(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """Problems, to be told with this answer: its own rows that are lost, or, once, those of earlier answers."""
        if not rows:
            return ()
        answer = _Answer(rows)
        with self._arrived:
            if self._has_no_room(answer):
                return (self._lose(answer.rows, len(rows), f"{self.waiting:,} exposures wait already"),)
            if self._thread is None and (refusal := self._start()):
                return (self._lose(answer.rows, len(rows), refusal),)
            self._queue.append(answer)
            self._queued += len(rows)
            self.waiting += len(rows)
            if self._idle or self._queued >= GROUP:
                self._idle = False
                self._arrived.notify()
            if self._durable:
                self._left.wait_for(lambda: answer.done)
                return (answer.problem,) if answer.problem else ()
            told, self._untold = self._untold, ""
        return (told,) if told else ()

    def _has_no_room(self, answer: _Answer) -> bool:
        def fits() -> bool:
            return not self.waiting or self.waiting + len(answer.rows) <= self._room

        if fits():
            return False
        if not self._stuck:
            self._left.wait_for(lambda: fits() or self._stuck, self._patience)
            self._stuck = not fits()
        return not fits()

    def _start(self) -> str:
        """Why not, or nothing. No daemon: a program that ends waits for it, in a process of `multiprocessing`, too."""
        self._ending, self._deadline = False, float("inf")
        thread = threading.Thread(target=self._run, name=f"exposures of {self._name}")
        try:
            thread.start()
        except RuntimeError as error:
            return str(error)
        self._thread = thread
        if self._closers is not None:
            self._closers.add(self.close)
        return ""

    def end(self) -> None:
        """Deliver what waits, then end the thread; without waiting for it."""
        with self._arrived:
            self._ending = True
            self._arrived.notify()

    def close(self, within: timedelta = CLOSING) -> None:
        """Deliver what waits and end the thread. What has not left in time counts as undelivered, and is told. `put` opens it again."""
        with self._arrived:
            thread = self._thread
            self._deadline = time.monotonic() + within.total_seconds()
            self.end()
        if thread is None or thread is threading.current_thread():
            return
        thread.join(within.total_seconds())
        with self._arrived:
            if self._thread is thread:  # it hangs in a call, which nothing can end
                late = [*self._on_its_way, *self._queue]
                self._queue.clear()
                self._queued = 0
                if late:
                    self._settle(late, sum(len(answer.rows) for answer in late), f"no answer within {within.total_seconds():g} s")
                self._gone()

    def _run(self) -> None:
        while group := self._next():
            lost, why = self._delivered([row for answer in group for row in answer.rows])
            with self._arrived:
                if self._thread is not threading.current_thread():  # given up: counted already
                    return
                self._settle(group, lost, why)

    def _next(self) -> list[_Answer] | None:
        """Waits for a group. None: the thread ends."""
        with self._arrived:
            while not self._queue:
                ended = not threading.main_thread().is_alive()
                if self._ending or ended:
                    self._gone()
                    return None
                self._idle = True
                self._arrived.wait(_LOOK)
                self._idle = False
            gathered = self._queue[0].arrived + GATHER.total_seconds()
            while not (self._durable or self._ending) and self._queued < GROUP and (left := gathered - time.monotonic()) > 0:
                self._arrived.wait(left)
            if not threading.main_thread().is_alive():
                self._deadline = min(self._deadline, time.monotonic() + CLOSING.total_seconds())
            group: list[_Answer] = []
            count = 0
            while self._queue and (not group or count + len(self._queue[0].rows) <= GROUP):
                group.append(self._queue.popleft())
                count += len(group[-1].rows)
            self._queued -= count
            self._on_its_way = group
            return group

    def _gone(self) -> None:
        self._thread = None
        self._on_its_way = []
        if self._closers is not None:
            self._closers.discard(self.close)

    def _delivered(self, rows: list[Row]) -> tuple[int, str]:
        """How many were not, and why."""
        given_up, pause = time.monotonic() + self._retries, _PAUSE
        while True:
            try:
                rejected = self._emit(rows)
            except _TRANSIENT as error:
                if time.monotonic() + pause > min(given_up, self._deadline):
                    return len(rows), str(error)
            except IsthmusError as error:
                return len(rows), str(error)
            except Exception as error:  # noqa: BLE001  the thread must go on, whatever it was; it is told
                return len(rows), repr(error)
            else:
                return len(rejected), rejected[0].reason if rejected else ""
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _settle(self, group: Sequence[_Answer], lost: int, why: str) -> None:
        rows = [row for answer in group for row in answer.rows]
        problem = self._lose(rows, lost, why) if lost else ""
        self._untold = problem if problem and not self._durable else self._untold
        for answer in group:
            answer.done, answer.problem = True, problem
        self.waiting -= len(rows)
        self._on_its_way = []
        self._stuck = False
        self._left.notify_all()

    def _lose(self, rows: Sequence[Row], lost: int, why: str) -> str:
        self.undelivered += lost
        problem = f"{lost:,} of {len(rows):,} exposures not delivered: {why}"
        span = f"{rows[0].get('event_id')} .. {rows[-1].get('event_id')}"
        print(f"{self._name} {span}: {problem}", file=sys.stderr, flush=True)
        return problem


_writers: weakref.WeakSet[ExposureWriter] = weakref.WeakSet()


def _after_fork() -> None:
    for writer in _writers:
        writer.renew()


os.register_at_fork(after_in_child=_after_fork)
