"""One logged answer under another version of the model.

How likely the version shows each item where it was shown. Pure. The version ranks the same eligible
candidates, under the same rules. What is drawn does not depend on the order of a model, so a
propensity that the rules as they are read now could not have given is seen, and the answer is left
out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...endpoints.gateway.rank.arrangement import Candidates, steps
from ...endpoints.gateway.rank.ranking import (
    Arrangement,
    Item,
    ReservedPlaces,
    chance,
    fill,
    order,
    plain_arrangement,
)
from ...feature_store.joins.view_history import entity_key
from ...project.specs.rules import Block, Pin, Rule
from .logged_answers import Answer

_TINY = 1e-9  # of a probability


class WeightedPlace(msgspec.Struct, frozen=True):
    """The weight of the item that was shown at a place, and who the version may show there."""

    position: int
    weight: float
    reward: float
    item: int  # among the candidates
    lane: ReservedPlaces | None  # None: a pin's
    number: int  # of the place in its lane


def replayed_arrangement(
    answer: Answer,
    scores: Sequence[float],
    rules: Sequence[Rule],
    features: Sequence[Mapping[str, Any]],
    *,
    maximise: bool,
) -> Arrangement:
    """Return the order in which the replayed version ranks the candidates under the rules.

    Args:
        answer: The logged answer, with the candidates that the rules allowed.
        scores: The replayed version's score of each candidate.
        rules: The rules that held for the request.
        features: The features of each candidate, which rules may read.
        maximise: Whether high scores are good.
    """
    best = order(answer.candidates, scores, maximise=maximise)
    slots = answer.slots or len(answer.candidates)
    if answer.eligible is None:
        return plain_arrangement(best, slots)
    inside = frozenset(answer.eligible)
    candidates = Candidates(
        items=answer.candidates,
        scores=scores,
        best=[candidate for candidate in best if candidate in inside],
        features=features,
        sent=len(answer.candidates),
        slots=slots,
        maximise=maximise,
    )
    return steps(_ordering_rules(rules, answer.candidates, inside), candidates, answer.parameters)[
        0
    ][-1].arrangement


def _ordering_rules(
    rules: Sequence[Rule], items: Sequence[Item], inside: frozenset[int]
) -> list[Rule]:
    """Return the rules that can still order the eligible candidates, whose indexes are `inside`.

    Blocks are left out, as the log says whom they removed, and pins of items that are not eligible.
    """
    standing = {items[candidate] for candidate in inside}
    return [
        rule
        for rule in rules
        if not isinstance(rule, Block) and not (isinstance(rule, Pin) and rule.item not in standing)
    ]


def weighted_places(
    answer: Answer, arrangement: Arrangement, explore: float
) -> list[WeightedPlace] | None:
    """Return the places of a logged answer, each with its importance weight for the replay.

    `arrangement` is the replayed version's ranking, and `explore` how likely the order is random.
    The weight is the replayed version's probability of the shown item over the log's. None if the
    present rules could not have given these items their logged probabilities.
    """
    at_place = {
        place: (lane, number, candidate) for lane, number, place, candidate in fill(arrangement)
    }
    number_of = {entity_key(item): candidate for candidate, item in enumerate(answer.candidates)}
    every: list[WeightedPlace] = []
    for place in answer.places:
        if place.position not in at_place or place.item not in number_of:
            return None
        (lane, number, arranged_there), item = at_place[place.position], number_of[place.item]
        if not _fits_rules(
            place.propensity, lane, item, answer.explore, pinned=item == arranged_there
        ):
            return None
        probability = 1.0 if lane is None else chance(lane, number, item, explore)
        every.append(
            WeightedPlace(
                place.position, probability / place.propensity, place.reward, item, lane, number
            )
        )
    return every


def _fits_rules(
    propensity: float, lane: ReservedPlaces | None, item: int, explore: float, *, pinned: bool
) -> bool:
    """Return whether the logged probability of an item at a place fits the present rules.

    Args:
        propensity: The logged probability of the item at the place.
        lane: The places and candidates among which it was drawn; None: a pinned place.
        item: The index of the shown candidate.
        explore: The probability that exploration drew the item of a place.
        pinned: Whether the arrangement itself has the item at this place.
    """
    if lane is None:
        return pinned and abs(propensity - 1) < _TINY
    if item not in members(lane):
        return False
    by_chance = explore * lane.quotas.get(item, 1) / lane.members
    return min(abs(propensity - by_chance), abs(propensity - by_chance - 1 + explore)) < _TINY


def members(lane: ReservedPlaces) -> frozenset[int]:
    """Return the candidates, as indexes, that may be shown in a lane.

    A lane is a set of places that the same candidates compete for.
    """
    return frozenset(lane.arranged) | {candidate for group, _ in lane.groups for candidate in group}


def unshown_probability(answer: Answer, arrangement: Arrangement, explore: float) -> float:
    """Return how likely the replayed version shows other items, summed over the places.

    `arrangement` is its ranking. It is for answers that were logged without exploration.
    """
    at_place = {
        place: (lane, number, candidate) for lane, number, place, candidate in fill(arrangement)
    }
    number_of = {entity_key(item): candidate for candidate, item in enumerate(answer.candidates)}
    return sum(
        _other(at_place.get(place.position), number_of.get(place.item), explore)
        for place in answer.places
    )


def _other(
    place: tuple[ReservedPlaces | None, int, int] | None, item: int | None, explore: float
) -> float:
    """Return the probability that the replayed version shows another item than `item` at a place.

    Args:
        place: The places that are filled from one ranking (None for an item that a rule pins), the
            number of this place among them, and the item that the version ranks there. None: the
            version has no such place.
        item: The item that the log showed; None: none.
        explore: The share of answers in random order, 0 to 1.

    Returns:
        The probability; 1 where the place or the item is None.
    """
    if place is None or item is None:
        return 1.0
    lane, number, arranged_there = place
    if lane is None or item not in members(lane):
        return float(item != arranged_there)
    return 1 - chance(lane, number, item, explore)
