"""What features are worth, how they are distributed, and figures by segment: against truths that
are known.
"""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import Invalid
from isthmus.pipelines.evaluation import worth
from isthmus.pipelines.evaluation.distribution import distribution, drift, spoken_age
from isthmus.pipelines.evaluation.forward_evaluation import SCHEMA
from isthmus.pipelines.evaluation.segments import OTHERS, by_segment


def shop(people=150, seed=0):
    """A list of eight items for each person: who asks and what is shown decide a click, `noise`
    does not, `twin` says what `item` says.
    """
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), 8)
    liking, item, noise = (
        random.normal(0, 1.5, people)[person],
        random.normal(0, 1, person.size),
        random.normal(0, 1, person.size),
    )
    outcome = (random.random(person.size) < 1 / (1 + np.exp(1.5 - liking - 1.5 * item))).astype(int)
    rows = pa.table(
        {"user_id": person, "request_id": person, "liking": liking, "item": item, "noise": noise}
    )
    return rows, outcome


def predict(table):
    score = sum(
        weight * table[name].to_numpy()
        for name, weight in (("liking", 1.0), ("item", 1.5), ("noise", 0.0))
    )
    return (1 / (1 + np.exp(1.5 - score))).tolist()


def predictions(rows, outcome, scores):
    number = rows.num_rows
    columns = {
        "event_id": [f"e{i}" for i in range(number)],
        "event_timestamp": pa.array(np.zeros(number), pa.int64()).cast(pa.timestamp("ms")),
        "outcome": outcome,
        "prediction": scores,
        "base_rate": np.full(number, 0.3),
        "period": np.zeros(number, int),
        "unit": rows["user_id"].cast(pa.string()),
        "ranked_within": rows["request_id"].cast(pa.string()),
        "item": pa.nulls(number, pa.string()),
    }
    return pa.table(columns).cast(SCHEMA)


FEATURES = ["liking", "item", "noise"]


def test_a_feature_is_worth_what_it_does_for_the_figure_and_no_more():
    rows, outcome = shop()
    shuffled = worth.shuffle(
        rows, FEATURES, predict, unit="user_id", within="request_id", number=rows.num_rows, seed=0
    )
    predicted = predictions(rows, outcome, predict(rows))
    found = {
        one.feature: one.falls
        for one in worth.measure(
            predicted, {k: np.array(v) for k, v in shuffled.predictions.items()}
        )
    }
    assert found["item"]["ndcg@10"].low > 0.05
    assert found["item"]["auc"].low > 0.05
    assert found["liking"]["auc"].low > 0.05
    assert found["liking"]["log_loss"].low > 0
    assert abs(found["liking"]["ndcg@10"].value) < 1e-12, (
        "who asks is the same for a whole list: it ranks nothing in it"
    )
    assert all(fall.low == fall.high == 0 for fall in found["noise"].values()), (
        "the model does not read it"
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 200), st.integers(0, 9))
def test_a_sample_is_of_whole_units_and_a_shuffle_moves_every_value_once(people, number, seed):
    rows, _ = shop(people, seed)
    seen = []
    shuffled = worth.shuffle(
        rows,
        ["noise"],
        lambda table: seen.append(table) or [0.0] * table.num_rows,
        unit="user_id",
        within=None,
        number=number,
        seed=seed,
    )
    users = rows["user_id"].to_numpy()[shuffled.places]
    assert len(users) == 8 * len(set(users.tolist()))
    assert len(users) >= min(number, rows.num_rows)
    assert sorted(seen[0]["noise"].to_pylist()) == sorted(
        rows["noise"].take(shuffled.places).to_pylist()
    )


def test_a_predictor_that_refuses_shuffled_rows_leaves_the_feature_out():
    rows, _ = shop(5)

    def refuse(_table):
        raise Invalid("no such row can be")

    assert worth.shuffle(
        rows, ["noise"], refuse, unit=None, within=None, number=10, seed=0
    ).predictions == {"noise": None}


def test_drift_is_small_by_chance_and_grows_with_the_shift():
    random = np.random.default_rng(0)
    before = distribution("f", pa.chunked_array([random.normal(size=20_000)]))
    same, little, much = (
        drift(before, pa.chunked_array([random.normal(shift, 1, 20_000)])) for shift in (0, 0.2, 1)
    )
    assert same < 0.005 < little < 0.1
    assert much > 0.25
    levels = distribution("f", pa.chunked_array([["a", "b", "b", None] * 100]))
    assert (levels.nulls, levels.levels) == (100, {"b": 2 / 3, "a": 1 / 3})
    assert drift(levels, pa.chunked_array([["a", "b", "b", None] * 100])) == pytest.approx(0)
    assert drift(levels, pa.chunked_array([["c"] * 100])) > 1


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=50))
def test_a_distribution_counts_every_row_once(values):
    one = distribution("f", pa.chunked_array([pa.array(values, pa.float64())]))
    assert one.rows == len(values)
    assert one.nulls == values.count(None)
    if one.shares:
        assert sum(one.shares) == pytest.approx(1)
        assert sum(one.bars) == pytest.approx(1)
        assert list(one.quantiles) == sorted(one.quantiles)


def test_segments_hold_every_row_once_and_what_is_rare_goes_together():
    rows, outcome = shop()
    data = rows.append_column(
        "platform", pa.array([f"p{min(int(p), 14)}" for p in rows["user_id"].to_numpy() % 40])
    )
    ours = predictions(rows, outcome, predict(rows))
    data = data.append_column("event_id", ours["event_id"])
    worse = ours.set_column(3, "prediction", pa.array(np.full(ours.num_rows, 0.3)))
    found = by_segment(["platform"], data, ours, worse)
    assert sum(one.rows for one in found) == ours.num_rows
    assert (found[0].value, found[-1].value) == ("p14", OTHERS)
    assert len(found) == 11
    assert found[0].differences["auc"].low > 0, "p14 is most of the rows"
    assert "auc" not in found[1].figures, "four people give no interval"


@pytest.mark.parametrize(
    ("seconds", "told"), [(40, "40 s"), (600, "10 min"), (7200, "2 h"), (3 * 86400, "3 days")]
)
def test_ages_are_told_in_one_unit(seconds, told):
    assert spoken_age(seconds) == told
