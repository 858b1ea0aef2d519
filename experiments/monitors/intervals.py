"""95 % intervals at the unit, in closed form: what drawing whole units again and again would give.

Pure. A figure of totals over units has the variance of its linear part, unit by unit (the delta
method, as in ratio.py); a bootstrap by unit has the same one, and the tests compare the two. Below
100 units, or 10 of what is counted, there is none, and so no alarm.
"""

from __future__ import annotations

import math

from ...pipelines.evaluation.statistics import Estimate
from ..statistics.ratio import Z
from ..statistics.sums import FEWEST_OUTCOMES, FEWEST_UNITS


def enough(units: int, counted: float) -> bool:
    """Return whether so many units and outcomes are enough for a confidence interval.

    `counted` are the outcomes.
    """
    return units >= FEWEST_UNITS and counted >= FEWEST_OUTCOMES


def proportion(count: int, units: int, *, z: float = Z) -> Estimate:
    """Return a share with its Wilson confidence interval (1927).

    Raises:
        ValueError: There is no unit.
    """
    if not units:
        raise ValueError("a share of nothing")
    share, z2 = count / units, z**2 / units
    middle, half = share + z2 / 2, z * math.sqrt(share * (1 - share) / units + z2 / (4 * units))
    return Estimate(value=share, low=(middle - half) / (1 + z2), high=(middle + half) / (1 + z2))


def around(value: float, variance: float, *, z: float = Z) -> Estimate:
    """Return a value with a confidence interval of `z` standard errors to either side."""
    half = z * math.sqrt(max(variance, 0.0))
    return Estimate(value=value, low=value - half, high=value + half)


def on_the_log(value: float, variance: float, *, z: float = Z) -> Estimate:
    """Return a positive value with a confidence interval that is symmetric on the log scale.

    `variance` is that of its logarithm, and `z` the interval's half width in standard errors.
    """
    half = z * math.sqrt(max(variance, 0.0))
    return Estimate(value=value, low=value * math.exp(-half), high=value * math.exp(half))
