"""The page of models from a file: its files are read, its commands say what it says."""

import json
import re
import shlex
from pathlib import Path

import pytest

import isthmus as im
from isthmus.pipelines.run_pages import runs
from isthmus.tests.cli.running import isthmus
from isthmus.tests.docs.test_shown_commands import as_shown
from isthmus.tests.example import copied

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
COMMANDS = re.findall(r"^\$ (isthmus .+)$", PAGE, re.MULTILINE)


def written(folder, name):
    """Write a file of the page."""
    text = re.search(rf"```yaml\n(# {name}\n.+?)```", PAGE, re.DOTALL).group(1)
    (folder / name).write_text(text)


@pytest.mark.slow
def test_a_project_without_a_python_file_trains_deploys_and_answers(tmp_path):
    isthmus(tmp_path, *shlex.split(COMMANDS[0])[1:])
    folder = tmp_path / "mine"
    for module in ("ranker.py", "trainers.py"):
        (folder / module).unlink()
    written(folder, "models/history.yaml")
    written(folder, "models/trees.yaml")
    assert list(folder.glob("*.py")) == []
    try:
        assert {command: as_shown(folder, "models.md", command) for command in COMMANDS[1:]} == {
            command: [] for command in COMMANDS[1:]
        }
        (invoke,) = (command for command in COMMANDS if " invoke " in command)
        said = json.loads(isthmus(folder, *shlex.split(invoke)[1:], "--json").out)
        assert sorted(said["items"]) == [1, 2]
        (kept,) = folder.glob(".isthmus/models/**/transforms.json")
        names = [made["name"] for made in json.loads(kept.read_text())["transforms"]]
        assert names == ["shown", "place", "log_shown"]
    finally:
        isthmus(folder, "destroy", "--yes")


@pytest.mark.slow
def test_open_bandits_model_from_a_file_has_the_figures_of_the_one_in_python(tmp_path):
    file = copied(tmp_path / "openbandit")
    written(file.parent, "models/from_a_file.yaml")
    with im.open(file) as project:
        im.apply(project)
        im.ingest(project)
        im.materialize(project)
        by_python, by_file = (im.train(project, name) for name in ("logistic", "from_a_file"))
        blobs = project.target.blobs
        theirs, ours = (runs.predictions_of(blobs, run.name) for run in (by_python, by_file))
    assert theirs["event_id"].equals(ours["event_id"])
    assert ours.num_rows == by_file.evaluation.rows == 14_645
    ours_auc, theirs_auc = by_file.evaluation.auc, by_python.evaluation.auc
    assert ours_auc.value == pytest.approx(theirs_auc.value, abs=1e-6)
    assert (round(ours_auc.value, 3), round(ours_auc.low, 3), round(ours_auc.high, 3)) == (
        0.475,
        0.403,
        0.541,
    )
    assert by_file.evaluation.log_loss == pytest.approx(by_python.evaluation.log_loss, abs=1e-6)
