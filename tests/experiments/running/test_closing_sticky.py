"""`close` over a sticky endpoint of Vertex AI's stack, where each variant is an endpoint of its
own: killed at call after call, it goes on.

By default it is killed at the first call of each kind, once before and once after by turns;
ISTHMUS_EVERY_CRASH=1: before and after each.
"""

import os

import pytest

from isthmus.endpoints.gateway.decide.assignment import Assigner
from isthmus.endpoints.traffic import owner
from isthmus.rollouts.state import documents

from ...conformance.toy_models import remove_endpoints
from ...rollouts.genuine import PLACES
from ..desk import DUEL
from .genuine_closing import Closing

EVERY = bool(os.environ.get("ISTHMUS_EVERY_CRASH"))

pytestmark = [pytest.mark.soak, pytest.mark.slow]


@pytest.fixture
def closing(monkeypatch, tmp_path):
    place = next(place for place in PLACES if place.__name__ == "vertex")(tmp_path)
    desk = Closing(monkeypatch, tmp_path, place)
    yield desk
    remove_endpoints(desk.outside)
    desk.outside.close()


class Deaths:
    def __init__(self):
        self.points = []

    def __call__(self, when, kind):
        """By turns before and after; of each kind once, or with ISTHMUS_EVERY_CRASH before and
        after it.
        """
        point = (when, kind)
        seen = point in self.points if EVERY else kind in {kind for _, kind in self.points}
        turn = EVERY or when == ("before", "after")[len(self.points) % 2]
        if seen or not turn:
            return False
        self.points.append(point)
        return True


def test_killed_at_every_kind_of_call_a_close_over_variants_apart_goes_on_and_no_unit_sees_the_old_model_again(
    closing,
):
    closing.ship()
    live, split = closing.shipped, closing.split()
    units = [f"visitor-{number}" for number in range(12)]
    decide = Assigner(live, "ranker", {"blend": 0.5}, split).decide
    closing.treated = [unit for unit in units if closing.version(decide(unit, {}).variant) == 2]
    assert len(closing.treated) > 6
    died = Deaths()
    while (closed := closing.attempt(died)) is None:
        closing.sleep(70)  # the lease of who died
    assert (closed.home, closing.refused) == (True, [])
    assert closing.outcome() == (
        {"champion": (2, 100)},
        {"champion": 2},
        [(1, "started"), (2, "shipped"), (3, "closed")],
    )
    assert owner.read(closing.outside.state, "ranker").owner.owner == "none"
    assert documents.read(closing.outside.state, "ranker").state.handover == "done"
    assert {
        "DeployModel",
        "UndeployModel",
        "DeleteEndpoint",
        "UpdateEndpoint",
        "endpoints.shift",
    } <= {kind for _, kind in died.points}
    print(
        f"\nkilled at {len(died.points)} points: "
        f"{', '.join(' '.join(point) for point in died.points)}"
    )


@pytest.mark.parametrize(("cloud", "routing"), [("sagemaker", "weighted"), ("vertex", "sticky")])
def test_the_variant_of_a_duel_that_ships_comes_home_on_a_cloud_killed_in_between(
    monkeypatch, tmp_path, cloud, routing
):
    """Between the shift and what says so."""
    place = next((place for place in PLACES if place.__name__ == cloud), None)
    if place is None:
        pytest.skip(f"extra {cloud} is not here")
    desk = Closing(monkeypatch, tmp_path, place(tmp_path), DUEL, routing=routing)
    try:
        desk.ship("challenger")
        (run,) = desk.shipped.runs
        assert (run.state, run.ships) == ("shipped", "challenger")
        assert desk.attempt(lambda *point: point == ("after", "endpoints.shift")) is None
        desk.sleep(70)  # the lease of who died
        assert desk.attempt(lambda *_: False).home
        assert desk.outcome() == (
            {"champion": (2, 100)},
            {"champion": 2},
            [(1, "started"), (2, "shipped"), (3, "closed")],
        )
        assert owner.read(desk.outside.state, "ranker").owner.owner == "none"
    finally:
        remove_endpoints(desk.outside)
        desk.outside.close()
