"""The answer of `endpoints explain`: an order before and after the rules, rule by rule. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ....reports.results import Shown
from ..decide.rulebook import name_of
from .arrangement import Step, effect_texts, places_of
from .ranking import Item
from .scores import ScoredCandidates

_BEFORE = "by the model"


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """`order`: the item of each place from 1; null: the place stays empty.

    `did`: as an answer says it; empty: nothing.
    """

    rule: str
    order: tuple[Item | None, ...]
    did: str = ""


class Explanation(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The first step is the model's order, the last one what is shown where nothing is drawn."""

    endpoint: str
    variant: str
    version: str
    assignments: dict[str, str]
    parameters: dict[str, Any]
    steps: tuple[Explained, ...]
    problems: tuple[str, ...] = ()  # why rules that count were not asked

    def __str__(self) -> str:
        arms = "".join(f"   {run} {arm}" for run, arm in self.assignments.items())
        wide = max(len(step.rule) for step in self.steps)
        orders = [
            " ".join("-" if item is None else str(item) for item in step.order)
            for step in self.steps
        ]
        longest = max(map(len, orders))
        lines = [
            f"  {step.rule:<{wide}}   {order:<{longest}}   {step.did}".rstrip()
            for step, order in zip(self.steps, orders, strict=True)
        ]
        lines += [f"  problem   {text}" for text in self.problems]
        return "\n".join([f"{self.endpoint}   {self.variant} {self.version}{arms}", *lines])


def explanation(
    endpoint: str,
    scored: ScoredCandidates,
    every: Sequence[Step],
    *,
    problems: tuple[str, ...] = (),
) -> Explanation:
    """Return what each business rule did to the model's order of items, step by step.

    `every` are the rankings after each rule, `scored` has the model's scores, and `problems` are
    put into the result.
    """
    items = scored.candidates.items
    return Explanation(
        endpoint=endpoint,
        variant=scored.variant,
        version=scored.version,
        assignments=dict(scored.decision.arms),
        parameters=dict(scored.decision.parameters),
        steps=tuple(
            _explain_step(pair, items) for pair in zip((None, *every), every, strict=False)
        ),
        problems=problems,
    )


def _explain_step(pair: tuple[Step | None, Step], items: Sequence[Item]) -> Explained:
    """Return one step of an explanation: a rule, what it changed, and the order after it.

    `pair` are the rankings before and after the rule.
    """
    previous_step, step = pair
    place_of = places_of(step.arrangement)
    at_place = {place: items[index] for index, place in place_of.items()}
    order = tuple(at_place.get(place) for place in range(1, max(at_place, default=0) + 1))
    did = (
        "; ".join(text for _, text in effect_texts((previous_step, step), items, explored=False))
        if previous_step
        else ""
    )
    return Explained(
        rule=_BEFORE if step.rule is None else name_of(step.rule), order=order, did=did
    )
