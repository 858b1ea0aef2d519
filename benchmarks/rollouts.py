"""Rollouts in random weather: no promise is broken; and without one of the engine's precautions it is. Then what looks cost.

`--steps N`: looks of controllers (default 20,000; 100,000 take a minute). Episode n has the seed n.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from datetime import timedelta

from isthmus.rollouts.observing import observe
from isthmus.rollouts.tick import tick
from isthmus.tests.rollouts.mutants import MUTANTS, mutated
from isthmus.tests.rollouts.scene import LOCAL, SAGEMAKER, Scene
from isthmus.tests.rollouts.simulation import Weather, episode

from .measure import Line, latencies, table

EPISODES = 1_000  # of a mutant, at most
ENOUGH = 5  # rollouts in which it was seen


def main() -> None:
    parser = argparse.ArgumentParser(prog="rollouts")
    parser.add_argument("--steps", type=int, default=20_000)
    options, _ = parser.parse_known_args()
    weather(options.steps)
    precautions()
    costs()


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
        Line(name="late raises where none is fenced: the longest, all asleep", value=f"{late.total_seconds():.0f} s"),
        Line(name="promises broken", value=f"{promises.total()}", goal="goal: 0"),
    ]
    table(f"rollouts in random weather, {time.perf_counter() - started:.0f} s", lines)


def precautions() -> None:
    lines = []
    for name in MUTANTS:
        seen: Counter[str] = Counter()
        caught = seed = 0
        with mutated(name):
            while caught < ENOUGH and seed < EPISODES:
                played = episode(seed, looks=150)
                seed += 1
                caught += bool(played.violations)
                seen += Counter(violation.promise for violation in played.violations)
        most = seen.most_common(1)[0][0] if seen else "nothing"
        lines.append(Line(name=name, value=f"{caught} of {seed} rollouts", goal=most))
    table("without one of the precautions: rollouts in which it was seen, and what was broken", lines)


def costs() -> None:
    lines = []
    for traits in (LOCAL, SAGEMAKER):
        scene = Scene(traits)
        state = scene.until("baking", 2)
        scene.world.advance(timedelta(minutes=5))
        seen = observe(scene.ports(), state, scene.world.now()).seen
        p50, p99 = latencies(lambda: tick(state, seen, scene.world.now(), holder="a"), calls=500)  # noqa: B023  called at once
        lines.append(Line(name=f"{traits.name}: a tick with new minutes, p50 / p99", value=f"{p50:.3f} / {p99:.3f} ms"))
        scene.run(1)
        state = scene.state
        p50, p99 = latencies(lambda: tick(state, seen, scene.world.now(), holder="a"), calls=2_000)  # noqa: B023
        lines.append(Line(name=f"{traits.name}: a tick with nothing new, p50 / p99", value=f"{p50:.3f} / {p99:.3f} ms"))
        scene.look()
        calls = len(scene.calls().calls)
        scene.look()
        lines.append(
            Line(name=f"{traits.name}: port calls of a look with nothing new", value=f"{len(scene.calls().calls) - calls}", goal="goal: 3")
        )
    table("what the engine costs, in the scripted world", lines)


if __name__ == "__main__":
    main()
