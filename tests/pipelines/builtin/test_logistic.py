"""isthmus.logistic: what it learns, how it encodes, and that it is served without scikit-learn."""

import json
import math
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from isthmus.errors import Invalid
from isthmus.pipelines.builtin.encoding import MOST_VALUES, learn
from isthmus.pipelines.models import predictor, trainers
from isthmus.project.specs.description import Feature, Model, Transform
from isthmus.tests.pipelines.builtin.worlds import additive, described, fitted

ROWS = 4_000
NAMES = ("rate", "kind", "position", "fresh")


def model(**parameters):
    return described("isthmus.logistic", "ctr", NAMES, parameters)


@pytest.fixture(scope="module")
def table():
    """A world whose chances are known: by rate, kind, position, and whether the rate is missing."""
    return additive(
        ROWS,
        lambda rate, missing, kind, third: (
            np.where(missing, 0.8, rate) + np.array([-1.0, 0.0, 1.0])[kind] - 0.5 * third - 1
        ),
        lambda chance, score: (chance.random(ROWS) < 1 / (1 + np.exp(-score))).astype(int),
    )


def test_it_finds_the_weights_of_a_known_world(table, tmp_path):
    trained = fitted(table, model(C=100), tmp_path)
    said = trainers.predict(trained, table, model(), tmp_path)
    true = 1 / (1 + np.exp(-table["score"].to_numpy()))
    assert np.abs(said - true).mean() < 0.02
    kinds = trained.categories["kind"]
    assert kinds["values"]["b"] - kinds["values"]["a"] == pytest.approx(1, abs=0.3)
    assert kinds["null"] - kinds["values"]["b"] == pytest.approx(1, abs=0.3)
    assert set(trained.categories["position"]["values"]) == {"1", "2", "3"}


def test_it_is_scikit_learns_regression_of_the_same_columns(table, tmp_path):
    from sklearn.linear_model import LogisticRegression

    rate = table["rate"].to_numpy()
    known = ~np.isnan(rate)
    mean = rate[known].mean()
    filled = np.where(known, rate, mean)
    kind = table["kind"].to_pylist()
    columns = [
        (filled - mean) / filled.std(),
        (table["fresh"].to_numpy() - table["fresh"].to_numpy().mean())
        / table["fresh"].to_numpy().std(),
        *([value == name for value in kind] for name in ("a", "b", None)),
        *(table["position"].to_numpy() == position for position in (1, 2, 3)),
        ~known,
    ]
    matrix = np.column_stack(columns).astype(float)
    judge = LogisticRegression(C=0.1, max_iter=1000).fit(matrix, table["outcome"].to_numpy())
    said = trainers.predict(fitted(table, model(C=0.1), tmp_path), table, model(), tmp_path)
    assert np.allclose(said, judge.predict_proba(matrix)[:, 1], atol=1e-5)


def test_it_says_the_same_by_rows_and_by_columns_and_after_it_was_kept(table, tmp_path):
    trained = fitted(table, model(), tmp_path)
    trainers.check_same_by_rows(trained, table, model(), tmp_path)
    digest = predictor.save(trained, tmp_path / "model", model=model())
    loaded = predictor.load(tmp_path / "model", digest=digest)
    assert loaded.manifest.code == "installed"
    assert loaded.manifest.module == "isthmus.pipelines.builtin.logistic"
    assert loaded.manifest.versions["isthmus"]
    said = trainers.predict(loaded.predictor, table, model(), tmp_path)
    assert np.array_equal(said, trainers.predict(trained, table, model(), tmp_path))
    again = predictor.save(fitted(table, model(), tmp_path), tmp_path / "again", model=model())
    assert again == digest


def test_it_is_served_without_scikit_learn(table, tmp_path):
    predictor.save(fitted(table, model(), tmp_path), tmp_path / "model", model=model())
    script = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from isthmus.pipelines.models import predictor\n"
        "loaded = predictor.load(Path(sys.argv[1])).predictor\n"
        "print(loaded.predict(json.loads(sys.argv[2])))\n"
        "print([name for name in ('sklearn', 'scipy') if name in sys.modules])\n"
    )
    rows = [{"rate": 0.5, "kind": "a", "position": 1, "fresh": True}]
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "model", json.dumps(rows)],
        capture_output=True,
        text=True,
        check=True,
    )
    said, imported = done.stdout.splitlines()
    assert 0 < json.loads(said)[0] < 1
    assert imported == "[]"


def test_a_value_that_training_did_not_see_weighs_nothing(table, tmp_path):
    trained = fitted(table, model(), tmp_path)
    row = {"rate": 0.5, "kind": "a", "position": 1, "fresh": True}

    def score(**changes):
        (said,) = trained.predict([row | changes])
        return math.log(said / (1 - said))

    weight = trained.categories["kind"]["values"]["a"]
    assert score() - score(kind="never seen") == pytest.approx(weight, abs=1e-9)
    assert score(kind=None) - score(kind="never seen") == pytest.approx(
        trained.categories["kind"]["null"], abs=1e-9
    )
    missing = trained.numbers["rate"]["null"]
    mean = trained.numbers["rate"]["mean"]
    assert score(rate=None) - score(rate=mean) == pytest.approx(missing, abs=1e-9)
    assert score(rate=math.inf) == score(rate=math.nan) == score(rate=None)
    assert missing != 0
    assert trained.numbers["fresh"]["null"] == 0
    assert score(position=1.0) == score()


def test_a_missing_number_can_count_as_the_mean_alone(table, tmp_path):
    trained = fitted(table, model(nulls="mean"), tmp_path)
    assert trained.numbers["rate"]["null"] == 0


def test_columns_of_one_value_or_of_none_are_learnt_from(tmp_path):
    table = pa.table(
        {
            "rate": pa.array([None] * 4, pa.float64()),
            "kind": pa.array([None] * 4, pa.string()),
            "position": [7] * 4,
            "fresh": [True] * 4,
            "outcome": [0, 1, 0, 1],
        }
    )
    trained = fitted(table, model(), tmp_path)
    assert trained.predict(table.to_pylist()) == pytest.approx([0.5] * 4, abs=1e-3)


def test_it_reads_transforms_without_any_python_of_the_project(table, tmp_path):
    configuration = Model(
        name="m",
        path="models/m.yaml",
        model="ranker",
        objective="ctr",
        features=tuple(Feature(view=None, name=name) for name in NAMES),
        trainer="isthmus.logistic",
        transforms=(
            Transform(kind="bucketize", name="bucket", inputs=("rate",), at=(-1.0, 0.0, 1.0)),
            Transform(kind="cross", name="pair", inputs=("kind", "bucket"), into=64),
        ),
        listed=("bucket", "pair", "position"),
    )
    trained = fitted(table, configuration, tmp_path)
    trainers.check_same_by_rows(trained, table, configuration, tmp_path)
    digest = predictor.save(trained, tmp_path / "model", model=configuration)
    loaded = predictor.load(tmp_path / "model", digest=digest)
    said = trainers.predict(loaded.predictor, table, configuration, tmp_path)
    true = 1 / (1 + np.exp(-table["score"].to_numpy()))
    assert np.corrcoef(said, true)[0, 1] > 0.9


@pytest.mark.parametrize(
    ("column", "categories", "words"),
    [
        (pa.array([0], pa.timestamp("ms")), (), "a is a timestamp, which no built-in trainer"),
        (pa.array([0.5]), ("a",), "a is a float, which is no category"),
        (pa.array(map(str, range(MOST_VALUES + 1))), (), "a has 100,001 values"),
    ],
)
def test_a_column_that_it_cannot_read_is_refused_by_its_name(column, categories, words):
    with pytest.raises(Invalid, match=words):
        learn(pa.table({"a": column}), ["a"], categories, "indicator")


def test_without_scikit_learn_it_says_what_to_install(table, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(Invalid, match=r"sklearn.*the extra demo brings scikit-learn"):
        fitted(table, model(), tmp_path)
