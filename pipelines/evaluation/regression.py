"""Measure predictions of an outcome that is a number: how far off they are, and how well they rank.

Every figure is sums by unit, as a bootstrap of units needs (units.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from . import units
from .ranking import Codes
from .statistics import Estimate, Floats, sums
from .units import UnitTotals

_DECILES = 10
_HEAVIEST = 2.0  # tail index below which outcomes have no variance


class Decile(msgspec.Struct, frozen=True, kw_only=True):
    """A tenth of the rows by their prediction: what was predicted of them, and what came."""

    rows: int
    predicted: float  # the mean
    outcome: float  # the mean
    interval: Estimate | None = None  # of the mean outcome; None: too few units


def totals(outcomes: Any, scores: Any, unit: Codes, number: int) -> dict[str, UnitTotals]:
    """Return rmse, mae, r2, spearman and calibration, each as sums by unit.

    calibration, the sum of outcomes over that of predictions, is of predictions of at least 0 only.
    r2 takes the mean of these outcomes as given: what a sample moves it by is of second order.

    Args:
        outcomes: A number for each row.
        scores: The model's prediction for each row.
        unit: The unit of each row, as a code from 0 on.
        number: How many units there are.
    """
    outcomes, scores = (np.asarray(side, dtype=float) for side in (outcomes, scores))
    error = scores - outcomes
    spread = (outcomes - outcomes.mean()) ** 2 if len(outcomes) else outcomes

    def by_unit(numerator: Any, denominator: Any, scale: units.Scale) -> UnitTotals:
        return units.totals(numerator, denominator, unit, number, scale=scale)

    by_metric = {
        "rmse": units.totals(error**2, 1.0, unit, number, scale="root"),
        "mae": by_unit(abs(error), 1.0, "log"),
        "r2": by_unit(error**2, spread, "unexplained"),
        "spearman": units.totals(*spearman_shares(scores, outcomes), unit, number, scale="fisher"),
    }
    if (scores >= 0).all() and scores.any():
        by_metric["calibration"] = by_unit(outcomes, scores, scale_of(outcomes))
    return by_metric


def scale_of(outcomes: Any) -> units.Scale:
    """Return the scale on which a mean of outcomes has its interval: "log" if none is below 0."""
    return "plain" if len(outcomes) and np.min(outcomes) < 0 else "log"


def tail_index(outcomes: Any) -> float | None:
    """Return the tail index of outcomes from the largest hundredth of the rows, by their size.

    Hill's estimate (Annals of Statistics 1975). It takes at least 10 rows, and at most a tenth of
    those whose outcome is not 0; None if that leaves fewer than 5, or if they are all alike.
    """
    sizes = np.sort(abs(np.asarray(outcomes, dtype=float)))[::-1]
    largest = min(max(10, len(sizes) // 100), int(np.count_nonzero(sizes)) // 10)
    if largest < 5:
        return None
    excess = float(np.log(sizes[:largest] / sizes[largest]).mean())
    return 1 / excess if excess > 0 else None


def tail_warnings(outcomes: Any, names: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence on the figures whose 95 % intervals may be too narrow, if there are any.

    Below a tail index of 2 outcomes have no variance: however many units there are, a few rows,
    which a log may hold or not, decide every figure that adds outcomes up. Those of ranks, and
    ndcg@k, do not.

    Args:
        outcomes: A number for each row.
        names: The figures that have an interval.
    """
    index = tail_index(outcomes)
    named = [name for name in names if not name.startswith(("spearman", "ndcg@"))]
    if index is None or index >= _HEAVIEST or not named:
        return ()
    warning = (
        f"too narrow may be the 95 % intervals of {', '.join(named)}: a few rows decide these "
        f"figures (the outcomes' tail index is {index:.1f}, below 2); at_most of the objective "
        "caps what one row adds"
    )
    return (warning,)


def spearman(scores: Any, outcomes: Any) -> float:
    """Return Spearman's rank correlation; NaN where one side is constant."""
    numerator, denominator = spearman_shares(scores, outcomes)
    return float(numerator.sum() / denominator.sum()) if denominator.any() else float("nan")


def spearman_shares(scores: Any, outcomes: Any) -> tuple[Floats, Floats]:
    """Return (numerator, denominator) of each row: its part in Spearman's rank correlation.

    Equal values share the mean of their ranks, as in scipy's `spearmanr`. A correlation of ranks is
    no ratio of sums over rows, as a row also moves the ranks of the others. The mean of the parts
    is the correlation, and their weighted mean moves as it does when rows count more or less often,
    to first order (its influence function: Croux and Dehon, Statistical Methods & Applications
    2010). Where one side is constant there is no correlation, and the denominators are 0.
    """
    first, second = _Ranks(scores), _Ranks(outcomes)
    if first.constant or second.constant:
        return np.zeros(len(first.shares)), np.zeros(len(first.shares))
    squares = [float((side.shares**2).mean()) for side in (first, second)]
    variances = [square - 0.25 for square in squares]
    product = float((first.shares * second.shares).mean())
    scale = float(np.sqrt(variances[0] * variances[1]))
    value = (product - 0.25) / scale
    covariance = (
        first.shares * second.shares
        + first.above(second.shares)
        + second.above(first.shares)
        - 3 * product
    )
    influence = covariance / scale
    for side, square, variance in zip((first, second), squares, variances, strict=True):
        own = side.shares**2 + 2 * side.above(side.shares) - 3 * square
        influence -= value / 2 * own / variance
    return value + influence, np.ones(len(influence))


def deciles(outcomes: Any, scores: Any, unit: Codes, number: int) -> tuple[Decile, ...]:
    """Return the mean prediction and the mean outcome of each tenth of the rows by prediction.

    Equal predictions stay together, so that there may be fewer. Intervals draw units.

    Args:
        outcomes: A number for each row.
        scores: The model's prediction for each row.
        unit: The unit of each row, as a code from 0 on.
        number: How many units there are.
    """
    outcomes, scores = (np.asarray(side, dtype=float) for side in (outcomes, scores))
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, _DECILES + 1)[1:-1]))
    place = np.searchsorted(edges, scores, side="right")
    scale = scale_of(outcomes)
    means = {
        str(code): units.totals(
            np.where(place == code, outcomes, 0.0), place == code, unit, number, scale=scale
        )
        for code in np.unique(place)
    }
    drawn = units.estimates(means)
    return tuple(
        Decile(
            rows=int((place == int(code)).sum()),
            predicted=float(scores[place == int(code)].mean()),
            outcome=mean.value,
            interval=drawn.get(code),
        )
        for code, mean in means.items()
    )


class _Ranks:
    """The ranks of values as shares from 0 to 1; equal values have the mean of theirs."""

    def __init__(self, values: Any) -> None:
        distinct, self._code = np.unique(np.asarray(values, dtype=float), return_inverse=True)
        self._number = len(distinct)
        counts = np.bincount(self._code, minlength=self._number)
        middle = np.cumsum(counts) - counts / 2
        self.shares: Floats = middle[self._code] / max(len(self._code), 1)

    @property
    def constant(self) -> bool:
        """Return whether all values are equal, or there are none."""
        return self._number < 2

    def above(self, weights: Floats) -> Floats:
        """Return for each row the total weight of the rows ranked above it, divided by all rows.

        Rows of equal value count half.
        """
        summed = sums(self._code.astype(np.int64), weights, self._number)
        above = summed.sum() - np.cumsum(summed) + summed / 2
        share: Floats = above[self._code] / len(self._code)
        return share
