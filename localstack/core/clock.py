"""The stack's clock: the present time, and timers. Tests move it instead of waiting."""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

Mode = Literal["real", "instant", "manual"]
MODES: tuple[str, ...] = get_args(Mode)
_INSTANT_PERIOD = (
    0.25  # seconds of real time between the runs of a periodic function on the instant clock
)


class Timer:
    """A function that waits for its time. `cancel()` is always safe."""

    __slots__ = ("cancelled", "due", "every", "function")

    def __init__(
        self, due: datetime, function: Callable[[], object], every: float | None = None
    ) -> None:
        self.due = due
        self.function = function
        self.every = every
        self.cancelled = False

    def cancel(self) -> None:
        """Cancel the timer: its function is not called any more."""
        self.cancelled = True


class _Soon:
    """A function that runs once. Whoever finds it running waits for its end."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._lock = threading.RLock()
        self._begun = False

    def run(self) -> None:
        """Call the postponed function, unless it was called already; wait for a call under way."""
        with self._lock:
            if not self._begun:
                self._begun = True
                self._function()


class Clock:
    """The clock of one stack, in one of three modes.

    `real` ticks. `instant` ticks too, but the provider's own delays are zero: what comes after one
    has happened before the request that asked for it is answered. `manual` stands still until
    `advance`.

    All of them can be advanced, and what is due now runs at once on all. Timers run one after the
    other, in the order of their times; requests go on meanwhile.
    """

    def __init__(self, mode: Mode = "real") -> None:
        if mode not in MODES:
            raise ValueError(f"a clock is {', '.join(MODES)}; not {mode!r}")
        self.mode: Mode = mode
        self._offset = timedelta()
        self._frozen = datetime.now(UTC)
        self._timers: list[tuple[datetime, int, Timer]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._moving = (
            threading.Lock()
        )  # who runs timers, and until the last one has run: an advance, or the ticking
        self._current: Timer | None = None  # that runs, or ran last: a reset forgets it too
        self._request = threading.local()
        self._soon: dict[_Soon, None] = {}
        self._closed = False
        self._thread: threading.Thread | None = None

    def now(self) -> datetime:
        """Return the time on the simulated clock, in UTC."""
        base = self._frozen if self.mode == "manual" else datetime.now(UTC)
        return base + self._offset

    def call_after(self, delay: float | timedelta, function: Callable[[], object]) -> Timer:
        """Call a function when `delay` (seconds) has passed on this clock."""
        span = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        return self.call_at(self.now() + span, function)

    def call_at(self, due: datetime, function: Callable[[], object]) -> Timer:
        """Call a function once this clock shows `due`.

        On the instant clock it runs before the current request is answered, else at once.
        """
        timer = Timer(self.now() if self.mode == "instant" else due, function)
        waiting: list[Timer] | None = getattr(self._request, "waiting", None)
        if self.mode == "instant" and waiting is not None:
            waiting.append(timer)
        else:
            self._push(timer)
        return timer

    def call_at_limit(self, seconds: float, function: Callable[[], object]) -> Timer:
        """Call a function when work has used up its time limit of `seconds` on this clock.

        The instant clock skips the provider's delays, not the work: there a limit counts the
        seconds that pass.
        """
        timer = Timer(self.now() + timedelta(seconds=seconds), function)
        self._push(timer)
        return timer

    def call_every(self, seconds: float, function: Callable[[], object]) -> Timer:
        """Call a function at an interval on this clock, until the timer is cancelled.

        The instant clock calls it four times in a real second, since its time does not pass by
        itself. While the instant clock is moved, the function is called at its interval, and once
        when the move is done.
        """
        first = _INSTANT_PERIOD if self.mode == "instant" else seconds
        timer = Timer(self.now() + timedelta(seconds=first), function, seconds)
        self._push(timer)
        return timer

    def call_soon(self, function: Callable[[], object]) -> None:
        """Postpone a function to the next `settle`, such as to write a batch of records.

        It runs a quarter of a (real) second later at the latest.
        """
        soon = _Soon(function)
        self._soon[soon] = None
        self._push(
            Timer(self.now() + timedelta(seconds=_INSTANT_PERIOD), lambda: self._run_soon(soon))
        )

    def settle(self) -> None:
        """Call all functions postponed by `call_soon` now."""
        for soon in list(self._soon):
            self._run_soon(soon)

    def _run_soon(self, soon: _Soon) -> None:
        """Call one postponed function, and remove it from those to be called."""
        _run(Timer(self.now(), soon.run))
        self._soon.pop(soon, None)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Wrap the answering of a request: on the instant clock, run the timers that it sets.

        They have run when the block ends. Other clocks run them at their time.
        """
        if self.mode != "instant" or getattr(self._request, "waiting", None) is not None:
            yield
            return
        waiting: list[Timer] = []
        self._request.waiting = waiting
        try:
            yield
            while waiting:
                _run(waiting.pop(0))
        finally:
            self._request.waiting = None

    def advance(self, seconds: float) -> datetime:
        """Move the clock forward by some seconds, and return the time that it shows then.

        Every timer that comes due has run, with the clock at its own time, when this returns.
        """
        if seconds < 0:
            raise ValueError("a clock goes forward only")
        self.settle()
        with self._moving:
            target = self.now() + timedelta(seconds=seconds)
            while (timer := self._pop(target)) is not None:
                self._show(max(timer.due, self.now()))
                _run(timer)
                self._requeue(timer, target)
            self._show(target)
            return target

    def ahead(self) -> datetime | None:
        """Return this clock's time if it was moved ahead of the real time, else None."""
        now = self.now()
        return now if self._offset and now > datetime.now(UTC) else None

    def catch_up(self, moment: datetime | None) -> None:
        """Move the clock forward to `moment`, if it is behind, such as after a restart.

        None: the clock stays.
        """
        if moment is not None:
            self._show(moment)

    def reset(self) -> None:
        """Cancel every timer, and show real time again."""
        with self._changed:
            for _, _, timer in self._timers:
                timer.cancel()
            if self._current is not None:
                self._current.cancel()
            self._timers.clear()
            self._soon.clear()
            self._offset = timedelta()
            self._frozen = datetime.now(UTC)
            self._changed.notify_all()

    def close(self) -> None:
        """Stop the clock at the stack's end: no timer runs any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _show(self, moment: datetime) -> None:
        """Move the time that the clock shows forward to `moment`, without running timers."""
        self._offset += max(moment - self.now(), timedelta())

    def _push(self, timer: Timer) -> None:
        """Add a timer to the queue, and start the clock's thread if needed."""
        with self._changed:
            heapq.heappush(self._timers, (timer.due, next(self._count), timer))
            if self._thread is None:
                self._thread = threading.Thread(target=self._tick, name="clock", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _pop(self, until: datetime) -> Timer | None:
        """Take the next timer that is due at `until` out of the queue, or return None."""
        with self._changed:
            while self._timers and self._timers[0][0] <= until:
                timer = heapq.heappop(self._timers)[2]
                if not timer.cancelled:
                    self._current = timer
                    return timer
        return None

    def _requeue(self, timer: Timer, target: datetime | None = None) -> None:
        """Put a periodic timer back into the queue, due at its next time.

        `target` is the time to which the clock is being moved; None: it is not being moved.
        """
        with self._changed:  # no reset comes in between
            if timer.every is not None and not timer.cancelled:
                timer.due = self._next_due(timer.due, timer.every, target)
                self._push(timer)

    def _next_due(self, due: datetime, every: float, target: datetime | None) -> datetime:
        """Return the next time of a periodic timer that was `due` and runs `every` so many seconds.

        `target` is the time to which the clock is being moved; None: it is not being moved.
        """
        if self.mode != "instant":
            return due + timedelta(seconds=every)
        left = (target - due).total_seconds() if target else 0.0
        if left > 0:
            return due + timedelta(seconds=min(every, left))
        return max(due, self.now()) + timedelta(
            seconds=_INSTANT_PERIOD
        )  # nothing is made up for, or who moves it would wait for that

    def _tick(self) -> None:
        """Run timers as they come due, in the clock's thread, until the clock is closed."""
        while True:
            with self._changed:
                if self._closed:
                    return
                wait = (self._timers[0][0] - self.now()).total_seconds() if self._timers else 3600.0
                if wait > 0:
                    self._changed.wait(None if self.mode == "manual" else wait)
                    continue
            with self._moving:
                if (timer := self._pop(self.now())) is not None:
                    _run(timer)
                    self._requeue(timer)


def _run(timer: Timer) -> None:
    """Call a timer's function, unless it was cancelled; an error goes to stderr."""
    if timer.cancelled:
        return
    try:
        timer.function()
    except Exception:  # noqa: BLE001  one handler's mistake must not stop everybody's clock
        sys.stderr.write(f"clock: {timer.function!r} failed at {time.strftime('%H:%M:%S')}\n")
        traceback.print_exc()
