"""A person who ships and closes on genuine adapters, and is killed in between: for the tests of
closes.
"""

import time
from datetime import timedelta
from functools import partial
from types import SimpleNamespace

from msgspec.structs import replace

from isthmus.core.formats import decode
from isthmus.endpoints.gateway.decide import sticky_split as sticky
from isthmus.endpoints.gateway.decide.assignment import Assigner
from isthmus.endpoints.gateway.smoke import SmokeResult
from isthmus.endpoints.traffic import manual as traffic_room
from isthmus.endpoints.traffic.router import routed_endpoints
from isthmus.errors import IsthmusError, NotFound
from isthmus.experiments import experiment
from isthmus.experiments.design import runs
from isthmus.experiments.running import start as starting
from isthmus.rollouts import controller
from isthmus.rollouts.verbs import rollout
from isthmus.storage import wait

from ...rollouts.crashes.driver import kind, ports_of
from ...rollouts.genuine import deployed
from ...rollouts.scenario_files import ENDPOINT, ROLLOUT
from ..desk import AIMED, genuine_project


class Killed(BaseException):
    """kill -9: nothing catches it."""


class Closing:
    """A person who ships and closes, on the provider's clock.

    Each `attempt` is another process's: it has a target of its own.
    """

    def __init__(self, monkeypatch, folder, place, about=AIMED, *, routing="sticky"):
        self.place, self.folder, self.about, self.routing = place, folder, about, routing
        self.outside = deployed(place, replace(ENDPOINT, routing=routing))
        self.now = place.start(ROLLOUT.advance)
        self.outside.clock = self.clock
        self.script = self.outside.extra("traffic_script")
        self.treated = ()  # units who are judged at each call
        # told at the end: what a listener raises is a failed call of who is listened to
        self.refused = []
        monkeypatch.setenv("ISTHMUS_USER", "ann")
        monkeypatch.setattr(starting, "smoke_arm", lambda *_: SmokeResult(sent=20, answered=20))
        monkeypatch.setattr(rollout, "ports_of", lambda project: ports_of(project.target))
        monkeypatch.setattr(rollout, "drive", partial(controller.drive, sleep=self.sleep))
        monkeypatch.setattr(
            rollout, "time", SimpleNamespace(sleep=self.sleep, monotonic=time.monotonic)
        )
        monkeypatch.setattr(traffic_room, "wait", partial(wait, sleep=self.sleep))

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.script.advance(timedelta(seconds=seconds))

    def project(self):
        return genuine_project(self.folder, self.place, self.clock, self.about, self.routing)

    def ship(self, arm="treatment"):
        with self.project() as project:
            experiment.start(project, self.about.name)
            experiment.stop(project, self.about.name, because="it is better", ship=arm)
        self.shipped = self.live()

    def attempt(self, is_last):
        """What `close` says, or None: it was killed at a point of which this says so."""
        with self.project() as project:
            calls = project.target.calls
            calls.before = partial(self.reached, "before", is_last)
            calls.after = partial(self.reached, "after", is_last)
            try:
                return experiment.close(project, self.about.name)
            except Killed:
                return None

    def reached(self, when, is_last, call):
        what = kind(call, self.outside.name, self.routing)
        what = (
            call.resource.rstrip("0123456789") if what == "storage.objects.insert" else what
        )  # a document of the run's, or the models'
        if self.treated and what not in (
            "document",
            "history",
        ):  # of the hand-over: they move nothing
            self.refused += self.judge()
        if is_last(when, what):
            raise Killed

    def live(self):
        return runs.read(self.outside.state).live

    def split(self):
        document = self.outside.state.get(sticky.key("ranker"))
        return decode(document.value, sticky.Split, what="split").ranges

    def judge(self):
        """Who was treated and is not answered by version 2: under the document of now, and the
        shipped one that a gateway has kept.
        """
        split = self.split()
        deciding = [
            Assigner(live, "ranker", {"blend": 0.5}, split) for live in (self.shipped, self.live())
        ]
        variants = {
            assigner.decide(unit, {}).variant for assigner in deciding for unit in self.treated
        }
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
        state = routed_endpoints(self.outside).observe("ranker")
        aliases = {
            alias: version.version
            for version in self.outside.registry.versions("ranker")
            for alias in version.aliases
        }
        history = [
            (change.version, change.what)
            for change in runs.history(self.outside.state, self.about.name)
        ]
        return {v.name: (v.version, int(v.percent)) for v in state.variants}, aliases, history
