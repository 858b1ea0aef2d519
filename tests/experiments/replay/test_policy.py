"""Replay: the published figure comes out, the estimate is unbiased, and what matched nothing is no
estimate.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import Invalid, Refused
from isthmus.experiments.replay.policy import fixed_ranking, replay, thompson_probabilities

DATA = Path(__file__).parents[3] / "examples" / "openbandit" / "data"


@pytest.fixture(scope="module")
def log():
    import pyarrow.parquet as pq
    from pyarrow import csv

    table, prior = (
        pq.read_table(DATA / "random.parquet"),
        csv.read_csv(DATA / "item_prior.csv").sort_by("item_id"),
    )
    columns = [
        table[name].to_numpy() for name in ("position", "item_id", "propensity_score", "click")
    ]
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
        values.append(
            replay(np.ones(500, int), items, logging[items], rewards, policy, samples=2).value
        )
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
    assert (by_person.high - by_person.low) / (by_row.high - by_row.low) == pytest.approx(
        10**0.5, rel=0.1
    )
    assert str(by_person).endswith("(worth 4,000 of 4,000 rows, 400 units drawn)")
    few = replay(ones, ones.astype(int), ones, rewards, ones, units=person % 9, samples=100)
    assert (few.low, few.units) == (None, 9)
    with pytest.raises(Invalid, match="one entry a row"):
        replay(ones, ones.astype(int), ones, rewards, ones, units=[1])


UNITS, SLOTS, LOGS = 300, 3, 120
BASE = np.array(
    [0.05, 0.12, 0.2, 0.3, 0.4]
)  # of the items, for the one kind of people; the other likes them the other way round
SEEN = np.array([1.0, 0.7, 0.5])  # of the positions
CHANCE = np.stack([np.outer(BASE, SEEN), np.outer(BASE[::-1], SEEN)])  # kind x item x position
LOGGED, WANTED = (
    np.array([2, 0, 4, 1, 3]),
    np.stack([np.argsort(-BASE), np.argsort(BASE)]),
)  # orders: of the log, and by kind


def policy(order, explore):
    """Item x position: in this order, or, of a share `explore`, at random."""
    return explore / len(BASE) + (1 - explore) * (np.arange(len(BASE))[:, None] == order[:SLOTS])


def a_log(random, explore):
    """(whose, kind, position, item, propensity, reward) of people who see three places, once or
    twice.
    """
    whose = np.repeat(np.arange(UNITS), random.integers(1, 3, UNITS))
    kind = (whose % 2)[:, None].repeat(SLOTS, 1)
    drawn = np.argsort(random.random((len(whose), len(BASE))), axis=1)
    items = np.where(random.random((len(whose), 1)) < explore, drawn, LOGGED)[:, :SLOTS]
    positions = np.broadcast_to(np.arange(1, SLOTS + 1), items.shape)
    rewards = (random.random(items.shape) < CHANCE[kind, items, positions - 1]).astype(float)
    propensities = policy(LOGGED, explore)[items, positions - 1]
    return [
        column.ravel()
        for column in (
            whose[:, None].repeat(SLOTS, 1),
            kind,
            positions,
            items,
            propensities,
            rewards,
        )
    ]


@pytest.fixture(scope="module")
def replayed_logs():
    """Of each log the replay of another policy with the same exploration, by a model of rewards
    that knows no kind; and the truth.
    """
    random, explore = np.random.default_rng(20261126), 0.4
    wanted = np.stack([policy(order, explore) for order in WANTED])
    model = CHANCE.mean(axis=0)
    every = []
    for _ in range(LOGS):
        whose, kind, positions, items, propensities, rewards = a_log(random, explore)
        expected = (
            model[items, positions - 1],
            np.einsum("nij,ij->nj", wanted, model)[kind, positions - 1],
        )
        likely, truth = (
            wanted[kind, items, positions - 1],
            np.einsum("nij,nij->nj", wanted, CHANCE)[kind, positions - 1],
        )
        replayed = replay(
            positions,
            items,
            propensities,
            rewards,
            likely,
            units=whose,
            expected=expected,
            samples=300,
        )
        every.append((replayed, truth.mean()))
    return every


@pytest.mark.parametrize("name", ["ips", "self_normalised", "doubly_robust"])
def test_each_estimate_is_the_truth_of_a_world_that_is_known_over_120_logs(replayed_logs, name):
    errors = np.array([value(result, name) - truth for result, truth in replayed_logs])
    assert abs(errors.mean() / (errors.std(ddof=1) / np.sqrt(LOGS))) < 3
    logged = np.array([result.logged - truth for result, truth in replayed_logs])
    assert abs(logged.mean() / (logged.std(ddof=1) / np.sqrt(LOGS))) > 30, (
        "what the log's own policy earned is something else"
    )


def test_doubly_robust_varies_least_and_its_interval_holds_the_truth_as_often_as_it_says(
    replayed_logs,
):
    errors = {
        name: np.array([value(result, name) - truth for result, truth in replayed_logs])
        for name in ("ips", "doubly_robust")
    }
    assert errors["doubly_robust"].var() < errors["ips"].var()
    holds = sum(
        result.doubly_robust.low <= truth <= result.doubly_robust.high
        for result, truth in replayed_logs
    )
    assert abs(holds - 0.95 * LOGS) <= 4 * np.sqrt(LOGS * 0.95 * 0.05)


def value(result, name):
    return result.value if name == "ips" else getattr(result, name).value


def test_heavy_rows_are_counted_and_the_difference_to_the_log_is_of_the_same_units():
    units = np.arange(40) // 2
    replayed = replay(
        np.ones(40),
        np.zeros(40),
        np.where(units < 4, 0.01, 1.0),
        (units % 4 == 0).astype(float),
        np.ones(40),
        units=units,
    )
    assert replayed.heavy == 8 / 40
    assert replayed.logged == 0.25
    assert replayed.difference.value == pytest.approx(replayed.value - replayed.logged)
    same = replay(
        np.ones(40),
        np.zeros(40),
        np.full(40, 0.5),
        (units % 4 == 0).astype(float),
        np.full(40, 0.5),
        units=units,
        samples=50,
    )
    assert (same.difference.value, same.difference.low, same.difference.high) == (0, 0, 0)


def test_a_policy_beyond_the_pool_is_refused_with_the_share_of_its_probability_that_lies_there():
    wanted, pool = (
        np.array([[0.5, 0.2], [0.25, 0.3], [0.25, 0.5]]),
        np.array([[True, True], [True, True], [False, True]]),
    )
    rows = ([1, 1, 1, 2], [0, 1, 0, 2], [0.5] * 4, [1, 0, 0, 1])
    with pytest.raises(
        Refused, match=r"18\.8 % of the policy's probability lies where the log's policy never goes"
    ):
        replay(*rows, wanted, pool=pool)
    assert (
        replay(*rows, wanted, pool=np.ones((3, 2)), samples=20).value
        == replay(*rows, wanted, samples=20).value
    )
    with pytest.raises(Invalid, match="a pool is by item and position"):
        replay(*rows, np.ones(4), pool=pool)


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=3, max_size=8),
    st.integers(1, 3),
)
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


@pytest.mark.parametrize(
    ("position", "item", "reward", "problem"),
    [
        (0, 0, 1.0, "positions 1 .. 2"),
        (3, 0, 1.0, "positions 1 .. 2"),
        (1, -1, 1.0, "items 0 .. 1"),
        (1, 0, np.nan, "no finite number"),
    ],
)
def test_a_row_that_the_policy_cannot_tell_of_is_refused(position, item, reward, problem):
    with pytest.raises(Invalid, match=problem):
        replay([1, position], [0, item], [0.5, 0.5], [1.0, reward], np.eye(2))


@pytest.mark.parametrize(("number", "sure"), [(1, False), (9, False), (10, True)])
def test_fewer_than_ten_rows_have_no_interval(number, sure):
    rows = np.ones(number, int)
    assert (replay(rows, rows - 1, rows / 2, rows, np.eye(1), samples=10).low is not None) == sure


def test_a_log_without_rows_is_refused():
    with pytest.raises(Invalid, match="no row"):
        replay([], [], [], [], np.eye(2))


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(Invalid, match="one entry a row"):
        replay([1, 1], [0], [0.5], [0], np.ones((1, 1)))
