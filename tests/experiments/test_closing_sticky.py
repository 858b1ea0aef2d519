"""`close` over a sticky endpoint of Vertex AI's stack, where each variant is an endpoint of its own: killed at call after call, it goes on.

By default it is killed at the first call of each kind, once before and once after by turns; ISTHMUS_EVERY_CRASH=1: before and after each.
"""

import os
import time
from datetime import timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from isthmus.endpoints.gateway import sticky
from isthmus.endpoints.gateway.assignment import Assigner
from isthmus.endpoints.router import routed
from isthmus.endpoints.smoke import Smoke
from isthmus.endpoints.traffic import manual as traffic_room
from isthmus.endpoints.traffic import owner
from isthmus.errors import IsthmusError, NotFound
from isthmus.experiments import experiment, runs, starting
from isthmus.formats import decode
from isthmus.rollouts import controller, documents, rollout
from isthmus.storage import wait

from ..conformance.toy_models import remove_endpoints
from ..rollouts.driver import kind, ports_of
from ..rollouts.genuine import PLACES, deployed
from ..rollouts.scenario_files import ENDPOINT, ROLLOUT
from .desk import sticky_project

EVERY = bool(os.environ.get("ISTHMUS_EVERY_CRASH"))
STICKY = replace(ENDPOINT, routing="sticky")
NAME = "ranker_v2"
FOLLOWED = timedelta(seconds=15)  # that a gateway may have an older split

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """kill -9: nothing catches it."""


class Closing:
    """A person who ships and closes, on the provider's clock. Each `attempt` is another process's: it has a target of its own."""

    def __init__(self, monkeypatch, folder, place):
        self.place, self.folder = place, folder
        self.outside = deployed(place, STICKY)
        self.now = place.start(ROLLOUT.advance)
        self.outside.clock = self.clock
        self.script = self.outside.extra("traffic_script")
        self.refused = []  # told at the end: what a listener raises is a failed call of who is listened to
        monkeypatch.setenv("ISTHMUS_USER", "ann")
        monkeypatch.setattr(starting, "smoke_arm", lambda *_: Smoke(sent=20, answered=20))
        monkeypatch.setattr(rollout, "ports_of", lambda project: ports_of(project.target))
        monkeypatch.setattr(rollout, "drive", partial(controller.drive, sleep=self.sleep))
        monkeypatch.setattr(rollout, "time", SimpleNamespace(sleep=self.sleep, monotonic=time.monotonic))
        monkeypatch.setattr(traffic_room, "wait", partial(wait, sleep=self.sleep))

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.script.advance(timedelta(seconds=seconds))

    def project(self):
        return sticky_project(self.folder, self.place, self.clock)

    def ship(self):
        with self.project() as project:
            experiment.start(project, NAME)
            experiment.stop(project, NAME, because="it is better", ship="treatment")
        self.shipped = self.live()

    def attempt(self, is_last):
        """What `close` says, or None: it was killed at a point of which this says so."""
        with self.project() as project:
            calls = project.target.calls
            calls.before = partial(self.reached, "before", is_last)
            calls.after = partial(self.reached, "after", is_last)
            try:
                return experiment.close(project, NAME)
            except Killed:
                return None

    def reached(self, when, is_last, call):
        what = kind(call, "vertex", "sticky")
        what = call.resource.rstrip("0123456789") if what == "storage.objects.insert" else what  # a document of the run's, or the models'
        if what not in ("document", "history"):  # of the hand-over: they move nothing
            self.refused += self.judge()
        if is_last(when, what):
            raise Killed

    def live(self):
        return runs.read(self.outside.state).live

    def split(self):
        document = self.outside.state.get(sticky.key("ranker"))
        return decode(document.value, sticky.Split, what="split").ranges

    def judge(self):
        """Who was treated and is not answered by version 2: under the document of now, and the shipped one that a gateway has kept."""
        split = self.split()
        deciding = [Assigner(live, "ranker", {"blend": 0.5}, split) for live in (self.shipped, self.live())]
        variants = {assigner.decide(unit, {}).variant for assigner in deciding for unit in self.treated}
        return [variant for variant in variants if self.version(variant) != 2]

    def version(self, aimed):
        """Of a real answer, as a gateway asks: a variant that is gone is not aimed at."""
        ask = partial(self.outside.endpoints.invoke, "ranker", [{"x": 1}], request_id="q")
        try:
            return ask(variant=aimed).version
        except NotFound:
            return ask(variant=None).version
        except IsthmusError as error:
            return str(error)

    def outcome(self):
        state = routed(self.outside).observe("ranker")
        aliases = {alias: version.version for version in self.outside.registry.versions("ranker") for alias in version.aliases}
        history = [(change.version, change.what) for change in runs.history(self.outside.state, NAME)]
        return {v.name: (v.version, int(v.percent)) for v in state.variants}, aliases, history


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
        """By turns before and after; of each kind once, or with ISTHMUS_EVERY_CRASH before and after it."""
        point = (when, kind)
        seen = point in self.points if EVERY else kind in {kind for _, kind in self.points}
        turn = EVERY or when == ("before", "after")[len(self.points) % 2]
        if seen or not turn:
            return False
        self.points.append(point)
        return True


def test_killed_at_every_kind_of_call_a_close_over_variants_apart_goes_on_and_no_unit_sees_the_old_model_again(closing):
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
    assert closing.outcome() == ({"champion": (2, 100)}, {"champion": 2}, [(1, "started"), (2, "shipped"), (3, "closed")])
    assert owner.read(closing.outside.state, "ranker").owner.owner == "none"
    assert documents.read(closing.outside.state, "ranker").state.handover == "done"
    assert {"DeployModel", "UndeployModel", "DeleteEndpoint", "UpdateEndpoint", "endpoints.shift"} <= {kind for _, kind in died.points}
    print(f"\nkilled at {len(died.points)} points: {', '.join(' '.join(point) for point in died.points)}")
