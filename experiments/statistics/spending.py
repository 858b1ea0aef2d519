"""The cost of looking several times: bounds that spend 5 % over planned looks. Pure, NumPy.

Spending by O'Brien and Fleming's function for two sides, 4 - 4 Phi(z(1 - alpha/4) / sqrt(t)) (Lan,
DeMets 1983). The probabilities are integrals over the values that have crossed no bound yet, look
by look (Armitage, McPherson, Rowe 1969), on a grid. How alike two looks are follows from the
information, which may grow otherwise than what the spending goes by (Lan, DeMets 1989).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Spending = Callable[[float, float], float]  # of the part of the plan and of what is spent in all
_NORMAL = NormalDist()
_REACH, _STEPS = 7.0, 601  # the grid: standard deviations to either side, points


def alpha_spending(t: float, *, alpha: float = 0.05) -> float:
    """Return how much of `alpha` may be spent by the fraction `t` of the planned information.

    Alpha is the false alarm rate of all looks together.
    """
    return (
        4 - 4 * _NORMAL.cdf(_NORMAL.inv_cdf(1 - alpha / 4) / math.sqrt(min(t, 1.0)))
        if t > 0
        else 0.0
    )


def _by_obrien_fleming(t: float, alpha: float) -> float:
    """Return how much of `alpha` may be spent by the fraction `t`, after O'Brien and Fleming."""
    return alpha_spending(t, alpha=alpha)


def bounds(
    times: Sequence[float],
    *,
    alpha: float = 0.05,
    information: Sequence[float] = (),
    spending: Spending = _by_obrien_fleming,
) -> list[float]:
    """Return the bounds of |z| at each look of a group sequential test.

    Args:
        times: The fraction of the plan that is complete at each look, rising; the last may exceed
            1.
        alpha: The false alarm rate of all looks together.
        information: One over the variance at each look, rising, in any unit; empty: it grows as
            `times` does.
        spending: The cumulative alpha that may be spent at a fraction of the plan.
    """
    return _walk(times, None, 0.0, alpha, information or times, spending=spending)[0]


def crossing_probability(times: Sequence[float], *, drift: float, alpha: float = 0.05) -> float:
    """Return the probability that a group sequential test crosses a bound at one of its looks.

    Args:
        times: The fraction of the plan that is complete at each look.
        drift: The mean of z when the plan is complete.
        alpha: The false alarm rate of all looks together.
    """
    return _walk(times, bounds(times, alpha=alpha), drift, alpha, times)[1]


def cost_of_looks(looks: int, *, alpha: float = 0.05, single: float = 0.8) -> float:
    """Return how much power so many evenly spaced looks cost, against one look at the end.

    `single` is the power of that one look.
    """
    drift = _NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(single)
    return single - crossing_probability(
        [look / looks for look in range(1, looks + 1)], drift=drift, alpha=alpha
    )


def _walk(
    times: Sequence[float],
    limits: Sequence[float] | None,
    drift: float,
    alpha: float,
    information: Sequence[float],
    *,
    spending: Spending = _by_obrien_fleming,
) -> tuple[list[float], float]:
    """Return the bounds at each look, and the probability of crossing one.

    Args:
        times: The fraction of the plan that is complete at each look.
        limits: The bounds; None: they are computed from `spending`.
        drift: The mean of z when the plan is complete.
        alpha: The false alarm rate of all looks together.
        information: One over the variance at each look.
        spending: The cumulative alpha that may be spent at a fraction of the plan.
    """
    crossed, earlier, paid = 0.0, 0.0, 0.0
    used: list[float] = []
    density: Floats = np.zeros(0)
    grid: Floats = np.zeros(0)
    for look, (t, reached) in enumerate(zip(times, information, strict=True)):
        wide = math.sqrt(reached)
        points = np.linspace(-_REACH * wide, _REACH * wide, _STEPS) + drift * reached
        if look == 0:
            density_now = _bell(points - drift * reached, wide)
        else:
            step = math.sqrt(reached - earlier)
            density_now = _bell(
                points[:, None] - grid[None, :] - drift * (reached - earlier), step
            ) @ (density * (grid[1] - grid[0]))
        limit = (
            limits[look] * wide
            if limits is not None
            else _limit(points, density_now, spending(t, alpha) - paid)
        )
        outside = 1 - _inside(points, density_now, limit) - crossed
        crossed += max(outside, 0.0)
        used.append(limit / wide)
        density, grid, earlier, paid = (
            _density_inside(points, density_now, limit),
            points,
            reached,
            spending(t, alpha),
        )
    return used, crossed


def _bell(values: Floats, deviation: float) -> Floats:
    """Return the normal density of mean 0 and the given standard deviation at these values."""
    bell: Floats = np.exp(-0.5 * (values / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
    return bell


def _density_inside(points: Floats, density: Floats, limit: float) -> Floats:
    """Return the density of test statistics that have not crossed the bound `limit` yet.

    It is given at grid points. A grid cell that the bound cuts counts with the part that is inside.
    """
    half = (points[1] - points[0]) / 2
    inside = np.clip((limit - np.abs(points) + half) / (2 * half), 0.0, 1.0)
    inner: Floats = density * inside
    return inner


def _inside(points: Floats, density: Floats, limit: float) -> float:
    """Return the probability that a test statistic, with a density at points, is within a bound."""
    return float(_density_inside(points, density, limit).sum() * (points[1] - points[0]))


def _limit(points: Floats, density: Floats, share: float) -> float:
    """Return the bound that a test statistic exceeds with probability `share`.

    Its density is given at points.
    """
    whole = _inside(points, density, math.inf)
    low, high = 0.0, float(abs(points[-1]))
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if whole - _inside(points, density, middle) > share else (low, middle)
        )
    return (low + high) / 2
