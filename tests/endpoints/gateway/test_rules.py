"""Rules over a ranking: what each kind does, and that the propensities under them are how often it
really happens.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import NormalDist

import msgspec
import pytest

from isthmus.endpoints.gateway.decide.rulebook import Rulebook, name_of
from isthmus.endpoints.gateway.rank.arrangement import Candidates, effect_texts, places_of, steps
from isthmus.endpoints.gateway.rank.ranking import order, propensity, shown_places
from isthmus.project.specs.description import Entity, FeatureView
from isthmus.project.specs.rules import Block, Boost, Cap, Condition, Pin, Reserve
from isthmus.tests.endpoints import shop

KIND, CATEGORY = "item_profile.item_kind", "item_profile.item_category"
AD = (Condition(attribute=KIND, among=("ad",)),)
RECALLED = (Condition(attribute=KIND, among=("recalled",)),)


def candidates(kinds, *, scores=None, categories=None, slots=4, sent=None, items=None):
    items = items or list(range(1, len(kinds) + 1))
    scores = scores or [float(len(kinds) - at) for at in range(len(kinds))]
    categories = categories or [None] * len(kinds)
    features = [
        {"item_id": i, KIND: k, CATEGORY: c}
        for i, k, c in zip(items, kinds, categories, strict=True)
    ]
    return Candidates(
        items=items,
        scores=scores,
        best=order(items, scores),
        features=features,
        sent=len(items) if sent is None else sent,
        slots=slots,
        maximise=True,
    )


def answer(rules, of, **parameters):
    """(place -> item, what is told, the items that are eligible)."""
    every, eligible = steps(rules, of, parameters)
    places, _ = shown_places(of.items, of.scores, every[-1].arrangement, explore=0, rng=Random(0))
    assert all(place.propensity == 1 for place in places)
    texts = [text for _, text in effect_texts(every, of.items, explored=False)]
    return (
        {place.position: place.item for place in places},
        texts,
        [of.items[at] for at in eligible],
    )


PLAIN = [None] * 5


def test_a_blocked_item_is_not_shown_and_nothing_else_changes():
    places, texts, eligible = answer(
        [Block(where=RECALLED)], candidates([None, "recalled", None, None, None])
    )
    assert (places, texts, eligible) == (
        {1: 1, 2: 3, 3: 4, 4: 5},
        ["block item_kind=recalled: -2"],
        [1, 3, 4, 5],
    )


def test_a_boost_changes_the_order_and_not_the_score_that_is_told():
    of = candidates([None, None, None, "ad", "ad"])
    rule = Boost(where=AD, times="$ad_boost", add=0.25)
    places, texts, _ = answer([rule], of, ad_boost=2.0)
    assert places == {1: 1, 2: 4, 3: 2, 4: 3}
    assert texts == ["boost item_kind=ad: 4 4 -> 2"]
    assert answer([rule], of, ad_boost=1.0)[0] == {1: 1, 2: 2, 3: 3, 4: 4}
    every, _ = steps([rule], of, {"ad_boost": 2.0})
    assert (
        shown_places(of.items, of.scores, every[-1].arrangement, explore=0, rng=Random(0))[0][
            1
        ].score
        == 2.0
    )


def test_a_pin_stands_at_its_place_also_if_nobody_sent_it():
    places, texts, eligible = answer(
        [Pin(key="item_id", item=9, position=2)],
        candidates(PLAIN, items=[1, 2, 3, 4, 9], sent=4, slots=3),
    )
    assert (places, texts, eligible) == ({1: 1, 2: 9, 3: 2}, ["pin 9 -> 2"], [1, 2, 3, 4, 9])


def test_a_pin_beyond_the_slots_is_told_and_left_out():
    pin = Pin(key="item_id", item=4, position=4)
    assert answer([pin], candidates(PLAIN, slots=3))[:2] == (
        {1: 1, 2: 2, 3: 3},
        ["pin 4 -> 4: beyond 3 places"],
    )


def test_what_is_pinned_and_blocked_is_blocked_and_the_next_pin_has_the_place():
    rules = [
        Block(where=RECALLED),
        Pin(key="item_id", item=2, position=1),
        Pin(key="item_id", item=3, position=1),
    ]
    places, texts, _ = answer(rules, candidates([None, "recalled", None, None, None]))
    assert places == {1: 3, 2: 1, 3: 4, 4: 5}
    assert texts == ["block item_kind=recalled: -2", "pin 2 -> 1: blocked", "pin 3 -> 1"]


def test_of_two_pins_on_one_place_the_first_in_the_file_stands_and_the_other_is_told():
    of = candidates(PLAIN, items=[1, 2, 3, 4, 9], sent=4)
    rules = [
        Pin(key="item_id", item=3, position=1),
        Pin(key="item_id", item=9, position=1),
        Pin(key="item_id", item=3, position=2),
    ]
    places, texts, eligible = answer(rules, of)
    assert places == {1: 3, 2: 1, 3: 2, 4: 4}
    assert texts == ["pin 3 -> 1", "pin 9 -> 1: 3 stands there", "pin 3 -> 2: it stands at 1"]
    assert 9 not in eligible


def test_a_reserved_group_stands_at_its_positions_and_nowhere_else():
    reserve = Reserve(where=AD, positions=(4, 2))
    places, texts, _ = answer([reserve], candidates(["ad", None, "ad", None, "ad"], slots=5))
    assert places == {1: 2, 2: 1, 3: 4, 4: 3}
    assert texts == ["reserve item_kind=ad: 1 1 -> 2, 3 3 -> 4, 5 5 -> out"]


def test_an_empty_lane_leaves_its_places_empty():
    places, texts, _ = answer(
        [Reserve(where=AD, positions=(2, 3))], candidates([None, None, None, "ad", None])
    )
    assert places == {1: 1, 2: 4, 4: 2}
    assert texts == ["reserve item_kind=ad: 3 stays empty, 4 4 -> 2"]


def test_a_pin_takes_a_reserved_place_and_counts_for_the_cap():
    rules = [
        Pin(key="item_id", item=3, position=1),
        Reserve(where=AD, positions=(1, 2)),
        Cap(by=CATEGORY, max=1),
    ]
    of = candidates([None, None, None, "ad", None], categories=["a", "a", "a", "a", "b"])
    assert answer(rules, of)[0] == {
        1: 3,
        2: 4,
        3: 5,
    }  # the ad is of category a, too: a cap is over the other places


def test_a_cap_leaves_out_what_its_group_has_no_place_for():
    places, texts, eligible = answer(
        [Cap(by=CATEGORY, max="$most")],
        candidates(PLAIN, categories=["a", "a", "a", "b", "b"]),
        most=2,
    )
    assert (places, texts) == ({1: 1, 2: 2, 3: 4, 4: 5}, ["cap item_category $most: 3 3 -> out"])
    assert len(eligible) == 5


def test_a_figure_that_an_old_run_gives_as_no_number_changes_nothing():
    rules = [Boost(where=AD, times="$x", add="$x"), Cap(by=CATEGORY, max="$x")]
    of = candidates(["ad", None, None, None, "ad"], categories=["a"] * 5)
    assert answer(rules, of, x="much") == ({1: 1, 2: 2, 3: 3, 4: 4}, [], [1, 2, 3, 4, 5])


def test_what_is_null_is_of_no_group():
    rules = [Block(where=(Condition(attribute=KIND, not_among=("ad",)),)), Cap(by=CATEGORY, max=1)]
    assert answer(rules, candidates([None, None, "ad", "x", None]))[0] == {1: 1, 2: 2, 3: 3, 4: 5}


def test_two_caps_hold_together_where_nothing_is_drawn():
    of = candidates(["x", "x", "y", "y", None], categories=["a", "b", "a", "c", None])
    assert answer([Cap(by=KIND, max=1), Cap(by=CATEGORY, max=1)], of)[0] == {1: 1, 2: 4, 3: 5}


def test_too_few_candidates_make_a_shorter_answer():
    rules = [Block(where=RECALLED), Reserve(where=AD, positions=(1,))]
    assert answer(rules, candidates(["recalled"] * 5))[0] == {}
    pin = Pin(key="item_id", item=1, position=4)
    assert answer([rules[0], pin], candidates([None, None, "recalled", "recalled", "recalled"]))[
        0
    ] == {1: 2, 4: 1}


SPEC = msgspec.structs.replace(
    shop.SPEC,
    entities={
        **shop.SPEC.entities,
        "segment": Entity(name="segment", key="segment_id", type="string"),
    },
    feature_views={
        "item_profile": FeatureView(name="item_profile", entity="item", path="", sql="")
    },
)
DAY = timedelta(days=1)


def book(*rules):
    return Rulebook(msgspec.structs.replace(shop.ENDPOINT, rules=rules), SPEC)


def test_a_window_begins_with_its_first_moment_and_ends_before_its_last():
    rule = Pin(key="item_id", item=1, position=1, since=shop.NOW, until=shop.NOW + DAY)
    tick = timedelta(milliseconds=1)
    holds = [
        bool(book(rule).active("item", {}, at))
        for at in (shop.NOW - tick, shop.NOW, shop.NOW + DAY - tick, shop.NOW + DAY)
    ]
    assert holds == [False, True, True, False]


def test_a_rule_holds_when_the_request_says_so_and_for_candidates_of_its_entity():
    rules = book(Block(where=AD, when=(Condition(attribute="country", among=("JP",)),)))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert [
        len(rules.active("item", context, now))
        for context in ({"country": "JP"}, {"country": "TW"}, {"country": None}, {})
    ] == [
        1,
        0,
        0,
        0,
    ]
    assert rules.active("segment", {"country": "JP"}, now) == ()


def test_rules_are_applied_in_the_order_of_their_kinds_and_then_of_the_file():
    rules = (
        Cap(by=CATEGORY, max=2),
        Pin(key="item_id", item=2, position=1),
        Pin(key="item_id", item=1, position=1),
        Block(where=AD),
    )
    every = book(*rules)
    assert [name_of(rule) for rule in every.active("item", {}, shop.NOW)] == [
        "block item_kind=ad",
        "pin 2",
        "pin 1",
        "cap item_category 2",
    ]
    assert every.features == {"item": {"item_profile": ("item_kind", "item_category")}}
    assert every.digest != book(*rules[:3]).digest


def world(chance):
    """Candidates and rules with a closed form, at random."""
    number = chance.randint(4, 12)
    of = candidates(
        [chance.choice(["ad", "recalled", "x", None, None]) for _ in range(number)],
        scores=[chance.random() for _ in range(number)],
        categories=[chance.choice(["a", "b", "c", None]) for _ in range(number)],
        slots=chance.randint(2, 8),
        sent=number - 1,
    )
    kinds = [
        Block(where=RECALLED),
        Boost(where=AD, times=2.0),
        Pin(key="item_id", item=chance.randint(1, number), position=chance.randint(1, 3)),
        Reserve(where=AD, positions=tuple(chance.sample(range(1, 7), 2))),
        Cap(by=CATEGORY, max=chance.randint(1, 3)),
    ]
    return [rule for rule in kinds if chance.random() < 0.7], of


def chances(arrangement, explore):
    """By place, the probability of each candidate."""
    shares = {place: {at: 1.0} for place, at in arrangement.pins.items()}
    for lane in arrangement.lanes:
        inside = {*lane.arranged, *(at for group, _ in lane.groups for at in group)}
        for number, place in enumerate(lane.places[: lane.members]):
            best = lane.arranged[number]
            of = {"explore": explore, "candidates": lane.members}
            shares[place] = {
                at: propensity(is_best=at == best, quota=lane.quotas.get(at, 1), **of)
                for at in inside
            }
    return shares


def test_in_random_worlds_the_probabilities_of_a_place_sum_to_one_and_are_the_frequencies():
    chance, draws, worlds, small, places_seen = Random(11), 4_000, 40, 0, 0
    for _ in range(worlds):
        rules, of = world(chance)
        explore = chance.uniform(0.2, 1)
        arrangement = steps(rules, of, {})[0][-1].arrangement
        expected = chances(arrangement, explore)
        counts = {place: Counter() for place in expected}
        for _ in range(draws):
            for place in shown_places(
                of.items, of.scores, arrangement, explore=explore, rng=chance
            )[0]:
                at = of.items.index(place.item)
                counts[place.position][at] += 1
                assert place.propensity == expected[place.position][at]
        for place, of_items in expected.items():
            assert sum(of_items.values()) == pytest.approx(1)
            assert sum(counts[place].values()) == draws
            cells = {at: share for at, share in of_items.items() if share > 0}
            if len(cells) > 1:
                places_seen += 1
                small += (
                    p_value(counts[place], {at: share * draws for at, share in cells.items()})
                    < 0.05
                )
    assert places_seen > 100
    assert (
        small <= 0.05 * places_seen + 4 * (worlds * 0.05 * 0.95) ** 0.5 * places_seen / worlds
    )  # places of a world go together


def p_value(seen, expected):
    """Pearson's chi-square, by Wilson and Hilferty's normal approximation (1931)."""
    freedom = len(expected) - 1
    distance = sum((seen[at] - mean) ** 2 / mean for at, mean in expected.items())
    spread = 2 / (9 * freedom)
    return 1 - NormalDist().cdf(((distance / freedom) ** (1 / 3) - 1 + spread) / spread**0.5)


def test_a_better_policy_is_estimated_by_the_propensities_and_not_by_those_that_ignore_rules():
    """Inverse propensity of clicks that depend on item and place, of a policy whose scores are the
    items' worth.
    """
    chance, explore, answers = Random(23), 0.2, 60
    rules = [
        Pin(key="item_id", item=7, position=1),
        Reserve(where=AD, positions=(3,)),
        Cap(by=CATEGORY, max=1),
    ]
    worth = [chance.uniform(0.05, 0.5) for _ in range(12)]
    true, ruled, unruled = [], [], []
    for _ in range(100):
        kinds = [chance.choice(["ad", None, None]) for _ in range(12)]
        categories = [chance.choice("abcd") for _ in range(12)]
        of = candidates(
            kinds,
            scores=[value + chance.uniform(-0.3, 0.3) for value in worth],
            categories=categories,
        )
        better = candidates(kinds, scores=worth, categories=categories)
        logged = steps(rules, of, {})[0][-1].arrangement
        wanted = {
            place: at
            for at, place in places_of(steps(rules, better, {})[0][-1].arrangement).items()
        }
        true.append(sum(worth[at] / place for place, at in wanted.items()))
        for _ in range(answers):
            of_rules, of_none = 0.0, 0.0
            for place in shown_places(of.items, of.scores, logged, explore=explore, rng=chance)[0]:
                at = place.item - 1
                if (
                    wanted.get(place.position) == at
                    and chance.random() < worth[at] / place.position
                ):
                    of_rules += 1 / place.propensity
                    of_none += 1 / propensity(
                        is_best=of.best[place.position - 1] == at, explore=explore, candidates=12
                    )
            ruled.append(of_rules)
            unruled.append(of_none)
    assert abs(z(ruled, true, answers)) < 3
    assert z(unruled, true, answers) > 30


def z(estimates, true, answers):
    """Of the mean's error, in standard errors: worlds are given, their answers are drawn."""
    errors = [estimate - true[at // answers] for at, estimate in enumerate(estimates)]
    mean = sum(errors) / len(errors)
    return mean / (sum((error - mean) ** 2 for error in errors) ** 0.5 / len(errors))
