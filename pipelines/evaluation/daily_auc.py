"""Compare a feature's AUC by day, and with that of values known earlier, each with its error."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from . import ranking
from .statistics import sums

STRONG = 0.2  # a day's AUC this far from chance is worth a warning; drift that ranks nothing is not
FAR = 0.1  # and this far from that of the other days, or of the values known earlier
FEWEST = 10  # units that can be judged, on a day or in all

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


class DailyAuc(msgspec.Struct, frozen=True, kw_only=True):
    """The pairs of a positive and a negative row, as arrays over the days that can be judged."""

    day: NDArray[np.datetime64]
    auc: Floats
    positives: Floats
    negatives: Floats
    spread: Floats  # the variance of each day's AUC over its units; 0 without units
    design: float  # how many times wider the AUC of all days is than of independent rows

    @property
    def pairs(self) -> Floats:
        """Return the number of pairs of a positive and a negative row, for each day."""
        return self.positives * self.negatives

    @property
    def pooled(self) -> float:
        """Return the feature's AUC of all days together, each day weighted by its pairs."""
        return float((self.auc * self.pairs).sum() / self.pairs.sum())

    def errors_above(self, area: float) -> float:
        """Return the distance of the pooled AUC above a given AUC, in standard errors.

        A pooled AUC below 0.5 counts as 1 minus itself.
        """
        weights = self.pairs / self.pairs.sum()
        variances = self.design * auc_variance(area, self.positives, self.negatives)
        error = math.sqrt(float((weights**2 * variances).sum()))
        away = max(self.pooled, 1 - self.pooled) - area
        return away / error if error > 0 else 0.0


def daily_auc(
    values: Floats,
    truth: NDArray[np.bool_],
    days: NDArray[np.datetime64],
    units: Codes,
    *,
    clustered: bool,
) -> DailyAuc:
    """Return the AUC of one feature's values as a score, for each day with both outcomes.

    `truth` are the outcomes, `days` and `units` those of each row. Where rows are `clustered` by
    unit, a day must have ten units.
    """
    has_value = ~np.isnan(values)
    names, day = np.unique(days[has_value], return_inverse=True)
    number, hit = len(names), truth[has_value]
    won, pairs = ranking.pair_shares(values[has_value], hit, day.astype(np.int64))
    positives, rows = sums(day, hit, number), sums(day, 1.0, number)
    wins, all_pairs = sums(day, won, number), positives * (rows - positives)
    with np.errstate(divide="ignore", invalid="ignore"):
        auc = wins / all_pairs
    good = all_pairs > 0
    spread, design = np.zeros(number), 1.0
    if clustered and good.any():
        own = units[has_value]
        cell, places = np.unique(own * number + day, return_inverse=True)  # a unit on a day
        of_day = cell % number
        good &= np.bincount(of_day, minlength=number) >= FEWEST
        influence = (
            2
            * (sums(places, won, len(cell)) - auc[of_day] * sums(places, pairs, len(cell)))
            / all_pairs[of_day]
        )
        spread = sums(of_day, np.nan_to_num(influence) ** 2, number)
        design = _design(
            own, won, pairs, positives[all_pairs > 0], (rows - positives)[all_pairs > 0]
        )
    return DailyAuc(
        day=names[good],
        auc=auc[good],
        positives=positives[good],
        negatives=(rows - positives)[good],
        spread=spread[good],
        design=design,
    )


def _design(
    units: Codes, won: Floats, pairs: Floats, positives: Floats, negatives: Floats
) -> float:
    """Return the design effect of the pooled AUC: how clustering by unit inflates its variance.

    It is the variance over units divided by that over independent rows, 1 at least. `won` and
    `pairs` are each row's part in the AUC: pairs in the right order, and all pairs; `positives` and
    `negatives` are counts by day.
    """
    total = float(pairs.sum())
    area = float(won.sum()) / total
    codes = np.unique(units, return_inverse=True)[1].astype(np.int64)
    parts = 2 * sums(codes, won - area * pairs, int(codes.max()) + 1) / total
    weights = positives * negatives / total
    independent = float((weights**2 * auc_variance(area, positives, negatives)).sum())
    return max(1.0, float((parts**2).sum()) / independent) if independent > 0 else 1.0


def standing_out(by_day: DailyAuc, limit: float) -> Iterator[str]:
    """Yield a sentence for each day whose AUC is suspiciously far from that of other days."""
    for place in range(len(by_day.day)):
        others = np.arange(len(by_day.day)) != place
        pairs = by_day.pairs[others]
        if not pairs.sum():
            continue
        weights = pairs / pairs.sum()
        pooled = float((weights * by_day.auc[others]).sum())
        own, theirs = (
            by_day.design * auc_variance(pooled, by_day.positives[side], by_day.negatives[side])
            for side in (place, others)
        )
        between = _variance_between_days(by_day.auc[others], theirs)
        variance = (
            max(float(own), float(by_day.spread[place]))
            + between
            + float((weights**2 * (theirs + between)).sum())
        )
        # the other days are ranked perfectly, or exactly in reverse: nothing can stand out above
        # that
        if own <= 0:
            continue
        area = float(by_day.auc[place])
        away = area - pooled
        flatters = away * (area - 0.5) > 0
        if (
            flatters
            and abs(away) / math.sqrt(variance) > limit
            and abs(area - 0.5) >= STRONG
            and abs(away) >= FAR
        ):
            day: date = by_day.day[place].astype(date)
            yield f"AUC {area:.3f} on {day:%-d %B %Y} and {pooled:.3f} on the other days"


def _variance_between_days(areas: Floats, variances: Floats) -> float:
    """Return how much the true AUC varies from day to day, as a variance, estimated by moments.

    What the days' sampling errors explain is taken off (DerSimonian and Laird 1986).

    Args:
        areas: The AUC of each day.
        variances: The sampling variance of each day's AUC.
    """
    if len(areas) < 3 or not (variances > 0).all():
        return 0.0
    weights = 1 / variances
    mean = (weights * areas).sum() / weights.sum()
    excess = (weights * (areas - mean) ** 2).sum() - (len(areas) - 1)
    return max(0.0, float(excess / (weights.sum() - (weights**2).sum() / weights.sum())))


def fall(
    now: Floats, then: Floats, truth: NDArray[np.bool_], days: NDArray[np.datetime64], units: Codes
) -> tuple[float, float, float] | None:
    """Return a feature's AUC, that of its earlier values, and their distance in standard errors.

    Both AUCs compare rows of the same day only. None without a pair of a positive and a negative
    row.

    Args:
        now: The feature's values.
        then: The values that were known earlier, for the same rows.
        truth: The outcomes.
        days: The day of each row.
        units: The unit of each row, as a code.
    """
    both = ~np.isnan(now) & ~np.isnan(then)
    day = np.unique(days[both], return_inverse=True)[1].astype(np.int64)
    shares = [ranking.pair_shares(values[both], truth[both], day) for values in (now, then)]
    total = float(shares[0][1].sum())
    if not total:
        return None
    first, second = (float(won.sum()) / total for won, _ in shares)
    codes = np.unique(units[both], return_inverse=True)[1].astype(np.int64)
    (won, pairs), (won_then, _) = shares
    number = int(codes.max()) + 1
    parts = 2 * sums(codes, won - won_then - (first - second) * pairs, number) / total
    error = math.sqrt(float((parts**2).sum()))
    if number < FEWEST or first == second:
        return first, second, 0.0
    return (
        first,
        second,
        abs(first - second) / error if error else math.inf,
    )  # without error: the feature is the label itself


def auc_variance(area: float, positives: Any, negatives: Any) -> Any:
    """Return the variance of an AUC of independent rows (Hanley and McNeil 1982).

    `area` is the AUC; the others are numbers of rows.
    """
    first, second = area / (2 - area), 2 * area * area / (1 + area)
    spread = (
        area * (1 - area)
        + (positives - 1) * (first - area * area)
        + (negatives - 1) * (second - area * area)
    )
    return spread / (positives * negatives)
