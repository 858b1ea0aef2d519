"""Run rollouts in random weather: no promise is broken.

Without one of the engine's precautions one is. Then measure what a look costs. `--steps N`: looks
of controllers (default 20,000; 100,000 take a minute). Episode n has the seed n.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from isthmus.lifecycle.rehearsal.places import Cloud, Place
from isthmus.rollouts.controller import EVERY, LookResult, look
from isthmus.rollouts.observation import is_due, observe
from isthmus.rollouts.rehearsal.rehearse import plan_of
from isthmus.rollouts.rehearsal.scenario import Expect, Scenario
from isthmus.rollouts.rehearsal.target_setting import TargetSetting
from isthmus.rollouts.state import documents
from isthmus.rollouts.state.documents import Stored
from isthmus.rollouts.state.planning import beginning
from isthmus.rollouts.state.states import RolloutState
from isthmus.rollouts.tick import tick
from isthmus.rollouts.world import traits_of
from isthmus.target import Call, Target
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.rollouts.crashes.mutants import MUTANTS, mutated
from isthmus.tests.rollouts.crashes.simulation import Weather, episode
from isthmus.tests.rollouts.genuine import deployed, laptop, sagemaker
from isthmus.tests.rollouts.scenario_files import ENDPOINT, ROLLOUT
from isthmus.tests.rollouts.scene import LOCAL, SAGEMAKER, Scene
from isthmus_stack.core.calls import StackCall

from ..measure import Line, latencies, scaled, table

EPISODES = scaled(1_000, 1)  # of a mutant, at most
ENOUGH = 5  # rollouts in which it was seen
MINUTES = scaled(20, 1)  # of a bake, each looked at once it has settled


def main() -> None:
    parser = argparse.ArgumentParser(prog="rollouts")
    parser.add_argument("--steps", type=int, default=scaled(20_000, 100))
    options, _ = parser.parse_known_args()
    weather(options.steps)
    precautions()
    costs()
    looks()


def weather(steps: int) -> None:
    counts: Counter[str] = Counter()
    promises: Counter[str] = Counter()
    late, looks, episodes = timedelta(0), 0, 0
    started = time.perf_counter()
    while looks < steps:
        played: Weather = episode(episodes)
        episodes, looks = episodes + 1, looks + played.looks
        counts += played.monitor.counts
        late = max(late, played.monitor.late)
        promises += Counter(violation.promise for violation in played.violations)
        for violation in played.violations:
            print(f"  seed {episodes - 1}: {violation.promise}: {violation.what}")
    lines = [Line(name="looks", value=f"{looks:,}"), Line(name="rollouts", value=f"{episodes:,}")]
    lines += [Line(name=name, value=f"{count:,}") for name, count in sorted(counts.items())]
    lines += [
        Line(
            name="late raises where none is fenced: the longest, all asleep",
            value=f"{late.total_seconds():.0f} s",
        ),
        Line(name="promises broken", value=f"{promises.total()}", goal="goal: 0"),
    ]
    table(f"rollouts in random weather, {time.perf_counter() - started:.0f} s", lines)


def precautions() -> None:
    lines = []
    for name in MUTANTS:
        broken: Counter[str] = Counter()
        caught = seed = 0
        with mutated(name):
            while caught < ENOUGH and seed < EPISODES:
                played = episode(seed, looks=150)
                seed += 1
                caught += bool(played.violations)
                broken += Counter(violation.promise for violation in played.violations)
        most = broken.most_common(1)[0][0] if broken else "nothing"
        lines.append(Line(name=name, value=f"{caught} of {seed} rollouts", goal=most))
    table(
        "without one of the precautions: rollouts in which it was seen, and what was broken", lines
    )


def costs() -> None:
    lines = []
    for traits in (LOCAL, SAGEMAKER):
        scene = Scene(traits)
        state = scene.until("baking", 2)
        scene.world.advance(timedelta(minutes=10) + traits.metrics_delay)
        observation = observe(scene.ports(), state, scene.world.now()).observation
        p50, p99 = latencies(
            partial(tick, state, observation, scene.world.now(), holder="a"), calls=scaled(500, 10)
        )
        lines.append(
            Line(
                name=f"{traits.name}: a tick with new minutes, p50 / p99",
                value=f"{p50:.3f} / {p99:.3f} ms",
            )
        )
        scene.run(1)
        state = scene.state
        p50, p99 = latencies(
            partial(tick, state, observation, scene.world.now(), holder="a"),
            calls=scaled(2_000, 10),
        )
        lines.append(
            Line(
                name=f"{traits.name}: a tick with nothing new, p50 / p99",
                value=f"{p50:.3f} / {p99:.3f} ms",
            )
        )
        while scene.look().again:
            continue
        calls = len(scene.calls().calls)
        scene.look()
        lines.append(
            Line(
                name=f"{traits.name}: port calls of a look with nothing new",
                value=f"{len(scene.calls().calls) - calls}",
                goal="goal: 3",
            )
        )
    table("what the engine costs, in the scripted world", lines)


def looks() -> None:
    """Measure looks of the whole controller, in a bake on genuine adapters.

    Beside it 600 scripted requests a minute come.
    """
    lines: list[Line] = []
    for kind in scaled((laptop, sagemaker), (laptop,)):
        with TemporaryDirectory() as folder, Baking(kind(Path(folder))).going_on() as baking:
            name = "this machine" if kind is laptop else "SageMaker's stack"
            goals = ("50 ms", "50 ms") if kind is laptop else ("3 calls", "4 calls")
            milliseconds = [baking.milliseconds_of_a_new_minute() for _ in range(MINUTES)]
            baking.next_minute()
            new = baking.calls()
            baking.settle()
            p50, p99 = latencies(baking.look, calls=scaled(100, 10))
            none = baking.calls()
            lines += [
                Line(
                    name=f"{name}: no new minute, p50 / p99",
                    value=f"{p50:.1f} / {p99:.1f} ms",
                    goal=f"goal: {goals[0]}; {none}",
                ),
                Line(
                    name=f"{name}: a new minute, median / longest",
                    value=f"{median(milliseconds):.1f} / {max(milliseconds):.1f} ms",
                    goal=f"goal: {goals[1]}; {new}",
                ),
            ]
    table("one look at a rollout that bakes, of 600 requests a minute, on genuine adapters", lines)


class Baking:
    """A rollout in a long bake, and a controller that looks at it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.deployment = deployed(place)
        steps = tuple(replace(step, bake=timedelta(hours=2)) for step in ROLLOUT.steps)
        plan = plan_of(replace(ROLLOUT, steps=steps), ENDPOINT, traits_of(self.deployment))
        scenario = Scenario(name="looks", rollout="ranker", expect=Expect(end="promoted"))
        start = place.start(plan.advance)
        self.setting = TargetSetting(
            scenario, "ranker", self.open, start=start, rollback=place.rollback
        )
        self.ports = self.setting.ports()
        self.remembered: Stored | None = None
        documents.begin(
            self.ports.state,
            "ranker",
            lambda name: beginning(name, "ranker", plan, start, who="ann"),
        )
        while not self.state.checks:
            self.settle()
            self.setting.advance(timedelta(seconds=10))

    def open(self) -> Target:
        self.opened = self.place.open()
        return self.opened

    def look(self) -> LookResult:
        result = look(
            self.ports, "ranker", holder="a", clock=self.setting.now, remembered=self.remembered
        )
        self.remembered = result.stored
        return result

    def settle(self) -> None:
        while self.look().again:
            continue

    def next_minute(self) -> None:
        """Move to a minute that has settled and that nobody has looked at.

        A controller looks every ten seconds.
        """
        self.settle()
        while not is_due(self.state, self.setting.now()):
            self.settle()
            self.setting.advance(EVERY)

    @property
    def state(self) -> RolloutState:
        stored = documents.read(self.ports.state, "ranker")
        assert stored is not None
        return stored.state

    def milliseconds_of_a_new_minute(self) -> float:
        self.next_minute()
        started = time.perf_counter()
        self.look()
        return (time.perf_counter() - started) * 1e3

    def calls(self) -> str:
        """Return what a look asks for, in order.

        Those are the provider's operations as the stack logs them; on this machine the ports'.
        """
        calls_before = len(self.log)
        self.look()
        operations = [call.operation for call in self.log[calls_before:]]
        return f"{len(operations)} calls: {', '.join(operations)}"

    @property
    def log(self) -> Sequence[Call | StackCall]:
        return (
            self.place.stack.calls() if isinstance(self.place, Cloud) else self.opened.calls.calls
        )

    @contextmanager
    def going_on(self) -> Generator[Baking]:
        try:
            yield self
        finally:
            self.setting.close()
            remove_endpoints(self.deployment)
            self.deployment.close()


if __name__ == "__main__":
    main()
