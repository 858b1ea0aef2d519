"""Replay: the published figure comes out, the estimate is unbiased, and what matched nothing is no estimate."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import Invalid
from isthmus.experiments.replay import fixed_ranking, replay, thompson_probabilities

DATA = Path(__file__).parents[2] / "examples" / "openbandit" / "data"


@pytest.fixture(scope="module")
def log():
    import pyarrow.parquet as pq
    from pyarrow import csv

    table, prior = pq.read_table(DATA / "random.parquet"), csv.read_csv(DATA / "item_prior.csv").sort_by("item_id")
    columns = [table[name].to_numpy() for name in ("position", "item_id", "propensity_score", "click")]
    return columns, prior["alpha"].to_numpy(), prior["beta"].to_numpy()


def test_the_published_value_of_the_open_bandit_log_comes_out(log):
    columns, alpha, beta = log
    found = replay(*columns, thompson_probabilities(alpha, beta, 3))
    assert f"{found.value:.6f}" == "0.004553"
    assert str(found) == "0.00455   0.0015 .. 0.0093   (worth 1,640 of 10,000 rows)"


def test_a_fixed_top_three_matches_no_click_and_gives_no_estimate(log):
    columns, alpha, beta = log
    found = replay(*columns, fixed_ranking(alpha / (alpha + beta), 3))
    assert found.value is None
    assert str(found) == "matches 107 of 10,000 rows, 0 clicks: no estimate"


def test_the_logging_policy_itself_is_valued_at_the_mean_reward(log):
    (positions, items, propensities, clicks), *_ = log
    found = replay(positions, items, propensities, clicks, propensities, samples=200)
    assert found.value == pytest.approx(clicks.mean())
    assert found.effective_rows == pytest.approx(len(clicks))


def test_the_estimate_is_unbiased():
    random = np.random.default_rng(5)
    truth, logging = np.array([0.1, 0.3, 0.6]), np.array([0.6, 0.3, 0.1])
    policy = np.array([[0.1], [0.2], [0.7]])
    values = []
    for _ in range(200):
        items = random.choice(3, 500, p=logging)
        rewards = (random.random(500) < truth[items]).astype(float)
        values.append(replay(np.ones(500, int), items, logging[items], rewards, policy, samples=2).value)
    assert np.mean(values) == pytest.approx(float(truth @ policy[:, 0]), abs=0.015)


def test_the_interval_draws_units_where_they_are_known():
    """Ten rows a person, all rewarded or none: as sure as so many people, not as so many rows."""
    random = np.random.default_rng(6)
    person = np.repeat(np.arange(400), 10)
    rewards = (random.random(400) < 0.3)[person].astype(float)
    ones = np.ones(len(person))
    by_row, by_person = (
        replay(ones, ones.astype(int), ones, rewards, ones, units=whose, samples=1000)
        for whose in (None, [f"v{number}" for number in person])
    )
    assert by_person.value == by_row.value
    assert (by_person.high - by_person.low) / (by_row.high - by_row.low) == pytest.approx(10**0.5, rel=0.1)
    assert str(by_person).endswith("(worth 4,000 of 4,000 rows, 400 units drawn)")
    few = replay(ones, ones.astype(int), ones, rewards, ones, units=person % 9, samples=100)
    assert (few.low, few.units) == (None, 9)
    with pytest.raises(Invalid, match="one entry a row"):
        replay(ones, ones.astype(int), ones, rewards, ones, units=[1])


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=3, max_size=8), st.integers(1, 3))
def test_thompson_probabilities_are_a_distribution_at_every_position(prior, slots):
    alpha, beta = zip(*prior, strict=True)
    found = thompson_probabilities(alpha, beta, slots, draws=500)
    assert found.sum(axis=0) == pytest.approx(np.ones(slots))
    assert (found.sum(axis=1) <= 1 + 1e-9).all()  # an item is shown once at most


def test_chunks_do_not_change_the_draws():
    alpha, beta = np.array([3.0, 5.0, 2.0, 9.0]), np.array([30.0, 40.0, 25.0, 90.0])
    random = np.random.RandomState(7)
    theta = random.beta(alpha, beta, size=(9000, 4))
    first = np.bincount(theta.argsort(axis=1)[:, ::-1][:, 0], minlength=4) / 9000
    assert (thompson_probabilities(alpha, beta, 2, draws=9000, seed=7)[:, 0] == first).all()


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.5, float("nan")])
def test_a_row_without_a_propensity_is_refused(bad):
    with pytest.raises(Invalid, match="in row 1"):
        replay([1, 1], [0, 0], [0.5, bad], [0, 1], np.ones((1, 1)))


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(Invalid, match="one entry a row"):
        replay([1, 1], [0], [0.5], [0], np.ones((1, 1)))
