"""Draw units in a paired bootstrap: rows of one person are not independent of each other.

Every metric here is a ratio of sums over rows, so a unit's part of both sums is all that a sample
needs: with `counts[s, u]`, how often unit u is in sample s, all metrics of all samples are one
matrix product. What is compared stands in the same product: it is paired.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from .statistics import SAMPLES, Estimate, Floats, sums

FEWEST = 10  # units; of fewer no interval is worth its name
_FLOOR = 0.1  # of the metric's own standard error: a sample's below it says nothing
# more units than that are drawn in this many random bunches, whose sums are as independent as the
# units' own
BUCKETS = 4096
_CELLS = 1 << 22  # of `counts` at a time
_LOGARITHMIC = ("log", "root", "unexplained")  # scales of ratios of sums that are not negative


Scale = Literal["plain", "log", "root", "unexplained", "logit", "fisher"]


class UnitTotals(msgspec.Struct, frozen=True, kw_only=True):
    """A metric as numerator / denominator, each by unit (arrays of one length).

    `degree` 2: the metric is a sum over pairs of rows, each pair counted half for either unit. A
    sample that holds a unit w times holds the pairs of u and v w_u w_v times; to first order it
    moves twice as far as the ratio of these sums does (Hoeffding 1948). It is a share of pairs, so
    it stays between 0 and 1.

    `scale`: a ratio of sums that are not negative is "log"; "root" is the square root of such a
    ratio, "unexplained" 1 less it. The interval of these three is studentized on the ratio's
    logarithm. Or the metric is no ratio of sums at all, but something that the parts by unit are a
    linear form of. Then it is drawn on a scale that keeps it in its bounds: a share (0 .. 1) by its
    "logit" (Boyd, Eng and Page, "Area under the Precision-Recall Curve", ECML 2013), a correlation
    (-1 .. 1) by "fisher", its inverse hyperbolic tangent (Fisher, Biometrika 1915).
    """

    numerator: Floats
    denominator: Floats
    degree: int = 1
    scale: Scale = "plain"

    @property
    def value(self) -> float:
        """Return the metric's value over all units; NaN when nothing was counted."""
        below = float(self.denominator.sum())
        ratio = float(self.numerator.sum()) / below if below else float("nan")
        if self.scale == "unexplained":
            return 1 - ratio
        return math.sqrt(ratio) if self.scale == "root" else ratio


def totals(
    numerator: Any,
    denominator: Any,
    units: NDArray[np.int64],
    number: int,
    *,
    degree: int = 1,
    scale: Scale = "plain",
) -> UnitTotals:
    """Return a metric's numerator and denominator summed by unit, from values by row.

    Args:
        numerator: A number for each row; one number stands for all rows.
        denominator: The same for the metric's denominator.
        units: The unit of each row, as a code from 0 on.
        number: How many units there are.
        degree: As in UnitTotals: 2 for sums over pairs of rows, else 1.
        scale: As in UnitTotals: how the metric follows from the ratio of its sums.
    """
    return UnitTotals(
        numerator=sums(units, numerator, number),
        denominator=sums(units, denominator, number),
        degree=degree,
        scale=scale,
    )


def estimates(
    metrics: Mapping[str, UnitTotals], *, samples: int = SAMPLES, seed: int = 0
) -> dict[str, Estimate]:
    """Return each metric with its 95 % interval, by a bootstrap over units.

    A metric of fewer than FEWEST units is left out.
    """
    counted = {name: metric for name, metric in metrics.items() if _unit_count(metric) >= FEWEST}
    random = np.random.default_rng(seed)
    columns = _bunches(list(counted.values()), random)
    sides = [(columns[:, 2 * place], columns[:, 2 * place + 1]) for place in range(len(counted))]
    squares = {
        name: np.column_stack([above * above, above * below, below * below])
        for (name, metric), (above, below) in zip(counted.items(), sides, strict=True)
        if metric.scale in _LOGARITHMIC
    }
    firsts = {name: columns.shape[1] + 3 * place for place, name in enumerate(squares)}
    drawn = _sampled(np.column_stack([columns, *squares.values()]), samples, random)
    figures = {}
    for place, (name, metric) in enumerate(counted.items()):
        above, below = drawn[:, 2 * place], drawn[:, 2 * place + 1]
        estimate = None
        if name in firsts:
            sums_of_squares = drawn[:, firsts[name] : firsts[name] + 3]
            estimate = _studentized(metric, above, below, sums_of_squares)
        if estimate is None:
            with np.errstate(divide="ignore", invalid="ignore"):
                column = _moved(metric, above / below)
            estimate = _interval(metric.value, column, parts(metric), _unit_count(metric))
        figures[name] = estimate
    return figures


def differences(
    ours: Mapping[str, UnitTotals],
    theirs: Mapping[str, UnitTotals],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Return our metrics minus theirs with 95 % intervals, by a paired bootstrap over units."""
    names = [
        name
        for name, metric in ours.items()
        if name in theirs and min(_unit_count(metric), _unit_count(theirs[name])) >= FEWEST
    ]
    drawn = draw(
        [side[name] for side in (ours, theirs) for name in names], samples=samples, seed=seed
    )
    paired = drawn[:, : len(names)] - drawn[:, len(names) :]
    return {
        name: _interval(
            ours[name].value - theirs[name].value,
            column,
            parts(ours[name]) - parts(theirs[name]),
            _unit_count(ours[name]),
        )
        for name, column in zip(names, paired.T, strict=True)
    }


def _unit_count(metric: UnitTotals) -> int:
    """Return the number of units that have a part in a metric's denominator."""
    return int(np.count_nonzero(metric.denominator))


def parts(metric: UnitTotals) -> Floats:
    """Return each unit's influence on a metric (its empirical influence function)."""
    total = metric.denominator.sum()
    ratio = metric.numerator.sum() / total
    influence: Floats = metric.degree * (metric.numerator - ratio * metric.denominator) / total
    if metric.scale == "unexplained":
        return -influence
    return influence / (2 * metric.value) if metric.scale == "root" and ratio > 0 else influence


def _interval(value: float, drawn: Floats, influence: Floats, number: int) -> Estimate:
    """Return a metric with its 95 % interval, from the percentiles of its bootstrap draws.

    `influence` is each unit's on the metric, `number` how many units there are. Of rates, ranks and
    paired differences bias correction and acceleration (BCa) and studentizing were tried and cover
    no better (docs/benchmarks.md).
    """
    values = drawn[~np.isnan(drawn)]
    out = 100 * tail(number, freedom(influence, number))
    low, high = np.percentile(values if len(values) else [value], [out, 100 - out])
    return Estimate(value=value, low=float(low), high=float(high))


def _studentized(
    metric: UnitTotals, above: Floats, below: Floats, squares: Floats
) -> Estimate | None:
    """Return a ratio of positive sums with its 95 % interval, or None if a sample holds a sum of 0.

    Values with a long tail make the ratio and its own standard error rise together, so that
    percentiles end too low. A studentized bootstrap on the logarithm corrects this (Hall, "The
    Bootstrap and Edgeworth Expansion", 1992, 3.10; Tibshirani, Biometrika 1988). Its percentiles
    are those of `tail`, as a standard error that a few units decide is unsure itself.

    Args:
        metric: The metric.
        above: The numerator's sum in each sample.
        below: The denominator's.
        squares: The sums of the units' squared numerators, products, and squared denominators.
    """
    if (above <= 0).any() or (below <= 0).any():
        return None
    numerator, denominator = float(metric.numerator.sum()), float(metric.denominator.sum())
    number = _unit_count(metric)
    influence = metric.numerator / numerator - metric.denominator / denominator
    error = math.sqrt(float((influence**2).sum()))
    center = math.log(numerator / denominator)
    low = high = center
    if error > 0:
        variances = (
            squares[:, 0] / above**2
            - 2 * squares[:, 1] / (above * below)
            + squares[:, 2] / below**2
        )
        errors = np.maximum(np.sqrt(np.maximum(variances, 0)), _FLOOR * error)
        out = 100 * tail(number, freedom(influence, number))
        least, most = np.percentile((np.log(above / below) - center) / errors, [out, 100 - out])
        error *= math.sqrt(number / (number - 1))
        low, high = center - float(most) * error, center - float(least) * error
    if metric.scale == "unexplained":
        return Estimate(value=metric.value, low=1 - math.exp(high), high=1 - math.exp(low))
    power = 0.5 if metric.scale == "root" else 1.0
    return Estimate(value=metric.value, low=math.exp(power * low), high=math.exp(power * high))


def freedom(influence: Floats, number: int) -> float:
    """Return the degrees of freedom of a variance that is estimated from units' influences.

    They are number - 1 for normal influences, and fewer if some units dominate: 2 n / (kurtosis -
    (n - 3) / (n - 1)). A chi-square variable with that many has the same variance as the estimate
    (O'Neill, American Statistician 2014).
    """
    squares = influence**2
    if not squares.any():
        return number - 1
    kurtosis = number * float((squares**2).sum()) / float(squares.sum()) ** 2
    return min(number - 1, 2 * number / (kurtosis - (number - 3) / (number - 1)))


def tail(number: int, free: float) -> float:
    """Return the percentile at which a bootstrap's 95 % interval ends, corrected for few units.

    `number` is that of units, `free` the degrees of freedom. The interval is widened by the ratio
    of Student's t with `free` degrees of freedom to the normal quantile. Hesterberg, "What Teachers
    Should Know About the Bootstrap" (2015), expanded percentiles; t by Abramowitz and Stegun
    26.7.5.
    """
    normal = NormalDist()
    z = normal.inv_cdf(0.975)
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    return normal.cdf(-t * math.sqrt(number / (number - 1)))


def draw(metrics: Sequence[UnitTotals], *, samples: int = SAMPLES, seed: int = 0) -> Floats:
    """Draw bootstrap samples of units, and return every metric in each: samples x metrics.

    NaN where a sample holds nothing to count.
    """
    random = np.random.default_rng(seed)
    drawn = _sampled(_bunches(metrics, random), samples, random)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = drawn[:, ::2] / drawn[:, 1::2]
    for place, metric in enumerate(metrics):
        ratios[:, place] = _moved(metric, ratios[:, place])
    return ratios


def _bunches(metrics: Sequence[UnitTotals], random: np.random.Generator) -> Floats:
    """Return each metric's numerator and denominator by unit, or by bunch of many units.

    A bunch saves memory where there are very many units; `random` draws its members.
    """
    if not metrics:
        return np.empty((0, 0))
    columns = np.column_stack(
        [side for metric in metrics for side in (metric.numerator, metric.denominator)]
    )
    if len(columns) <= BUCKETS:
        return columns
    bucket = random.permutation(len(columns)) % BUCKETS
    return np.column_stack([sums(bucket, column, BUCKETS) for column in columns.T])


def _sampled(columns: Floats, samples: int, random: np.random.Generator) -> Floats:
    """Draw bootstrap samples of rows; return the sum of each column in each sample.

    A sample has as many rows as there are, drawn with repetition. The result is samples x columns.
    """
    number = len(columns)
    if not number:
        return np.empty((samples, 0))
    pieces = []
    for first in range(0, samples, step := max(1, _CELLS // number)):
        size = min(step, samples - first)
        places = random.integers(0, number, (size, number)) + np.arange(size)[:, None] * number
        counts = np.bincount(places.ravel(), minlength=size * number).reshape(size, number)
        pieces.append(counts.astype(float) @ columns)
    return np.concatenate(pieces)


def _moved(metric: UnitTotals, ratios: Floats) -> Floats:
    """Convert the ratios of a metric's sums in bootstrap samples to the metric's values there.

    The metric's scale says how: a root, a logit, and so on.
    """
    value, ratios = metric.value, np.where(np.isfinite(ratios), ratios, np.nan)
    if metric.scale == "root":
        return np.sqrt(np.maximum(ratios, 0))
    if metric.scale == "unexplained":
        return 1 - ratios
    if metric.scale == "fisher" and -1 < value < 1:
        return np.tanh(math.atanh(value) + (ratios - value) / (1 - value**2))
    if metric.scale == "logit" and 0 < value < 1:
        logit = math.log(value / (1 - value)) + (ratios - value) / (value * (1 - value))
        return np.asarray(1 / (1 + np.exp(-logit)))
    moved = value + metric.degree * (ratios - value)
    bounded = metric.degree > 1 or metric.scale == "logit"
    return np.clip(moved, 0, 1) if bounded else moved
