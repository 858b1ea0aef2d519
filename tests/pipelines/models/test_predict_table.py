"""A predictor may answer by columns: the same model, without a Python object a row."""

import runpy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from isthmus.errors import Invalid
from isthmus.pipelines.models import trainers
from isthmus.project.specs.description import Feature, Model

EXAMPLES = Path(__file__).parents[3] / "examples"
SIZE = 500


def model(*features):
    named = tuple(Feature(view="history", name=name) for name in features)
    return Model(
        name="m",
        path="models/m.yaml",
        model="ranker",
        objective="ctr",
        features=named,
        trainer="mine.train",
    )


def rates(chance, *, nulls):
    values = chance.uniform(0.01, 0.99, SIZE)
    return pa.array(values, mask=chance.random(SIZE) < 0.2 if nulls else None)


def by_rows(predictor):
    return type("ByRows", (), {"predict": staticmethod(predictor.predict)})()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("example", "trainer"),
    [("starter", "history"), ("shop", "popularity"), ("shop", "likes"), ("shop", "logistic")],
)
def test_an_examples_models_say_the_same_by_rows_and_by_columns(example, trainer, seed, tmp_path):
    chance = np.random.default_rng(seed)
    columns = {
        name: rates(chance, nulls=True)
        for name in ("item_ctr_7d", "item_ctr_14d", "visitor_ctr_14d")
    }
    position, outcome = (
        pa.array(chance.integers(1, 20, SIZE)),
        pa.array(chance.integers(0, 2, SIZE)),
    )
    table = pa.concat_tables(
        [pa.table({**columns, "position": position, "outcome": outcome})] * 2
    )  # of several chunks
    features = ("item_ctr_14d", "visitor_ctr_14d", "position", "item_ctr_7d")
    predictor = runpy.run_path(str(EXAMPLES / example / "ranker.py"))[trainer](
        table, label="outcome", features=list(features)
    )
    whole = trainers.predict(predictor, table, model(*features), tmp_path)
    assert np.allclose(
        whole,
        trainers.predict(by_rows(predictor), table, model(*features), tmp_path),
        rtol=1e-12,
        atol=0,
    )
    assert whole.shape == (2 * SIZE,)


class Columns:
    """Counts what it is asked by."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def predict(self, rows):
        self.asked.append("rows")
        return [0.5] * len(rows)

    def predict_table(self, table):
        self.asked.append(tuple(table.column_names))
        return self.answer(table)


def test_a_table_is_what_is_asked_with_where_it_can_be_and_it_has_the_features_only(tmp_path):
    table = pa.table({"a": [0.1, 0.2], "outcome": [0, 1]})
    predictor = Columns(lambda features: features["a"])
    assert trainers.predict(predictor, table, model("a"), tmp_path).tolist() == [0.1, 0.2]
    assert predictor.asked == [("a",)]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _table: [0.1], "returned 1 predictions for 2 rows"),
        (lambda _table: [0.1, float("nan")], r"returned nan for the row \{'a': 0.2\}"),
        (lambda table: table["b"], "raised KeyError"),
    ],
)
def test_what_it_does_wrong_is_told_by_its_name(answer, words, tmp_path):
    with pytest.raises(Invalid, match=rf"Columns\.predict_table \(mine\.train\) {words}"):
        trainers.predict(Columns(answer), pa.table({"a": [0.1, 0.2]}), model("a"), tmp_path)


class Apart(Columns):
    """Says something else by columns than by rows."""

    def __init__(self, answer, by_rows=0.5):
        super().__init__(answer)
        self.by_rows = by_rows

    def predict(self, rows):
        return [self.by_rows for _row in rows]


def test_what_is_registered_says_the_same_by_rows_and_by_columns(tmp_path):
    table = pa.table({"a": [0.1, 0.2], "outcome": [0, 1]})
    trainers.check_same_by_rows(Apart(lambda _t: [0.5, 0.5]), table, model("a"), tmp_path)
    trainers.check_same_by_rows(Apart(lambda _t: [0.5, 0.5 + 1e-12]), table, model("a"), tmp_path)
    trainers.check_same_by_rows(by_rows(Apart(None)), table, model("a"), tmp_path)
    with pytest.raises(
        Invalid,
        match=r"^Apart\.predict_table \(mine\.train\) says 0\.6 and Apart\.predict 0\.5 for the row "
        r"\{'a': 0\.2\}$",
    ):
        trainers.check_same_by_rows(Apart(lambda _t: [0.5, 0.6]), table, model("a"), tmp_path)
