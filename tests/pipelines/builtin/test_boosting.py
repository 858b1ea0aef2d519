"""isthmus.boosting: its losses, its columns, one digest for the same rows, what it refuses."""

import sys

import numpy as np
import pyarrow as pa
import pytest

from isthmus.errors import Invalid
from isthmus.pipelines.models import predictor, trainers
from isthmus.tests.pipelines.builtin.worlds import described, fitted

lightgbm = pytest.importorskip("lightgbm")

ROWS = 1_500
NAMES = ("rate", "kind", "position")


def model(**parameters):
    return described("isthmus.boosting", "ctr", NAMES, {"trees": 30, "leaves": 7} | parameters)


@pytest.fixture(scope="module")
def table():
    """Rows of lists of five, whose outcome depends on rate, kind and position, not linearly."""
    chance = np.random.default_rng(28)
    rate = chance.uniform(-1, 1, ROWS)
    missing = chance.random(ROWS) < 0.2
    kind = chance.integers(0, 3, ROWS)
    position = chance.integers(1, 6, ROWS)
    score = np.where(missing, 1, 3 * rate**2) + np.array([-1, 0, 1])[kind] - (position == 3) - 1
    return pa.table(
        {
            "rate": pa.array(rate, mask=missing),
            "kind": pa.array(["a", "b", None]).take(pa.array(kind)),
            "position": pa.array(position),
            "visitor": pa.array(np.arange(ROWS) // 10),
            "request": pa.array(np.arange(ROWS) // 5 % 2),
            "outcome": pa.array((chance.random(ROWS) < 1 / (1 + np.exp(-2 * score))).astype(int)),
            "score": pa.array(score),
        }
    )


def number(table):
    """The same rows with a number for a label: 0 in many rows."""
    score = table["score"].to_numpy()
    outcome = np.where(score > 0, 10 * score, 0.0)
    return table.set_column(table.column_names.index("outcome"), "outcome", pa.array(outcome))


def loss_of(trained):
    return trained._booster.dump_model()["objective"].split()[0]


def test_an_outcome_is_learnt_as_a_chance_and_a_number_as_itself(table, tmp_path):
    chances = fitted(table, model(), tmp_path)
    answers = trainers.predict(chances, table, model(), tmp_path)
    assert loss_of(chances) == "binary"
    assert 0 < answers.min() < answers.max() < 1
    assert answers.mean() == pytest.approx(table["outcome"].to_numpy().mean(), abs=0.02)
    assert np.corrcoef(answers, table["score"].to_numpy())[0, 1] > 0.75
    means = fitted(number(table), model(), tmp_path)
    assert loss_of(means) == "regression"
    answers = trainers.predict(means, table, model(), tmp_path)
    assert np.corrcoef(answers, number(table)["outcome"].to_numpy())[0, 1] > 0.95


def test_tweedie_learns_a_mean_above_0_and_refuses_a_label_below(table, tmp_path):
    configuration = model(loss="tweedie", power=1.3)
    trained = fitted(number(table), configuration, tmp_path)
    answers = trainers.predict(trained, table, configuration, tmp_path)
    assert loss_of(trained) == "tweedie"
    assert answers.min() > 0
    assert np.corrcoef(answers, number(table)["outcome"].to_numpy())[0, 1] > 0.9
    wrong = table.set_column(
        table.column_names.index("outcome"), "outcome", pa.array([-0.5] * ROWS)
    )
    with pytest.raises(Invalid, match=r"models/m.yaml: .*from 0 up, and a row's outcome is -0.5"):
        fitted(wrong, configuration, tmp_path)


def test_lambdarank_compares_the_rows_that_were_ranked_together(table, tmp_path):
    configuration = model(loss="lambdarank")
    competed = ("visitor", "request")
    trained = fitted(table, configuration, tmp_path, competed=competed)
    assert loss_of(trained) == "lambdarank"
    answers = trainers.predict(trained, table, configuration, tmp_path).reshape(-1, 5)
    order = np.take_along_axis(
        table["score"].to_numpy().reshape(-1, 5), np.argsort(-answers, axis=1), axis=1
    )
    assert order[:, 0].mean() > order[:, -1].mean() + 1
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(ROWS)))
    again = fitted(shuffled, configuration, tmp_path, competed=competed)
    other = fitted(table, configuration, tmp_path, competed=("visitor",))
    assert (
        np.corrcoef(trainers.predict(again, table, configuration, tmp_path), answers.ravel())[0, 1]
        > 0.9
    )  # it is the lists that count, wherever their rows stand
    assert not np.array_equal(
        trainers.predict(other, table, configuration, tmp_path), answers.ravel()
    )
    with pytest.raises(Invalid, match="no two rows were"):
        fitted(table, configuration, tmp_path)


def test_the_same_rows_give_the_same_digest_and_what_is_loaded_says_the_same(table, tmp_path):
    trained = fitted(table, model(), tmp_path)
    trainers.check_same_by_rows(trained, table, model(), tmp_path)
    digest = predictor.save(trained, tmp_path / "model", model=model())
    again = predictor.save(fitted(table, model(), tmp_path), tmp_path / "again", model=model())
    assert again == digest
    files = sorted(path.name for path in (tmp_path / "model" / "files").iterdir())
    assert files == ["columns.json", "trees.txt"]
    loaded = predictor.load(tmp_path / "model", digest=digest)
    assert loaded.manifest.code == "installed"
    answers = trainers.predict(loaded.predictor, table, model(), tmp_path)
    assert np.array_equal(answers, trainers.predict(trained, table, model(), tmp_path))
    assert predictor.save(loaded.predictor, tmp_path / "third", model=model()) == digest


def test_what_is_missing_and_what_training_did_not_see_is_answered(table, tmp_path):
    trained = fitted(table, model(), tmp_path)
    row = {"rate": 0.5, "kind": "a", "position": 1}
    missing = trained.predict([row | {"rate": value} for value in (None, np.nan, np.inf)])
    assert len(set(missing)) == 1
    assert missing != trained.predict([row])
    unseen = trained.predict([row | {"kind": "never seen"}, row | {"position": 99}])
    assert all(0 < answer < 1 for answer in unseen)
    assert trained.predict([row | {"kind": None}]) != trained.predict([row])
    assert trained.predict([row | {"position": 1.0}]) == trained.predict([row])
    assert len(trained.predict_table(table.slice(0, 0))) == 0


def test_without_lightgbm_it_says_what_to_install(table, monkeypatch, tmp_path):
    trained = fitted(table, model(), tmp_path)
    predictor.save(trained, tmp_path / "model", model=model())
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    words = r'needs LightGBM: pip install "isthmus\[boosting\]"'
    with pytest.raises(Invalid, match=words):
        fitted(table, model(), tmp_path)
    with pytest.raises(Invalid, match=words):
        predictor.load(tmp_path / "model")
