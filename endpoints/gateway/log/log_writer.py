"""Group-wise delivery of a gateway's log by a thread, so that an answer waits for no commit.

A process that is killed loses the waiting rows: those of the last 20 ms, and the group that is on
its way. The streams of a group go one after the other, exposures first; one that fails takes no
other with it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, MutableSet, Sequence
from datetime import timedelta
from typing import final

import msgspec

from ....errors import Busy, Conflict, Invalid, IsthmusError, OutcomeUnknown, Throttled, Unavailable
from ....events.port import Rejected, Row
from ....project.specs.streams import Stream
from ..processes.forks import renewed_when_forked
from .streams import STREAMS

GROUP = 500  # rows; what a call of Kinesis takes
# characters of a row's texts that count as a row more: a ranking names all of its candidates
LONG = 1_000
GATHER = timedelta(milliseconds=20)  # after a group's first row
ROOM = 10_000  # rows that may wait
PATIENCE = timedelta(seconds=1)  # that an answer waits for room
RETRIES = timedelta(seconds=30)
CLOSING = timedelta(seconds=30)

_TRANSIENT = (
    Unavailable,
    Throttled,
    Busy,
    Conflict,
    OutcomeUnknown,
)  # after the last a row may be there twice, which is read once
_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds before the next try, doubled each time
_LOOK = 0.25  # seconds between looks of an idle writer at whether the program ends

Rows = Mapping[Stream, Sequence[Row]]
Emit = Callable[[Stream, Sequence[Row]], Sequence[Rejected]]


class _Answer:
    """One answer's rows on their way."""

    __slots__ = ("arrived", "done", "problem", "rows", "size")

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.size = sum(_size(row) for some in rows.values() for row in some)
        self.arrived = time.monotonic()
        self.done = False
        self.problem = ""


class _Loss(msgspec.Struct, frozen=True, kw_only=True):
    stream: Stream
    rows: Sequence[Row]
    lost: int
    why: str


@final
class LogWriter:
    """Many threads may `put`.

    Its own thread begins with the first row, ends with `close`, and is waited for when the program
    ends.

    A forked process has a writer of its own, with nothing in it: what waited is the parent's to
    deliver.
    """

    def __init__(
        self,
        emit: Emit,
        *,
        name: str,
        durable: bool = False,
        closers: MutableSet[Callable[[], None]] | None = None,
        lost: Callable[[Stream, Sequence[Row]], None] | None = None,
        room: int = ROOM,
        patience: timedelta = PATIENCE,
        retries: timedelta = RETRIES,
    ) -> None:
        """Prepare a writer without a thread.

        `name`: of the endpoint, for messages.

        `durable`: `put` returns when the rows are delivered, or given up.

        `closers`: where `close` is while there is a thread, for what must come before the target is
        closed. `lost` is called with rows of which some are not delivered.
        """
        self._emit = emit
        self._name = name
        self._durable = durable
        self._closers = closers
        self._lost = lost
        self._room = room
        self._patience = patience.total_seconds()
        self._retries = retries.total_seconds()
        self.renew()
        renewed_when_forked(self)

    def renew(self) -> None:
        """Reset to an empty writer without a thread, as a forked process needs it."""
        self.undelivered: Counter[Stream] = Counter()  # rows
        self.waiting: Counter[Stream] = (
            Counter()
        )  # rows, with those of the group that is on its way
        lock = (
            threading.RLock()
        )  # `end` may be called by the garbage collector inside of any of this
        self._arrived = threading.Condition(lock)
        self._left = threading.Condition(lock)
        self._queue: deque[_Answer] = deque()
        self._queued = 0  # size
        self._size = 0  # of what waits
        self._on_its_way: list[_Answer] = []
        self._thread: threading.Thread | None = None
        self._idle = False
        self._ending = False
        self._deadline = float("inf")  # monotonic; afterwards nothing is tried again
        self._stuck = (
            False  # there was no room, and no group has left since: nobody else waits for room
        )
        self._untold = ""
        self.failing = ""  # why rows are being lost; nothing once a group has left since
        self._sample: tuple[Stream, Row] | None = None  # of the rows that were lost last

    def retry(self) -> None:
        """Try to write one of the lost log rows again, if nothing is being written.

        It is needed because callers who learn of the loss send no more requests, so that no other
        row comes. If the row had been stored after all, its id keeps it from counting twice.
        """
        with self._arrived:
            if not self.failing or self._sample is None or self._queue or self._on_its_way:
                return
            stream, row = self._sample
        try:
            self._emit(stream, [row])
        except IsthmusError as error:
            self.failing = _error_text(error)
        except Exception as error:  # noqa: BLE001  whatever the store raised, the row is lost still, and /health says why
            self.failing = repr(error)
        else:
            self.failing = ""

    def put(self, rows: Rows) -> tuple[str, ...]:
        """Queue the log rows of one answer; return problems of the log, to be reported with it.

        They are the loss of its own rows or, once, that of earlier answers.
        """
        answer = _Answer(rows)
        if not answer.size:
            return ()
        with self._arrived:
            if self._has_no_room(answer):
                self.failing = f"{self.waiting.total():,} rows wait already"
                return (self._lost_whole([answer], self.failing),)
            if self._thread is None and (refusal := self._start()):
                return (self._lost_whole([answer], refusal),)
            self._queue.append(answer)
            self._queued += answer.size
            self._count([answer], 1)
            if self._idle or self._queued >= GROUP:
                self._idle = False
                self._arrived.notify()
            if self._durable:
                self._left.wait_for(lambda: answer.done)
                return (answer.problem,) if answer.problem else ()
            problem, self._untold = self._untold, ""
        return (problem,) if problem else ()

    def _count(self, answers: Iterable[_Answer], sign: int) -> None:
        """Add answers to the counts of waiting rows (`sign` 1), or subtract them (`sign` -1)."""
        for answer in answers:
            self._size += sign * answer.size
            for stream, rows in answer.rows.items():
                self.waiting[stream] += sign * len(rows)

    def _has_no_room(self, answer: _Answer) -> bool:
        """Wait for room in the queue of log rows; return whether there is still none."""

        def fits() -> bool:
            return not self._size or self._size + answer.size <= self._room

        if fits():
            return False
        if not self._stuck:
            self._left.wait_for(lambda: fits() or self._stuck, self._patience)
            self._stuck = not fits()
        return not fits()

    def _start(self) -> str:
        """Start the thread that writes the log; return why it cannot be started, or "".

        It is no daemon: a program that ends waits for it, in a process of `multiprocessing`, too.
        """
        self._ending, self._deadline = False, float("inf")
        thread = threading.Thread(target=self._run, name=f"log of {self._name}")
        try:
            thread.start()
        except RuntimeError as error:
            return str(error)
        self._thread = thread
        if self._closers is not None:
            self._closers.add(self.close)
        return ""

    def end(self) -> None:
        """Tell the writing thread to write what waits and end, without waiting for it."""
        with self._arrived:
            self._ending = True
            self._arrived.notify()

    def close(self, within: timedelta = CLOSING) -> None:
        """Write the log rows that wait, and end the thread.

        Rows that cannot be written within the time count as lost, and are reported. `put` starts
        the thread again.
        """
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
                    self._settle(
                        late,
                        self._lost_whole(late, f"no answer within {within.total_seconds():g} s"),
                    )
                self._gone()

    def _run(self) -> None:
        """Write groups of waiting log rows until the writer is closed."""
        while group := self._next():
            losses = self._deliver(group)
            with self._arrived:
                if self._thread is not threading.current_thread():  # given up: counted already
                    return
                self._settle(group, self._lose(losses))

    def _next(self) -> list[_Answer] | None:
        """Wait for the next group of answers to write; return None if the thread should end."""
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
            while (
                not (self._durable or self._ending)
                and self._queued < GROUP
                and (left := gathered - time.monotonic()) > 0
            ):
                self._arrived.wait(left)
            if not threading.main_thread().is_alive():
                self._deadline = min(self._deadline, time.monotonic() + CLOSING.total_seconds())
            group: list[_Answer] = []
            size = 0
            while self._queue and (not group or size + self._queue[0].size <= GROUP):
                group.append(self._queue.popleft())
                size += group[-1].size
            self._queued -= size
            self._on_its_way = group
            return group

    def _gone(self) -> None:
        """Forget the thread that writes the log, as it ends."""
        self._thread = None
        self._on_its_way = []
        if self._closers is not None:
            self._closers.discard(self.close)

    def _deliver(self, group: Sequence[_Answer]) -> list[_Loss]:
        """Write the log rows of a group of answers, stream by stream, and return what was lost."""
        given_up = time.monotonic() + self._retries
        losses: list[_Loss] = []
        for stream, rows in _by_stream(group):
            lost, why = self._send(stream, rows, given_up)
            if lost:
                losses.append(_Loss(stream=stream, rows=rows, lost=lost, why=why))
        return losses

    def _send(self, stream: Stream, rows: Sequence[Row], given_up: float) -> tuple[int, str]:
        """Write rows to a stream, and retry until `given_up`; return how many were lost, why."""
        pause = _PAUSE
        while True:
            try:
                rejected = self._emit(stream, rows)
            except _TRANSIENT as error:
                if time.monotonic() + pause > min(given_up, self._deadline):
                    return self._fails(stream, rows, _error_text(error))
            except Invalid as error:  # these rows alone
                return len(rows), _error_text(error)
            except IsthmusError as error:
                return self._fails(stream, rows, _error_text(error))
            except Exception as error:  # noqa: BLE001  the thread must go on, whatever it was; it is told
                return self._fails(stream, rows, repr(error))
            else:
                self.failing = ""
                return len(rejected), rejected[0].reason if rejected else ""
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _fails(self, stream: Stream, rows: Sequence[Row], why: str) -> tuple[int, str]:
        """Note that a stream's rows cannot be written; return how many are lost (all), and why.

        One row is kept, with which `retry` tests whether the stream works again. `why` is the
        error.
        """
        self._sample = (stream, rows[-1])
        self.failing = why
        return len(rows), why

    def _settle(self, group: Sequence[_Answer], problem: str) -> None:
        """Mark a group's answers as written, or as lost by a problem, and wake waiting callers."""
        self._untold = problem if problem and not self._durable else self._untold
        for answer in group:
            answer.done, answer.problem = True, problem
        self._count(group, -1)
        self._on_its_way = []
        self._stuck = False
        self._left.notify_all()

    def _lost_whole(self, answers: Sequence[_Answer], why: str) -> str:
        """Count every log row of these answers as lost, and return the problem as text."""
        return self._lose(
            [
                _Loss(stream=stream, rows=rows, lost=len(rows), why=why)
                for stream, rows in _by_stream(answers)
            ]
        )

    def _lose(self, losses: Sequence[_Loss]) -> str:
        """Count lost log rows, report them on stderr, and return the problems as text."""
        problems = []
        for loss in losses:
            self.undelivered[loss.stream] += loss.lost
            if self._lost is not None:
                self._lost(loss.stream, loss.rows)
            problems.append(
                f"{loss.lost:,} of {len(loss.rows):,} {loss.stream} not delivered: {loss.why}"
            )
            span = f"{loss.rows[0].get('event_id')} .. {loss.rows[-1].get('event_id')}"
            print(f"{self._name} {span}: {problems[-1]}", file=sys.stderr, flush=True)
        return "; ".join(problems)


def _size(row: Row) -> int:
    """Return how much of the queue's capacity a log row takes: 1, or more for long texts."""
    return 1 + sum([len(value) for value in row.values() if type(value) is str]) // LONG


def _by_stream(answers: Sequence[_Answer]) -> list[tuple[Stream, list[Row]]]:
    """Return the log rows of several answers by stream, without empty streams."""
    rows: dict[Stream, list[Row]] = {
        stream: [row for answer in answers for row in answer.rows.get(stream, ())]
        for stream in STREAMS
    }
    return [(stream, some) for stream, some in rows.items() if some]


def _error_text(error: IsthmusError) -> str:
    """Return an error's message as text, with its remedy in brackets."""
    return f"{error} ({error.remedy})" if error.remedy else str(error)
