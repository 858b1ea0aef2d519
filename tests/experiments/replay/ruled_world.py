"""A world whose clicks are known, ranked under rules by one model and replayed for another: the
logs that `models replay` is judged by.
"""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import msgspec
import numpy as np

from isthmus.endpoints.gateway.placement import draw
from isthmus.endpoints.gateway.rank.arrangement import Candidates
from isthmus.endpoints.gateway.rank.ranking import order
from isthmus.experiments.replay.accounts import Accounts, edges, rows_of
from isthmus.experiments.replay.estimates import Replay, by_unit
from isthmus.experiments.replay.logged_answers import Answer, Place
from isthmus.experiments.replay.replayed_answer import replayed_arrangement, weighted_places
from isthmus.project.specs.rules import Block, Boost, Cap, Condition, Pin, Reserve

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
KIND, CATEGORY = "item_profile.item_kind", "item_profile.item_category"
AD = (Condition(attribute=KIND, among=("ad",)),)
RULES = (
    Block(where=(Condition(attribute=KIND, among=("recalled",)),)),
    Boost(where=AD, times=1.5),
    Pin(key="item_id", item=3, position=2),
    Reserve(where=AD, positions=(4,)),
    Cap(by=CATEGORY, max=1),
)
ITEMS, SLOTS, EXPLORE = range(12), 5, 0.4
ENDS = edges(np.linspace(0.1, 0.4, 50))
KINDS = ["x", "x", "ad", "x", "recalled", "x", "ad", "x", "x", "ad", "x", "x"]
FEATURES = [
    {"item_id": item, KIND: kind, CATEGORY: item % 5 if item % 4 else None}
    for item, kind in enumerate(KINDS)
]
SEEN = [1.0, 0.8, 0.6, 0.5, 0.4]
RULEBOOK = SimpleNamespace(digest="rules", drawable=True)


def liked(number, item):
    """What a person of this number clicks, were it on top; nobody's model knows it whole."""
    return 0.05 + 0.5 * ((7 * item + 5 * (number % 3)) % 12) / 12


def logging_scores(items):
    return [float((5 * item) % 7) for item in items]


def wanted_scores(number, items):
    return [0.1 + liked(number, item) ** 2 for item in items]


def shown_by(scores, items, rng, rules=RULES, explore=EXPLORE):
    of = Candidates(
        items=items,
        scores=scores,
        best=order(items, scores),
        features=[FEATURES[item] for item in items],
        sent=len(items) - 1,
        slots=SLOTS,
        maximise=True,
    )
    return of, draw(rules, RULEBOOK, of, {}, explore=explore, rng=rng)


def logged(number, rng, rules=RULES, explore=EXPLORE, reward=None):
    """A logged answer; `reward` draws what a place earns, without it clicks."""
    items = [
        *rng.sample([item for item in ITEMS if item != 3], 8),
        3,
    ]  # nobody sent 3: it is there for its pin
    of, outcome = shown_by(logging_scores(items), items, rng, rules, explore)
    places = [
        Place(
            str(place.item),
            place.position,
            place.propensity,
            float(rng.random() < chance(number, place)) if reward is None else reward(place),
        )
        for place in outcome.places
    ]
    return Answer(
        moment=NOW,
        unit=f"v{number}",
        entity="item",
        candidates=list(of.items),
        slots=SLOTS,
        request={},
        eligible=None if outcome.overruled.eligible is None else list(outcome.overruled.eligible),
        explore=explore,
        parameters={},
        rules_digest="rules",
        places=places,
    )


def chance(number, place):
    return liked(number, place.item) * SEEN[place.position - 1]


def under(answer, scores, rules=RULES):
    return replayed_arrangement(
        answer, scores, rules, [FEATURES[item] for item in answer.candidates], maximise=True
    )


class Judged(msgspec.Struct, frozen=True):
    replay: Replay
    earned: float  # by the model itself, asked the same; mean chances, not clicks
    unruled: float  # IPS as if there were no rules


def judged(rng, answers, samples, explore=EXPLORE):
    """One log of so many answers with this exploration, each of another person, for the wanted
    model with the world's.
    """
    accounts, itself, plain = Accounts(), [], []
    for number in range(answers):
        answer = logged(number, rng, explore=explore)
        scores = wanted_scores(number, answer.candidates)
        tenths = np.searchsorted(ENDS, scores, side="right")
        accounts.add(
            rows_of(
                answer.unit,
                weighted_places(answer, under(answer, scores), EXPLORE),
                tenths,
                EXPLORE,
            )
        )
        itself += [
            chance(number, place) for place in shown_by(scores, answer.candidates, rng)[1].places
        ]
        plain += without_rules(answer, scores)
    return Judged(
        by_unit(accounts.sums(), accounts.units, samples=samples, seed=1),
        float(np.mean(itself)),
        float(np.mean(plain)),
    )


def without_rules(answer, scores):
    best = [str(answer.candidates[at]) for at in order(answer.candidates, scores)]
    by_chance = EXPLORE / len(best)
    likely_there = [
        by_chance + (1 - EXPLORE) * (best[place.position - 1] == place.item)
        for place in answer.places
    ]
    return [
        share / by_chance * place.reward
        for share, place in zip(likely_there, answer.places, strict=True)
    ]


def z(errors):
    errors = np.array(errors)
    return errors.mean() / (errors.std(ddof=1) / np.sqrt(len(errors)))
