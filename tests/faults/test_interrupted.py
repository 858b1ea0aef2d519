"""kill -9 and Ctrl-C anywhere, again and again: run the command again, and nothing is lost, nothing
doubled.
"""

import os
import shutil
import signal

import pytest

from isthmus.tests.cli.running import create
from isthmus.tests.faults.flow import FLOW, completed, disturbed, signalled_at_effect, world

pytestmark = [pytest.mark.soak, pytest.mark.slow]
EVERY = bool(os.environ.get("ISTHMUS_EVERY_KILL"))  # `make test-often` sets it
SEEDS, TRIES = (
    ((1, 2, 3), 2) if EVERY else ((1,), 1)
)  # of the places at which a flow is stopped, and how many of each verb


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return create(tmp_path_factory.mktemp("template") / "shop")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, template):
    folder = shutil.copytree(template, tmp_path_factory.mktemp("undisturbed") / "shop")
    for command in FLOW:
        completed(folder, *command)
    return world(folder)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_a_flow_that_is_stopped_at_random_ends_like_one_that_is_not(
    tmp_path, template, undisturbed, number, seed
):
    folder = shutil.copytree(template, tmp_path / "shop")
    hits = disturbed(folder, number=number, seed=seed, tries=TRIES)
    assert hits >= 1, "no command was slow enough to be stopped: nothing was tried"
    assert world(folder) == undisturbed


@pytest.mark.parametrize("side", ["before", "after"])
def test_ctrl_c_at_an_effect_says_so_and_names_the_way_on(tmp_path, template, side):
    folder = shutil.copytree(template, tmp_path / "shop")
    assert signalled_at_effect(folder, "apply", number=signal.SIGINT, side=side, effect=2)
    completed(folder, "apply")
