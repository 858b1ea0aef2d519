"""One process's record of an endpoint's answers: counts and latencies by variant.

The durable figures are MetricSource's.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence

from .forks import renewed_when_forked

KEPT = 100_000  # latencies a variant


class Tally:
    def __init__(self) -> None:
        self.requests: dict[str, int] = {}
        self.errors = 0
        self.gone = 0  # calls that were to be aimed at a variant which is not there
        self.undrafted = 0  # answers to units of an interleaved run that one variant alone gave
        self.unlogged = 0  # shown items whose row was too large to be logged
        self.capless = 0  # answers whose caps per unit were not checked, or that are not counted
        self.shadows: Counter[str] = Counter()  # copies of requests: compared, failed, dropped
        self.ruled: Counter[str] = Counter()  # answers that a rule had a say in
        self._seconds: dict[str, deque[float]] = {}
        self.renew()
        renewed_when_forked(self)

    def renew(self) -> None:
        """Make a new lock for the counters, in a process that was just forked."""
        self._lock = threading.Lock()

    def answered(self, variant: str, seconds: float) -> None:
        """Count an answered request of a variant, and its latency."""
        with self._lock:
            self.requests[variant] = self.requests.get(variant, 0) + 1
            self._seconds.setdefault(variant, deque(maxlen=KEPT)).append(seconds)

    def failed(self) -> None:
        """Count a request that the gateway answered by an error."""
        with self._lock:
            self.errors += 1

    def overruled(self, rules: Sequence[str]) -> None:
        """Count an answer for each business rule that changed its order."""
        if rules:
            with self._lock:
                self.ruled.update(rules)

    def uncapped(self) -> None:
        """Count a request whose frequency caps were not applied, as the store of counts failed."""
        with self._lock:
            self.capless += 1

    def left_out(self, rows: int) -> None:
        """Count rows of features that are too large to be logged with their exposures."""
        if rows:
            with self._lock:
                self.unlogged += rows

    def shadowed(self, outcome: str) -> None:
        """Count a request copy for the shadow variant, by its outcome such as `dropped`."""
        with self._lock:
            self.shadows[outcome] += 1

    def answered_alone(self) -> None:
        """Count a request answered by one variant alone, where two should be interleaved."""
        with self._lock:
            self.undrafted += 1

    def aimed_at_nothing(self) -> None:
        """Count a request whose experiment arm names a variant that is not deployed."""
        with self._lock:
            self.gone += 1

    def percentile(self, share: float, variant: str | None = None) -> float | None:
        """Return a percentile (`share` from 0 to 1) of latencies in ms; None without answers.

        It is the value of the nearest rank. Without a `variant` all answers count.
        """
        with self._lock:
            names = list(self._seconds) if variant is None else [variant]
            seconds = sorted(s for name in names for s in self._seconds.get(name, ()))
        return 1000 * seconds[min(len(seconds) - 1, int(share * len(seconds)))] if seconds else None
