"""kill -9 of the processes that drive a rollout. The endpoint goes on serving; the next process goes on with the rollout.

ISTHMUS_EVERY_KILL=1, which `make test-often` sets, kills at every kind of point of two rollouts: one is aborted, one hands over.
On Vertex AI's stack both run only then.
"""

import os
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace

from isthmus.endpoints.metrics import floor_minute
from isthmus.endpoints.port import TrafficMinute
from isthmus.project.specs import AfterRollout, Guardrail, RolloutStep
from isthmus.rollouts import documents
from isthmus.rollouts.convergence import asked, serving
from isthmus.rollouts.planning import beginning
from isthmus.rollouts.player import play
from isthmus.rollouts.rehearse import rehearsed, setting
from isthmus.rollouts.scenario import Answers, At, Event, Expect, Scenario
from isthmus.rollouts.world import traits_of
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.rollouts.crashes import DECISIONS
from isthmus.tests.rollouts.genuine import MINUTE, PLACES, deployed
from isthmus.tests.rollouts.scenario_files import ENDPOINT, ROLLOUT

EVERY = bool(os.environ.get("ISTHMUS_EVERY_KILL"))
FIRST = {"champion": Decimal(90), "challenger": Decimal(10)}
ERRORS = 0.75  # of the new variant's requests, under half of the traffic
# where a process is, in which phase, how many percent the endpoint was told to give the new variant: the first such point is its last
DEATHS = (
    ("before endpoints.shift", "shifting", 10),  # the intent is durable, nothing more
    ("after endpoints.shift", "shifting", 25),
    ("sleep", "baking", 25),
    ("after document", "baking", 50),
    ("before endpoints.shift", "aborting", 50),
    ("after endpoints.shift", "aborting", 0),
)


class Rollouts:
    """Of one endpoint, each driven by processes, one after the other."""

    def __init__(self, place, target):
        self.place, self.target = place, target
        self.traits = traits_of(target)
        bake = self.traits.metrics_delay + 3 * MINUTE
        rollout = replace(
            ROLLOUT,
            steps=tuple(RolloutStep(traffic=Decimal(percent), bake=bake) for percent in (25, 50, 100)),
            guardrails=(Guardrail(metric="error_rate", max=0.01),),
            after=AfterRollout(remove_old=2 * MINUTE),
        )
        self.plan = rehearsed(rollout, ENDPOINT, self.traits)
        self.now = place.start(rollout.advance)
        self.script = target.extra("traffic_script")
        self.fails = False
        self.processes = 0

    def expected(self, *, fails):
        """As the scripted world plays it, whose controller nobody kills."""
        breaks = Event(at=At(stage=2), text="it fails", happens=Answers(variant="challenger", changes={"error_rate": ERRORS}))
        scenario = Scenario(name="", rollout="ranker", events=(breaks,) if fails else (), expect=Expect(end=""))
        return play(scenario, self.plan, "ranker", setting(scenario, self.plan, self.traits))

    def begin(self, *, fails):
        self.fails = fails
        state = self.target.endpoints.observe("ranker")
        self.target.endpoints.shift("ranker", FIRST, expect=state.token)
        self.told = self.served = Decimal(10)
        self.advance(2 * MINUTE)  # a change takes one on a cloud
        documents.begin(self.target.state, "ranker", lambda name: beginning(name, "ranker", self.plan, self.now, who="ann"))

    def ended(self):
        """The rollout, its history, and what serves."""
        return self.state, list(documents.history(self.target.state, self.state)), serving(self.target.endpoints.observe("ranker"))

    @property
    def state(self):
        return documents.read(self.target.state, "ranker").state

    def drive(self, is_last):
        """By a process that is killed at the first point of which this says so; that point. None: it came to the end."""
        self.processes += 1
        profile = msgspec.json.encode(self.place.profile).decode()
        command = [sys.executable, "-m", "isthmus.tests.rollouts.driver", profile, f"driver {self.processes}"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                self.tell_the_time(process)
                for line in process.stdout:
                    what, _, seconds = line.strip().partition(" ") if line.startswith("sleep") else (line.strip(), "", "")
                    point = self.look(what)
                    if is_last(point):
                        return point
                    if seconds:
                        self.advance(timedelta(seconds=float(seconds)))
                    self.tell_the_time(process)
            finally:
                process.kill()
        return None

    def tell_the_time(self, process):
        process.stdin.write(f"{self.now.isoformat()}\n")
        process.stdin.flush()

    def look(self, what):
        """The point as DEATHS has it. The traffic never rises above what is durable at that moment."""
        state, endpoint = self.state, self.target.endpoints.observe("ranker")
        intent, (told, served) = (
            state.intent.get("challenger", Decimal(0)),
            (split.get("challenger", Decimal(0)) for split in (asked(endpoint), serving(endpoint))),
        )
        assert told <= max(self.told, intent)
        assert served <= max(self.served, intent)
        self.told, self.served = told, served
        return what, state.phase, told

    def advance(self, span):
        minute = floor_minute(self.now)
        self.now += span
        self.script.advance(span)
        while minute + MINUTE <= self.now:
            shares = serving(self.target.endpoints.observe("ranker"))
            self.script.add("ranker", [self.sent(variant, minute, percent) for variant, percent in shares.items() if percent])
            minute += MINUTE

    def sent(self, variant, minute, percent):
        requests = int(10 * percent)
        errors = int(requests * ERRORS) if self.fails and (variant, percent) == ("challenger", 50) else 0
        return TrafficMinute(variant=variant, start=minute, requests=requests, server_errors=errors, latencies_ms=(4.0,))


@pytest.fixture
def rollouts(request, tmp_path):
    place = request.param(tmp_path)
    target = deployed(place)
    yield Rollouts(place, target)
    remove_endpoints(target)
    target.close()


def decisions(entries):
    return [(entry.what, entry.stage, entry.attempt) for entry in entries if entry.what in DECISIONS]


def judged(rollouts, *, fails):
    """It ends as the rollout that nobody cut, and no bake is shorter than it was to be."""
    whole, (state, history, left) = rollouts.expected(fails=fails), rollouts.ended()
    told = "\n".join(f"{entry.at:%H:%M:%S} {entry.who} {entry.what} {entry.why}" for entry in history)
    assert (state.end, state.stage, state.released) == (whole.state.end, whole.state.stage, True), told
    assert state.handover == whole.state.handover, told
    assert decisions(history) == decisions(whole.entries)
    assert left == whole.state.intent
    moments = {(entry.what, entry.stage): entry.at for entry in history}
    assert moments["step", 2] - moments["bake", 1] >= rollouts.plan.stages[0].bake
    return state.end


@pytest.mark.slow
@pytest.mark.parametrize("rollouts", PLACES if EVERY else PLACES[:2], ids=lambda kind: kind.__name__, indirect=True)
def test_whoever_goes_on_after_a_kill_ends_the_rollout_as_if_nobody_had_died(rollouts):
    """Seven processes, each of which starts where the one before it was killed."""
    rollouts.begin(fails=True)
    for death in DEATHS:
        assert rollouts.drive(death.__eq__) == death
    assert rollouts.drive(lambda _point: False) is None
    assert judged(rollouts, fails=True) == "aborted"


@pytest.mark.slow
@pytest.mark.skipif(not EVERY, reason="minutes: ISTHMUS_EVERY_KILL=1, or make test-often")
@pytest.mark.parametrize("rollouts", PLACES, ids=lambda kind: kind.__name__, indirect=True)
def test_a_process_may_be_killed_at_every_kind_of_point(rollouts):
    """A kind: before or after which change, in which phase. Each process dies at the first point of a kind at which nobody has died."""
    died = set()

    def is_new(point):
        return point[:2] not in died

    for fails, end in ((True, "aborted"), (False, "promoted")):
        rollouts.begin(fails=fails)
        while (point := rollouts.drive(is_new)) is not None:
            died.add(point[:2])
        assert judged(rollouts, fails=fails) == end
    print(f"\nkilled at {len(died)} kinds of points: {', '.join(sorted(' '.join(kind) for kind in died))}")
    assert {("before endpoints.shift", "handing"), ("after minutes", "baking"), ("before owner", "starting")} <= died
