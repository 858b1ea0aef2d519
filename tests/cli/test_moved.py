"""A project's folder can be moved, copied or mounted elsewhere: what is stored names nothing by
where the folder was.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess

import pytest

from isthmus.tests.cli.running import create, isthmus

pytestmark = pytest.mark.slow

SLOTS = '{"visitor_id": "v1", "item_id": [1, 2, 3], "slots": 3}'
ROWS = (["apply"], ["ingest"], ["materialize"])


@pytest.fixture(scope="module")
def taken_down(tmp_path_factory):
    """Trained and deployed once, taken down to rows and files, moved; the old place is a file, so
    nothing can be read or made there.
    """
    old, new = tmp_path_factory.mktemp("old") / "shop", tmp_path_factory.mktemp("new") / "place"
    create(old)
    for command in (
        *ROWS,
        ["train", "models/history.yaml"],
        ["deploy", "home"],
        ["destroy", "--yes"],
        *ROWS,
    ):
        isthmus(old, *command)
    old.rename(new)
    old.write_text("gone")
    return new, os.fsencode(old)


@pytest.fixture
def moved(taken_down, tmp_path):
    """A copy of its own for a test, and where it all began."""
    new = shutil.copytree(taken_down[0], tmp_path / "new" / "place")
    yield new, taken_down[1]
    isthmus(new, "destroy", "--yes", ok=False)


def test_a_moved_project_is_trained_compared_deployed_and_asked(moved):
    folder, _ = moved
    first = isthmus(folder, "runs", "show", "r1", "--json").json
    assert (folder / first["log"]).is_file()
    again = isthmus(folder, "train", "models/history.yaml").out
    assert "run r2" in again
    results = [
        json.loads((folder / f".isthmus/runs/r2/{step}/step.json").read_bytes())
        for step in ("dataset", "evaluate", "fit")
    ]
    # the events were stored anew, so the data set is made again; it is the same, and the rest is
    # found where it is now
    assert [result["cached_from"] for result in results] == [None, "r1", "r1"]
    assert "r1" in isthmus(folder, "runs", "compare", "r1", "r2").out
    assert "registered ranker@1" in again, "the same model is the same version"
    isthmus(folder, "deploy", "home")
    asked = isthmus(folder, "endpoints", "invoke", "home", SLOTS)
    assert '"version": "ranker@1"' in asked.out
    assert isthmus(folder, "status").out.count("ready") == 1


def test_a_copy_of_a_deployed_project_is_deployed_beside_it(served, tmp_path):
    copy = tmp_path / "copy"
    before = model_servers(served)
    shutil.copytree(served, copy, ignore=shutil.ignore_patterns("*.lock"))
    try:
        isthmus(copy, "deploy", "home")
        assert '"version": "ranker@1"' in isthmus(copy, "endpoints", "invoke", "home", SLOTS).out
        assert model_servers(copy), "its model server reads the copy's own model"
    finally:
        isthmus(copy, "destroy", "--yes")
    assert model_servers(served) == before != set(), "those of the original go on"
    assert '"version": "ranker@1"' in isthmus(served, "endpoints", "invoke", "home", SLOTS).out


def model_servers(folder):
    """The processes that serve the model of its endpoint."""
    [model] = (folder / ".isthmus" / "endpoints" / "home" / "models").iterdir()
    running = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True
    ).stdout
    return {int(line.split()[0]) for line in running.splitlines() if str(model) in line}


def test_no_stored_document_names_the_folder(moved):
    """But what an engine was given for a run, in run.json and its row: it says where the run was
    submitted.
    """
    folder, old = moved
    home = folder / ".isthmus"
    naming = {
        path.relative_to(home).as_posix()
        for path in home.rglob("*.json")
        if old in path.read_bytes()
    }
    assert naming == {"runs/r1/run.json"}
    with contextlib.closing(sqlite3.connect(home / "local.db")) as db:
        rows = [
            (table, row)
            for (table,) in _tables(db)
            for row in db.execute(f'SELECT * FROM "{table}"')
        ]
    assert len(rows) > 10
    assert {table for table, row in rows if any(old in str(value).encode() for value in row)} == {
        "pipeline_runs"
    }


def _tables(db):
    return db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
