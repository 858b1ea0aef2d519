"""A scored request -> the places of its answer, under the rules that hold for it.

Pure but for the draw.

Of a request that two variants scored a rule that changes scores, `boost`, works on each one's
ranking; then the places of every lane are drafted from the two (draft.py), so `pin`, `reserve` and
the caps hold for what is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from ...project.specs.rules import Rule
from .decide.rulebook import Rulebook
from .log.log_rows import RuleEffects
from .rank.arrangement import Candidates, effect_texts, steps
from .rank.draft import Coin, Pick, chances, draft, paired
from .rank.ranking import (
    Arrangement,
    ShownItem,
    permute,
    plain_arrangement,
    propensity,
    shown_places,
)


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    places: tuple[ShownItem, ...]
    explored: bool
    explore: float  # 0 .. 1: the share that was drawn by
    overruled: RuleEffects
    names: tuple[str, ...] = ()  # of the rules that did something


def draw(
    rules: Sequence[Rule],
    rulebook: Rulebook,
    candidates: Candidates,
    parameters: Mapping[str, Any],
    *,
    explore: float,
    rng: Random,
) -> Placement:
    """Return the items to show, in order, after applying the rules and random exploration.

    `explore` is the probability of a random order, which `rng` draws. `rulebook` has all rules of
    the endpoint, and `rules` those that hold for this request. Without `rules` the order is the
    model's own.
    """
    if not rules:
        places, explored = shown_places(
            candidates.items,
            candidates.scores,
            plain_arrangement(candidates.best, candidates.slots),
            explore=explore,
            rng=rng,
        )
        return Placement(
            places=places,
            explored=explored,
            explore=explore,
            overruled=RuleEffects(rulebook.digest),
        )
    every, eligible = steps(rules, candidates, parameters)
    explore = (
        explore if rulebook.drawable else 0.0
    )  # an arm may set it that started before these rules were written
    places, explored = shown_places(
        candidates.items, candidates.scores, every[-1].arrangement, explore=explore, rng=rng
    )
    done = effect_texts(every, candidates.items, explored=explored)
    return Placement(
        places=places,
        explored=explored,
        explore=explore,
        overruled=RuleEffects(rulebook.digest, eligible, tuple([text for _, text in done])),
        names=tuple([name for name, _ in done]),
    )


def interleave(
    rules: Sequence[Rule],
    rulebook: Rulebook,
    rivals: tuple[Candidates, Candidates],
    parameters: Mapping[str, Any],
    *,
    explore: float,
    rng: Random,
    coin: Coin,
) -> Placement:
    """Return the items to show, interleaved from two variants' rankings of the same candidates.

    `coin` says which variant picks first in a round, `explore` is the probability of a random
    order, which credits neither variant. Rules under which the probability of an order cannot be
    computed (`rulebook.drawable` is False) must not be passed.
    """
    (own, eligible), (other, _) = (steps(rules, candidates, parameters) for candidates in rivals)
    explored = explore > 0 and rng.random() < explore
    places = _places(
        rivals,
        own[-1].arrangement,
        other[-1].arrangement,
        explore=explore,
        coin=coin,
        rng=rng if explored else None,
    )
    logged = paired(own[-1].arrangement, other[-1].arrangement) if rules and not explored else None
    done = effect_texts(
        own, rivals[0].items, explored=True
    )  # of two orders none is that which a rule changed
    return Placement(
        places=tuple(sorted(places, key=lambda place: place.position)),
        explored=explored,
        explore=explore,
        overruled=RuleEffects(
            rulebook.digest, eligible if rules else None, tuple([text for _, text in done]), logged
        ),
        names=tuple([name for name, _ in done]),
    )


def _places(
    rivals: tuple[Candidates, Candidates],
    first: Arrangement,
    second: Arrangement,
    *,
    explore: float,
    coin: Coin,
    rng: Random | None,
) -> Iterator[ShownItem]:
    """Yield the shown items of two variants' rankings: interleaved, or in random order by `rng`.

    `rivals` are the candidates as scored by each variant, `first` and `second` the two rankings in
    places. `coin` says which variant picks first in a round.
    """
    begins = 0
    for lane, other in zip(first.lanes, second.lanes, strict=True):
        likely = chances(lane, other)
        if rng is None:
            picks, begins = draft(lane, other, coin, begins=begins)
        else:
            shuffled = permute(lane, rng)[: len(lane.places)]
            picks = [
                Pick(number=number, candidate=candidate, by=0, credited=False)
                for number, candidate in enumerate(shuffled)
            ]
        for pick in picks:
            candidate, quota = pick.candidate, lane.quotas.get(pick.candidate, 1)
            share = propensity(
                is_best=likely.get((pick.number, candidate), 0.0),
                explore=explore,
                candidates=lane.members,
                quota=quota,
            )
            yield _place(rivals, candidate, lane.places[pick.number], share, pick)
    for place, candidate in first.pins.items():
        yield _place(rivals, candidate, place, 1.0)


def _place(
    rivals: tuple[Candidates, Candidates],
    candidate: int,
    place: int,
    share: float,
    pick: Pick | None = None,
) -> ShownItem:
    """Return a shown item with its position, its score, and its probability.

    `rivals` are the candidates of both variants, `share` is the probability, and `pick` says which
    variant chose the item.
    """
    picker, credited = (pick.by, pick.credited) if pick else (0, False)
    candidates = rivals[picker]
    return ShownItem(
        item=candidates.items[candidate],
        position=place,
        score=candidates.scores[candidate],
        propensity=share,
        by=picker,
        credited=credited,
    )
