"""How many units show an effect, in how many days, and which effect a number of units shows.

Four times in five, at 95 %. Pure.

n an arm = (z_a + z_b)^2 (V_c + V_t) / effect^2, V the variance of one unit's part in the rate. Of
rows that are units V_t is that of the raised rate; else it is taken to grow as the rate does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

from .inference import ALPHA
from .sums import UnitSums

POWER = 0.8416212335729143  # the normal quantile of four times in five
MOST = 10.0  # effects above ten times the control's rate are not looked for


def units_needed(control: UnitSums, effect: float) -> int:
    """Return how many units each of two arms needs to show an effect.

    Args:
        control: The control's sums.
        effect: Relative to the control's rate: 0.2 is twenty percent more.

    Raises:
        ValueError: The control has no outcome.
    """
    return math.ceil(_units(control, effect, (1, 1)) / 2)


def planned_units(
    control: UnitSums, effect: float, shares: Sequence[float], *, tests: int = 1, saved: float = 0.0
) -> int:
    """Return how many units all arms together need to show an effect.

    Args:
        control: The control's sums.
        effect: Relative to the control's rate.
        shares: The arms' weights, the control's first.
        tests: Deciding metrics x treatments, corrected for.
        saved: The share of the variance that the covariate (values from before) removes.

    Raises:
        ValueError: The control has no outcome.
    """
    return math.ceil(_units(control, effect, shares, tests=tests, saved=saved))


def z_needed(tests: int = 1) -> float:
    """Return how many standard errors an effect must measure to be shown with 80 % power.

    `tests` is the number of tests to correct for.
    """
    return NormalDist().inv_cdf(1 - ALPHA / 2 / tests) + POWER


def _units(
    control: UnitSums, effect: float, shares: Sequence[float], *, tests: int = 1, saved: float = 0.0
) -> float:
    """Return how many units all arms need to show an effect, not rounded.

    The parameters are those of `planned_units`.
    """
    if not control.rate:
        raise ValueError("a control without an outcome says nothing of the effect")
    whole, least = sum(shares), min(shares[1:])
    spread = (1 - saved) * (
        _variance(control, 0.0) * whole / shares[0] + _variance(control, effect) * whole / least
    )
    return z_needed(tests) ** 2 * spread / (control.rate * effect) ** 2


def days_left(planned: int, arrived: int, a_day: float, *, within: float = 0.0) -> int | None:
    """Return after how many days the planned units have come and all their events are counted.

    None: no unit comes.

    Args:
        planned: Units of all arms.
        arrived: Units that have come.
        a_day: Units that come in a day.
        within: Days after its start in which a unit's events count.
    """
    missing = max(planned - arrived, 0)
    return (
        None
        if missing and a_day <= 0
        else math.ceil((missing / a_day if missing else 0.0) + within)
    )


def effect_shown(control: UnitSums, units: float) -> float | None:
    """Return the smallest relative rise that an arm of so many units can show, or None.

    `control` are the control's sums.
    """
    return smallest_effect(lambda effect: units_needed(control, effect), units)


def smallest_effect(needed: Callable[[float], int], units: float) -> float | None:
    """Return the smallest effect that so many units can show, by bisection.

    `needed` gives the units that an effect needs. None: not even the largest effect, MOST, can be
    shown.
    """
    if units < 1 or needed(MOST) > units:
        return None
    low, high = 0.0, MOST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if middle == 0 or needed(middle) > units else (low, middle)
    return high


def _variance(control: UnitSums, effect: float) -> float:
    """Return the variance of one unit's part in the rate, after the rate changed by an effect.

    `effect` is relative to the control's rate.
    """
    if control.by_row:
        rate = control.rate * (1 + effect)
        return rate * max(1 - rate, 0.0)
    return control.variance * control.units * (1 + effect)
