"""Arms compared by a ratio of totals, at the unit that was assigned and never at the row. Pure.

The variance of a ratio R = y / d of totals over n units is (s_yy - 2 R s_yd + R^2 s_dd) / (n
mean(d)^2), s the covariances over units (Deng, Knoblich, Lu 2018). Where a row is a unit of its
own, d is 1 and this is the variance of a mean. What a unit did before reduces it: R - theta (x -
x_all), theta = cov(z, x) / var(x) over all arms, z = (y - R d) / mean(d) (Deng, Xu, Kohavi, Walker
2013).

Of skewed values a small arm that happens to lack the largest has a mean and a variance that are
both too small: studentised by its own variance alone, two arms that are alike differ in up to 15 %
of tests to that side. So where arms are compared, an arm varies no less than all arms together do
(`cautious_points`); docs/decisions/experiments.md has the simulations by which this was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from statistics import NormalDist

import msgspec
from msgspec.structs import replace

from ...pipelines.evaluation.statistics import Estimate, poisson_interval
from ...project.specs.experiments import Metric
from .inference import IntervalKind, LookSchedule
from .sums import FEWEST_CARRIERS, FEWEST_OUTCOMES, UnitSums

Z = 1.959963984540054  # of a 95 % interval
EXACT_BELOW = (
    1000  # outcomes: fewer than these have an exact Poisson interval, where a row is a unit
)
_APART = 3.290526731491895  # standard errors: two sides of 0.1 %
_ROUNDING = 1e-9


class ArmRate(msgspec.Struct, frozen=True, kw_only=True):
    """An arm's rate and its variance.

    `saved`: the part of the variance that the time before has taken away. `equal_units`: how many
    units effectively carry the rate, if the arm's units vary as those of all arms do.
    """

    value: float
    variance: float
    saved: float = 0.0
    equal_units: float = math.inf


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Treatment against control, 95 %: in the metric's own unit, and relative.

    A relative 0.1 is ten percent more.
    """

    absolute: Estimate
    relative: Estimate


def is_share(metric: Metric) -> bool:
    """Return whether a metric's values are shares, and not amounts."""
    return metric.kind == "any" or (metric.kind == "rate" and metric.numerator.attribute is None)


def points(arms: Mapping[str, UnitSums]) -> dict[str, ArmRate]:
    """Return each arm's rate and variance, adjusted by the pre-period covariate (CUPED).

    Without a covariate they are the plain rates.
    """
    everyone = reduce(add, arms.values())
    theta = _theta(everyone)
    return {name: _point(sums, theta, everyone.mean("x")) for name, sums in arms.items()}


def cautious_points(arms: Mapping[str, UnitSums]) -> dict[str, ArmRate]:
    """Return each arm's rate, with a variance at least as large as that of all arms implies.

    Where every rate is positive, the variance of a unit is taken to grow with the square of the
    rate (as where outcomes are larger), or with the rate (as where there are more of them),
    whichever gives less.
    """
    own = points(arms)
    counted = {name: point for name, point in own.items() if arms[name].units > 1}
    everyone = sum(arms[name].units for name in counted)
    positive = all(point.value > 0 for point in counted.values())

    def pooled(power: int) -> float:
        """Return the mean over units of their variance over this power of their arm's rate."""
        parts = (
            arms[name].units ** 2 * point.variance / point.value**power
            for name, point in counted.items()
        )
        return math.fsum(parts) / everyone

    if not everyone:
        return own
    if not positive:
        common = pooled(0)
        least = dict.fromkeys(counted, common)
        by_square = 0.0
    else:
        by_square, by_rate = pooled(2), pooled(1)
        least = {
            name: min(by_square * point.value**2, by_rate * point.value)
            for name, point in counted.items()
        }
    return own | {
        name: replace(
            point,
            variance=max(point.variance, least[name] / arms[name].units),
            equal_units=_equal_units(arms[name].units, by_square),
        )
        for name, point in counted.items()
    }


def _equal_units(units: int, spread: float) -> float:
    """Return the number of equal units whose total would vary as an arm's total does.

    Args:
        units: How many units the arm has.
        spread: The variance of a unit's value over the square of the mean. Of values that are 0 or
            1 the result is the number of ones.
    """
    return units / (1 + spread * (units - 1) / units)


def are_comparable(arms: Sequence[tuple[UnitSums, ArmRate]]) -> bool:
    """Return whether two arms can be compared: each has enough data, of enough units.

    Args:
        arms: The sums of each arm, and its rate as `cautious_points` gives it.
    """
    (control, _), (treatment, _) = arms
    return all(
        sums.comparable and carries_enough(sums, point) for sums, point in arms
    ) and leave_out_alike(control, treatment)


def leave_out_alike(control: UnitSums, treatment: UnitSums) -> bool:
    """Return whether two arms leave out about the same share of their units as robots.

    The test is of two shares, two-sided at 0.1 %. Where a treatment itself makes units exceed the
    limit, those that are left are no longer like the control's.
    """
    units, dropped = control.units + treatment.units, control.dropped + treatment.dropped
    if not (control.units and treatment.units and 0 < dropped < units):
        return True
    distance = treatment.dropped / treatment.units - control.dropped / control.units
    error = math.sqrt(dropped * (units - dropped) / units / control.units / treatment.units)
    return abs(distance) <= _APART * error


def carries_enough(sums: UnitSums, point: ArmRate) -> bool:
    """Return whether an arm's total rests on enough units for a confidence interval.

    How much units vary is taken from all arms together (`cautious_points`).

    By its own units alone, an arm that happens to have more outcomes than others like it would
    be compared, and the others not.
    """
    return point.equal_units >= fewest_carriers(sums) * (1 - _ROUNDING)


def fewest_carriers(sums: UnitSums) -> int:
    """Return the least effective number of units that an arm needs to be compared.

    Amounts and counts have limits of their own; see `Sums.equal_units`.
    """
    return FEWEST_CARRIERS if sums.of_amounts else FEWEST_OUTCOMES


def _theta(everyone: UnitSums) -> float:
    """Return CUPED's coefficient: the covariate times it is subtracted from the outcome.

    `everyone` are the sums of all arms.
    """
    of_x = everyone.covariance("x", "x")
    return everyone.linear("x") / of_x if of_x > 0 else 0.0


def _point(sums: UnitSums, theta: float, x_all: float) -> ArmRate:
    """Return an arm's rate and its variance, adjusted by the covariate (CUPED).

    `theta` is its coefficient, `x_all` its mean over all arms.
    """
    if not theta or sums.units < 2:
        return ArmRate(value=sums.rate, variance=sums.variance)
    plain = sums.linear("y")
    left = max(plain - 2 * theta * sums.linear("x") + theta**2 * sums.covariance("x", "x"), 0.0)
    value = sums.rate - theta * (sums.mean("x") - x_all)
    return ArmRate(
        value=value, variance=left / sums.units, saved=1 - left / plain if plain else 0.0
    )


def interval(sums: UnitSums) -> Estimate | None:
    """Return an arm's rate with a 95 % confidence interval, valid for one look.

    None: there are too few data.
    """
    if not sums.enough:
        return None
    if sums.by_row and sums.y < EXACT_BELOW:
        low, high = poisson_interval(int(sums.y))
        return Estimate(value=sums.rate, low=low / sums.d, high=high / sums.d)
    margin = Z * math.sqrt(sums.variance)
    return Estimate(value=sums.rate, low=sums.rate - margin, high=sums.rate + margin)


def compare(control: UnitSums, treatment: UnitSums, inference: IntervalKind) -> Difference | None:
    """Return the difference of two arms of a log; None for too few units or outcomes.

    `inference` is the kind of interval: "fixed" for one look, "always" for any number of looks.
    """
    rates = cautious_points({"control": control, "treatment": treatment})
    if not are_comparable([(control, rates["control"]), (treatment, rates["treatment"])]):
        return None
    horizon = LookSchedule(inference=inference, units=control.units + treatment.units)
    return difference(rates["control"], rates["treatment"], horizon.multiple())


def difference(control: ArmRate, treatment: ArmRate, multiple: float) -> Difference:
    """Return the difference of two rates, absolute and relative, with confidence intervals.

    Args:
        control: The control's rate.
        treatment: The treatment's rate.
        multiple: How many standard errors to either side.

    Returns:
        The difference; its relative interval is infinite if a rate is not positive.
    """
    value, margin = (
        treatment.value - control.value,
        _margin_of_error(multiple, standard_error(control, treatment)),
    )
    return Difference(
        absolute=Estimate(value=value, low=value - margin, high=value + margin),
        relative=_relative(control, treatment, multiple),
    )


def _relative(control: ArmRate, treatment: ArmRate, multiple: float) -> Estimate:
    """Return the relative difference of two rates, `multiple` standard errors to either side."""
    if not (control.value > 0 and treatment.value > 0):
        value = treatment.value / control.value - 1 if control.value > 0 else math.nan
        return Estimate(value=value, low=-math.inf, high=math.inf)
    ratio, spread = log_ratio(control, treatment)
    margin = _margin_of_error(multiple, math.sqrt(spread))
    return Estimate(
        value=math.expm1(ratio), low=math.expm1(ratio - margin), high=math.expm1(ratio + margin)
    )


def _margin_of_error(multiple: float, error: float) -> float:
    """Multiply a standard error by a multiple; infinite if the multiple is, even for no error."""
    return multiple * error if math.isfinite(multiple) else math.inf


def log_ratio(control: ArmRate, treatment: ArmRate) -> tuple[float, float]:
    """Return the logarithm of the ratio treatment / control and its variance.

    Raises:
        ValueError: One of the two is not positive.
    """
    spread = treatment.variance / treatment.value**2 + control.variance / control.value**2
    return math.log(treatment.value / control.value), spread


def information(arms: Mapping[str, UnitSums]) -> float | None:
    """Return the statistical information on the arms' rates.

    It is one over the variance of their logarithms. None if a rate is not positive, or nothing
    varies.
    """
    rates = cautious_points(arms).values()
    if not all(point.value > 0 for point in rates):
        return None
    spread = sum(point.variance / point.value**2 for point in rates)
    return 1 / spread if spread > 0 else None


def standard_error(control: ArmRate, treatment: ArmRate) -> float:
    """Return the standard error of the difference between two arms' rates."""
    return math.sqrt(control.variance + treatment.variance)


def p_value(control: ArmRate, treatment: ArmRate) -> float:
    """Return the two-sided p-value of no difference, for one look.

    It agrees with the relative interval if both rates are positive.
    """
    if control.value > 0 and treatment.value > 0:
        distance, spread = log_ratio(control, treatment)
        error = math.sqrt(spread)
    else:
        distance, error = treatment.value - control.value, standard_error(control, treatment)
    return 2 * NormalDist().cdf(-abs(distance) / error) if error else float(not distance)
