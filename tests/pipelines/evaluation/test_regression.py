"""Measures of a number: against scipy and scikit-learn, and intervals against the plain bootstrap."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import spearmanr
from sklearn.metrics import r2_score, root_mean_squared_error

from isthmus.pipelines.evaluation import measure, regression, units
from isthmus.tests.pipelines.evaluation import stays

levels = st.sampled_from([0.0, 0.0, 1.0, 2.0, 3.5, 70.0])


@settings(deadline=None)
@given(hnp.arrays(float, (30, 2), elements=levels))
def test_spearman_is_scipy_s_with_ties_and_without(pairs):
    scores, outcomes = pairs.T
    ours = regression.spearman(scores, outcomes)
    if len(set(scores)) < 2 or len(set(outcomes)) < 2:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(spearmanr(scores, outcomes)[0], abs=1e-9)


def test_a_row_s_part_says_how_the_correlation_moves_when_the_row_counts_more():
    random = np.random.default_rng(1)
    scores = random.integers(0, 8, 40).astype(float)
    outcomes = np.round(random.exponential(1, 40) * (random.random(40) < 0.6), 1)
    parts, _ = regression.spearman_shares(scores, outcomes)
    often = 2000  # each row so often, and one of them once more
    many = [np.tile(side, often) for side in (scores, outcomes)]
    whole = spearmanr(scores, outcomes)[0]
    for row in range(0, 40, 7):
        one_more = spearmanr(np.append(many[0], scores[row]), np.append(many[1], outcomes[row]))[0]
        moved = (one_more - whole) * (40 * often + 1)
        assert moved == pytest.approx(parts[row] - whole, abs=2e-3)


def people(number=150, seed=2):
    """Rows of people who come once or often, and like everything more or less."""
    random = np.random.default_rng(seed)
    unit = np.repeat(np.arange(number), random.integers(1, 12, number))
    liking = np.exp(random.normal(0, 0.5, number))
    scores = np.exp(random.normal(0, 0.7, len(unit)))
    stayed = random.random(len(unit)) < 0.6
    return unit, scores, stayed * liking[unit] * scores * np.exp(random.normal(0, 0.5, len(unit)))


def test_sums_by_unit_say_what_drawing_whole_units_says():
    """Beside the plain way: every sample a table of its own."""
    unit, scores, outcomes = people()
    random, plain = np.random.default_rng(4), []
    rows = [np.flatnonzero(unit == one) for one in range(150)]
    for _ in range(1500):
        sample = np.concatenate([rows[one] for one in random.integers(0, 150, 150)])
        y, x = outcomes[sample], scores[sample]
        plain.append(
            (
                root_mean_squared_error(y, x),
                abs(y - x).mean(),
                r2_score(y, x),
                spearmanr(x, y)[0],
                y.sum() / x.sum(),
            )
        )
    totals = regression.totals(outcomes, scores, unit, 150)
    drawn = units.draw(list(totals.values()))
    assert list(totals) == ["rmse", "mae", "r2", "spearman", "calibration"]
    for place, name in enumerate(totals):
        theirs = np.array(plain)[:, place]
        assert drawn[:, place].std() == pytest.approx(theirs.std(), rel=0.1), name
        assert drawn[:, place].mean() == pytest.approx(theirs.mean(), abs=0.3 * theirs.std()), name
        assert units.parts(totals[name]).sum() == pytest.approx(0, abs=1e-9)


def test_a_prediction_below_0_has_no_calibration_and_equal_ones_no_correlation():
    unit, scores, outcomes = people()
    below = regression.totals(outcomes, scores - 1, unit, 150)
    assert set(below) == {"rmse", "mae", "r2", "spearman"}
    equal = units.estimates(regression.totals(outcomes, np.full(len(unit), 2.0), unit, 150))
    assert set(equal) == {"rmse", "mae", "r2", "calibration"}


def table(scores, outcomes, unit):
    rows = len(unit)
    return pa.table(
        {
            "event_id": [str(row) for row in range(rows)],
            "event_timestamp": pa.array([0] * rows, pa.timestamp("ms")),
            "outcome": pa.array(outcomes, pa.float64()),
            "prediction": pa.array(scores, pa.float64()),
            "base_rate": pa.array(np.full(rows, outcomes.mean())),
            "period": pa.array(np.zeros(rows, dtype=int)),
            "unit": [f"u{one}" for one in unit],
            "ranked_within": pa.nulls(rows, pa.string()),
            "item": pa.nulls(rows, pa.string()),
        }
    )


def test_differences_are_paired_and_turn_their_sign_when_the_models_change_places():
    unit, scores, outcomes = people()
    noisy = scores * np.exp(np.random.default_rng(5).normal(0, 0.8, len(unit)))
    forth = measure.differences(table(scores, outcomes, unit), noisy)
    back = measure.differences(table(noisy, outcomes, unit), scores)
    assert {name for name, figure in forth.items() if figure.low > 0} >= {"spearman", "r2"}
    assert forth["rmse"].high < 0
    for name, figure in forth.items():
        assert figure.value == pytest.approx(-back[name].value)
        assert figure.low == pytest.approx(-back[name].high)


def test_hill_s_index_is_that_of_a_pareto_and_rows_that_are_alike_have_none():
    sizes = 1 + np.random.default_rng(12).pareto(1.5, 100_000)
    assert regression.tail_index(sizes) == pytest.approx(1.5, abs=4 * 1.5 / np.sqrt(1000))
    assert regression.tail_index(-sizes) == regression.tail_index(sizes)
    assert regression.tail_index(np.full(1000, 3.0)) is None
    assert regression.tail_index(np.append(np.zeros(1000), sizes[:49])) is None
    assert regression.tail_index(np.array([])) is None


def test_heavy_tails_are_warned_of_nearly_always_and_light_ones_rarely():
    """Rates over 60 logs of 300 people; the benchmark number_intervals has those of 2,000."""
    warned = {
        world: sum(
            bool(regression.tail_warnings(stays.log(world, 300, [3, seed]).outcome, ["mean"]))
            for seed in range(60)
        )
        for world in (*stays.WORLDS, "pareto")
    }
    assert warned["pareto"] >= 54
    assert warned["pareto with a cap"] == 0
    assert max(warned["log-normal"], warned["zero-inflated"]) <= 9


def test_a_warning_names_the_figures_that_add_outcomes_up():
    heavy = 1 + np.random.default_rng(13).pareto(1.0, 5000)
    names = ["mean", "rmse", "spearman", "ndcg@10", "value@10"]
    (warning,) = regression.tail_warnings(heavy, names)
    assert "95 % intervals of mean, rmse, value@10: a few rows" in warning
    assert "at_most of the objective" in warning
    assert regression.tail_warnings(heavy, ["spearman"]) == ()


def test_intervals_of_log_normal_outcomes_hold_the_truth_where_percentiles_do_not():
    """400 logs of 300 people who stay once each, whose mean and standard deviation are known."""
    logs, people_each, sigma = 400, 300, 0.8
    mean = np.exp(sigma**2 / 2)
    deviation = mean * np.sqrt(np.exp(sigma**2) - 1)
    stays_ = np.exp(np.random.default_rng(14).normal(0, sigma, (logs, people_each)))
    held, by_percentiles = {"mean": 0, "rmse": 0}, 0
    for seed, outcomes in enumerate(stays_):
        unit = np.arange(people_each)
        totals = regression.totals(outcomes, np.full(people_each, mean), unit, people_each)
        both = {
            "rmse": totals["rmse"],
            "mean": units.totals(outcomes, 1.0, unit, people_each, scale="log"),
        }
        for name, figure in units.estimates(both, samples=1000, seed=seed).items():
            held[name] += figure.low <= {"mean": mean, "rmse": deviation}[name] <= figure.high
        drawn = units.draw([both["rmse"]], samples=1000, seed=seed)
        low, high = np.percentile(drawn, [2.5, 97.5])
        by_percentiles += low <= deviation <= high
    four_sigma = 4 * np.sqrt(0.95 * 0.05 / logs)
    for name, count in held.items():
        assert 0.95 - four_sigma <= count / logs <= 0.95 + four_sigma, name
    assert by_percentiles / logs < 0.95 - four_sigma


def test_an_interval_of_outcomes_that_may_be_negative_or_nearly_all_0_is_finite():
    unit, scores, outcomes = people()
    mixed = units.estimates(regression.totals(outcomes - 3, scores, unit, 150))
    assert mixed["calibration"].low < mixed["calibration"].high
    one = np.where(unit == 5, 7.0, 0.0)
    for figure in units.estimates(regression.totals(one, scores, unit, 150)).values():
        assert np.isfinite([figure.low, figure.high]).all()
        assert figure.low <= figure.value <= figure.high
    exact = units.estimates(regression.totals(scores, scores, unit, 150))
    assert (exact["rmse"].low, exact["rmse"].high, exact["r2"].low) == (0.0, 0.0, 1.0)


def test_a_constant_model_is_compared_and_nothing_is_known_of_its_order():
    unit, scores, outcomes = people()
    found = measure.differences(table(scores, outcomes, unit), np.full(len(unit), 1.0))
    assert (found["spearman"].low, found["spearman"].high) == (-2.0, 2.0)
    assert "rmse" in found
