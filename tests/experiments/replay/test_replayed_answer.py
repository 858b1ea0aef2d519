"""A logged answer under another model and the same rules: the estimates over 120 logs of a world
that is known, and what is left out.
"""

from __future__ import annotations

from random import Random

import msgspec
import numpy as np
import pytest

from isthmus.endpoints.gateway.rank.arrangement import steps
from isthmus.experiments.replay.accounts import Accounts, rows_of
from isthmus.experiments.replay.estimates import by_unit
from isthmus.experiments.replay.logged_answers import Place
from isthmus.experiments.replay.replayed_answer import unshown_probability, weighted_places
from isthmus.project.specs.rules import Reserve

from .ruled_world import (
    EXPLORE,
    RULES,
    judged,
    logged,
    logging_scores,
    shown_by,
    under,
    wanted_scores,
    z,
)

LOGS, ANSWERS = 120, 60


@pytest.fixture(scope="module")
def logs():
    rng = Random(20261127)
    return [judged(rng, ANSWERS, 100) for _ in range(LOGS)]


@pytest.mark.parametrize(
    "estimate",
    [lambda r: r.value, lambda r: r.self_normalised.value, lambda r: r.doubly_robust.value],
    ids=["ips", "normalised", "dr"],
)
def test_under_pin_reserve_boost_and_cap_each_estimate_is_what_the_model_earns_itself(
    logs, estimate
):
    assert abs(z([estimate(log.replay) - log.earned for log in logs])) < 3
    assert abs(z([log.replay.logged - log.earned for log in logs])) > 10


def test_a_log_that_was_all_drawn_tells_of_a_version_that_explores_less():
    rng = Random(20261129)
    drawn = [judged(rng, 40, 10, explore=1.0) for _ in range(LOGS)]
    for estimate in (lambda r: r.value, lambda r: r.doubly_robust.value):
        assert abs(z([estimate(log.replay) - log.earned for log in drawn])) < 3
    assert abs(z([log.replay.logged - log.earned for log in drawn])) > 10


def test_propensities_that_ignore_the_rules_miss_it_by_far(logs):
    assert abs(z([log.unruled - log.earned for log in logs])) > 10


def test_the_intervals_hold_what_the_model_earns_about_as_often_as_they_say(logs):
    holds = sum(
        log.replay.doubly_robust.low <= log.earned <= log.replay.doubly_robust.high for log in logs
    )
    assert holds >= LOGS * 0.95 - 4 * np.sqrt(LOGS * 0.95 * 0.05)
    assert logs[0].replay.units == ANSWERS


@pytest.mark.parametrize("rules", [(), RULES], ids=["plain", "rules"])
def test_the_version_that_answered_has_weight_one_everywhere(rules):
    rng = Random(3)
    for number in range(50):
        answer = logged(number, rng, rules)
        places = weighted_places(
            answer, under(answer, logging_scores(answer.candidates), rules), EXPLORE
        )
        assert [place.weight for place in places] == pytest.approx([1.0] * len(answer.places))


def test_probabilities_of_who_may_stand_at_a_place_sum_to_one_by_tenths_too():
    answer = logged(1, Random(4))
    scores = wanted_scores(1, answer.candidates)
    rows = rows_of(
        "v1", weighted_places(answer, under(answer, scores), EXPLORE), np.arange(9) % 10, EXPLORE
    )
    assert [row.mass.sum() for row in rows] == pytest.approx([1.0] * len(rows))


def test_an_answer_that_the_rules_as_they_are_read_now_could_not_give_is_seen():
    answer = logged(1, Random(7))
    other = [rule for rule in RULES if not isinstance(rule, Reserve)]
    assert (
        weighted_places(answer, under(answer, logging_scores(answer.candidates)), EXPLORE)
        is not None
    )
    assert (
        weighted_places(answer, under(answer, logging_scores(answer.candidates), other), EXPLORE)
        is None
    )


def test_who_is_eligible_comes_from_the_log_and_not_from_a_rule_that_reads_what_is_known_now():
    answer = logged(2, Random(5))
    scores = [float(item) for item in answer.candidates]
    inside = [at for at in answer.eligible if answer.candidates[at] != 11]
    arrangement = under(msgspec.structs.replace(answer, eligible=inside), scores)
    assert all(answer.candidates[at] != 11 for lane in arrangement.lanes for at in lane.arranged)
    every, eligible = steps(RULES, shown_by(scores, answer.candidates, Random(0))[0], {})
    assert eligible == answer.eligible
    assert under(answer, scores) == every[-1].arrangement


def test_of_an_answer_that_does_not_explore_the_share_is_counted_that_lies_on_what_was_not_shown():
    answer = logged(2, Random(6), ())
    first, second = answer.candidates[:2]
    places = [Place(str(first), 1, 1.0, 0.0), Place(str(second), 2, 1.0, 1.0)]
    shown = msgspec.structs.replace(answer, places=places, explore=0.0)
    same, swapped = (
        under(shown, [*first_two, *[0.0] * 7], ()) for first_two in ([9.0, 8.0], [8.0, 9.0])
    )
    assert [unshown_probability(shown, arrangement, 0.0) for arrangement in (same, swapped)] == [
        0,
        2,
    ]
    assert unshown_probability(shown, same, 0.9) == pytest.approx(2 * (0.9 - 0.9 / 9))
    assert unshown_probability(shown, swapped, 0.9) == pytest.approx(2 * (1 - 0.9 / 9))


def test_units_are_counted_once_and_pages_add_up():
    rng, whole, parts = Random(8), Accounts(), Accounts()
    rows = []
    for number in range(40):
        answer = logged(number % 20, rng)
        rows += rows_of(
            answer.unit,
            weighted_places(answer, under(answer, wanted_scores(1, answer.candidates)), EXPLORE),
            np.arange(9) % 10,
            EXPLORE,
        )
    whole.add(rows)
    for start in range(0, len(rows), 7):
        parts.add(rows[start : start + 7])
    assert (whole.units, parts.units) == (20, 20)
    at_once, by_page = (
        by_unit(accounts.sums(), 20, samples=50, seed=2) for accounts in (whole, parts)
    )
    assert by_page.doubly_robust.value == pytest.approx(at_once.doubly_robust.value)
    assert (by_page.rows, by_page.heavy) == (at_once.rows, at_once.heavy)
    assert by_page.effective_rows == pytest.approx(at_once.effective_rows)
