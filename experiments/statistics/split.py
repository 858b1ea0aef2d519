"""Whether units came to the arms as they were meant to: a check that may be looked at every day.

Pure.

The Bayes factor of a Dirichlet around the planned shares against the shares themselves (Lindon,
Malek 2020): under the plan it exceeds k at any look with probability 1 / k at most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

_PRIOR = 100.0  # how many units the Dirichlet is worth
ALARM = 1000.0


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """How many units came to each arm, and how likely they did not come as planned.

    `log_odds`: of "not as planned" over "as planned", natural logarithm.
    """

    counts: dict[str, int]
    planned: dict[str, float]
    log_odds: float

    @property
    def alarm(self) -> bool:
        """Whether the units did not come as planned."""
        return self.log_odds > math.log(ALARM)

    def __str__(self) -> str:
        counts = " : ".join(f"{count:,}" for count in self.counts.values())
        planned = " : ".join(f"{share:g}" for share in self.planned.values())
        return f"split {counts} {self._verdict} {planned} (odds {self._odds}; alarm at 1,000 : 1)"

    @property
    def odds_text(self) -> str:
        """The verdict and the odds without the counts, for a table that has these."""
        planned = " : ".join(f"{share:g}" for share in self.planned.values())
        return f"{self._verdict} {planned} (odds {self._odds})"

    @property
    def _verdict(self) -> str:
        return "is not" if self.alarm else "fits"

    @property
    def _odds(self) -> str:
        return _odds(self.log_odds)


def check(counts: Mapping[str, int], planned: Mapping[str, float]) -> Split:
    """Return whether the arms' units fit their weights (a test of sample ratio mismatch)."""
    total = sum(planned.values())
    shares = {arm: weight / total for arm, weight in planned.items()}
    prior = {arm: _PRIOR * share for arm, share in shares.items()}
    total_count = sum(counts.values())
    log_odds = math.lgamma(_PRIOR) - math.lgamma(_PRIOR + total_count)
    for arm, share in shares.items():
        log_odds += (
            math.lgamma(prior[arm] + counts[arm])
            - math.lgamma(prior[arm])
            - counts[arm] * math.log(share)
        )
    return Split(counts=dict(counts), planned=dict(planned), log_odds=log_odds)


def _odds(log_odds: float) -> str:
    """Return the odds as a ratio to one."""
    power = log_odds / math.log(10)
    if abs(power) >= 6:
        return f"10^{power:.0f} : 1" if power > 0 else f"1 : 10^{-power:.0f}"
    return f"{math.exp(log_odds):,.0f} : 1" if log_odds > 0 else f"1 : {math.exp(-log_odds):,.0f}"
