"""Rollouts through genuine adapters whose controllers die, one after the other: in processes that
are killed, or in this one.
"""

import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from isthmus.endpoints.operations.minutes import floor_minute
from isthmus.endpoints.port import TrafficMinute
from isthmus.endpoints.traffic.router import routed_endpoints
from isthmus.project.specs.description import AfterRollout, Guardrail, RolloutStep
from isthmus.rollouts.controller import drive
from isthmus.rollouts.rehearsal.player import play
from isthmus.rollouts.rehearsal.rehearse import plan_of, setting
from isthmus.rollouts.rehearsal.scenario import Answers, At, Event, Expect, Scenario
from isthmus.rollouts.state import documents
from isthmus.rollouts.state.convergence import serving_split, target_split
from isthmus.rollouts.state.planning import beginning
from isthmus.rollouts.world import traits_of
from isthmus.tests.conformance.toy_models import settled
from isthmus.tests.rollouts.crashes.crashes import DECISIONS
from isthmus.tests.rollouts.crashes.driver import kind, ports_of
from isthmus.tests.rollouts.crashes.simulation import Killed
from isthmus.tests.rollouts.genuine import MINUTE
from isthmus.tests.rollouts.scenario_files import ENDPOINT, ROLLOUT

FIRST = {"champion": Decimal(90), "challenger": Decimal(10)}
ERRORS = 0.75  # of the new variant's requests, under half of the traffic


class Rollouts:
    """Of one endpoint, each driven by one controller after the other.

    A point: where it is, in which phase, what it told the endpoint.
    """

    def __init__(self, place, target, routing="weighted"):
        self.place, self.target, self.routing = place, target, routing
        self.traits = traits_of(target, routing)
        bake = self.traits.metrics_delay + 3 * MINUTE
        rollout = replace(
            ROLLOUT,
            steps=tuple(
                RolloutStep(traffic=Decimal(percent), bake=bake) for percent in (25, 50, 100)
            ),
            guardrails=(Guardrail(metric="error_rate", max=0.01),),
            after=AfterRollout(remove_old=2 * MINUTE),
        )
        self.plan = plan_of(rollout, replace(ENDPOINT, routing=routing), self.traits)
        self.now = place.start(rollout.advance)
        target.clock = lambda: self.now
        self.endpoints = routed_endpoints(target)
        self.script = target.extra("traffic_script")
        self.fails = False
        self.processes = 0

    def expected(self, *, fails):
        """As the scripted world plays it, whose controller nobody kills."""
        breaks = Event(
            at=At(stage=2),
            text="it fails",
            happens=Answers(variant="challenger", changes={"error_rate": ERRORS}),
        )
        scenario = Scenario(
            name="", rollout="ranker", events=(breaks,) if fails else (), expect=Expect(end="")
        )
        return play(scenario, self.plan, "ranker", setting(scenario, self.plan, self.traits))

    def begin(self, *, fails):
        self.fails = fails
        state = self.endpoints.observe("ranker")
        self.endpoints.shift("ranker", FIRST, expect=state.token)
        self.told = self.served = Decimal(10)
        self.advance(2 * MINUTE)  # a change takes one on a cloud
        documents.begin(
            self.target.state,
            "ranker",
            lambda name: beginning(name, "ranker", self.plan, self.now, who="ann"),
        )

    def ended(self):
        """The rollout, its history, and what serves."""
        return (
            self.state,
            list(documents.history(self.target.state, self.state)),
            serving_split(self.endpoints.observe("ranker")),
        )

    @property
    def state(self):
        return documents.read(self.target.state, "ranker").state

    def drive(self, is_last):
        """As `drive_process`, in this process: a controller with a target of its own, which sees
        nothing of those before it.
        """
        self.processes += 1
        target = self.place.open()
        target.clock = lambda: self.now

        def reach(what):
            if is_last(point := self.look(what)):
                raise Killed(point)

        def sleep(seconds):
            reach("sleep")
            self.advance(timedelta(seconds=seconds))

        target.calls.before = lambda call: reach(
            f"before {kind(call, target.adapter.name, self.routing)}"
        )
        target.calls.after = lambda call: reach(
            f"after {kind(call, target.adapter.name, self.routing)}"
        )
        try:
            drive(
                ports_of(target),
                "ranker",
                holder=f"driver {self.processes}",
                clock=target.clock,
                sleep=sleep,
            )
        except Killed as killed:
            return killed.args[0]
        finally:
            target.close()
        return None

    def drive_process(self, is_last):
        """By a process that is killed at the first point of which this says so; that point.

        None: it came to the end.
        """
        with self.start_process() as process:
            try:
                self.tell_the_time(process)
                for line in process.stdout:
                    what, _, seconds = (
                        line.strip().partition(" ")
                        if line.startswith("sleep")
                        else (line.strip(), "", "")
                    )
                    point = self.look(what)
                    if is_last(point):
                        return point
                    if seconds:
                        self.advance(timedelta(seconds=float(seconds)))
                    self.tell_the_time(process)
            finally:
                process.kill()
        return None

    def start_process(self):
        """One that drives, of a name of its own (driver.py)."""
        self.processes += 1
        profile = msgspec.json.encode(self.place.profile).decode()
        command = [
            sys.executable,
            "-m",
            "isthmus.tests.rollouts.crashes.driver",
            profile,
            f"driver {self.processes}",
            self.routing,
        ]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell_the_time(self, process):
        process.stdin.write(f"{self.now.isoformat()}\n")
        process.stdin.flush()

    def look(self, what):
        """The point as DEATHS has it.

        The traffic never rises above what is durable at that moment.
        """
        state, endpoint = self.state, self.endpoints.observe("ranker")
        intent, (told, served) = (
            state.intent.get("challenger", Decimal(0)),
            (
                split.get("challenger", Decimal(0))
                for split in (target_split(endpoint), serving_split(endpoint))
            ),
        )
        assert told <= max(self.told, intent)
        assert served <= max(self.served, intent)
        self.told, self.served = told, served
        return what, state.phase, told

    def advance(self, span):
        if not self.traits.takes:
            settled(
                self.target
            )  # what starts processes on this machine takes none of the time that is moved here
        minute = floor_minute(self.now)
        self.now += span
        self.script.advance(span)
        while minute + MINUTE <= self.now:
            shares = serving_split(self.endpoints.observe("ranker"))
            self.script.add(
                "ranker",
                [
                    self.sent(variant, minute, percent)
                    for variant, percent in shares.items()
                    if percent
                ],
            )
            minute += MINUTE

    def sent(self, variant, minute, percent):
        requests = int(10 * percent)
        errors = (
            int(requests * ERRORS) if self.fails and (variant, percent) == ("challenger", 50) else 0
        )
        return TrafficMinute(
            variant=variant,
            start=minute,
            requests=requests,
            server_errors=errors,
            latencies_ms=(4.0,),
        )


def decisions(entries):
    return [
        (entry.what, entry.stage, entry.attempt) for entry in entries if entry.what in DECISIONS
    ]


def judged(rollouts, *, fails):
    """It ends as the rollout that nobody cut, and no bake is shorter than it was to be."""
    whole, (state, history, left) = rollouts.expected(fails=fails), rollouts.ended()
    told = "\n".join(
        f"{entry.at:%H:%M:%S} {entry.who} {entry.what} {entry.why}" for entry in history
    )
    assert (state.end, state.stage, state.released) == (whole.state.end, whole.state.stage, True), (
        told
    )
    assert state.handover == whole.state.handover, told
    assert decisions(history) == decisions(whole.entries)
    assert left == whole.state.intent
    moments = {(entry.what, entry.stage): entry.at for entry in history}
    assert moments["step", 2] - moments["bake", 1] >= rollouts.plan.stages[0].bake
    return state.end
