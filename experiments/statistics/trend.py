"""Whether an effect changes with the days since a unit's first exposure.

Pure. The effect of a day is the logarithm of the ratio of both arms' rates on that day alone, the
slope its regression over the days: a contrast, sum over days of c_d effect_d. Days weigh by their
denominators, as an estimated variance would follow the outcomes. They share units, and each unit
may drift at its own pace, so the slope's variance is that of the units' influences on it
(linearisation; Deng, Knoblich, Lu 2018):

    s_u = sum over days of c_d (y_ud - R_d d_ud) / Y_d,    R_d = Y_d / D_d,

y_ud what the day adds to a unit's numerator, d_ud to its denominator, Y_d and D_d their totals in
the unit's arm. It is the sum over both arms of n / (n - 1) sum over units of s_u^2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from ...pipelines.evaluation.statistics import Estimate
from .ratio import Z
from .sums import UnitSums

Pair = tuple[UnitSums, UnitSums]  # control, treatment
_FEWEST_DAYS = 3


class EffectTrend(msgspec.Struct, frozen=True, kw_only=True):
    """How much an effect changes a day, and the weight of each day's effect in it."""

    slope: float
    weights: dict[int, float]


class DayWeight(msgspec.Struct, frozen=True):
    """The weights of a day's numerator and denominator in a unit's influence on the slope."""

    of_y: float
    of_d: float


class Influences(msgspec.Struct, frozen=True):
    """The units of an arm, and the sum of the squares of their influences on a slope."""

    units: int
    squares: float

    @property
    def variance(self) -> float:
        """Return the arm's part of the slope's variance; infinite below two units."""
        return self.squares * self.units / (self.units - 1) if self.units > 1 else math.inf


def slope_contrast(days: Mapping[int, Pair]) -> EffectTrend | None:
    """Return how much the relative effect changes a day, as a contrast of the days' effects.

    `days` are the sums of each day alone. None: fewer than three days have a rate above 0 in both
    arms.
    """
    usable = {day: pair for day, pair in days.items() if min(arm.rate for arm in pair) > 0}
    if len(usable) < _FEWEST_DAYS:
        return None
    sizes = {day: _size(*pair) for day, pair in usable.items()}
    middle = sum(day * size for day, size in sizes.items()) / sum(sizes.values())
    spread = sum(size * (day - middle) ** 2 for day, size in sizes.items())
    weights = {day: size * (day - middle) / spread for day, size in sizes.items()}
    slope = math.fsum(
        weights[day] * math.log(treatment.rate / control.rate)
        for day, (control, treatment) in usable.items()
    )
    return EffectTrend(slope=slope, weights=weights)


def _size(control: UnitSums, treatment: UnitSums) -> float:
    """Return the weight of one day in the slope: the harmonic sum of both arms' denominators.

    That is 1 / (1/d of the control + 1/d of the treatment).
    """
    return 1 / (1 / control.total("d") + 1 / treatment.total("d"))


def day_weights(contrast: EffectTrend, days: Mapping[int, UnitSums]) -> dict[int, DayWeight]:
    """Return how the slope changes with one unit's outcomes, by day since its first exposure.

    On a day a unit's influence is `of_y` times its numerator less `of_d` times its denominator.
    `days` are the arm's sums of each day alone.
    """
    return {
        day: DayWeight(weight / days[day].total("y"), weight / days[day].total("d"))
        for day, weight in contrast.weights.items()
    }


def interval(contrast: EffectTrend, arms: Iterable[Influences]) -> Estimate | None:
    """Return the slope with its 95 % confidence interval, for one look.

    None: nothing varies, or an arm has fewer than two units.
    """
    variance = sum(arm.variance for arm in arms)
    if not 0 < variance < math.inf:
        return None
    slope, margin = contrast.slope, Z * math.sqrt(variance)
    return Estimate(value=slope, low=slope - margin, high=slope + margin)
