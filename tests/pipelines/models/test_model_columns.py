"""What a run keeps of each column: how often it is known, and how much it counts in the model."""

import math
import sys

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from isthmus.errors import Invalid
from isthmus.pipelines.models.model_columns import column_weights, model_columns, saved_columns
from isthmus.pipelines.models.predictor import save
from isthmus.project.specs.description import Transform
from isthmus.tests.pipelines.builtin.worlds import described, fitted

ROWS = 2_000
NAMES = ("signal", "opposite", "noise", "kind")


@pytest.fixture(scope="module")
def table():
    chance = np.random.default_rng(7)
    signal, opposite, noise = chance.normal(0, 3, (3, ROWS))
    kind = chance.integers(0, 3, ROWS)
    score = signal - 0.5 * opposite + np.array([0.0, 2.0, 4.0])[kind]
    nothing = np.arange(ROWS) % 10 == 0
    noise[5] = np.nan
    return pa.table(
        {
            "signal": pa.array(signal),
            "opposite": pa.array(opposite),
            "noise": pa.array(noise, mask=nothing),
            "kind": pa.array(["a", "b", "c"]).take(pa.array(kind)),
            "position": pa.array(chance.integers(1, 4, ROWS)),
            "outcome": pa.array(score + chance.normal(0, 0.1, ROWS)),
        }
    )


def by_name(model, table, predictor):
    return {column.name: column for column in model_columns(model, table, predictor)}


def test_a_weight_is_for_one_standard_deviation_and_a_category_has_a_range(table, tmp_path):
    model = described("isthmus.linear", "dwell", NAMES, {"categories": [], "alpha": 0})
    columns = by_name(model, table, fitted(table, model, tmp_path))
    spread = {name: np.nanstd(table[name].to_numpy()) for name in ("signal", "opposite")}
    assert columns["signal"].weight.value == pytest.approx(spread["signal"], rel=0.01)
    assert columns["opposite"].weight.value == pytest.approx(-0.5 * spread["opposite"], rel=0.01)
    assert columns["noise"].weight.value == pytest.approx(0, abs=0.02)
    assert columns["kind"].weight.measure == "range"
    assert columns["kind"].weight.value == pytest.approx(4, abs=0.05)


def test_null_and_nan_are_counted_apart(table, tmp_path):
    model = described("isthmus.linear", "dwell", NAMES, {"categories": []})
    noise = by_name(model, table, fitted(table, model, tmp_path))["noise"]
    assert (noise.rows, noise.nulls, noise.known) == (ROWS, ROWS // 10, ROWS - ROWS // 10 - 1)
    assert (noise.null_share, noise.coverage) == (0.1, pytest.approx(0.9 - 1 / ROWS))


def test_gains_are_those_of_lightgbm_before_and_after_the_model_is_saved(table, tmp_path):
    pytest.importorskip("lightgbm")
    model = described("isthmus.boosting", "dwell", NAMES, {"categories": [], "trees": 20})
    trained = fitted(table, model, tmp_path)
    gains = dict(
        zip(
            trained._booster.feature_name(),
            trained._booster.feature_importance("gain"),
            strict=True,
        )
    )
    columns = by_name(model, table, trained)
    assert {name: column.weight.value for name, column in columns.items()} == gains
    assert gains["signal"] > 10 * gains["noise"]
    save(trained, tmp_path / "model", model=model)
    saved = {
        column.name: column for column in saved_columns(tmp_path / "model", model, table, print)
    }
    assert saved.keys() == columns.keys()
    for name, column in saved.items():
        assert column.weight.value == pytest.approx(gains[name], rel=1e-4)


def test_a_transform_has_its_own_nulls_and_weight_and_what_only_it_reads_has_none(table, tmp_path):
    names = ("signal", "noise")
    logged = Transform(kind="log", name="logged", inputs=("noise",))
    model = replace(
        described("isthmus.linear", "dwell", names, {"categories": []}),
        transforms=(logged,),
        listed=("signal", "logged"),
    )
    columns = by_name(model, table, fitted(table, model, tmp_path))
    assert list(columns) == ["signal", "noise", "logged"]
    assert columns["noise"].weight is None
    assert columns["logged"].weight is not None
    assert columns["logged"].nulls > columns["noise"].nulls, "log has none of what is below 0"


class Own:
    def __init__(self, weights):
        self.weights = weights

    def predict(self, rows):
        return [0.0 for _ in rows]


class Telling(Own):
    def column_weights(self):
        return self.weights


def test_a_predictor_of_a_projects_own_may_say_its_weights(table):
    model = described("shop.train", "dwell", NAMES, {})
    assert {column.weight for column in model_columns(model, table, Own({}))} == {None}
    columns = by_name(model, table, Telling({"signal": np.float64(2)}))
    assert (columns["signal"].weight.value, columns["noise"].weight) == (2.0, None)


@pytest.mark.parametrize("weights", [[1, 2], {"signal": "much"}, {"signal": math.nan}])
def test_what_is_no_weight_is_refused(weights):
    model = described("shop.train", "dwell", NAMES, {})
    with pytest.raises(Invalid, match=r"Telling\.column_weights \(shop\.train\)"):
        column_weights(Telling(weights), model)


def test_a_model_that_cannot_say_its_weights_keeps_the_rest_and_says_why(
    table, tmp_path, monkeypatch
):
    pytest.importorskip("lightgbm")
    model = described("isthmus.boosting", "dwell", NAMES, {"categories": [], "trees": 2})
    save(fitted(table, model, tmp_path), tmp_path / "model", model=model)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    lines = []
    columns = saved_columns(tmp_path / "model", model, table, lines.append)
    assert [column.weight for column in columns] == [None] * len(NAMES)
    assert [column.rows for column in columns] == [ROWS] * len(NAMES)
    assert "not known" in lines[0]
    assert "LightGBM" in lines[0]
