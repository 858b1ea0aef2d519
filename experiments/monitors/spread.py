"""Shares of groups, and how what is shown is spread over items, with their variance at the unit.

Pure. A unit's part in a figure f of totals is its linear part: of a / b it is (a_u - f b_u) / b, of
ln(a / b) it is a_u / a - b_u / b. The variance is the sum of its squares over units, which sums of
products give without a row of a unit.
"""

from __future__ import annotations

import math

import msgspec

from ...pipelines.evaluation.statistics import Estimate
from .intervals import around, on_the_log


class ExposureSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over units of a group, or of all (items_sql.SUMS).

    `x_all`: products with the unit's sum over all groups.
    """

    units: int
    shown: float
    seen: float
    organic: float  # clicks among answers that were drawn
    clicks: float
    expected: float  # the sum of scores, where the outcome is known
    shown_shown: float
    shown_all: float
    seen_seen: float
    seen_all: float
    organic_organic: float
    organic_all: float
    shown_organic: float
    shown_organic_all: float
    organic_shown_all: float


class ExposureSpread(msgspec.Struct, frozen=True, kw_only=True):
    """How exposures are spread over items.

    places: the sum of each exposure's item's place, 1 for what is shown least. surprise: of -ln(its
    share).
    """

    items: int  # that were shown
    shown: float
    places: float
    surprise: float
    shown_shown: float
    places_places: float
    shown_places: float
    surprise_surprise: float
    shown_surprise: float


def share(
    part: float, whole: float, part_part: float, part_whole: float, whole_whole: float
) -> Estimate:
    """Return the ratio of two sums over units, with its confidence interval.

    `part` and `whole` are the sums; `part_part`, `part_whole` and `whole_whole` those of their
    squares and product by unit.

    Raises:
        ZeroDivisionError: The whole is 0.
    """
    value = part / whole
    return around(value, (part_part - 2 * value * part_whole + value**2 * whole_whole) / whole**2)


def shown_share(group: ExposureSums, everything: ExposureSums) -> Estimate:
    """Return a group of items' share of all exposures, with its interval."""
    return share(
        group.shown, everything.shown, group.shown_shown, group.shown_all, everything.shown_shown
    )


def seen_share(group: ExposureSums, everything: ExposureSums) -> Estimate:
    """Return a group's share of the exposures, weighted by how high each was in the answer."""
    return share(group.seen, everything.seen, group.seen_seen, group.seen_all, everything.seen_seen)


def organic(group: ExposureSums, everything: ExposureSums) -> Estimate:
    """Return a group's share of the clicks among answers that were drawn at random."""
    return share(
        group.organic,
        everything.organic,
        group.organic_organic,
        group.organic_all,
        everything.organic_organic,
    )


def shown_to_organic(group: ExposureSums, everything: ExposureSums) -> Estimate:
    """Return a group's share of exposures over its share of clicks among random answers.

    Raises:
        ZeroDivisionError: Nothing was clicked there.
    """
    s, o, all_s, all_o = group.shown, group.organic, everything.shown, everything.organic
    squares = (
        group.shown_shown / s**2
        + everything.shown_shown / all_s**2
        + group.organic_organic / o**2
        + everything.organic_organic / all_o**2
    )
    of_shown = (
        -group.shown_all / (s * all_s)
        - group.shown_organic / (s * o)
        + group.shown_organic_all / (s * all_o)
    )
    of_others = (
        group.organic_shown_all / (o * all_s)
        - everything.shown_organic / (all_s * all_o)
        - group.organic_all / (o * all_o)
    )
    return on_the_log((s / all_s) / (o / all_o), squares + 2 * (of_shown + of_others))


def gini(spread: ExposureSpread, catalogue: int) -> Estimate:
    """Return the Gini coefficient of exposures over all items of the catalogue.

    It is 0 when all items are shown equally often, and near 1 when only one is shown. With n of N
    items shown it is (2 places / shown + N - 2 n - 1) / N, where `places` sums the exposures
    weighted by the rank of their item.
    """
    items = max(catalogue, spread.items)
    place = share(
        spread.places, spread.shown, spread.places_places, spread.shown_places, spread.shown_shown
    )
    value = (2 * place.value + items - 2 * spread.items - 1) / items
    half = 2 * (place.high - place.value) / items
    return Estimate(value=value, low=value - half, high=value + half)


def by_chance(gini: Estimate, spread: ExposureSpread, catalogue: int) -> float:
    """Return the most by which chance alone can have raised a Gini coefficient of exposures.

    `spread` has the number of exposures that `gini` is of, and `catalogue` is the number of items.
    Even equally popular items differ in their counts: for a mean count m chance gives a coefficient
    of 1 / sqrt(pi m). Squares add up: that of `gini` is chance's plus that of the rest.
    """
    floor = 1 / (math.pi * spread.shown / max(catalogue, spread.items))
    return gini.value - math.sqrt(max(gini.value**2 - floor, 0.0))


def rise(now: ExposureSpread, first: ExposureSpread, catalogue: int) -> Estimate:
    """Return by how much the Gini coefficient rose since the first window, with an interval.

    `catalogue` is the number of items. The interval includes what chance adds in either window:
    fewer exposures look more concentrated.
    """
    gini_now, gini_first = gini(now, catalogue), gini(first, catalogue)
    value = gini_now.value - gini_first.value
    half = math.hypot(gini_now.high - gini_now.value, gini_first.high - gini_first.value)
    return Estimate(
        value=value,
        low=value - half - by_chance(gini_now, now, catalogue),
        high=value + half + by_chance(gini_first, first, catalogue),
    )


def effective_items(spread: ExposureSpread) -> Estimate:
    """Return the effective number of items shown: exp(entropy) of the exposures."""
    entropy = share(
        spread.surprise,
        spread.shown,
        spread.surprise_surprise,
        spread.shown_surprise,
        spread.shown_shown,
    )
    return Estimate(
        value=math.exp(entropy.value), low=math.exp(entropy.low), high=math.exp(entropy.high)
    )
