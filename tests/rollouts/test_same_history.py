"""A scenario gives the same sequence of decisions in the scripted world and through the genuine adapters: this machine, SageMaker's stack.

The world is what CI and the simulation believe in, so it is judged here by what it stands for. Two files are played in the suite, as real
processes are slow; ISTHMUS_SCENARIOS=all plays every file (about five minutes).
"""

import os

import pytest

from isthmus.rollouts.player import play
from isthmus.rollouts.rehearse import rehearsed, setting
from isthmus.rollouts.scenario_file import read
from isthmus.rollouts.target_setting import TargetSetting
from isthmus.rollouts.world import traits_of
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.rollouts.genuine import PLACES, Laptop, deployed
from isthmus.tests.rollouts.scenario_files import ENDPOINT, FILES, ROLLOUT

pytestmark = pytest.mark.slow

CHOSEN = ("errors_in_step_2", "drift")
PLAYED = [path for path in FILES if os.environ.get("ISTHMUS_SCENARIOS") == "all" or path.stem in CHOSEN]

CASES = [(kind, path) for kind in PLACES for path in PLAYED if not (kind is Laptop and path.stem == "busy")]  # it never is


@pytest.fixture
def place(request, tmp_path):
    return request.param(tmp_path)


@pytest.mark.parametrize(
    ("place", "path"), CASES, ids=lambda part: part.stem if hasattr(part, "stem") else part.adapter, indirect=["place"]
)
def test_the_genuine_adapter_decides_as_in_the_scripted_world(path, place, tmp_path):
    target = deployed(place, tmp_path / "models")
    scenario = read(path, {"ranker": ROLLOUT})
    traits = traits_of(target)
    planned = rehearsed(ROLLOUT, ENDPOINT, traits)
    start = place.start()
    genuine = TargetSetting(scenario, "ranker", place.open, start=start, rollback=place.rollback, takes=place.takes)
    try:
        played = play(scenario, planned, "ranker", genuine)
    finally:
        genuine.close()
        remove_endpoints(target)
        target.close()
    world = play(scenario, planned, "ranker", setting(scenario, planned, traits))
    assert not played.unexpected, str(played)
    assert played.sequence == world.sequence
    sent = {variant: [(m.requests, m.client_errors, m.server_errors) for m in minutes] for variant, minutes in played.minutes.items()}
    told = {variant: [(m.requests, m.client_errors, m.server_errors) for m in minutes] for variant, minutes in world.minutes.items()}
    assert sent == told, "and everybody was shown the same minutes"
