"""isthmus.linear: what it learns of a number, and that it is served without scikit-learn."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from isthmus.errors import Invalid
from isthmus.pipelines.models import predictor, trainers
from isthmus.tests.pipelines.builtin.worlds import additive, described, fitted

ROWS = 2_000
NAMES = ("rate", "kind", "position", "fresh")


def model(**parameters):
    return described("isthmus.linear", "dwell", NAMES, parameters)


@pytest.fixture(scope="module")
def table():
    """A world whose means are known: by rate, kind, position, and whether the rate is missing."""
    return additive(
        ROWS,
        lambda rate, missing, kind, third: (
            60 + np.where(missing, 8, 10 * rate) + np.array([-20, 0, 20])[kind] - 5 * third
        ),
        lambda chance, mean: mean + chance.normal(0, 3, ROWS),
    )


def test_it_finds_the_weights_of_a_known_world(table, tmp_path):
    trained = fitted(table, model(), tmp_path)
    answers = trainers.predict(trained, table, model(), tmp_path)
    assert np.abs(answers - table["score"].to_numpy()).max() < 1.5
    kinds = trained.categories["kind"]
    assert kinds["values"]["b"] - kinds["values"]["a"] == pytest.approx(20, abs=0.6)
    assert kinds["null"] - kinds["values"]["b"] == pytest.approx(20, abs=0.6)


@pytest.mark.parametrize("alpha", [0.001, 1, 1000])
def test_it_is_the_closed_form_of_ridge_regression(alpha, table, tmp_path):
    rate, fresh = (table[name].to_numpy().astype(float) for name in ("rate", "fresh"))
    missing = np.isnan(rate)
    mean = rate[~missing].mean()
    filled = np.where(missing, mean, rate)
    kind, position = table["kind"].to_pylist(), table["position"].to_numpy()
    columns = [
        (filled - mean) / filled.std(),
        (fresh - fresh.mean()) / fresh.std(),
        *([value == name for value in kind] for name in ("a", "b", None)),
        *(position == place for place in (1, 2, 3)),
        missing,
    ]
    matrix = np.column_stack(columns).astype(float)
    outcome = table["outcome"].to_numpy()
    centred = matrix - matrix.mean(axis=0)
    gram = centred.T @ centred + alpha * np.eye(matrix.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (outcome - outcome.mean()))
    trained = fitted(table, model(alpha=alpha), tmp_path)
    answers = trainers.predict(trained, table, model(), tmp_path)
    assert np.allclose(answers, outcome.mean() + centred @ weights, atol=1e-6)


def test_it_says_the_same_by_rows_and_by_columns_and_after_it_was_kept(table, tmp_path):
    trained = fitted(table, model(), tmp_path)
    trainers.check_same_by_rows(trained, table, model(), tmp_path)
    digest = predictor.save(trained, tmp_path / "model", model=model())
    loaded = predictor.load(tmp_path / "model", digest=digest).predictor
    answers = trainers.predict(loaded, table, model(), tmp_path)
    assert np.array_equal(answers, trainers.predict(trained, table, model(), tmp_path))
    again = predictor.save(fitted(table, model(), tmp_path), tmp_path / "again", model=model())
    assert again == digest


def test_it_is_served_without_scikit_learn(table, tmp_path):
    trained = fitted(table, model(), tmp_path)
    predictor.save(trained, tmp_path / "model", model=model())
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
    answers, imported = done.stdout.splitlines()
    assert json.loads(answers) == pytest.approx(trained.predict(rows), rel=1e-12)
    assert imported == "[]"


def test_a_column_that_it_cannot_read_is_refused_with_the_models_file(table, tmp_path):
    wrong = table.set_column(0, "rate", pa.array([0] * ROWS, pa.timestamp("ms")))
    with pytest.raises(
        Invalid, match=r"^models/m.yaml: trainer isthmus.linear: rate is a timestamp"
    ) as raised:
        fitted(wrong, model(), tmp_path)
    assert raised.value.remedy == "compute a number in its view's SQL"
