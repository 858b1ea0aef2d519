"""How often a monitor of units finds a model that teaches itself, and how often it cries where
there is nothing; seeds fixed.

`python -m benchmarks.experiments.monitors [--worlds 200] [--visitors 8000]`. Worlds of
tests/experiments/monitors/feedback_world.py; a version's window goes
through units.rows, as a look does.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from isthmus.project.specs.monitors import Alarms
from isthmus.tests.experiments.monitors.feedback_world import KINDS, VERSIONS, alarms, windows

from ..measure import scaled

SEED = 20261126
ALARM = Alarms(satisfied_ratio=0.8, mix_drift=0.05)
SHOWN = scaled(10, 1)  # worlds whose figures are told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", type=int, default=scaled(200, 1))
    parser.add_argument("--visitors", type=int, default=scaled(8_000, 400))
    arguments, _ = parser.parse_known_args()
    started = time.process_time()
    for title, world in (("each likes its own kind", {}), ("all like all", {"liking": 0.0})):
        told(title, arguments.visitors, world)
        print_alarms(title, arguments.worlds, arguments.visitors, world)
    print(f"\n{time.process_time() - started:.0f} CPU s")


def random_of(number):
    return np.random.default_rng((SEED, number))


def told(title, visitors, world):
    print(
        f"\n{title}: satisfied few / many, and the many of all, by version (mean of {SHOWN} "
        "worlds, then lowest .. highest)"
    )
    many, few = KINDS
    seen = [list(windows(random_of(number), visitors=visitors, **world)) for number in range(SHOWN)]
    for version in range(VERSIONS):
        ratios = [
            (of[few][1] / of[few][0]) / (of[many][1] / of[many][0])
            for of in (windows_[version] for windows_ in seen)
        ]
        shares = [
            of[many][0] / (of[many][0] + of[few][0])
            for of in (windows_[version] for windows_ in seen)
        ]
        print(
            f"  {version + 1}   {ranged(ratios, 2)}   "
            f"{ranged([100 * share for share in shares], 1)} %"
        )


def ranged(values, digits):
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})"


def print_alarms(title, worlds, visitors, world):
    seen = [
        alarms(random_of(number), ALARM, visitors=visitors, **world) for number in range(worlds)
    ]
    by = {
        (figure, version): sum(any(figure in of for of in run[:version]) for run in seen)
        for figure in GOALS
        for version in (2, 3, 6)
    }
    print(f"{title}: worlds of {worlds} with an alarm by the second, third, sixth version")
    for figure, goal in GOALS.items():
        print(
            f"  {figure:<16} {by[figure, 2]:>4} {by[figure, 3]:>4} {by[figure, 6]:>4}   "
            f"{'' if world else goal}"
        )
    print(
        f"  {'either':<16} {sum(any(run) for run in seen):>14}   "
        f"{'goal: at most 2.5 %' if world else ''}"
    )


GOALS = {"satisfied_ratio": "goal: 95 % by the third", "mix_drift": "goal: all by the sixth (95 %)"}

if __name__ == "__main__":
    main()
