"""The starter's trainers keep scikit-learn's and LightGBM's models in their own files, and load."""

import json
import sys

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from isthmus.errors import Invalid
from isthmus.pipelines.models import predictor, trainers
from isthmus.project.specs.description import Feature, Model
from isthmus.tests.cli.running import isthmus
from isthmus.tests.pipelines.models.test_predict_table import EXAMPLES, by_rows

ROWS = 400


@pytest.fixture
def table():
    chance = np.random.default_rng(27)
    rate = chance.uniform(0, 1, ROWS)
    return pa.table(
        {
            "rate": pa.array(rate, mask=chance.random(ROWS) < 0.2),
            "position": pa.array(chance.integers(1, 20, ROWS)),
            "outcome": pa.array((chance.random(ROWS) < rate).astype(int)),
        }
    )


@pytest.mark.parametrize(
    ("name", "kept"),
    [("logistic", ["columns.json", "weights.npz"]), ("boosting", ["trees.txt"])],
)
def test_a_model_of_a_library_is_saved_in_its_own_files_and_says_the_same_when_loaded(
    name, kept, table, tmp_path
):
    configuration = Model(
        name=name,
        path=f"models/{name}.yaml",
        model="ranker",
        objective="ctr",
        features=(Feature(view=None, name="rate"), Feature(view=None, name="position")),
        trainer=f"trainers.{name}",
    )
    folder = EXAMPLES / "starter"
    fitted = trainers.fit(trainers.find(configuration, folder), configuration, table, folder)
    digest = predictor.save(fitted, tmp_path / "model", model=configuration)
    assert sorted(path.name for path in (tmp_path / "model" / "files").iterdir()) == kept
    loaded = predictor.load(tmp_path / "model", digest=digest).predictor
    answers = trainers.predict(loaded, table, configuration, folder)
    assert np.array_equal(answers, trainers.predict(fitted, table, configuration, folder))
    rows = trainers.predict(by_rows(loaded), table, configuration, folder)
    assert np.allclose(rows, answers, rtol=1e-12, atol=0)
    outcomes = table["outcome"].to_numpy()
    assert answers[outcomes == 1].mean() > answers[outcomes == 0].mean() + 0.1


def test_a_library_that_is_not_installed_is_named_with_what_brings_it(table, monkeypatch, tmp_path):
    configuration = Model(
        name="logistic",
        path="models/logistic.yaml",
        model="ranker",
        objective="ctr",
        features=(Feature(view=None, name="rate"),),
        trainer="trainers.logistic",
    )
    folder = EXAMPLES / "starter"
    trainer = trainers.find(configuration, folder)
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(
        Invalid, match=r"sklearn.*install its package .*the extra demo brings scikit-learn"
    ):
        trainers.fit(trainer, configuration, table, folder)
    (tmp_path / "missing_library.py").write_text("import no_such_library_at_all\n")
    missing = msgspec.structs.replace(configuration, trainer="missing_library.train")
    with pytest.raises(
        Invalid, match=r"no_such_library_at_all.*install its package where the step runs"
    ):
        trainers.find(missing, tmp_path)


def test_the_starter_trains_with_either_and_serves_the_last_one(tmp_path):
    isthmus(tmp_path, "init", "shop", "--example", "starter")
    folder = tmp_path / "shop"
    for command in (["apply"], ["ingest"], ["materialize"]):
        isthmus(folder, *command)
    for number, name in enumerate(("logistic", "boosting"), 1):
        said = isthmus(folder, "train", "history", "--set", f"trainer=trainers.{name}").out
        assert f"registered ranker@{number} (champion)" in said
    isthmus(folder, "deploy", "home")
    try:
        request = '{"visitor_id": "v1", "item_id": [1, 2]}'
        ranked = json.loads(isthmus(folder, "endpoints", "invoke", "home", request, "--json").out)
        assert (sorted(ranked["items"]), ranked["variant"]) == ([1, 2], "champion")
    finally:
        isthmus(folder, "destroy", "--yes")


def test_the_how_to_shows_the_starter_s_own_lines():
    page = (EXAMPLES.parent / "docs" / "how-to.md").read_text()
    block = page.partition("What it adds to a predictor:\n```python\n")[2].partition("```")[0]
    starter = (EXAMPLES / "starter" / "trainers.py").read_text().splitlines()
    assert [line for line in block.splitlines() if line not in starter] == []
    assert "def load" in block
