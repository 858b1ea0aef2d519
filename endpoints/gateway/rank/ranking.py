"""Scores to an order, exploration, and the probability of what was shown. Pure.

A place of an answer belongs to exactly one lane: a pinned item's, a reserved group's, or the free
one (arrangement.py). Without rules there is one lane, of all places and candidates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import TypeGuard

import msgspec

from ....errors import ModelError

Item = int | str


class ShownItem(msgspec.Struct, frozen=True, kw_only=True):
    """One place of an answer; position counts from 1."""

    item: Item
    position: int
    score: float
    propensity: float
    by: int = 0  # whose pick it is, of two variants that are interleaved (draft.py)
    credited: bool = False  # ... and whether a click on it counts for that one


class ReservedPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """Places that some candidates share. Candidates are indexes."""

    places: Sequence[int]  # from 1, in their order
    arranged: Sequence[int]  # best first, without those whose group is full
    members: int  # how many a draw puts in order: the sum of the groups' quotas
    groups: tuple[
        tuple[Sequence[int], int], ...
    ] = ()  # (members, quota below their number); all others may be drawn
    quotas: Mapping[int, float] = {}  # of members of these groups: quota / number of members


class Arrangement(msgspec.Struct, frozen=True, kw_only=True):
    lanes: tuple[ReservedPlaces, ...]
    pins: Mapping[int, int] = {}  # place -> candidate


def order(
    items: Sequence[Item],
    scores: Sequence[float],
    *,
    maximise: bool = True,
    subset: Iterable[int] | None = None,
) -> list[int]:
    """Return the candidates' indexes sorted by score, best first; ties by the smaller item id.

    Only the indexes in `subset` are sorted, by default all. With `maximise` a high score is best.
    """
    indexes = sorted(range(len(items)) if subset is None else subset, key=items.__getitem__)
    indexes.sort(
        key=scores.__getitem__, reverse=maximise
    )  # equals keep their order, in reverse, too
    return indexes


def plain_arrangement(best: Sequence[int], slots: int) -> Arrangement:
    """Return a ranking without rules: the best candidates in the first `slots` places."""
    return Arrangement(
        lanes=(
            ReservedPlaces(
                places=range(1, min(slots, len(best)) + 1), arranged=best, members=len(best)
            ),
        )
    )


def propensity(*, is_best: float, explore: float, candidates: int, quota: float = 1) -> float:
    """Return the probability that this item is shown at this place, under exploration.

    It is (1 - explore) is_best + explore quota / candidates.

    Args:
        is_best: Whether the ranking puts the item there; 1, 0, or a probability.
        explore: The probability that the order is drawn at random.
        candidates: How many candidates a random order draws from.
        quota: Of the item's group (items of which a rule lets only some into the list), the share
            of its members that a random order takes; 1 without such a rule.
    """
    return round(
        (1 - explore) * is_best + explore * quota / candidates, 12
    )  # 0.9625, not 0.9624999999999999, in every log


def shown_places(
    items: Sequence[Item],
    scores: Sequence[float],
    arrangement: Arrangement,
    *,
    explore: float,
    rng: Random,
) -> tuple[tuple[ShownItem, ...], bool]:
    """Return the items to show with their places, and whether their order was drawn at random.

    With probability `explore` the candidates for the same places are put into random order.
    """
    explored = explore > 0 and rng.random() < explore
    places = [
        ShownItem(
            item=items[index],
            position=place,
            score=scores[index],
            propensity=1.0 if lane is None else chance(lane, number, index, explore),
        )
        for lane, number, place, index in fill(arrangement, rng if explored else None)
    ]
    return tuple(
        sorted(places, key=lambda place: place.position)
        if len(arrangement.lanes) > 1 or arrangement.pins
        else places
    ), explored


def fill(
    arrangement: Arrangement, rng: Random | None = None
) -> Iterator[tuple[ReservedPlaces | None, int, int, int]]:
    """Yield which candidate stands in which place: by rank, or at random by `rng`.

    Each is (lane, number of the place in it, place, candidate). A lane is a set of places that the
    same candidates compete for; it is None for a pinned item.
    """
    for lane in arrangement.lanes:
        final = lane.arranged if rng is None else permute(lane, rng)
        yield from (
            (lane, number, place, candidate)
            for number, (place, candidate) in enumerate(zip(lane.places, final, strict=False))
        )
    yield from ((None, 0, place, candidate) for place, candidate in arrangement.pins.items())


def chance(lane: ReservedPlaces, number: int, candidate: int, explore: float) -> float:
    """Return the probability that a candidate is shown at a place of a lane, under exploration.

    `number` is the place's in the lane, and `explore` the probability of a random order.
    """
    quota = lane.quotas.get(candidate, 1)
    return propensity(
        is_best=candidate == lane.arranged[number],
        explore=explore,
        candidates=lane.members,
        quota=quota,
    )


def permute(lane: ReservedPlaces, rng: Random) -> list[int]:
    """Return the candidates of a lane of places in random order, for exploration.

    From each group with a quota only as many are drawn as the quota allows.
    """
    if not lane.groups:
        return rng.sample(lane.arranged, lane.members)
    of_groups = (
        candidate for group, quota in lane.groups for candidate in rng.sample(group, quota)
    )
    members = [
        *(candidate for candidate in lane.arranged if candidate not in lane.quotas),
        *of_groups,
    ]
    return rng.sample(members, len(members))


def as_scores(predictions: Sequence[object], items: int, *, who: str) -> list[float]:
    """Convert a model's predictions to scores: one finite number for each of so many items.

    Raises ModelError, which names the model `who`, if they are anything else.
    """
    if len(predictions) != items:
        raise _no_scores(f"{who} answered {len(predictions):,} scores for {items:,} items")
    if _are_floats(predictions) and all(map(math.isfinite, predictions)):
        return list(predictions)
    scores = []
    for index, value in enumerate(predictions):
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise _no_scores(
                f"{who} answered {repr(value)[:80]} for item {index}: a score is a finite number"
            )
        scores.append(float(value))
    return scores


def _are_floats(values: Sequence[object]) -> TypeGuard[Sequence[float]]:
    """Return whether every value is a float: no bool, no int."""
    return set(map(type, values)) <= {float}


def _no_scores(words: str) -> ModelError:
    """Return the ModelError for a model that returned something other than scores."""
    return ModelError(words, status=200, body="", remedy="look at what predict(rows) returns")
