"""kill -9 of the processes that drive a rollout.

The endpoint goes on serving; the next process goes on with the rollout.

ISTHMUS_EVERY_KILL=1, which `make test-often` sets, kills at every kind of point of two rollouts:
one is aborted, one hands over.
On Vertex AI's stack both run only then.
"""

import os

import pytest

from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.rollouts.crashes.killed_drivers import Rollouts, judged
from isthmus.tests.rollouts.genuine import PLACES, deployed

pytestmark = pytest.mark.soak

EVERY = bool(os.environ.get("ISTHMUS_EVERY_KILL"))
# where a process is, in which phase, how many percent the endpoint was told to give the new
# variant: the first such point is its last
DEATHS = (
    ("before endpoints.shift", "shifting", 10),  # the intent is durable, nothing more
    ("after endpoints.shift", "shifting", 25),
    ("sleep", "baking", 25),
    ("after document", "baking", 50),
    ("before endpoints.shift", "aborting", 50),
    ("after endpoints.shift", "aborting", 0),
)


@pytest.fixture
def rollouts(request, tmp_path):
    place = request.param(tmp_path)
    target = deployed(place)
    yield Rollouts(place, target)
    remove_endpoints(target)
    target.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "rollouts", PLACES if EVERY else PLACES[:2], ids=lambda kind: kind.__name__, indirect=True
)
def test_whoever_goes_on_after_a_kill_ends_the_rollout_as_if_nobody_had_died(rollouts):
    """Seven processes, each of which starts where the one before it was killed."""
    rollouts.begin(fails=True)
    for death in DEATHS:
        assert rollouts.drive_process(death.__eq__) == death
    assert rollouts.drive_process(lambda _point: False) is None
    assert judged(rollouts, fails=True) == "aborted"


@pytest.mark.slow
@pytest.mark.skipif(not EVERY, reason="minutes: ISTHMUS_EVERY_KILL=1, or make test-often")
@pytest.mark.parametrize("rollouts", PLACES, ids=lambda kind: kind.__name__, indirect=True)
def test_a_process_may_be_killed_at_every_kind_of_point(rollouts):
    """A kind: before or after which change, in which phase.

    Each process dies at the first point of a kind at which nobody has died.
    """
    died = set()

    def is_new(point):
        return point[:2] not in died

    for fails, end in ((True, "aborted"), (False, "promoted")):
        rollouts.begin(fails=fails)
        while (point := rollouts.drive_process(is_new)) is not None:
            died.add(point[:2])
        assert judged(rollouts, fails=fails) == end
    print(
        f"\nkilled at {len(died)} kinds of points: "
        f"{', '.join(sorted(' '.join(kind) for kind in died))}"
    )
    assert {
        ("before endpoints.shift", "handing"),
        ("after minutes", "baking"),
        ("before owner", "starting"),
    } <= died
