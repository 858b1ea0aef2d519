"""Figures and their intervals: against definitions, against each other, and against the figures
known for the Open Bandit log.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.pipelines.evaluation import statistics
from isthmus.pipelines.run_pages import figure_text

rows = st.lists(
    st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 2)), min_size=1, max_size=40
)


def by_definition(found):
    """Compare every click with every non-click of its own group."""
    won = pairs = 0.0
    for score, hit, group in found:
        for other, other_hit, other_group in found:
            if hit and not other_hit and group == other_group:
                pairs += 1
                won += 1.0 if score > other else 0.5 if score == other else 0.0
    return won / pairs if pairs else None


@given(rows)
def test_auc_is_the_share_of_pairs_within_a_group(found):
    scores, hits, groups = zip(*found, strict=True)
    value = statistics.Pairs(scores, np.array(hits, int), groups).auc(np.ones(len(found), np.int64))
    expected = by_definition(found)
    assert math.isnan(value) if expected is None else value == pytest.approx(expected)


@given(rows, st.data())
def test_a_weight_is_as_good_as_repeating_the_row(found, data):
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(found), max_size=len(found)))
    scores, hits, groups = zip(*found, strict=True)
    pairs = statistics.Pairs(scores, np.array(hits, int), groups)
    value, drawn = (
        pairs.auc(np.array(weights)),
        pairs.auc_of(np.repeat(np.arange(len(found)), weights)),
    )
    expected = by_definition(
        [row for row, weight in zip(found, weights, strict=True) for _ in range(weight)]
    )
    assert math.isnan(value) if expected is None else value == pytest.approx(expected)
    assert drawn == value or (math.isnan(drawn) and math.isnan(value))


@given(rows)
def test_order_is_all_that_counts(found):
    scores, hits, groups = (np.array(one) for one in zip(*found, strict=True))
    once = np.ones(len(found), np.int64)
    first, second = (
        statistics.Pairs(one, hits.astype(int), groups).auc(once)
        for one in (scores, np.exp(scores) * 7)
    )
    assert first == second or (math.isnan(first) and math.isnan(second))


def test_a_perfect_ranking_is_1_and_its_reverse_0():
    hits = np.array([0, 0, 1, 1])
    assert statistics.auc([1, 2, 3, 4], hits, np.zeros(4)).value == 1
    assert statistics.auc([4, 3, 2, 1], hits, np.zeros(4)).value == 0


def test_without_a_click_nothing_is_known():
    assert statistics.auc([1, 2], [0, 0], [0, 0]) == statistics.Estimate(
        value=0.5, low=0.0, high=1.0
    )


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(1)
    inside = 0
    for number in range(60):
        hits = (random.random(300) < 0.2).astype(int)
        scores = random.normal(size=300) + hits * 0.5  # true AUC: Phi(0.5 / sqrt 2) = 0.638
        found = statistics.auc(scores, hits, np.zeros(300), samples=200, seed=number)
        inside += found.low <= 0.638 <= found.high
    assert 51 <= inside <= 60


def test_a_model_does_not_differ_from_itself():
    random = np.random.default_rng(2)
    scores, hits = random.random(200), random.integers(0, 2, 200)
    found = statistics.auc_difference(scores, scores, hits, np.zeros(200), samples=50)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_pairing_makes_a_difference_surer_than_two_intervals_do():
    random = np.random.default_rng(3)
    hits = (random.random(800) < 0.1).astype(int)
    good = random.normal(size=800) + hits
    nearly = good + random.normal(size=800) * 0.2
    groups = np.zeros(800)
    paired = statistics.auc_difference(good, nearly, hits, groups, samples=300)
    alone = statistics.auc(good, hits, groups, samples=300)
    assert paired.high - paired.low < (alone.high - alone.low) / 2


@pytest.mark.parametrize("count", [0, 1, 3, 62, 500, 9_999, 10_001, 200_000])
def test_the_poisson_interval_is_the_exact_one(count):
    chi2 = pytest.importorskip("scipy.stats").chi2
    low, high = statistics.poisson_interval(count)
    assert low == pytest.approx(chi2.ppf(0.025, 2 * count) / 2 if count else 0.0, rel=1e-5)
    assert high == pytest.approx(chi2.ppf(0.975, 2 * count + 2) / 2, rel=1e-5)


def test_log_loss_of_a_certain_mistake_is_finite():
    assert np.isfinite(statistics.log_loss([0.0, 1.0], [1, 0])).all()
    assert statistics.log_loss([0.25], [1])[0] == pytest.approx(-math.log(0.25))


def test_power_is_said_as_an_auc_and_in_percent():
    assert (
        figure_text.power_text(62, "click")
        == "With 62 clicks an AUC of 0.60 would be found in 80 % of cases; 0.55 takes 260 "
        "clicks, 0.52 1,600."
    )
    assert statistics.positives_needed(statistics.distance_shown(500)) in (500, 501)


def test_power_holds_in_a_simulation():
    """With as many clicks as it asks for, a ranking that far from chance is seen about four times
    in five.
    """
    random = np.random.default_rng(4)
    distance, clicks = 0.1, statistics.positives_needed(0.1)
    shift = 0.3583  # normal scores: Phi(shift / sqrt 2) = 0.6
    seen = 0
    for _ in range(300):
        misses = np.sort(random.normal(size=4000))
        area = np.searchsorted(misses, random.normal(size=clicks) + shift).mean() / 4000
        seen += area > 0.5 + 1.96 / math.sqrt(12 * clicks)
    assert distance == 0.1
    assert 0.72 <= seen / 300 <= 0.88


def test_power_is_said_in_people_where_the_log_names_them():
    figure = statistics.Estimate(value=0.0, low=-0.0098, high=0.0098)
    assert figure_text.power_of_units(
        figure, 300, "user_id", "a difference in ndcg@10"
    ).rstrip() == (
        "With 300 users a difference in ndcg@10 of 0.014 would be found in 80 % of cases; "
        "0.01 takes 590 users, 0.005 takes 2,400 users."
    )
    assert figure_text.power_of_units(figure, 9, "user_id", "a difference in ndcg@10") == ""
    assert [figure_text.people(name) for name in ("user_id", "session", "item_key")] == [
        "users",
        "sessions",
        "items",
    ]
