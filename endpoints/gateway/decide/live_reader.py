"""One process's copies of `experiments/live` and of sticky splits, read by a thread every 5 s.

The last sound copy of the live document is kept, however old; a split is applied for 15 s (PORTS.md
6), so that a change of it is known to serve by then. No request reads them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, MutableSet
from datetime import timedelta
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import final

from ....core.formats import decode
from ....core.runtime.project import Project
from ....errors import Invalid
from ....project.specs.description import BUCKETS, Endpoint
from ..processes.forks import renewed_when_forked
from . import sticky_split as sticky
from .document_copy import CopyState, DocumentCopy, Read
from .live_document import LIVE, LiveExperiments, LiveRun

EVERY = timedelta(seconds=5)
FIRST = timedelta(seconds=1)  # that the first requests wait for the first copy
_LATE = 3  # times `every`: a copy that is older is told
_ENDING = 1.0  # seconds that `close` waits for a look that is under way


@final
class LiveReader:
    """Many threads may ask.

    Its thread begins with `start`, or the first who asks, and ends with `close`; asking opens it
    again.
    """

    def __init__(
        self,
        read: Read,
        *,
        splits: Mapping[str, Read] = MappingProxyType({}),
        every: timedelta = EVERY,
        clock: Callable[[], float] = time.monotonic,
        closers: MutableSet[Callable[[], None]] | None = None,
    ) -> None:
        """`read`, `splits` (by endpoint): the StateStore's documents.

        `closers`: where `close` is while there is a thread.
        """
        self._live = DocumentCopy(LIVE, read, _live, clock)
        self._splits = {
            name: DocumentCopy(sticky.key(name), read_split, partial(_split, name), clock)
            for name, read_split in splits.items()
        }
        self._every = every.total_seconds()
        self._closers = closers
        self.renew()
        renewed_when_forked(self)

    def renew(self) -> None:
        """Drop the parent process's thread and locks after a fork; keep the last copies."""
        self._lock = threading.Lock()
        self._looked = threading.Event()
        self._waits = True  # for the first look
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    @property
    def last(self) -> CopyState[LiveExperiments]:
        """Return the copy of the document that lists the running experiments, as last read."""
        return self._live.last

    def current(self) -> CopyState[LiveExperiments]:
        """Return the copy of the document that lists the running experiments.

        It starts the thread that reads the document, if needed. The first requests wait for the
        first read, for a second at most.
        """
        if self._thread is None:
            self.start()
        if self._waits:
            self._looked.wait(FIRST.total_seconds())
            self._waits = False
        return self.last

    def split(self, endpoint: str) -> sticky.Split | None:
        """Return how a sticky endpoint's units are split over variants; None if uncertain.

        That is so if the endpoint is not sticky, has no document, or the copy is too old.
        """
        copy = self._splits.get(endpoint)
        return None if copy is None or _too_old(copy) else copy.last.value

    @property
    def age(self) -> float | None:
        """Return the seconds since the document of running experiments was last confirmed.

        None before that.
        """
        return self._live.age

    @property
    def version(self) -> int | None:
        """Return the version of the document of running experiments; None before the first read."""
        return self.last.value.version if self.last.value else None

    @property
    def problems(self) -> tuple[str, ...]:
        """Return sentences on why assignments or a sticky split may be out of date."""
        return (
            *self._live_problems(),
            *(problem for copy in self._splits.values() if (problem := self._split_problem(copy))),
        )

    def _live_problems(self) -> tuple[str, ...]:
        """Return sentences on why units get no experiment, or are assigned by an old document."""
        problem, age = self.last.problem, self.age
        if age is None:
            return (
                (
                    f"{LIVE} was not read yet: units get the defaults, nothing is assigned: "
                    f"{problem or 'no answer'}"
                ),
            )
        if problem or age > _LATE * self._every:
            return (
                (
                    f"{LIVE} as it was {age:.0f} s ago is used: "
                    f"{problem or 'the store does not answer'}"
                ),
            )
        return ()

    def _split_problem(self, copy: DocumentCopy[sticky.Split]) -> str:
        """Return, as text, why a sticky split is not applied or is old; "" if it is current."""
        problem, age = copy.last.problem, copy.age
        if age is None:
            return (
                f"{copy.key} was not read yet: calls are not aimed at a variant: "
                f"{problem or 'no answer'}"
            )
        if _too_old(copy):
            limit = f"{sticky.KEPT.total_seconds():g} s"
            return (
                f"{copy.key} was last read {age:.0f} s ago, and holds for {limit}: calls are not "
                f"aimed: {problem or 'the store is slow'}"
            )
        return f"{copy.key} as it was {age:.0f} s ago is used: {problem}" if problem else ""

    def start(self) -> None:
        """Start the thread that reads the running experiments and sticky splits at intervals."""
        with self._lock:
            if self._thread is not None:
                return
            self._ending = threading.Event()
            thread = threading.Thread(
                target=self._run, args=(self._ending,), name=LIVE, daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:  # no thread can be started: as if the store were away
                self._live.note_problem(str(error))
                for copy in self._splits.values():
                    copy.note_problem(str(error))
                self._waits = False
                return
            self._thread = thread
            if self._closers is not None:
                self._closers.add(self.close)

    def end(self) -> None:
        """Tell the reading thread to stop, without waiting for it."""
        self._ending.set()

    def close(self) -> None:
        """Stop the thread that reads the document of running experiments."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._ending.set()
            if self._closers is not None:
                self._closers.discard(self.close)
        if thread is not None and thread is not threading.current_thread():
            thread.join(_ENDING)

    def _run(self, ending: threading.Event) -> None:
        """Read the running experiments and sticky splits at intervals until `ending` is set."""
        while not ending.is_set():
            self.look()
            self._looked.set()
            ending.wait(self._every)
        if self._closers is not None and ending is self._ending:  # nobody has begun again meanwhile
            self._closers.discard(self.close)

    def look(self) -> None:
        """Read the running experiments and sticky splits once; on an error keep the last copies."""
        self._live.look()
        for copy in self._splits.values():
            copy.look()


def reader_of(project: Project, endpoints: Iterable[Endpoint]) -> LiveReader:
    """Return a reader of the running experiments and the sticky splits of these endpoints."""
    state = project.target.state
    splits = {
        e.name: partial(state.get, sticky.key(e.name)) for e in endpoints if e.routing == "sticky"
    }
    return LiveReader(partial(state.get, LIVE), splits=splits, closers=project.before_close)


def _too_old(copy: DocumentCopy[sticky.Split]) -> bool:
    """Return whether the gateway's copy of a sticky split is too old to route requests by it."""
    return copy.age is None or copy.age >= sticky.KEPT.total_seconds()


def _live(value: bytes) -> LiveExperiments:
    """Parse the live document, which lists the running experiments; check that it can be served.

    Raises:
        Invalid: It is damaged, or contradicts itself.
    """
    live = decode(value, LiveExperiments, what=LIVE)
    for run in live.runs:
        if fault := _fault(run, live):
            raise Invalid(f"{LIVE} is damaged: {run.run} {fault}")
    return live


def _split(endpoint: str, value: bytes) -> sticky.Split:
    """Parse an endpoint's stored split of units over variants; raise Invalid if it is damaged."""
    what = sticky.key(endpoint)
    return sticky.sound(decode(value, sticky.Split, what=what), what)


def _fault(run: LiveRun, live: LiveExperiments) -> str:
    """Return, as text, why the gateway cannot serve an experiment's run; "" if it can.

    `live` is the document that lists all running experiments.
    """
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
    if any(
        isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 100
        for share in explore
    ):
        return f"explores {explore} %"
    return _unnamed_variants(run) or _shared_buckets(run, live)


def _unnamed_variants(run: LiveRun) -> str:
    """Return an error text if a run interleaves variants that its arms do not name; else ""."""
    named = {arm.parameters.get("variant") for arm in run.arms}
    return (
        ""
        if run.interleave is None or {*run.interleave} <= named
        else f"interleaves {' and '.join(run.interleave)}, unlike its arms"
    )


def _shared_buckets(run: LiveRun, live: LiveExperiments) -> str:
    """Return an error text if another running experiment has some of a run's buckets; else "".

    `live` is the document that lists all running experiments.
    """
    ranges = sorted(
        span
        for other in live.runs
        if (other.layer, other.state) == (run.layer, "running")
        for span in other.ranges
    )
    return (
        "shares buckets with another run"
        if any(low <= previous_high for (_, previous_high), (low, _) in pairwise(ranges))
        else ""
    )
