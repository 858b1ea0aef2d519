"""Two simulations on one seed show the same people the same lists, and say the same."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """What two processes printed that hash their strings differently, each on a project anew."""
    return [_run(tmp_path_factory.mktemp("seeded"), seed) for seed in ("1", "2")]


def _run(folder, hash_seed):
    ran = subprocess.run(
        [sys.executable, "-m", "isthmus.tests.experiments.simulation.seeded", str(folder)],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return json.loads(ran.stdout)


def test_the_same_seed_gives_the_same_figures_in_every_process(twice):
    first, second = twice
    assert first["shown"] == second["shown"]
    assert first["shown"]["order"]["played"]["sent"]["click"] > 0


def test_the_same_seed_logs_the_same_answers(twice):
    """With shuffled lists, both variants of the endpoint, and the coins of a duel among them."""
    first, second = (seen["rows"] for seen in twice)
    variants = {row["variant"] for row in first["exposures"]}
    assert {"champion", "challenger"} <= variants
    assert {row["propensity"] for row in first["exposures"]} > {1.0}
    for log, rows in first.items():
        assert rows == second[log], log
