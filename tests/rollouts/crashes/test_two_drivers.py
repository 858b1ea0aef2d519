"""Two processes that drive one rollout through a cloud's genuine adapter, killed and held at random
points.

ISTHMUS_EVERY_KILL=1, which `make test-often` sets: many rollouts. ISTHMUS_DUELS says how many of
each cloud.
"""

import os

import pytest

from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.rollouts.crashes.killed_drivers import Rollouts
from isthmus.tests.rollouts.crashes.two_drivers import Duel
from isthmus.tests.rollouts.genuine import PLACES, deployed

pytestmark = pytest.mark.soak

DUELS = int(os.environ.get("ISTHMUS_DUELS", "12" if os.environ.get("ISTHMUS_EVERY_KILL") else "1"))
CLOUDS = [place for place in PLACES if place.__name__ != "laptop"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "seed", range(2, DUELS + 2)
)  # of even numbers the rollout fails in its second step, which is cheaper
@pytest.mark.parametrize("kind", CLOUDS, ids=lambda kind: kind.__name__)
def test_two_drivers_of_a_rollout_that_are_killed_at_random_leave_nothing_in_between(
    kind, seed, tmp_path, capsys
):
    place = kind(tmp_path)
    target = deployed(place)
    rollouts = Rollouts(place, target)
    duel = Duel(rollouts, seed, kills=2 if DUELS == 1 else 8, fails=seed % 2 == 0)
    try:
        end = duel.play()
    finally:
        remove_endpoints(target)
        target.close()
    with capsys.disabled():
        print(f"\n{kind.__name__}, {seed}: {end}, killed {duel.killed}, held {duel.held}")
    assert duel.killed
    assert duel.held
