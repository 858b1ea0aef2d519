"""Whether kinds of units are served alike: how many find something, come, and come again. Pure.

What separates a model that teaches itself its bias from chance is how well each kind of *visitor*
is served: the few find less, come back less, and are fewer among the clicks that the next model
learns from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from statistics import NormalDist

import msgspec

from ...pipelines.evaluation.statistics import Estimate
from ..statistics.inference import ALPHA
from .intervals import around, enough, on_the_log, proportion


class UnitCounts(msgspec.Struct, frozen=True):
    """Units of a group that were active, and those of them with an outcome."""

    units: int
    satisfied: int = 0

    def __add__(self, other: UnitCounts) -> UnitCounts:
        return UnitCounts(self.units + other.units, self.satisfied + other.satisfied)

    @property
    def share(self) -> float:
        """Return the share of the group's units that have an outcome."""
        return self.satisfied / self.units if self.units else math.nan


class Worst(msgspec.Struct, frozen=True, kw_only=True):
    """The group of the lowest satisfied share against that of the highest."""

    lowest: str
    highest: str
    ratio: Estimate


def lowest_over_highest(kinds: Mapping[str, UnitCounts]) -> Worst | None:
    """Return the ratio of the lowest to the highest group's share of units with an outcome.

    `kinds` are the counts by group. Because the data choose the two groups, the interval is
    corrected for all pairs of groups (Bonferroni). None if fewer than two groups can be compared.
    """
    best = max(
        (kind for kind in kinds.values() if enough(kind.units, kind.satisfied)),
        key=lambda kind: kind.share,
        default=UnitCounts(0),
    )
    usable = {name: kind for name, kind in kinds.items() if comparable(kind, best)}
    if len(usable) < 2:
        return None
    lowest, highest = (choose(usable, key=lambda name: usable[name].share) for choose in (min, max))
    if lowest == highest:  # all alike to the last digit
        lowest = next(name for name in usable if name != highest)
    pairs = len(list(combinations(usable, 2)))
    return Worst(
        lowest=lowest,
        highest=highest,
        ratio=ratio(usable[lowest], usable[highest], alpha=ALPHA / pairs),
    )


def comparable(below: UnitCounts, above: UnitCounts) -> bool:
    """Return whether two groups have enough units and outcomes for a ratio of their shares.

    Each needs 100 units and 10 outcomes. The lower group may have fewer outcomes if it would have
    10 at the other group's share.
    """
    if not enough(above.units, above.satisfied):
        return False
    return enough(below.units, max(below.satisfied, below.units * above.share))


def ratio(below: UnitCounts, above: UnitCounts, *, alpha: float = ALPHA) -> Estimate:
    """Return the ratio of two groups' shares of units with an outcome, with its interval.

    The interval is symmetric on the log scale. If `below` has too few units or outcomes for that,
    it is the quotients of the ends of the two shares' own intervals.

    Raises:
        ZeroDivisionError: No unit of `above` has an outcome.
    """
    z = NormalDist().inv_cdf(1 - alpha / 2)
    if not enough(below.units, below.satisfied):
        low, high = (proportion(kind.satisfied, kind.units, z=z) for kind in (below, above))
        return Estimate(
            value=low.value / high.value, low=low.low / high.high, high=low.high / high.low
        )
    variance = sum((1 - kind.share) / kind.satisfied for kind in (below, above))
    return on_the_log(below.share / above.share, variance, z=z)


def mix(kinds: Mapping[str, UnitCounts]) -> dict[str, Estimate]:
    """Return each group's share of all units."""
    total = sum(kind.units for kind in kinds.values())
    return {name: proportion(kind.units, total) for name, kind in kinds.items()} if total else {}


def drift(kinds: Mapping[str, UnitCounts], first: Mapping[str, UnitCounts]) -> dict[str, Estimate]:
    """Return by how much each group's share of the units changed since the first window.

    `kinds` and `first` are the counts by group in both windows.

    It is empty if either window has fewer than 100 units. The windows are taken as independent;
    units that are in both make the true interval narrower, never wider.
    """
    now, then = (sum(kind.units for kind in groups.values()) for groups in (kinds, first))
    if not (enough(now, now) and enough(then, then)):
        return {}
    return {
        name: _change(_units(kinds, name) / now, now, _units(first, name) / then, then)
        for name in {**first, **kinds}
    }


def _units(kinds: Mapping[str, UnitCounts], name: str) -> int:
    """Return the number of units in a group; 0 if it did not occur."""
    return kinds[name].units if name in kinds else 0


def _change(share: float, units: int, share_before: float, units_before: int) -> Estimate:
    """Return the change of a group's share between two independent windows, with its interval."""
    return around(
        share - share_before,
        share * (1 - share) / units + share_before * (1 - share_before) / units_before,
    )
