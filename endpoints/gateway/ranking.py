"""Scores to an order, exploration, and the probability of what was shown. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import msgspec

from ...errors import ModelError

Item = int | str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One place of an answer; position counts from 1."""

    item: Item
    position: int
    score: float
    propensity: float


def order(items: Sequence[Item], scores: Sequence[float], *, maximise: bool = True) -> list[int]:
    """Indexes, best first; ties go to the smaller item id."""
    sign = -1 if maximise else 1
    return sorted(range(len(items)), key=lambda at: (sign * scores[at], items[at]))


def propensity(*, is_best: bool, explore: float, candidates: int) -> float:
    """Probability that this item is shown at this place: (1-e) when the model puts it there, and e/n by a random order."""
    return round((1 - explore) * is_best + explore / candidates, 12)  # 0.9625, not 0.9624999999999999, in every log


def shown(
    items: Sequence[Item], scores: Sequence[float], best: Sequence[int], *, slots: int, explore: float, rng: Random
) -> tuple[tuple[Shown, ...], bool]:
    """The first `slots` places of the order `best`, or, of a share `explore` of all answers, of one drawn at random; and which it was."""
    explored = explore > 0 and rng.random() < explore
    final = rng.sample(best, len(best)) if explored else best
    places = tuple(
        Shown(
            item=items[at],
            position=place + 1,
            score=scores[at],
            propensity=propensity(is_best=at == best[place], explore=explore, candidates=len(items)),
        )
        for place, at in enumerate(final[:slots])
    )
    return places, explored


def as_scores(predictions: Sequence[object], items: int, *, who: str) -> list[float]:
    """A ranker answers one finite number an item. ModelError, naming the model, when it does not."""
    if len(predictions) != items:
        raise _wrong(f"{who} answered {len(predictions):,} scores for {items:,} items")
    for at, value in enumerate(predictions):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _wrong(f"{who} answered {repr(value)[:80]} for item {at}: a score is a finite number")
    return [float(value) for value in predictions]  # type: ignore[arg-type]  # checked above


def _wrong(words: str) -> ModelError:
    return ModelError(words, status=200, body="", remedy="look at what predict(rows) returns")
