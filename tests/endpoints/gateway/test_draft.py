"""Two rankings drafted into one order: what is shown, whom it credits, and how likely each place
was.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.endpoints.gateway.placement import interleave
from isthmus.endpoints.gateway.rank.arrangement import steps
from isthmus.endpoints.gateway.rank.draft import chances, coins, draft, rounds
from isthmus.endpoints.gateway.rank.ranking import ReservedPlaces
from isthmus.project.specs.rules import Boost, Cap, Pin, Reserve
from isthmus.tests.endpoints.gateway.test_rules import AD, CATEGORY, candidates

RULEBOOK = SimpleNamespace(digest="rules", drawable=True)


def lane(*arranged, places=None):
    return ReservedPlaces(
        places=range(1, (places or len(arranged)) + 1), arranged=arranged, members=len(arranged)
    )


@st.composite
def rivals(draw):
    """One lane as two models arrange it, under a cap or none."""
    number = draw(st.integers(1, 7))
    categories = draw(st.lists(st.sampled_from([None, "a", "b"]), min_size=number, max_size=number))
    rules = [Cap(by=CATEGORY, max=draw(st.integers(1, 2)))] if draw(st.booleans()) else []
    slots = draw(st.integers(1, 6))
    pair = (draw(st.permutations([float(at) for at in range(number)])) for _ in range(2))
    of = (
        candidates([None] * number, scores=scores, categories=categories, slots=slots)
        for scores in pair
    )
    first, second = (steps(rules, one, {})[0][-1].arrangement.lanes[0] for one in of)
    return first, second


@settings(max_examples=50)
@given(rivals())
def test_a_draft_fills_the_lane_with_each_item_once_under_the_cap_and_its_chances_are_the_share_of_the_coins(
    pair,
):
    first, second = pair
    turns = list(rounds(first, second))
    falls = list(product((True, False), repeat=len(turns)))
    seen, credited = Counter(), Counter()
    group_of = {at: number for number, (members, _) in enumerate(first.groups) for at in members}
    for coin in falls:
        picks, ended = draft(first, second, coin.__getitem__)
        assert ended == len(turns)
        assert [pick.number for pick in picks] == list(range(min(len(first.places), first.members)))
        assert len({pick.candidate for pick in picks}) == len(picks)
        taken = Counter(group_of.get(pick.candidate) for pick in picks)
        assert all(taken[number] <= quota for number, (_, quota) in enumerate(first.groups))
        seen.update((pick.number, pick.candidate) for pick in picks)
        credited.update((pick.number, pick.by) for pick in picks if pick.credited)
    assert chances(first, second) == {key: count / len(falls) for key, count in seen.items()}
    assert all(credited[number, 0] == credited[number, 1] for number in range(len(first.places))), (
        "by place alone"
    )


@settings(max_examples=50)
@given(rivals())
def test_rankings_that_agree_credit_nobody_and_are_shown_as_they_are(pair):
    first, _ = pair
    picks, _ = draft(first, first, lambda number: number % 2 == 0)
    assert [pick.candidate for pick in picks] == list(first.arranged[: len(picks)])
    assert not any(pick.credited for pick in picks)


def test_each_round_credits_both_picks_unless_they_are_one_item():
    first, second = lane(1, 2, 3, 4), lane(1, 3, 4, 2)
    picks, _ = draft(first, second, (True, False, True).__getitem__)
    assert [(pick.candidate, pick.by, pick.credited) for pick in picks[:3]] == [
        (1, 0, False),
        (3, 1, True),
        (2, 0, True),
    ]


def test_the_last_place_is_the_coins():
    first, second = lane(1, 2, places=1), lane(2, 1, places=1)
    assert [
        draft(first, second, lambda _number, falls=falls: falls)[0][0].candidate
        for falls in (True, False)
    ] == [1, 2]
    assert chances(first, second) == {(0, 1): 0.5, (0, 2): 0.5}


def test_coins_fall_alike_for_who_asks_again_and_evenly_over_answers_and_rounds():
    again = [coins("order_duel.1", "q-1-7")(number) for number in range(50)]
    assert again == [coins("order_duel.1", "q-1-7")(number) for number in range(50)]
    assert again != [coins("order_duel.2", "q-1-7")(number) for number in range(50)]
    for number in (0, 1, 7):
        heads = sum(coins("order_duel.1", f"q-0a1b2c-{answer}")(number) for answer in range(10_000))
        assert abs(heads - 5_000) < 4 * 50
    both = sum(
        coins("s", f"q-{answer}")(0) == coins("s", f"q-{answer}")(1) for answer in range(10_000)
    )
    assert abs(both - 5_000) < 4 * 50


def test_in_simulated_clicks_the_better_ranking_wins_and_equal_ones_do_not():
    rng, noise = Random(12), Random(13)
    means = []
    for skill in (0.0, 1.0):
        wins = []
        for answer in range(1_500):
            worth = [rng.random() for _ in range(8)]
            scores = (
                [worth[at] * skill + noise.random() for at in range(8)],
                [noise.random() for _ in range(8)],
            )
            first, second = (
                lane(*sorted(range(8), key=lambda at, of=of: -of[at]), places=4) for of in scores
            )
            picks, _ = draft(first, second, coins("s", f"q-{answer}"))
            clicked = [
                pick
                for pick in picks
                if pick.credited and rng.random() < worth[pick.candidate] / (1 + pick.number)
            ]
            wins.append(sum(1 if pick.by == 0 else -1 for pick in clicked))
        mean = sum(wins) / len(wins)
        error = (sum((win - mean) ** 2 for win in wins) / len(wins) / len(wins)) ** 0.5
        means.append(mean / error)
    assert abs(means[0]) < 4 < means[1]


KINDS = ["ad", None, "ad", None, None, "ad", None, None]
CATEGORIES = ["a", "a", "b", "a", None, "b", "b", "a"]
RULES = [
    Boost(where=AD, times=1.5),
    Pin(key="item_id", item=5, position=2),
    Reserve(where=AD, positions=(4, 1)),
    Cap(by=CATEGORY, max=1),
]


def answers(explore, number, rules=RULES, coin=None):
    rng = Random(3)
    scores = [float((5 * at) % 8) for at in range(8)], [float((3 * at) % 7) for at in range(8)]
    pair = tuple(candidates(KINDS, scores=of, categories=CATEGORIES, slots=6) for of in scores)
    for answer in range(number):
        yield (
            pair,
            interleave(
                rules,
                RULEBOOK,
                pair,
                {},
                explore=explore,
                rng=rng,
                coin=coin or coins("s", f"q-{answer}"),
            ),
        )


def test_rules_hold_for_what_is_drafted_lane_by_lane():
    for (first, second), of in answers(0.0, 200):
        places = {place.position: place for place in of.places}
        assert (places[2].item, places[2].propensity, places[2].credited) == (5, 1, False)
        assert all(KINDS[places[at].item - 1] == "ad" for at in (1, 4)), "the reserved group"
        free = [CATEGORIES[place.item - 1] for at, place in places.items() if at not in (1, 2, 4)]
        assert max(Counter(category for category in free if category).values()) == 1
        assert all(
            place.score == (first, second)[place.by].scores[place.item - 1] for place in of.places
        )
    assert of.overruled.texts == ("pin 5 -> 2",), (
        "the moves of one order are not those of the draft"
    )


@pytest.mark.parametrize("explore", [0.0, 0.4])
@pytest.mark.parametrize("rules", [RULES, []], ids=["rules", "none"])
def test_the_propensity_of_a_place_is_how_often_the_item_stands_there(explore, rules):
    count, told, number = Counter(), {}, 1_500
    for _, of in answers(explore, number, rules):
        assert not (of.explored and any(place.credited for place in of.places))
        for place in of.places:
            count[place.position, place.item] += 1
            assert (
                told.setdefault((place.position, place.item), place.propensity) == place.propensity
            )
    for key, share in told.items():
        assert abs(count[key] - number * share) <= 4.5 * (number * share * (1 - share)) ** 0.5
    by_place = Counter()
    for (position, _), share in told.items():
        by_place[position] += share
    assert all(total == pytest.approx(1) for total in by_place.values())
