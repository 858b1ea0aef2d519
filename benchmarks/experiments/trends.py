"""Count how often results say that an effect changes, where it does not and where it does.

Simulated units, seeds fixed: `python -m benchmarks trends [--runs 2000]`. Clicks of impressions and
log-normal revenue over 14 days; each unit's taste lasts, or drifts at its own pace (its logarithm
by a normal slope of 0.2 a day). The statistics are those of results; the units' influences, which
there come from a query, are added up by NumPy.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from itertools import count, product

import numpy as np

from isthmus.tests.experiments.statistics.drifting import KINDS, calls, units

from ..measure import scaled

DAYS, CHUNK, DRIFT = 14, 50, 0.2
FADING = {"no effect": 0.0, "+20 % always": 0.2} | {
    f"+{first} % fades in 14 days": np.linspace(first / 100, 0, DAYS) for first in (20, 50, 100)
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=scaled(2_000, 4))
    arguments, _ = parser.parse_known_args()
    runs, started = arguments.runs, time.process_time()
    goal = 5 + 400 * math.sqrt(0.05 * 0.95 / runs)
    print(
        f"\n% of {runs:,} runs in which the effect is said to change (goal without a change: 5, so "
        f"{goal:.1f} at most), and as if days were independent"
    )
    print(f"  {'':<64} {'now':>6} {'before':>8}")
    seeds = count(20261203)
    for kind, number, staggered, drift in product(KINDS, (500, 2000), (False, True), (0, DRIFT)):
        same = "no effect" if drift else "+20 % always"
        row(next(seeds), runs, World(kind, number, staggered, drift), same)
    for number, drift, effect in product((500, 2000), (0, DRIFT), list(FADING)[2:]):
        row(next(seeds), runs, World("ratio", number, False, drift), effect)
    print(f"\n{time.process_time() - started:.0f} CPU s")


def row(seed, runs, world, effect):
    random = np.random.default_rng(seed)
    shown = []
    for chunk in [min(CHUNK, runs - begun) for begun in range(0, runs, CHUNK)]:
        shape = chunk, world.units, DAYS
        shown.append(calls(*(world.arm(random, shape, of_arm) for of_arm in (0.0, FADING[effect]))))
    now, was = 100 * np.concatenate(shown).mean(0)
    name = (
        f"{world.kind}, {world.units:,} an arm{', come on all days' if world.staggered else ''}"
        f"{', drift' if world.drift else ''}: {effect}"
    )
    print(f"  {name:<64} {now:>6.1f} {was:>8.1f}", flush=True)


@dataclass(frozen=True)
class World:
    kind: str
    units: int  # of an arm
    staggered: bool
    drift: float

    def arm(self, random, shape, effect):
        return units(
            self.kind,
            random,
            shape,
            drift=self.drift,
            effect=effect,
            staggered=self.staggered,
        )


if __name__ == "__main__":
    main()
