"""Two arms compared by a ratio of totals, at the unit that was assigned and never at the row. Pure.

The variance of a ratio R = y / d of totals over n units is (s_yy - 2 R s_yd + R^2 s_dd) / (n mean(d)^2), s the covariances over units
(Deng, Knoblich, Lu 2018). Where a row is a unit of its own, d is 1 and this is the variance of a mean.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from ..pipelines.statistics import Estimate, poisson_interval

Z = 1.959963984540054  # of a 95 % interval
EXACT_BELOW = 1000  # outcomes: fewer than these have an exact Poisson interval, where a row is a unit
FEWEST_UNITS, FEWEST_OUTCOMES = 100, 10  # of an arm; below these no interval is worth its name
TUNED_FOR = 10_000  # units of both arms at which the always-valid interval is tightest; it holds at any number
_ALPHA = 0.05


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the units of an arm: y a unit's outcomes, d its exposures."""

    units: int
    y: int
    d: int
    yy: int
    yd: int
    dd: int

    def __add__(self, other: Arm) -> Arm:
        return Arm(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})

    @property
    def rate(self) -> float:
        """NaN without an exposure."""
        return self.y / self.d if self.d else math.nan

    @property
    def variance(self) -> float:
        """Of the rate. NaN below two units. The sums are whole numbers, so nothing is lost before the one division."""
        n = self.units
        if n < 2 or not self.d:
            return math.nan
        rate = self.rate
        scaled = (n * self.yy - self.y**2) - 2 * rate * (n * self.yd - self.y * self.d) + rate**2 * (n * self.dd - self.d**2)
        return max(scaled, 0.0) / (n - 1) / self.d**2

    @property
    def by_row(self) -> bool:
        """A row is a unit of its own, with or without an outcome."""
        return self.units == self.d == self.dd and self.y == self.yy

    @property
    def enough(self) -> bool:
        return self.units >= FEWEST_UNITS and self.y >= FEWEST_OUTCOMES

    def interval(self) -> Estimate | None:
        """Of the rate, 95 %, for one look. None: too few."""
        if not self.enough:
            return None
        if self.by_row and self.y < EXACT_BELOW:
            low, high = poisson_interval(self.y)
            return Estimate(value=self.rate, low=low / self.d, high=high / self.d)
        margin = Z * math.sqrt(self.variance)
        return Estimate(value=self.rate, low=self.rate - margin, high=self.rate + margin)


NOTHING = Arm(units=0, y=0, d=0, yy=0, yd=0, dd=0)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Treatment against control, 95 %: in the metric's own unit, and relative (0.1: ten percent more)."""

    absolute: Estimate
    relative: Estimate


Inference = Literal["fixed", "always"]


def compare(control: Arm, treatment: Arm, inference: Inference) -> Difference | None:
    """fixed: one look at a log that is closed. always: holds at every look at once, however often one looks. None: too few."""
    if not (control.enough and treatment.enough):
        return None
    c = Z if inference == "fixed" else always_multiple(control.units + treatment.units)
    value = treatment.rate - control.rate
    margin = c * math.sqrt(control.variance + treatment.variance)
    ratio = math.log(treatment.rate / control.rate)
    spread = c * math.sqrt(treatment.variance / treatment.rate**2 + control.variance / control.rate**2)
    return Difference(
        absolute=Estimate(value=value, low=value - margin, high=value + margin),
        relative=Estimate(value=math.expm1(ratio), low=math.expm1(ratio - spread), high=math.expm1(ratio + spread)),
    )


def always_multiple(units: int, *, alpha: float = _ALPHA, tuned_for: int = TUNED_FOR) -> float:
    """How many standard errors an interval is wide that covers at every look (Waudby-Smith et al. 2021, eq. 9)."""
    r = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / tuned_for
    grown = units * r + 1
    return math.sqrt(2 * grown / (units * r) * math.log(math.sqrt(grown) / alpha))
