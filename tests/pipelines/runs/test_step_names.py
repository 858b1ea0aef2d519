"""Each step that a release has stored, and each that is stored today, finds its code."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from isthmus.pipelines.runs import step_names
from isthmus.pipelines.runs.cache import KeyChange, _changes

TESTS = Path(__file__).parents[2]
RUNS = sorted([*(TESTS / "stored").rglob("run.json"), *(TESTS / "documents").rglob("run.json")])
STORED = sorted(
    {
        step["function"]
        for path in RUNS
        for step in json.loads(path.read_text())["steps"]
        if step["function"]
    }
)
TODAY = [f"{step_names.TRAIN}:{name}" for name in ("dataset", "fit", "evaluate", "register")] + [
    f"{step_names.REPLAY}:replay"
]


@pytest.mark.parametrize("function", [*STORED, *TODAY])
def test_a_stored_step_finds_its_function(function):
    assert callable(
        getattr(import_module(step_names.module_of(function)), function.partition(":")[2])
    )


def test_runs_of_0_1_0_named_the_modules_of_their_steps():
    assert "isthmus.pipelines.training_steps:fit" in STORED


def test_a_projects_own_function_keeps_its_name():
    assert step_names.module_of("work.first:run") == "work.first"
    assert step_names.stable_name("work.first:run") == "work.first:run"


def test_the_same_step_by_its_name_of_before_is_not_told_as_a_change():
    before, after = (
        {"function": "isthmus.pipelines.training_steps:fit", "rows": "1"},
        {"function": "isthmus.train:fit", "rows": "2"},
    )
    assert _changes("fit", before, after) == [
        KeyChange(step="fit", part="rows", before="1", after="2")
    ]
