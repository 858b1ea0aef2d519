"""The drive through simulated days: what is noted before they begin, and what a stop leaves.

Its gateway is a list of what was asked.
"""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from isthmus.errors import Unavailable
from isthmus.experiments.simulation.behaviour import SimulationSetting
from isthmus.experiments.simulation.clock import MovedClock, SimulatedTime
from isthmus.experiments.simulation.drive import Drive, Stopping
from isthmus.experiments.simulation.http_calls import HttpReply
from isthmus.experiments.simulation.simulation import Action, BrokenSplit, LateEvents, Simulation
from isthmus.experiments.simulation.visits import DAY
from isthmus.experiments.simulation.world import world_of

from ..shop import Shop

START = datetime(2026, 11, 2, tzinfo=UTC)
ACTIONS = (
    Action(event="impression"),
    Action(event="click", of="impression", chance=0.5, after=timedelta(minutes=5)),
)
PLAIN = Simulation(
    name="plain",
    endpoint="ranker",
    experiment="blend_up",
    days=2,
    visitors=100,
    slots=3,
    actions=ACTIONS,
    late=LateEvents(share=0.3, by=DAY),
)


class Gateway:
    """Shows the first candidates; a number that ends in an even digit is in the treatment.

    `now`: what it asks of the clock.
    """

    def __init__(self, clock, *, status=200, stop=None):
        self.clock, self.status, self.stop = clock, status, stop
        self.asked, self.heard, self.moments = [], [], []

    def post(self, path, bodies):
        bodies = list(bodies)
        self.moments.append(self.clock())
        if path == "/track":
            self.heard += [(self.clock(), event) for body in bodies for event in body]
            return [HttpReply(200, {"accepted": len(body), "rejected": []}) for body in bodies]
        if path == "/rank":
            self.asked += bodies
            if self.stop is not None and len(self.asked) > 20:
                self.stop.asked = True
        return [HttpReply(self.status, self.answer(body)) for body in bodies]

    def answer(self, body):
        if self.status != 200:
            return {"error": "it is away"}
        arm = "treatment" if int(body["visitor_id"][-1]) % 2 == 0 else "control"
        return {
            "items": body.get("item_id", [])[:3],
            "exposures": ["q-1", "q-2", "q-3"],
            "assignments": {"blend_up.1": arm},
        }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Shop(tmp_path_factory.mktemp("shop")).project


@pytest.fixture
def driven(project):
    """(what was played, the notes, the gateway) of a simulation."""

    def drive(simulation=PLAIN, time=None, *, stop=False, status=200):
        setting = SimulationSetting(
            simulation=simulation,
            world=world_of(project, simulation, "visitor_id", "item_id"),
            spec=project.spec,
            endpoint=project.spec.endpoints["ranker"],
            key="item_id",
        )
        time = time or SimulatedTime(since=START, at=START)
        clock, stopping, notes = MovedClock(time.at), Stopping(), []
        gateway = Gateway(clock, status=status, stop=stopping if stop else None)
        played = Drive(setting, gateway, clock, time).run(
            lambda noted: notes.append((noted, len(gateway.asked))), lambda *_: None, stopping
        )
        return played, notes, gateway

    return drive


def test_where_the_clock_will_stand_is_noted_before_a_day_begins(driven):
    played, notes, gateway = driven()
    (first, asked_by_then), (second, _), (last, asked) = notes
    assert (first.at, asked_by_then) == (START + DAY, 0)
    assert (second.at, last.at) == (START + 2 * DAY, START + 2 * DAY)
    assert (played.began, played.ended, played.requests) == (START, START + 2 * DAY, asked)
    assert second.waiting, "what the next day hears of"
    assert gateway.moments == sorted(gateway.moments), "the clock never goes back"


def test_the_gateway_hears_of_events_once_they_happened_and_of_late_ones_when_they_come(driven):
    played, notes, gateway = driven()
    waits = {waiting.event["event_id"] for waiting in notes[-1][0].waiting}
    heard = {event["event_id"] for _, event in gateway.heard}
    assert len(heard) == len(gateway.heard) == sum(played.sent.values())
    assert not heard & waits
    assert (played.late > 0, played.waiting) == (True, len(waits))
    assert all(
        datetime.fromisoformat(event["event_timestamp"]) <= at for at, event in gateway.heard
    )


@pytest.mark.parametrize("visitors", [100, 2400])  # a stop at the end of an hour, and within one
def test_ctrl_c_ends_after_the_group_that_is_under_way_and_the_rest_comes_later(driven, visitors):
    busy = replace(PLAIN, visitors=visitors, days=1)
    played, notes, gateway = driven(busy, stop=True)
    stopped = notes[-1][0]
    assert START < stopped.at == played.ended < START + DAY
    assert played.requests == len(gateway.asked), "whoever was answered counts"
    again, _, later = driven(busy, stopped)
    assert again.began == stopped.at
    ids = [event["event_id"] for _, event in gateway.heard + later.heard]
    assert len(ids) == len(set(ids))
    whole = {event["event_id"] for _, event in driven(busy)[2].heard}
    assert whole <= set(ids), "what waited, and everybody who had not come yet"


def test_of_a_broken_split_nobody_of_another_arm_is_lost_and_no_request_is_sent_for_who_is(driven):
    played, _, gateway = driven(replace(PLAIN, broken=BrokenSplit(arm="treatment", loses=1.0)))
    units = {body["visitor_id"] for body in gateway.asked}
    assert {int(unit[-1]) % 2 for unit in units} == {1}
    assert played.lost > 0
    assert played.units == len(units)


def test_a_gateway_that_answers_nobody_ends_it_with_what_it_says(driven):
    with pytest.raises(Unavailable, match="the gateway answers no request: 503 it is away"):
        driven(status=503)
