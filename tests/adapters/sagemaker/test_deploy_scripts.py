"""The deploy scripts, as a user runs them: offline, from raw files to a served ranking."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SCRIPTS = {"the example's page": Path("deploy/sagemaker.py"), "the one for any project": ROOT / "deploy" / "sagemaker.py"}


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "shop"
    isthmus("init", str(folder), "--example", "openbandit")
    yield folder
    isthmus("stack", "down", folder=folder)


def isthmus(*words, folder=None):
    return subprocess.run(
        [sys.executable, "-m", "isthmus", *words], cwd=folder, env=environment(), check=True, capture_output=True, text=True
    )


def environment():
    """Nothing of an account, and no stack of somebody else's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_project_goes_from_raw_files_to_a_served_ranking(shop, script):
    done = subprocess.run(
        [sys.executable, str(script), "--bucket", "s3://elsewhere", "--offline", "--yes"],
        cwd=shop, env=environment(), check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cost    0.00 USD/h" in done.stdout
    assert "s3://elsewhere/openbandit/runs/r2/report.html" in done.stdout
    assert "auc           0.475   95 % 0.403 .. 0.541" in done.stdout, "the figures of the laptop"
    assert "champion ranker@1  90 %   challenger ranker@2  10 %" in done.stdout
    assert "20 of 20 requests answered; split read back 90/10" in done.stdout


def test_an_unknown_target_is_told_with_the_ones_that_there_are(shop):
    done = subprocess.run(
        [sys.executable, str(SCRIPTS["the one for any project"]), "--target", "sagemakr"],
        cwd=shop, env=environment(), check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "did you mean sagemaker" in done.stderr.lower()
