"""A scored request -> the places of its answer, under the rules that hold for it. Pure but for the draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from ...project.rule_specs import Rule
from .arranging import Candidates, steps, told
from .log_rows import Overruled
from .ranking import Shown, shown, unruled
from .rulebook import Rulebook, name_of


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    places: tuple[Shown, ...]
    explored: bool
    explore: float  # 0 .. 1: the share that was drawn by
    overruled: Overruled
    names: tuple[str, ...] = ()  # of the rules that did something


def drawn(
    rules: Sequence[Rule], rulebook: Rulebook, candidates: Candidates, parameters: Mapping[str, Any], *, explore: float, rng: Random
) -> Drawn:
    """Without `rules` as the model has it."""
    if not rules:
        places, explored = shown(candidates.items, candidates.scores, unruled(candidates.best, candidates.slots), explore=explore, rng=rng)
        return Drawn(places=places, explored=explored, explore=explore, overruled=Overruled(rulebook.digest))
    every, eligible = steps(rules, candidates, parameters)
    explore = explore if rulebook.drawable else 0.0  # an arm may set it that started before these rules were written
    places, explored = shown(candidates.items, candidates.scores, every[-1].arrangement, explore=explore, rng=rng)
    done = told(every, candidates.items, explored=explored)
    return Drawn(
        places=places,
        explored=explored,
        explore=explore,
        overruled=Overruled(rulebook.digest, eligible, tuple([text for _, text in done])),
        names=tuple([name_of(rule) for rule, _ in done]),
    )
