"""Whether units came to the arms as they were meant to: a check that may be looked at every day.

Pure.

Two tests share a false alarm in a thousand runs. At every look, the Bayes factor of Dirichlets
around the planned shares against the shares themselves: under the plan it exceeds k at any look
with probability 1 / k at most (Lindon, Malek 2020); it sees what is grossly wrong after a score of
units. Of the days that are over, each arm's units by their distance from the plan, against bounds
that spend the rest by the square of the time (Kim, DeMets 1987); it sees what is a little wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from statistics import NormalDist

import msgspec

from .spending import bounds

ALARM = 10_000.0  # odds
DAYS = 28  # over which false alarms are spent where no plan says how long a run is
_PRIORS = (2.0, 100.0)  # how many units each Dirichlet is worth
_BY_DAY = 0.0009  # the false alarms that the looks at days may raise; the odds raise the rest
_MOST_LOOKS = 28
_LEAST_GROWTH = 0.001  # of the units before: what adds less is no look of its own
_NORMAL = NormalDist()
_EXACT_FROM = 2.0  # standard errors; what is nearer to the plan is told by the normal distribution

Day = tuple[
    date, Mapping[str, int]
]  # a day that is over, and the units of each arm that came on it


class DayLook(msgspec.Struct, frozen=True, kw_only=True):
    """How far the units of all days up to one are from the plan.

    `distance`: of the arm that is farthest, in standard errors. `bound`: the distance from which
    on it is an alarm.
    """

    day: str
    distance: float
    bound: float

    @property
    def alarm(self) -> bool:
        """Return whether an arm's units were too far from the planned share at this look."""
        return self.distance > self.bound


class UnitSplit(msgspec.Struct, frozen=True, kw_only=True):
    """How many units came to each arm, and how likely they did not come as planned.

    `log_odds`: of "not as planned" over "as planned", natural logarithm; above `alarm_odds` to one
    it is an alarm. `by_day`: the first day at which the days' bound was crossed, else the last one;
    None: no day is over.
    """

    counts: dict[str, int]
    planned: dict[str, float]
    log_odds: float
    alarm_odds: float = 1000.0  # what results of earlier releases were judged by
    by_day: DayLook | None = None

    @property
    def alarm(self) -> bool:
        """Return whether the units did not come in the planned shares: a sample ratio mismatch."""
        return self._is_against_odds or (self.by_day is not None and self.by_day.alarm)

    @property
    def _is_against_odds(self) -> bool:
        """Return whether the Bayes factor against the planned shares suffices for an alarm."""
        return self.log_odds > math.log(self.alarm_odds)

    def __str__(self) -> str:
        counts = " : ".join(f"{count:,}" for count in self.counts.values())
        planned = " : ".join(f"{share:g}" for share in self.planned.values())
        verdict = "is not" if self.alarm else "fits"
        return f"split {counts} {verdict} {planned} ({self._reason})"

    @property
    def odds_text(self) -> str:
        """Return the verdict on the split and its reason as text, without the counts of units."""
        planned = " : ".join(f"{share:g}" for share in self.planned.values())
        return f"{'is not' if self.alarm else 'fits'} {planned} ({self._reason})"

    @property
    def _reason(self) -> str:
        """Return a clause on why the split is an alarm or none: odds, or standard errors."""
        look = self.by_day
        if look is None or (self._is_against_odds and not look.alarm):
            return f"odds {_odds(self.log_odds)}; alarm at {self.alarm_odds:,.0f} : 1"
        since = f" on {look.day}" if look.alarm else ""
        return f"{look.distance:.1f} standard errors off{since}; alarm at {look.bound:.1f}"


def check(
    counts: Mapping[str, int],
    planned: Mapping[str, float],
    *,
    days: Sequence[Day] = (),
    planned_days: int = DAYS,
) -> UnitSplit:
    """Check whether the units of the arms fit the planned weights (sample ratio mismatch).

    The weights may have any sum.

    Args:
        counts: Units by arm, up to now.
        planned: Weights by arm.
        days: The days that are over, rising, and the units that came on each.
        planned_days: The days over which false alarms may be spent; of a log that is looked at
            once, 1. Later days add no look.
    """
    total = sum(planned.values())
    shares = {arm: weight / total for arm, weight in planned.items()}
    log_odds = [_log_odds(counts, shares, prior) for prior in _PRIORS]
    highest = max(log_odds)
    mixed = highest + math.log(math.fsum(math.exp(odds - highest) for odds in log_odds) / 2)
    return UnitSplit(
        counts=dict(counts),
        planned=dict(planned),
        log_odds=mixed,
        alarm_odds=ALARM,
        by_day=_day_look(days, shares, planned_days),
    )


def _log_odds(counts: Mapping[str, int], shares: Mapping[str, float], prior: float) -> float:
    """Return the log Bayes factor against the planned shares of the arms.

    `counts` are the units. The alternative is a Dirichlet distribution around the shares, with
    concentration `prior`.
    """
    log_odds = math.lgamma(prior) - math.lgamma(prior + sum(counts.values()))
    for arm, share in shares.items():
        log_odds += (
            math.lgamma(prior * share + counts[arm])
            - math.lgamma(prior * share)
            - counts[arm] * math.log(share)
        )
    return log_odds


def _day_look(
    days: Sequence[Day], shares: Mapping[str, float], planned_days: int
) -> DayLook | None:
    """Return the first daily test of the split that is an alarm, else the last one.

    None: no day is over yet, or the run is interleaved, with all units in its one arm.
    """
    looks = _looks(days, shares, planned_days)
    if not looks or len(shares) == 1:
        return None
    times = tuple(min((day - days[0][0]).days + 1, planned_days) / planned_days for day, _ in looks)
    units = tuple(float(sum(counts.values())) for _, counts in looks)
    arms = list(shares)[: None if len(shares) > 2 else 1]  # of two arms one says it of both
    limits = _limits(times, units, _BY_DAY / len(arms))
    shown = [
        DayLook(
            day=day.isoformat(),
            distance=max(_distance(counts[arm], sum(counts.values()), shares[arm]) for arm in arms),
            bound=limit,
        )
        for (day, counts), limit in zip(looks, limits, strict=True)
    ]
    return next((look for look in shown if look.alarm), shown[-1])


def _looks(days: Sequence[Day], shares: Mapping[str, float], planned_days: int) -> list[Day]:
    """Return the days at whose end the split is tested, with all units up to then.

    They follow from the planned length: every day of one of at most four weeks, 28 days of a longer
    one. Days with hardly any new units are left out.
    """
    every = {math.ceil(planned_days * look / _MOST_LOOKS) for look in range(1, _MOST_LOOKS + 1)}
    so_far = dict.fromkeys(shares, 0)
    looks: list[Day] = []
    looked_at = 0
    for day, counts in days:
        so_far = {arm: count + counts[arm] for arm, count in so_far.items()}
        units = sum(so_far.values())
        if (day - days[0][0]).days + 1 in every and units > looked_at * (1 + _LEAST_GROWTH):
            looks.append((day, so_far))
            looked_at = units
    return looks


@lru_cache(maxsize=256)
def _limits(times: tuple[float, ...], units: tuple[float, ...], alpha: float) -> list[float]:
    """Return the bounds of |z| at each daily test of the split of units.

    `times` are the fractions of the planned days, and `alpha` the false alarm rate of all.
    """
    return bounds(times, alpha=alpha, information=units, spending=_by_square)


def _by_square(t: float, alpha: float) -> float:
    """Return how much of `alpha` may be spent by a fraction `t` of the days: its square."""
    return alpha * min(t, 1.0) ** 2


def _distance(count: int, total: int, share: float) -> float:
    """Return how far an arm's count is from its share of the total, in standard errors.

    A large distance is computed exactly, because few units of a small share are far from normal: it
    is the normal quantile whose tail has the probability of such a count by the binomial
    distribution.
    """
    distance = abs(count - total * share) / math.sqrt(total * share * (1 - share))
    if distance < _EXACT_FROM:
        return distance
    rare = (
        _upper_tail(count, total, share)
        if count > total * share
        else _upper_tail(total - count, total, 1 - share)
    )
    return -_NORMAL.inv_cdf(max(min(rare, 0.5), 1e-300))


def _upper_tail(count: int, total: int, share: float) -> float:
    """Return the probability that a binomial variable is at least `count`.

    It is of `total` trials with the chance `share`.
    """
    log_first = (
        math.lgamma(total + 1)
        - math.lgamma(count + 1)
        - math.lgamma(total - count + 1)
        + count * math.log(share)
        + (total - count) * math.log1p(-share)
    )
    odds, term, tail = share / (1 - share), 1.0, 0.0
    for number in range(count, total + 1):
        tail += term
        term *= (total - number) / (number + 1) * odds
        if term < 1e-15 * tail:
            break
    return math.exp(log_first) * tail


def _odds(log_odds: float) -> str:
    """Format odds, given by their logarithm, as text: `12 : 1` or `10^8 : 1`."""
    power = log_odds / math.log(10)
    if abs(power) >= 6:
        return f"10^{power:.0f} : 1" if power > 0 else f"1 : 10^{-power:.0f}"
    return f"{math.exp(log_odds):,.0f} : 1" if log_odds > 0 else f"1 : {math.exp(-log_odds):,.0f}"
