"""`isthmus runs step`: one step again on an earlier run's inputs, nothing stored or registered."""

import hashlib

import pytest

from isthmus.tests.cli.running import isthmus

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    parent = tmp_path_factory.mktemp("steps")
    isthmus(parent, "init", "shop", "--example", "starter")
    folder = parent / "shop"
    config = folder / "models" / "history.yaml"
    config.write_text(config.read_text().replace("ranker.history", "trainers.logistic"))
    for command in (["apply"], ["ingest"], ["materialize"], ["train", "history"]):
        isthmus(folder, *command)
    return folder


def kept(folder):
    """The digest of every file that runs and versions are kept in."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / ".isthmus").rglob("*"))
        if path.is_file() and "log" not in path.suffix and ".sqlite" not in path.name
    }


@pytest.mark.parametrize("step", ["dataset", "fit", "evaluate"])
def test_a_step_gives_what_it_gave_in_its_run_and_stores_nothing(trained, step):
    before = kept(trained)
    again = isthmus(trained, "runs", "step", "r1", step, "--json").json
    assert again["same"], again
    assert again["outputs"] == again["outputs_of_run"]
    assert kept(trained) == before
    assert len(isthmus(trained, "runs", "list", "--json").json) == 1


def test_an_edited_trainer_is_paired_with_the_run_on_the_same_rows(trained):
    path = trained / "trainers.py"
    source = path.read_text()
    path.write_text(source.replace("def logistic(", "def logistic2(") + WORSE)
    try:
        shown = isthmus(trained, "runs", "step", "r1", "evaluate", "--json")
        text = isthmus(trained, "runs", "step", "r1", "evaluate").out
    finally:
        path.write_text(source)
    again = shown.json
    assert not again["same"]
    assert again["figures"]["auc"]["value"] == 0.5
    assert again["figures_of_run"]["auc"]["value"] != 0.5
    difference = again["differences"]["auc"]
    assert difference["value"] == pytest.approx(0.5 - again["figures_of_run"]["auc"]["value"])
    assert difference["low"] < difference["value"] < difference["high"]
    assert "difference, same rows" in text
    assert "not registered" in text


def test_a_changed_setting_reaches_the_trainer(trained):
    again = isthmus(
        trained, "runs", "step", "r1", "fit", "--set", "parameters.C=0.001", "--json"
    ).json
    assert again["configuration"] == "models/history.yaml --set parameters.C=0.001"
    assert again["outputs"]["digest"] != again["outputs_of_run"]["digest"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["r1", "register"], "does not run by itself"),
        (["r1", "evaluated"], "has no step evaluated"),
        (["r9", "fit"], "there is no run r9"),
        (["r1", "fit", "--set", "objective=bought"], "objective"),
        (["r1", "evaluate", "--with", "histroy"], "histroy"),
    ],
)
def test_what_cannot_run_by_itself_is_refused(trained, arguments, said):
    failed = isthmus(trained, "runs", "step", *arguments, ok=False)
    assert failed.code == 1
    assert said in failed.err


def test_a_trainer_that_raises_is_an_error_that_names_its_line(trained):
    path = trained / "trainers.py"
    source = path.read_text()
    path.write_text(source.replace("def logistic(", "def logistic2(") + RAISES)
    try:
        failed = isthmus(trained, "runs", "step", "r1", "fit", ok=False)
    finally:
        path.write_text(source)
    assert "KeyError" in failed.err
    assert "trainers.py, line" in failed.err


WORSE = """

class Same:
    def predict(self, rows):
        return [0.1 for row in rows]


def logistic(data, label, features, C=1.0):
    return Same()
"""
RAISES = """

def logistic(data, label, features, C=1.0):
    raise KeyError("no such column")
"""
