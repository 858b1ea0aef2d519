"""A breaker that keeps answers from waiting for a store of counts that does not answer.

A call that failed and took `SLOW` opens the breaker: calls fail at once, as that one did, and a
thread asks the store from time to time until it answers again. What fails at once makes nobody
wait, so it opens nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import TypeVar, final

from ....errors import Busy, IsthmusError, OutcomeUnknown, Throttled, Unavailable
from ...port import Counters
from ..processes.forks import renewed_when_forked

T = TypeVar("T")
SLOW = 0.5  # seconds
BETWEEN = timedelta(seconds=5)  # two tries
_TRANSIENT = (Unavailable, OutcomeUnknown, Throttled, Busy)


@final
class Breaker:
    """`get` and `add` as of the Counters' port, from many threads.

    Its thread lives while the store is away.
    """

    def __init__(
        self,
        store: Counters,
        *,
        clock: Callable[[], float] = time.monotonic,
        between: timedelta = BETWEEN,
    ) -> None:
        self._store = store
        self._clock = clock
        self._between = between.total_seconds()
        self.renew()
        renewed_when_forked(self)

    def renew(self) -> None:
        """Reset the circuit breaker to closed, with new locks, in a process just forked."""
        self.away: IsthmusError | None = None  # the last failure; None: the store is there
        self._lock = (
            threading.RLock()
        )  # `end` may be called by the garbage collector inside of any of this
        self._ending = threading.Event()

    def get(self, endpoint: str, unit: str) -> Mapping[str, int]:
        """Return how often a unit was shown each item, from the store of frequency counts.

        While the circuit breaker is open, it fails at once.
        """
        return self._call(endpoint, unit, lambda: self._store.get(endpoint, unit))

    def add(
        self,
        endpoint: str,
        unit: str,
        amounts: Mapping[str, int],
        *,
        forget: Collection[str] = (),
        until: datetime,
    ) -> None:
        """Add to the stored counts of how often a unit was shown items.

        While the circuit breaker is open, it fails at once. `forget` are names of counts to delete;
        after `until` all of the unit's counts may be deleted.
        """
        self._call(
            endpoint,
            unit,
            lambda: self._store.add(endpoint, unit, amounts, forget=forget, until=until),
        )

    def end(self) -> None:
        """Stop the thread that probes the store of counts, without waiting; close the breaker."""
        with self._lock:
            self._ending.set()
            self.away = None

    def _call(self, endpoint: str, unit: str, call: Callable[[], T]) -> T:
        """Call the store of counts; while the breaker is open, raise the last error instead.

        A transient failure that took long opens the breaker.
        """
        if (away := self.away) is not None:
            raise type(away)(away.message, remedy=away.remedy)
        began = self._clock()
        try:
            return call()
        except _TRANSIENT as error:
            if self._clock() - began >= SLOW:
                self._open(endpoint, unit, error)
            raise

    def _open(self, endpoint: str, unit: str, error: IsthmusError) -> None:
        """Open the circuit breaker after an error of the store: calls fail, and a thread probes it.

        `endpoint` and `unit` are what the probe reads.
        """
        with self._lock:
            if self.away is None:
                self._ending = threading.Event()
                thread = threading.Thread(
                    target=self._ask,
                    args=(endpoint, unit, self._ending),
                    daemon=True,
                    name=f"counters of {endpoint}",
                )
                try:
                    thread.start()
                except RuntimeError:  # no thread can be started: the next call asks
                    return
                self.away = error

    def _ask(self, endpoint: str, unit: str, ending: threading.Event) -> None:
        """Probe the store of frequency counts at intervals until it answers or `ending` is set."""
        while not ending.wait(self._between):
            problem = self._problem(endpoint, unit)
            with self._lock:
                if ending.is_set():
                    return
                self.away = problem
                if problem is None:
                    return

    def _problem(self, endpoint: str, unit: str) -> IsthmusError | None:
        """Read a unit's counts to probe the store; return its error if unreachable, or None."""
        try:
            self._store.get(endpoint, unit)
        except _TRANSIENT as error:
            return error
        except Exception:  # noqa: BLE001  a call that somebody waits for says it better
            return None
        return None
