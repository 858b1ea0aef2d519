"""Controllers that die over a sticky endpoint, through genuine adapters: where a variant is an
endpoint of Vertex AI's, and elsewhere.

ISTHMUS_EVERY_CRASH=1: on every target, an abort and a hand-over, before and after each kind of call
in each phase, and asleep. Otherwise the scripted world (test_crash_matrix.py) and one hand-over on
Vertex AI's stack (tests/experiments/running/test_closing_sticky.py) stand for it.
"""

import os

import pytest
from msgspec.structs import replace

from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.rollouts.crashes.killed_drivers import Rollouts, judged
from isthmus.tests.rollouts.genuine import PLACES, deployed
from isthmus.tests.rollouts.scenario_files import ENDPOINT

pytestmark = [
    pytest.mark.soak,
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("ISTHMUS_EVERY_CRASH"), reason="minutes: ISTHMUS_EVERY_CRASH=1"
    ),
]


@pytest.fixture
def rollouts(request, tmp_path):
    place = request.param(tmp_path)
    target = deployed(place, replace(ENDPOINT, routing="sticky"))
    yield Rollouts(place, target, "sticky")
    remove_endpoints(target)
    target.close()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rollouts", PLACES, ids=lambda kind: kind.__name__, indirect=True)
def test_a_sticky_rollout_whose_controllers_die_at_every_kind_of_point_ends_as_if_nobody_had(
    rollouts, capsys
):
    """A kind: before or after which call, in which phase.

    Each dies at the first point of a kind at which nobody has died.
    """
    died = set()

    def is_new(point):
        what, phase, _told = point
        return (what, phase) not in died

    for fails, end in ((True, "aborted"), (False, "promoted")):
        rollouts.begin(fails=fails)
        while (point := rollouts.drive(is_new)) is not None:
            died.add(point[:2])
        assert judged(rollouts, fails=fails) == end
    with capsys.disabled():
        print(
            f"\n{rollouts.target.name}, sticky: a controller died at each of {len(died)} "
            "kinds of points"
        )
    assert {
        ("before endpoints.shift", "handing"),
        ("after minutes", "baking"),
        ("before owner", "starting"),
    } <= died
