"""The figures of an experiment that is assigned, from its arms' sums: what decides, what is told.

Pure. The first arm is the control.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .chance_to_beat import ChanceToBeat, chance_to_beat
from .inference import ONCE, LookSchedule
from .multiple_tests import holm_levels, q_values
from .ratio import ArmRate, Difference, are_comparable, cautious_points, difference, p_value
from .sums import UnitSums
from .verdict import Goal, Side, side

Arms = Mapping[str, UnitSums]


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """A deciding metric in one treatment. None: too few."""

    metric: str
    arm: str
    difference: Difference | None = None  # of 1 - `level`, at any look that the horizon allows
    level: float  # Holm's: 0.05 where one decides
    once: Difference | None = None  # of 95 %, if this were the only look
    side: Side = "open"
    chance_to_beat: ChanceToBeat | None = None  # the verdict does not use it
    saved: float = (
        0.0  # the part of the variance of the difference that the time before has taken away
    )


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A metric in one treatment that decides nothing, at 95 % of a single look.

    `q`: Benjamini and Hochberg's among all that are told.
    """

    metric: str
    arm: str
    difference: Difference | None = None
    q: float | None = None
    saved: float = 0.0


class ComparedArms(msgspec.Struct, frozen=True, kw_only=True):
    """A treatment and its control: each one's rate and variance."""

    control: ArmRate
    treatment: ArmRate

    def difference(self, multiple: float) -> Difference:
        """Return the difference between the arms, `multiple` standard errors to either side."""
        return difference(self.control, self.treatment, multiple)

    @property
    def saved(self) -> float:
        """Return the share of the difference's variance that the covariate removes (CUPED)."""
        left = self.control.variance + self.treatment.variance
        plain = sum(
            point.variance / (1 - point.saved)
            for point in (self.control, self.treatment)
            if point.saved < 1
        )
        return 1 - left / plain if plain else 0.0


def comparisons(arms: Arms) -> dict[str, ComparedArms | None]:
    """Pair each treatment with the control; None where there are too few data."""
    rates, names = cautious_points(arms), list(arms)
    control = names[0]
    return {
        name: ComparedArms(control=rates[control], treatment=rates[name])
        if are_comparable([(arms[control], rates[control]), (arms[name], rates[name])])
        else None
        for name in names[1:]
    }


def decide(
    metrics: Mapping[str, Arms], goals: Mapping[str, Goal], horizons: Mapping[str, LookSchedule]
) -> tuple[Tested, ...]:
    """Test the deciding metrics in each treatment, corrected for multiple tests.

    Args:
        metrics: Sums by metric and arm, the control first.
        goals: Whether each metric is to rise or to fall.
        horizons: How each metric's intervals allow for repeated looks.
    """
    pairs = {
        (metric, arm): pair
        for metric, arms in metrics.items()
        for arm, pair in comparisons(arms).items()
    }

    def difference_at(key: tuple[str, str], level: float) -> Difference | None:
        pair = pairs[key]
        return pair.difference(horizons[key[0]].multiple(level)) if pair else None

    levels = holm_levels(
        pairs, lambda key, level: side(difference_at(key, level), "maximise") != "open"
    )
    return tuple(
        _test_result(key, pair, difference_at(key, levels[key]), levels[key], goals[key[0]])
        for key, pair in pairs.items()
    )


def _test_result(
    key: tuple[str, str],
    pair: ComparedArms | None,
    corrected: Difference | None,
    level: float,
    goal: Goal,
) -> Tested:
    """Return the result of a test of a metric in a treatment, at its corrected level.

    `key` is (metric, treatment), `corrected` the difference with the corrected interval.
    """
    metric, arm = key
    if pair is None:
        return Tested(metric=metric, arm=arm, level=level)
    once = pair.difference(ONCE.multiple())
    return Tested(
        metric=metric,
        arm=arm,
        difference=corrected,
        level=level,
        once=once,
        side=side(corrected, goal),
        chance_to_beat=chance_to_beat(pair.control, pair.treatment, goal),
        saved=pair.saved,
    )


def compare_secondary(metrics: Mapping[str, Arms]) -> tuple[Told, ...]:
    """Compare metrics that decide nothing: each by an interval for one look, and a q-value.

    `metrics` are the sums by metric and arm.
    """
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
            difference=pair.difference(ONCE.multiple()),
            q=q[key],
            saved=pair.saved,
        )
        if pair
        else Told(metric=key[0], arm=key[1])
        for key, pair in pairs.items()
    )
