"""`experiments/live` as one process knows it: a thread reads it every 5 s, no request does, and the last sound copy is kept."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, MutableSet
from datetime import timedelta
from itertools import pairwise
from typing import final

import msgspec

from ...errors import Invalid, IsthmusError
from ...formats import decode
from ...storage import Versioned
from .assignment import BUCKETS, LIVE, Live, LiveRun

EVERY = timedelta(seconds=5)
FIRST = timedelta(seconds=1)  # that the first requests wait for the first copy
_LATE = 3  # times `every`: a copy that is older is told
_ENDING = 1.0  # seconds that `close` waits for a look that is under way


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """`live` None: the store has no document, or nobody knows (`seen` None)."""

    live: Live | None = None
    seen: float | None = None  # when this was what the store had
    problem: str = ""  # of the last look


@final
class LiveReader:
    """Many threads may ask. Its thread begins with `start`, or the first who asks, and ends with `close`; asking opens it again."""

    def __init__(
        self,
        read: Callable[[], Versioned | None],
        *,
        every: timedelta = EVERY,
        clock: Callable[[], float] = time.monotonic,
        closers: MutableSet[Callable[[], None]] | None = None,
    ) -> None:
        """`read`: the StateStore's document. `closers`: where `close` is while there is a thread."""
        self._read = read
        self._every = every.total_seconds()
        self._clock = clock
        self._closers = closers
        self.last = Known()
        self._token = ""  # of the document that was looked at last
        self._fault = ""  # of that document
        self.renew()
        _readers.add(self)

    def renew(self) -> None:
        """Without a thread, and with the copy that there is: what a forked process begins with."""
        self._lock = threading.Lock()
        self._looked = threading.Event()
        self._waits = True  # for the first look
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def known(self) -> Known:
        """What the last look left. The first requests wait for the first look, for a second at most."""
        if self._thread is None:
            self.start()
        if self._waits:
            self._looked.wait(FIRST.total_seconds())
            self._waits = False
        return self.last

    @property
    def age(self) -> float | None:
        """Seconds since this was what the store had; None: there was no answer yet."""
        seen = self.last.seen
        return None if seen is None else max(0.0, self._clock() - seen)

    @property
    def version(self) -> int | None:
        return self.last.live.version if self.last.live else None

    @property
    def problems(self) -> tuple[str, ...]:
        """Why experiments may be others than are known here."""
        problem, age = self.last.problem, self.age
        if age is None:
            return (f"{LIVE} was not read yet: units get the defaults, nothing is assigned: {problem or 'no answer'}",)
        if problem or age > _LATE * self._every:
            return (f"{LIVE} as it was {age:.0f} s ago is used: {problem or 'the store does not answer'}",)
        return ()

    def start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._ending = threading.Event()
            thread = threading.Thread(target=self._run, args=(self._ending,), name=LIVE, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no thread can be started: as if the store were away
                self.last = msgspec.structs.replace(self.last, problem=str(error))
                self._waits = False
                return
            self._thread = thread
            if self._closers is not None:
                self._closers.add(self.close)

    def end(self) -> None:
        """Without waiting for it."""
        self._ending.set()

    def close(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
            self._ending.set()
            if self._closers is not None:
                self._closers.discard(self.close)
        if thread is not None and thread is not threading.current_thread():
            thread.join(_ENDING)

    def _run(self, ending: threading.Event) -> None:
        while not ending.is_set():
            self.look()
            self._looked.set()
            ending.wait(self._every)
        if self._closers is not None and ending is self._ending:  # nobody has begun again meanwhile
            self._closers.discard(self.close)

    def look(self) -> None:
        """Once. Whatever goes wrong, the copy stays and the problem is noted."""
        began = self._clock()
        try:
            self.last = self._seen(self._read(), began)
        except IsthmusError as error:
            self.last = msgspec.structs.replace(self.last, problem=str(error))
        except Exception as error:  # noqa: BLE001  the thread must go on, whatever it was; it is told
            self.last = msgspec.structs.replace(self.last, problem=repr(error))

    def _seen(self, document: Versioned | None, began: float) -> Known:
        """Invalid, Refused: what is there is none, or older than what was there."""
        live = self.last.live
        if document is None:
            if live is not None:
                raise Invalid(f"the store has no {LIVE} any more")
            return Known(seen=began)
        if document.token != self._token:
            self._token, self._fault = document.token, ""
            try:
                live = _newer(sound(decode(document.value, Live, what=LIVE)), live)
            except IsthmusError as error:
                self._fault = str(error)
        if self._fault:
            raise Invalid(self._fault)
        return Known(live=live, seen=began)


def _newer(live: Live, than: Live | None) -> Live:
    """Invalid: an old copy of the store's. One that was begun anew has a lower version and was written later."""
    if than is not None and live.version < than.version and live.written <= than.written:
        raise Invalid(f"the store has {LIVE} of version {live.version} again, after version {than.version}")
    return live


def sound(live: Live) -> Live:
    """Invalid: units could not be assigned by it."""
    for run in live.runs:
        if fault := _fault(run, live):
            raise Invalid(f"{LIVE} is damaged: {run.run} {fault}")
    return live


def _fault(run: LiveRun, live: Live) -> str:
    ends = [arm.upper for arm in run.arms]
    explore = [arm.parameters["explore"] for arm in run.arms if "explore" in arm.parameters]
    if run.layer not in live.layers:
        return f"is in layer {run.layer}, which is not there"
    if not ends or ends != sorted(ends) or ends[0] < 0 or ends[-1] != BUCKETS:
        return f"has arms that end at {ends}"
    if any(not 0 <= low <= high < BUCKETS for low, high in run.ranges):
        return f"has buckets {run.ranges}"
    if run.state == "shipped" and run.ships not in [arm.name for arm in run.arms]:
        return f"ships {run.ships!r}, which is no arm of it"
    if any(isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 100 for share in explore):
        return f"explores {explore} %"
    return _shared(run, live)


def _shared(run: LiveRun, live: Live) -> str:
    ranges = sorted(span for other in live.runs if (other.layer, other.state) == (run.layer, "running") for span in other.ranges)
    return "shares buckets with another run" if any(low <= before for (_, before), (low, _) in pairwise(ranges)) else ""


_readers: weakref.WeakSet[LiveReader] = weakref.WeakSet()


def _after_fork() -> None:
    for reader in _readers:
        reader.renew()


os.register_at_fork(after_in_child=_after_fork)
