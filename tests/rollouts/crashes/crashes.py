"""A whole rollout with one controller killed, or stopped while another goes on, at one of its
calls. The monitor judges.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import msgspec
from msgspec.structs import replace

from isthmus.project.specs.description import Hold, RolloutStep
from isthmus.rollouts.state import documents

from ..monitor import Monitor
from ..scene import FAILING, MINUTE, Scene, plan
from .simulation import EFFECTS, Killed

EVERY = timedelta(seconds=20)
WAYS = {"killed before": None, "killed after": None, "stopped 100 s": 100, "stopped 290 s": 290}
SCENARIOS = ("good", "fails in step 2", "aborted by a person in step 1", "no data", "handed over")
DECISIONS = (
    "step",
    "held",
    "data",
    "waiting",
    "asked",
    "promoted",
    "alias",
    "handed",
    "abort",
    "aborted",
    "drift",
    "corrected",
    "bake",
    "late",
)


class Play:
    """One run.

    `point`: the number of the changing call of controller "a" that is cut; None: none is, and all
    are counted.
    """

    def __init__(self, traits, scenario, *, point=None, way=""):
        self.scenario, self.point, self.way = scenario, point, way
        bake = traits.metrics_delay + 3 * MINUTE
        stages = tuple(replace(stage, bake=bake) for stage in plan(traits).stages[:2])
        self.scene = Scene(
            traits,
            stages=(*stages, RolloutStep(traffic=Decimal(100), bake=bake)),
            on_no_data=Hold(hold=5 * MINUTE),
            remove_old=2 * MINUTE if scenario == "handed over" else 60 * MINUTE,
        )
        self.world = self.scene.world
        self.traits, self.violations, self.passed = traits, [], 0
        self.points = []  # what is done at each point, and in which phase
        self.monitor = Monitor(self)
        self.monitor.state = self.scene.state
        self.holders = ["a"] if way.startswith("killed") else ["a", "b"]
        self.scripted = False
        for holder in "abc":
            self.wire(holder)

    def wire(self, holder):
        calls, process = self.scene.calls(holder), SimpleNamespace(saw=0, served={}, holder=holder)

        def reading(call):
            if call.operation == "endpoints.observe":
                process.saw, process.served = self.monitor.changes, self.world.shares()

        def before(call):
            if holder == "a":
                self.cut(call, "before")
            self.monitor.before()

        def after(call):
            self.monitor.after(call, process)
            if holder == "a":
                self.cut(call, "after")

        calls.listeners.append(reading)
        calls.before, calls.after = before, after

    def cut(self, call, when):
        if when == "before":
            kind = call.resource.split("/")[-2] if "/history/" in call.resource else call.operation
            kind = "split" if call.resource == "split/ranker" else kind
            self.points.append(
                (
                    self.monitor.state.phase,
                    self.monitor.state.stage,
                    self.monitor.state.handover,
                    call.operation,
                    kind,
                )
            )
        if self.point is None or len(self.points) - 1 != self.point or self.passed:
            return
        if self.way.startswith("killed") and self.way.endswith(when):
            self.passed = 1
            self.holders = ["c"]
            raise Killed
        if self.way.startswith("stopped"):
            self.passed = 1
            self.holders = ["b"]
            end = self.world.now() + timedelta(seconds=WAYS[self.way])
            while self.world.now() < end:
                self.step()
            self.holders = ["a", "b"]

    def play(self):
        end = self.world.now() + timedelta(hours=4)
        while not self.over() and self.world.now() < end:
            self.step()
        self.monitor.finish()
        return self

    def over(self):
        state = self.monitor.state
        if self.scenario == "good" and state.phase == "promoted":
            return (
                state.alias == "moved"
                and not state.outbox
                and self.world.now() > state.bake_from + 5 * MINUTE
            )
        return state.released and not state.outbox

    def step(self):
        self.happen()
        for holder in tuple(self.holders):
            if holder in self.holders:
                self.look(holder)
        self.world.advance(EVERY)
        self.monitor.passing()

    def look(self, holder):
        try:
            while self.scene.look(holder).again:
                continue
        except Killed:
            return

    def happen(self):
        """The scenario, by the clock of the bake that it is about."""
        state = self.monitor.state
        if self.scripted or state.bake_from is None:
            return
        if self.scenario == "fails in step 2" and state.stage == 2:
            self.world.clock.schedule(
                state.bake_from + MINUTE, lambda: self.world.behave("challenger", FAILING)
            )
        elif self.scenario == "no data" and state.stage == 2:
            self.world.outage = True
        elif (
            self.scenario == "aborted by a person in step 1"
            and self.world.now() >= state.bake_from + MINUTE
        ):
            self.scene.wish("abort")
        else:
            return
        self.scripted = True

    def broken(self, promise, what):
        self.violations.append(
            f"{self.traits.name}, {self.scenario}, {self.way} at {self.point}: {promise}: {what}"
        )

    @property
    def decisions(self):
        history = documents.history(self.scene.store, self.monitor.state)
        return [
            (entry.what, entry.stage, entry.attempt) for entry in history if entry.what in DECISIONS
        ]

    @property
    def outcome(self):
        state = self.monitor.state
        return state.phase, state.end, state.handover, self.scene.serving, self.scene.aliases


class Matrix(msgspec.Struct, frozen=True):
    points: int
    runs: int
    # runs in which a call came late on a target without a fence, was seen, and its bake begun anew
    late: int
    broken: tuple[str, ...]


def matrix(traits, scenario, cuts):
    """`cuts(points)`: which (way, point) to run, of the points of a run that is not cut."""
    whole = Play(traits, scenario).play()
    broken, runs, late = list(whole.violations), 0, 0
    for way, point in cuts(whole.points):
        played = Play(traits, scenario, point=point, way=way).play()
        runs += played.passed
        broken += played.violations
        where = f"{traits.name}, {scenario}, {way} at {point} {whole.points[point]}"
        if not played.passed and way != "killed after":  # a call that raises has no after
            broken.append(f"{where}: it was never cut")
        if played.outcome != whole.outcome:
            broken.append(f"{where}: ends {played.outcome}, not {whole.outcome}")
        if played.decisions == whole.decisions:
            continue
        may_be_late = (
            not traits.fenced and way.startswith("stopped") and whole.points[point][-1] in EFFECTS
        )
        late += may_be_late
        if not may_be_late or without_late(played.decisions) != without_late(whole.decisions):
            broken.append(f"{where}: decided {played.decisions}, not {whole.decisions}")
    return Matrix(len(whole.points), runs, late, tuple(broken))


def without_late(decisions):
    """What was decided, without the bakes that a late call began anew: nobody can tell it from
    somebody else's change.
    """
    return list(
        dict.fromkeys(
            (what, stage)
            for what, stage, _attempt in decisions
            if what not in ("drift", "corrected", "late")
        )
    )


def every_cut(points):
    return [(way, point) for way in WAYS for point in range(len(points))]


def one_cut_each(turn):
    """The first point of a kind (what is done, in which phase of which step), each in one way;
    `turn` says which.
    """

    def cuts(points):
        firsts = [points.index(kind) for kind in dict.fromkeys(points)]
        ways = tuple(WAYS)
        return [(ways[(turn + number) % len(ways)], point) for number, point in enumerate(firsts)]

    return cuts
