"""The figures of an experiment that is assigned, from its arms' sums: what decides, what is told.

Pure. The first arm is the control.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .inference import ONCE, Horizon
from .multiple_tests import holm_levels, q_values
from .ratio import Difference, Point, difference, p_value, points
from .sums import Sums
from .verdict import Goal, Side, side

Arms = Mapping[str, Sums]


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """A deciding metric in one treatment. None: too few."""

    metric: str
    arm: str
    difference: Difference | None = None  # of 1 - `level`, at any look that the horizon allows
    level: float  # Holm's: 0.05 where one decides
    once: Difference | None = None  # of 95 %, if this were the only look
    side: Side = "open"
    saved: float = (
        0.0  # the part of the variance of the difference that the time before has taken away
    )


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A metric in one treatment that decides nothing: 95 % of a single look, and Benjamini and
    Hochberg's q among all that are told.
    """

    metric: str
    arm: str
    difference: Difference | None = None
    q: float | None = None
    saved: float = 0.0


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    control: Point
    treatment: Point

    def at(self, multiple: float) -> Difference:
        return difference(self.control, self.treatment, multiple)

    @property
    def saved(self) -> float:
        left = self.control.variance + self.treatment.variance
        plain = sum(
            point.variance / (1 - point.saved)
            for point in (self.control, self.treatment)
            if point.saved < 1
        )
        return 1 - left / plain if plain else 0.0


def comparisons(arms: Arms) -> dict[str, Compared | None]:
    """By treatment. None: it or the control has too few."""
    of, names = points(arms), list(arms)
    control = names[0]
    return {
        name: Compared(control=of[control], treatment=of[name])
        if arms[control].enough and arms[name].enough
        else None
        for name in names[1:]
    }


def decide(
    metrics: Mapping[str, Arms], goals: Mapping[str, Goal], horizons: Mapping[str, Horizon]
) -> tuple[Tested, ...]:
    """The deciding metrics in each treatment, corrected for each other.

    A horizon a metric, as its units are complete at another time.
    """
    pairs = {
        (metric, arm): pair
        for metric, arms in metrics.items()
        for arm, pair in comparisons(arms).items()
    }

    def at(key: tuple[str, str], level: float) -> Difference | None:
        pair = pairs[key]
        return pair.at(horizons[key[0]].multiple(level)) if pair else None

    levels = holm_levels(pairs, lambda key, level: side(at(key, level), "maximise") != "open")
    return tuple(
        _test_result(key, pair, at(key, levels[key]), levels[key], goals[key[0]])
        for key, pair in pairs.items()
    )


def _test_result(
    key: tuple[str, str],
    pair: Compared | None,
    of_level: Difference | None,
    level: float,
    goal: Goal,
) -> Tested:
    metric, arm = key
    if pair is None:
        return Tested(metric=metric, arm=arm, level=level)
    once = pair.at(ONCE.multiple())
    return Tested(
        metric=metric,
        arm=arm,
        difference=of_level,
        level=level,
        once=once,
        side=side(of_level, goal),
        saved=pair.saved,
    )


def tell(metrics: Mapping[str, Arms]) -> tuple[Told, ...]:
    pairs = {
        (metric, arm): pair
        for metric, arms in metrics.items()
        for arm, pair in comparisons(arms).items()
    }
    q = q_values(
        {key: p_value(pair.control, pair.treatment) for key, pair in pairs.items() if pair}
    )
    return tuple(
        Told(
            metric=key[0],
            arm=key[1],
            difference=pair.at(ONCE.multiple()),
            q=q[key],
            saved=pair.saved,
        )
        if pair
        else Told(metric=key[0], arm=key[1])
        for key, pair in pairs.items()
    )
