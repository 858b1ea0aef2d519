"""The order that rules make of a ranking: eligibility, changed scores, and lanes of places. Pure.

Rules come in the order of their kinds: block, cap per unit, boost, pin, reserve, cap per response
(rulebook.py). Candidates are indexes; a null is of no group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from ....project.specs.rules import Block, Boost, Cap, Condition, Pin, Reserve, Rule, UnitCap
from ..decide.assignment import is_met
from ..decide.caps import value_text
from ..decide.rulebook import name_of
from .ranking import Arrangement, Item, ReservedPlaces, order

TOLD = 5  # moves of a rule that an answer names


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    items: Sequence[Item]
    scores: Sequence[float]
    best: Sequence[int]  # the model's order
    features: Sequence[Mapping[str, Any]]  # that rules read, by the name that they have there
    sent: int  # from here on items are only there for a pin
    slots: int
    maximise: bool
    before: Mapping[
        UnitCap, Mapping[str, int]
    ] = {}  # by value: answers that showed it to the unit, and still count


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The arrangement after a rule was applied."""

    rule: Rule | None  # None: before all rules
    arrangement: Arrangement
    done: str = ""  # what it did whatever a draw would give
    group: frozenset[int] | None = None  # whose moves it answers for; None: those who lose by it


class _RankingState(msgspec.Struct, frozen=True, kw_only=True):
    of: Candidates
    parameters: Mapping[str, Any]
    ranked: Sequence[int]  # eligible and not pinned, best first
    scores: Sequence[float]
    blocked: frozenset[int] = frozenset()
    pins: Mapping[int, int] = {}  # place -> candidate
    reserves: tuple[tuple[Reserve, frozenset[int]], ...] = ()
    caps: tuple[Cap, ...] = ()


def steps(
    rules: Sequence[Rule], candidates: Candidates, parameters: Mapping[str, Any]
) -> tuple[tuple[Step, ...], list[int]]:
    """Apply each rule in turn; return the ranking after each one, and the eligible candidates.

    The first ranking is the model's own, and the last one is to be shown.

    `parameters` are the unit's, which rules may name.
    """
    ranked = [index for index in candidates.best if index < candidates.sent]
    state = _RankingState(
        of=candidates, parameters=parameters, ranked=ranked, scores=candidates.scores
    )
    arrangement = _arrangement(state)
    every = [Step(rule=None, arrangement=arrangement)]
    for rule in rules:
        previous_state = state
        state, done, group = _APPLIED[type(rule)](rule, state)
        arrangement = (
            arrangement if _is_arranged_alike(previous_state, state) else _arrangement(state)
        )
        every.append(Step(rule=rule, arrangement=arrangement, done=done, group=group))
    return tuple(every), sorted([*state.ranked, *state.pins.values()])


_RuleResult = tuple[_RankingState, str, frozenset[int] | None]


def _block(rule: Block, state: _RankingState) -> _RuleResult:
    """Remove the items that a rule blocks from the ranking; also return their names as text.

    `state` is the ranking so far.
    """
    group = _members(rule.where, state.of)
    if not group:
        return state, "", frozenset()
    state, done = _without(group, state)
    return _with_fields(state, blocked=state.blocked | group), done, frozenset()


def _cap_per_unit(rule: UnitCap, state: _RankingState) -> _RuleResult:
    """Remove the candidates that have reached the cap on how often a unit sees them.

    `state` is the ranking so far. A pin rule may still show them.
    """
    most = _figure(rule.max, state.parameters, math.inf)
    full = {value for value, answers in state.of.before.get(rule, {}).items() if answers >= most}
    values = [features[rule.by] for features in state.of.features] if full else []
    group = frozenset(
        index
        for index, value in enumerate(values)
        if value is not None and value_text(value) in full
    )
    return *_without(group, state), frozenset()


def _without(group: frozenset[int], state: _RankingState) -> tuple[_RankingState, str]:
    """Remove a group of candidates from the ranking; also return their names as text.

    `state` is the ranking so far; `group` are indexes of candidates.
    """
    if not group:
        return state, ""
    leaving = [f"-{state.of.items[index]}" for index in state.ranked if index in group]
    return _with_fields(
        state, ranked=[index for index in state.ranked if index not in group]
    ), _enumeration(leaving, " ")


def _boost(rule: Boost, state: _RankingState) -> _RuleResult:
    """Change the scores of the items that a rule boosts, and sort the ranking by them.

    `state` is the ranking so far.
    """
    group = _members(rule.where, state.of)
    times, add = (
        _figure(value, state.parameters, neutral)
        for value, neutral in ((rule.times, 1.0), (rule.add, 0.0))
    )
    scores = [
        score * times + add if index in group else score for index, score in enumerate(state.scores)
    ]
    ranked = order(state.of.items, scores, maximise=state.of.maximise, subset=state.ranked)
    return _with_fields(state, scores=scores, ranked=ranked), "", group


def _pin(rule: Pin, state: _RankingState) -> _RuleResult:
    """Put a rule's item in its fixed place; or return a text on why it cannot be there.

    `state` is the ranking so far.
    """
    place, slots = rule.position, state.of.slots
    index = state.of.items.index(rule.item) if place <= slots else -1
    stands = next((elsewhere for elsewhere, pinned in state.pins.items() if pinned == index), None)
    if place > slots:
        problem = f": beyond {slots} place{'s' * (slots != 1)}"
    elif index in state.blocked:
        problem = ": blocked"
    elif place in state.pins:
        problem = f": {state.of.items[state.pins[place]]} stands there"
    elif stands is not None:
        problem = f": it stands at {stands}"
    else:
        state = _with_fields(
            state,
            ranked=[other for other in state.ranked if other != index],
            pins={**state.pins, place: index},
        )
        problem = ""
    return state, f"-> {place}{problem}", frozenset()


def _reserve(rule: Reserve, state: _RankingState) -> _RuleResult:
    """Reserve places of the ranking for the items that the rule names; tell which stay empty.

    `state` is the ranking so far.
    """
    group = _members(rule.where, state.of)
    state = _with_fields(state, reserves=(*state.reserves, (rule, group)))
    lane = _arrangement(state).lanes[len(state.reserves) - 1]
    empty = [f"{place} stays empty" for place in lane.places[lane.members :]]
    return state, ", ".join(empty), group


def _cap(rule: Cap, state: _RankingState) -> _RuleResult:
    """Add a limit to the ranking: how many items with one value of a feature are shown.

    `state` is the ranking so far.
    """
    return _with_fields(state, caps=(*state.caps, rule)), "", None


_APPLIED: Mapping[type[Rule], Callable[[Any, _RankingState], _RuleResult]] = {
    Block: _block,
    UnitCap: _cap_per_unit,
    Boost: _boost,
    Pin: _pin,
    Reserve: _reserve,
    Cap: _cap,
}


def _with_fields(state: _RankingState, **fields: Any) -> _RankingState:
    """Return a copy of a ranking's state with some fields changed."""
    return msgspec.structs.replace(state, **fields)


def _figure(value: float | str, parameters: Mapping[str, Any], neutral: float) -> Any:
    """Return the number of a rule; a text such as `$max` stands for the parameter `max`.

    If the parameter is no number, as after an edit of project.yaml, the result is `neutral`, with
    which the rule changes nothing.
    """
    figure = parameters[value.removeprefix("$")] if isinstance(value, str) else value
    return figure if isinstance(figure, int | float) else neutral


def _members(where: Sequence[Condition], candidates: Candidates) -> frozenset[int]:
    """Return the indexes of the candidates that meet every condition."""
    inside: Sequence[int] = range(len(candidates.features))
    for condition in where:
        name = condition.attribute
        inside = [index for index in inside if is_met(condition, candidates.features[index][name])]
    return frozenset(inside)


def _is_arranged_alike(previous: _RankingState, changed: _RankingState) -> bool:
    """Return whether a rule left the ranking as it was: pins, reserved places, caps and order.

    `previous` and `changed` are the states before and after the rule.
    """
    return (
        previous.pins is changed.pins
        and previous.reserves is changed.reserves
        and previous.caps is changed.caps
        and previous.ranked == changed.ranked
    )


def _arrangement(state: _RankingState) -> Arrangement:
    """Assign the ranked items to places, by pins, reserved places and caps."""
    lanes: list[ReservedPlaces] = []
    rest, taken = state.ranked, set(state.pins)
    for reserve, group in state.reserves:
        places = [
            place
            for place in sorted(reserve.positions)
            if place <= state.of.slots and place not in taken
        ]
        inside = [index for index in rest if index in group]
        rest = [index for index in rest if index not in group]
        taken.update(places)
        lanes.append(ReservedPlaces(places=places, arranged=inside, members=len(inside)))
    last = min(state.of.slots, len(rest) + len(taken))
    free = [place for place in range(1, last + 1) if place not in taken]
    return Arrangement(lanes=(*lanes, _free(state, rest, free)), pins=state.pins)


def _free(state: _RankingState, rest: Sequence[int], places: Sequence[int]) -> ReservedPlaces:
    """Return the places that are neither pinned nor reserved, with candidates and caps.

    A lane is a set of places that the same candidates compete for. `rest` are the candidates, best
    first. A cap limits how many items with one value of a feature are shown.
    """
    caps = [
        (cap.by, _figure(cap.max, state.parameters, len(state.of.items)), dict[Any, int]())
        for cap in state.caps
    ]
    for feature, most, left in caps:
        pinned = [state.of.features[index][feature] for index in state.pins.values()]
        for value in (value for value in pinned if value is not None):
            left[value] = max(0, left.setdefault(value, most) - 1)
    if len(caps) == 1:
        feature, most, left = caps[0]
        return _under_one_cap(
            rest, places, [features[feature] for features in state.of.features], most, left
        )
    if not caps:
        return ReservedPlaces(places=places, arranged=rest, members=len(rest))
    arranged = []
    for index in rest:
        groups = [
            (left, value, most)
            for feature, most, left in caps
            if (value := state.of.features[index][feature]) is not None
        ]
        if all(left.setdefault(value, most) > 0 for left, value, most in groups):
            arranged.append(index)
            for left, value, _ in groups:
                left[value] -= 1
    return ReservedPlaces(
        places=places, arranged=arranged, members=len(arranged)
    )  # nothing is drawn under several caps (project/endpoints/rules.py)


def _under_one_cap(
    rest: Sequence[int],
    places: Sequence[int],
    value_of: Sequence[Any],
    most: int,
    left: Mapping[Any, int],
) -> ReservedPlaces:
    """Return the lane of free places under one cap: at most so many items of each group.

    A lane is places that a set of candidates competes for. A group is the candidates with one value
    of the cap's feature; of a larger group only as many as its quota are drawn.

    Args:
        rest: The candidates, best first.
        places: The free places.
        value_of: Each candidate's value of the cap's feature.
        most: The quota of a group.
        left: The remaining quotas of groups that pinned items belong to.
    """
    groups: dict[Any, list[int]] = {}
    arranged = []
    for index in rest:
        value = value_of[index]
        if value is None:
            arranged.append(index)
            continue
        group = groups.setdefault(value, [])
        if len(group) < left.get(value, most):
            arranged.append(index)
        group.append(index)
    short = tuple(
        (group, left.get(value, most))
        for value, group in groups.items()
        if left.get(value, most) < len(group)
    )
    quotas = {index: quota / len(group) for group, quota in short for index in group}
    return ReservedPlaces(
        places=places, arranged=arranged, members=len(arranged), groups=short, quotas=quotas
    )


def effect_texts(
    every: Sequence[Step], items: Sequence[Item], *, explored: bool
) -> list[tuple[str, str]]:
    """Return (rule name, text on what it changed) for each rule that changed the ranking.

    `every` are the rankings before the first rule and after each one. If the order was drawn at
    random (`explored`) the texts name no items, as no rule moved them.
    """
    texts: list[tuple[str, str]] = []
    for previous_step, step in pairwise(every):
        moves = (
            []
            if explored or step.group == frozenset()
            else _moves(previous_step.arrangement, step.arrangement, step.group)
        )
        words = [
            text
            for text in (
                step.done,
                _enumeration([f"{items[index]} {was} -> {now}" for index, was, now in moves], ", "),
            )
            if text
        ]
        if words and step.rule is not None:
            name = name_of(step.rule)
            texts.append(
                (name, f"{name}{' ' if isinstance(step.rule, Pin) else ': '}{', '.join(words)}")
            )
    return texts


def places_of(arrangement: Arrangement) -> dict[int, int]:
    """Return the place in the answer of each candidate that has one, by the candidate's index."""
    lanes = {
        index: place
        for lane in arrangement.lanes
        for place, index in zip(lane.places, lane.arranged, strict=False)
    }
    return lanes | {index: place for place, index in arrangement.pins.items()}


def _moves(
    old: Arrangement, new: Arrangement, group: frozenset[int] | None
) -> list[tuple[int, int | str, int | str]]:
    """Return (candidate, old place, new place) for each candidate that a rule moved.

    `old` and `new` are the rankings before and after it. Only candidates of the rule's `group` are
    returned; without a group, only those that fall.
    """
    if old is new:
        return []
    old_places, new_places, moves = places_of(old), places_of(new), []
    for index in sorted(
        old_places.keys() | new_places.keys(),
        key=lambda index: (old_places.get(index, len(old_places) + 1), new_places.get(index, 0)),
    ):
        was, now = old_places.get(index), new_places.get(index)
        falls = now is None or (was is not None and now > was)
        if was != now and (index in group if group is not None else falls):
            moves.append((index, "out" if was is None else was, "out" if now is None else now))
    return moves


def _enumeration(words: Sequence[str], between: str) -> str:
    """Join words to a text; of a long list name the first, and say how many more there are."""
    more = f"{between}and {len(words) - TOLD} more" if len(words) > TOLD else ""
    return between.join(words[:TOLD]) + more
