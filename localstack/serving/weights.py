"""Choose which server a request goes to. Pure: the caller brings the random numbers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Choice(msgspec.Struct, Generic[T], frozen=True):
    """Things, and how their weights add up.

    `total` is 0 when all weigh nothing.
    """

    things: tuple[T, ...]
    ends: tuple[float, ...]  # running sums of the weights

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return self.ends[-1] if self.ends else 0.0

    def pick(self, point: float) -> T | None:
        """Return the item at `point` of [0, 1) on the line of weights; None if all weigh nothing.

        With a random point the choice is random by weight.
        """
        if self.total <= 0:
            return None
        return self.things[min(bisect_right(self.ends, point * self.total), len(self.things) - 1)]


def choice(weighed: Iterable[tuple[T, float]]) -> Choice[T]:
    """Return a weighted choice among items, such as an endpoint's variants by their traffic.

    Items without weight are left out, so that rounding cannot pick them.
    """
    pairs = [(thing, weight) for thing, weight in weighed if weight > 0]
    return Choice(
        tuple(thing for thing, _ in pairs), tuple(accumulate(weight for _, weight in pairs))
    )


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Return each weight as a fraction of their sum."""
    total = sum(weights.values())
    return {name: weight / total if total else 0.0 for name, weight in weights.items()}


def two_fleets(
    live: Mapping[str, float], green: Mapping[str, float], share: float
) -> dict[tuple[bool, str], float]:
    """Return the traffic share of each variant while a new fleet (green) replaces the live one.

    `share` is the part of all traffic that the new fleet gets. A key is whether the variant is of
    the new fleet, and its name.
    """
    old = {(False, name): (1 - share) * part for name, part in shares(live).items()}
    new = {(True, name): share * part for name, part in shares(green).items()}
    return {**old, **new}
