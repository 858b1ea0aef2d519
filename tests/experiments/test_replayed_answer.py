"""A logged answer under another model and the same rules: the estimates over 120 logs of a world that is known, and what is left out."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest

from isthmus.endpoints.gateway.arranging import Candidates, steps
from isthmus.endpoints.gateway.overruling import drawn
from isthmus.endpoints.gateway.ranking import order
from isthmus.experiments.replay_accounts import Accounts, edges, rows_of
from isthmus.experiments.replay_estimates import by_unit
from isthmus.experiments.replay_log import Answer, Place
from isthmus.experiments.replayed_answer import arranged, likely, outside
from isthmus.project.rule_specs import Block, Boost, Cap, Condition, Pin, Reserve

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
ITEMS, SLOTS, LOGS, ANSWERS, EXPLORE = range(12), 5, 120, 60, 0.4
KINDS = ["x", "x", "ad", "x", "recalled", "x", "ad", "x", "x", "ad", "x", "x"]
FEATURES = [{"item_id": item, KIND: kind, CATEGORY: item % 5 if item % 4 else None} for item, kind in enumerate(KINDS)]
SEEN = [1.0, 0.8, 0.6, 0.5, 0.4]
RULEBOOK = SimpleNamespace(digest="rules", drawable=True)


def liked(number, item):
    """What a person of this number clicks, were it on top; nobody's model knows it whole."""
    return 0.05 + 0.5 * ((7 * item + 5 * (number % 3)) % 12) / 12


def logging_scores(items):
    return [float((5 * item) % 7) for item in items]


def wanted_scores(number, items):
    return [0.1 + liked(number, item) ** 2 for item in items]


def shown_by(scores, items, rng, rules=RULES):
    of = Candidates(
        items=items,
        scores=scores,
        best=order(items, scores),
        features=[FEATURES[item] for item in items],
        sent=len(items) - 1,
        slots=SLOTS,
        maximise=True,
    )
    return of, drawn(rules, RULEBOOK, of, {}, explore=EXPLORE, rng=rng)


def logged(number, rng, rules=RULES):
    items = [*rng.sample([item for item in ITEMS if item != 3], 8), 3]  # nobody sent 3: it is there for its pin
    of, outcome = shown_by(logging_scores(items), items, rng, rules)
    places = [
        Place(str(place.item), place.position, place.propensity, float(rng.random() < chance(number, place))) for place in outcome.places
    ]
    return Answer(
        moment=NOW,
        unit=f"v{number}",
        entity="item",
        candidates=list(of.items),
        slots=SLOTS,
        request={},
        eligible=None if outcome.overruled.eligible is None else list(outcome.overruled.eligible),
        explore=EXPLORE,
        parameters={},
        rules_digest="rules",
        places=places,
    )


def chance(number, place):
    return liked(number, place.item) * SEEN[place.position - 1]


def under(answer, scores, rules=RULES):
    return arranged(answer, scores, rules, [FEATURES[item] for item in answer.candidates], maximise=True)


@pytest.fixture(scope="module")
def replayed_logs():
    """Of each log the replay of the wanted model; what it earns when it answers the same requests itself; and by IPS without rules."""
    every, rng, ends = [], Random(20261127), edges(np.linspace(0.1, 0.4, 50))
    for _ in range(LOGS):
        accounts, itself, plain = Accounts(), [], []
        for number in range(ANSWERS):
            answer = logged(number, rng)
            scores = wanted_scores(number, answer.candidates)
            places = likely(answer, under(answer, scores))
            tenths = np.searchsorted(ends, scores, side="right")
            accounts.add(rows_of(answer.unit, places, tenths, EXPLORE))
            itself += [chance(number, place) for place in shown_by(scores, answer.candidates, rng)[1].places]
            top = order(answer.candidates, scores)
            naive = [EXPLORE / 9 + (1 - EXPLORE) * (str(answer.candidates[top[p.position - 1]]) == p.item) for p in answer.places]
            plain += [share / (EXPLORE / 9) * place.reward for share, place in zip(naive, answer.places, strict=True)]
        every.append((by_unit(accounts.sums(), accounts.units, samples=100, seed=1), np.mean(itself), np.mean(plain)))
    return every


def z(errors):
    errors = np.array(errors)
    return errors.mean() / (errors.std(ddof=1) / np.sqrt(len(errors)))


@pytest.mark.parametrize(
    "estimate", [lambda r: r.value, lambda r: r.self_normalised.value, lambda r: r.doubly_robust.value], ids=["ips", "normalised", "dr"]
)
def test_under_pin_reserve_boost_and_cap_each_estimate_is_what_the_model_earns_itself(replayed_logs, estimate):
    assert abs(z([estimate(replay) - earned for replay, earned, _ in replayed_logs])) < 3
    assert abs(z([replay.logged - earned for replay, earned, _ in replayed_logs])) > 10


def test_propensities_that_ignore_the_rules_miss_it_by_far(replayed_logs):
    assert abs(z([plain - earned for _, earned, plain in replayed_logs])) > 10


def test_the_intervals_hold_what_the_model_earns_about_as_often_as_they_say(replayed_logs):
    holds = sum(replay.doubly_robust.low <= earned <= replay.doubly_robust.high for replay, earned, _ in replayed_logs)
    assert holds >= LOGS * 0.95 - 4 * np.sqrt(LOGS * 0.95 * 0.05)
    assert replayed_logs[0][0].units == ANSWERS


@pytest.mark.parametrize("rules", [(), RULES], ids=["plain", "rules"])
def test_the_version_that_answered_has_weight_one_everywhere(rules):
    rng = Random(3)
    for number in range(50):
        answer = logged(number, rng, rules)
        places = likely(answer, under(answer, logging_scores(answer.candidates), rules))
        assert [place.weight for place in places] == pytest.approx([1.0] * len(answer.places))


def test_probabilities_of_who_may_stand_at_a_place_sum_to_one_by_tenths_too():
    answer = logged(1, Random(4))
    scores = wanted_scores(1, answer.candidates)
    rows = rows_of("v1", likely(answer, under(answer, scores)), np.arange(9) % 10, EXPLORE)
    assert [row.mass.sum() for row in rows] == pytest.approx([1.0] * len(rows))


def test_an_answer_that_the_rules_as_they_are_read_now_could_not_give_is_seen():
    answer = logged(1, Random(7))
    other = [rule for rule in RULES if not isinstance(rule, Reserve)]
    assert likely(answer, under(answer, logging_scores(answer.candidates))) is not None
    assert likely(answer, under(answer, logging_scores(answer.candidates), other)) is None


def test_who_is_eligible_comes_from_the_log_and_not_from_a_rule_that_reads_what_is_known_now():
    answer = logged(2, Random(5))
    scores = [float(item) for item in answer.candidates]
    inside = [at for at in answer.eligible if answer.candidates[at] != 11]
    arrangement = under(Answer(**{name: getattr(answer, name) for name in answer.__struct_fields__} | {"eligible": inside}), scores)
    assert all(answer.candidates[at] != 11 for lane in arrangement.lanes for at in lane.arranged)
    every, eligible = steps(RULES, shown_by(scores, answer.candidates, Random(0))[0], {})
    assert eligible == answer.eligible
    assert under(answer, scores) == every[-1].arrangement


def test_of_an_answer_that_does_not_explore_the_share_is_counted_that_lies_on_what_was_not_shown():
    answer = logged(2, Random(6), ())
    first, second = answer.candidates[:2]
    places = [Place(str(first), 1, 1.0, 0.0), Place(str(second), 2, 1.0, 1.0)]
    shown = Answer(**{name: getattr(answer, name) for name in answer.__struct_fields__} | {"places": places, "explore": 0.0})
    assert outside(shown, under(shown, [9.0, 8.0, *[0.0] * 7], ())) == 0
    assert outside(shown, under(shown, [8.0, 9.0, *[0.0] * 7], ())) == 2


def test_units_are_counted_once_and_pages_add_up():
    rng, whole, parts = Random(8), Accounts(), Accounts()
    rows = []
    for number in range(40):
        answer = logged(number % 20, rng)
        rows += rows_of(answer.unit, likely(answer, under(answer, wanted_scores(1, answer.candidates))), np.arange(9) % 10, EXPLORE)
    whole.add(rows)
    for start in range(0, len(rows), 7):
        parts.add(rows[start : start + 7])
    assert (whole.units, parts.units) == (20, 20)
    one, other = (by_unit(accounts.sums(), 20, samples=50, seed=2) for accounts in (whole, parts))
    assert other.doubly_robust.value == pytest.approx(one.doubly_robust.value)
    assert (other.rows, other.effective_rows, other.heavy) == (one.rows, pytest.approx(one.effective_rows), one.heavy)
