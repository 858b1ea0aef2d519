"""The deploy scripts, as a user runs them: offline, from raw files to a served ranking."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.tests.cli.running import create, edit

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
FOR_ANY_PROJECT = ROOT / "deploy" / "sagemaker.py"
OFFLINE = ("--bucket", "s3://elsewhere", "--offline", "--yes")
# As the starter's own, but registered without an alias, and first by its name.
CHALLENGER = """model: ranker
objective: ctr
features: [item_history.item_ctr_7d]
trainer: ranker.history
"""


@pytest.fixture
def example(tmp_path):
    folder = create(tmp_path / "openbandit", example="openbandit")
    yield folder
    down(folder)


@pytest.fixture
def starter(tmp_path):
    folder = create(tmp_path / "starter")
    yield folder
    down(folder)


def down(folder):
    subprocess.run(
        [sys.executable, "-m", "isthmus", "stack", "down"],
        cwd=folder,
        env=environment(),
        check=True,
        capture_output=True,
    )


def deployed(folder, script, *arguments):
    """How the script ended, run in a project's folder."""
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder,
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
    )


def environment():
    """Nothing of an account, and no stack of somebody else's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


@pytest.mark.skipif(
    not os.environ.get("ISTHMUS_EVERY_KILL"),
    reason="a minute of the same way, with more rows: make test-often",
)
def test_the_example_goes_from_raw_files_to_a_served_ranking(example):
    done = deployed(example, "deploy/sagemaker.py", *OFFLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cost    0.00 USD/h" in done.stdout
    assert "s3://elsewhere/openbandit/runs/r2/report.html" in done.stdout
    assert "auc           0.475   95 % 0.403 .. 0.541" in done.stdout, "the figures of the laptop"
    assert "champion ranker@1  90 %   challenger ranker@2  10 %" in done.stdout
    assert "20 of 20 requests answered; split read back 90/10" in done.stdout


def test_any_project_goes_from_raw_files_to_a_served_ranking_and_its_champion_is_trained_first(
    starter,
):
    (starter / "models" / "challenger.yaml").write_text(CHALLENGER)
    edit(
        starter / "project.yaml",
        "champion, traffic: 100}",
        "champion, traffic: 90}\n      challenger: {model: ranker@2, traffic: 10}",
    )
    done = deployed(starter, FOR_ANY_PROJECT, *OFFLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cost    0.00 USD/h" in done.stdout
    first, second = re.findall(r"s3://elsewhere/starter/runs/r[12]/report.html", done.stdout)
    assert first < second
    assert "champion ranker@1  90 %   challenger ranker@2  10 %" in done.stdout
    assert "20 of 20 requests answered; split read back 90/10" in done.stdout


def test_an_unknown_target_is_told_with_the_ones_that_there_are(starter):
    done = deployed(starter, FOR_ANY_PROJECT, "--target", "sagemakr")
    assert done.returncode == 1
    assert "did you mean sagemaker" in done.stderr.lower()
