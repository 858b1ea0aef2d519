"""Measure how good a ranking is, and how sure that is. NumPy only; everything random is seeded.

Intervals of an AUC are percentiles over bootstrap samples of rows (2,000; `default_rng(seed)`, n
row numbers drawn a sample). A difference of two models is taken within each sample. Its samples
start from `seed + 1` for one reason: EXAMPLE.md's interval then comes out to the digit (-0.135 ..
+0.007; `seed` gives -0.138 .. +0.011). With 62 positives the third digit is the generator's; no
verdict may hang on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SAMPLES = 2000
_TAIL_LOWER, _TAIL_UPPER = 0.025, 0.975  # of a 95 % interval
_Z = 1.959963984540054
_POWER = 0.8416212335729143  # the normal quantile of four times in five


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Pairs:
    """Scores made ready for AUC under any row weights.

    Within each group (a day) every click is compared with every non-click. Non-clicks that no
    click's score tells apart are counted together: `_codes` gives each row the number of its bunch,
    or of its click.
    """

    def __init__(self, scores: Any, outcomes: Any, groups: Any) -> None:
        scores, outcomes, groups = (
            np.asarray(scores, dtype=float),
            np.asarray(outcomes),
            np.asarray(groups),
        )
        by_group = [
            _split_by_outcome(np.flatnonzero(groups == group), scores, outcomes)
            for group in np.unique(groups)
        ]
        sizes, clicks = (
            np.array([len(part[position]) for part in by_group], dtype=np.int64)
            for position in (1, 0)
        )
        ends = np.cumsum(sizes)
        hits, misses, below, up_to = (
            _concatenate([part[position] for part in by_group]) for position in range(4)
        )
        first, end = np.repeat(ends - sizes, clicks), np.repeat(ends, clicks)
        edges, places = np.unique(
            np.concatenate([[0, len(misses)], first, first + below, first + up_to, end]),
            return_inverse=True,
        )
        self._bounds, self._bunches = places[2:].reshape(4, -1), len(edges) - 1
        self._codes = np.full(
            len(scores), self._bunches + len(hits)
        )  # of a row in no group: counted by nobody
        self._codes[misses] = np.repeat(np.arange(self._bunches), np.diff(edges))
        self._codes[hits] = self._bunches + np.arange(len(hits))

    def auc(self, weights: NDArray[np.int64]) -> float:
        """Return the AUC within groups, each row weighted: the share of pairs in the right order.

        A tie counts half. NaN without a pair.
        """
        return self._share(
            np.bincount(self._codes, weights, minlength=self._bunches + self._bounds.shape[1])
        )

    def auc_of(self, rows: NDArray[np.int64]) -> float:
        """Return the AUC within groups of these rows; a row may come several times."""
        return self._share(
            np.bincount(self._codes[rows], minlength=self._bunches + self._bounds.shape[1])
        )

    def _share(self, counts: NDArray[Any]) -> float:
        """Return the AUC of weighted rows; a tie counts half.

        `counts` are the weights, such as how often a bootstrap sample drew each row: first those of
        negative rows, put together by equal score, then those of each positive row.
        """
        cumulated = np.concatenate(([0], np.cumsum(counts[: self._bunches])))
        first, below, up_to, end = cumulated[self._bounds]
        clicks = counts[self._bunches :][: self._bounds.shape[1]]
        pairs = float(clicks @ (end - first))
        return float(clicks @ (below + up_to - 2 * first)) / 2 / pairs if pairs else math.nan


def _split_by_outcome(
    rows: NDArray[np.int64], scores: Floats, outcomes: NDArray[Any]
) -> tuple[NDArray[np.int64], ...]:
    """Split a group's rows into positives, and negatives sorted by score.

    Also return for each positive how many negatives have a lower score, and how many no higher one.

    `rows` are the group's row numbers.
    """
    hits, misses = rows[outcomes[rows] == 1], rows[outcomes[rows] != 1]
    misses = misses[np.argsort(scores[misses], kind="stable")]
    below, up_to = (
        np.searchsorted(scores[misses], scores[hits], side) for side in ("left", "right")
    )
    return hits, misses, below, up_to


def _concatenate(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Join arrays of integers into one; no arrays give an empty one."""
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


def resamples(rows: int, *, samples: int = SAMPLES, seed: int = 0) -> Iterator[NDArray[np.int64]]:
    """Yield the row numbers of each bootstrap sample of the rows."""
    random = np.random.default_rng(seed)
    for _ in range(samples):
        yield random.integers(0, rows, rows)


def auc(
    scores: Any, outcomes: Any, groups: Any, *, samples: int = SAMPLES, seed: int = 0
) -> Estimate:
    """Return the AUC within groups, pooled over them, with a bootstrap interval.

    Without a positive or a negative row it is 0.5, and the interval 0 .. 1.
    """
    pairs = Pairs(scores, outcomes, groups)
    rows = len(np.asarray(outcomes))
    value = pairs.auc(np.ones(rows, dtype=np.int64))
    if math.isnan(value):
        return Estimate(value=0.5, low=0.0, high=1.0)
    return _interval(
        value, [pairs.auc_of(drawn) for drawn in resamples(rows, samples=samples, seed=seed)]
    )


def auc_difference(
    scores: Any, other: Any, outcomes: Any, groups: Any, *, samples: int = SAMPLES, seed: int = 0
) -> Estimate:
    """Return the AUC of `scores` minus that of `other`, with a paired bootstrap interval."""
    ours, theirs = Pairs(scores, outcomes, groups), Pairs(other, outcomes, groups)
    rows = len(np.asarray(outcomes))
    once = np.ones(rows, dtype=np.int64)
    value = ours.auc(once) - theirs.auc(once)
    if math.isnan(value):
        return Estimate(value=0.0, low=-1.0, high=1.0)
    drawn = resamples(rows, samples=samples, seed=seed + 1)
    return _interval(value, [ours.auc_of(sample) - theirs.auc_of(sample) for sample in drawn])


def _interval(value: float, drawn: Sequence[float]) -> Estimate:
    """Return a value with its 95 % interval, from the percentiles of bootstrap draws."""
    areas = [area for area in drawn if not math.isnan(area)]  # a sample may have missed every click
    low, high = np.percentile(areas or [value], [100 * _TAIL_LOWER, 100 * _TAIL_UPPER])
    return Estimate(value=value, low=float(low), high=float(high))


def sums(codes: NDArray[np.int64], values: Any, number: int) -> Floats:
    """Return the sum of the values for each code from 0 to `number` - 1 (a group-by sum)."""
    weights = np.broadcast_to(np.asarray(values, dtype=float), codes.shape)
    return np.bincount(codes, weights=weights, minlength=number).astype(float, copy=False)


def log_loss(probabilities: Any, outcomes: Any) -> Floats:
    """Return the log loss of each row's predicted probability.

    Probabilities are kept 1e-9 away from 0 and 1, so that a certain mistake costs much but not
    infinitely.
    """
    p = np.clip(np.asarray(probabilities, dtype=float), 1e-9, 1 - 1e-9)
    hit = np.asarray(outcomes) == 1
    losses: Floats = -np.where(hit, np.log(p), np.log1p(-p))
    return losses


def mean_difference(first: Any, second: Any) -> Estimate:
    """Return the mean of the differences between two arrays, with its 95 % normal interval."""
    difference = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    margin = _Z * float(difference.std()) / math.sqrt(len(difference))
    value = float(difference.mean())
    return Estimate(value=value, low=value - margin, high=value + margin)


def calibration(outcomes: Any, probabilities: Any) -> Estimate:
    """Return observed over expected positives, with the exact Poisson interval (Garwood 1936).

    The interval is that of the observed number; the expected one is taken as given. On the Open
    Bandit log it is 0.79 .. 1.32, the row bootstrap says 0.78 .. 1.30.
    """
    observed, expected = (
        int(np.asarray(outcomes).sum()),
        float(np.asarray(probabilities, dtype=float).sum()),
    )
    if expected <= 0:
        return Estimate(value=math.inf, low=0.0, high=math.inf)
    low, high = poisson_interval(observed)
    return Estimate(value=observed / expected, low=low / expected, high=high / expected)


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the 95 % interval of a Poisson mean given one count.

    It is exact up to 10,000, Byar's formula above (it agrees to 1e-5).
    """
    if count > 10_000:

        def byar(k: int, z: float) -> float:
            return k * (1 - 1 / (9 * k) + z / (3 * math.sqrt(k))) ** 3

        return byar(count, -_Z), byar(count + 1, _Z)
    low = 0.0 if count == 0 else _solve(lambda mean: 1 - _poisson_cdf(count - 1, mean), count)
    return low, _solve(lambda mean: 1 - _poisson_cdf(count, mean), count, _TAIL_UPPER)


def _poisson_cdf(count: int, mean: float) -> float:
    """Return the probability that a Poisson variable is at most `count`."""
    steps = np.arange(count + 1)
    log_factorials = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, count + 1)))))
    return float(np.exp(steps * math.log(mean) - mean - log_factorials).sum())


def _solve(rising: Any, count: int, level: float = _TAIL_LOWER) -> float:
    """Return the positive mean at which a rising function of it passes `level`, by bisection.

    `count` bounds the search.
    """
    low, high = 1e-12, 2.0 * count + 20
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return (low + high) / 2


def positives_needed(distance: float) -> int:
    """Return how many positives show an AUC that is `distance` from 0.5, with 80 % power.

    The test is at 95 %. An AUC with few positives among many rows has variance 1 / (12 positives)
    at chance (Hanley and McNeil 1982).
    """
    return math.ceil((_Z + _POWER) ** 2 / (12 * distance**2))


def distance_shown(positives: int) -> float:
    """Return how far from 0.5 an AUC is that so many positives show with 80 % power.

    It is the inverse of `positives_needed`, and 0.5 at most, the largest distance there is.
    """
    return min(0.5, (_Z + _POWER) / math.sqrt(12 * positives)) if positives else 0.5


def distance_shown_by(figure: Estimate) -> float:
    """Return the effect that a metric with this interval can show with 80 % power."""
    return (_Z + _POWER) * (figure.high - figure.low) / (2 * _Z)
