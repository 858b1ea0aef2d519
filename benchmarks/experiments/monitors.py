"""Count how often a monitor of units finds a model that teaches itself, and how often it is wrong.

`python -m benchmarks.experiments.monitors [--worlds 200] [--visitors 8000]`, seeds fixed. Worlds of
tests/experiments/monitors/feedback_world.py; a version's window goes through units.rows, as a look
does.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from isthmus.project.specs.monitors import AlarmLimits
from isthmus.tests.experiments.monitors.feedback_world import KINDS, VERSIONS, alarms, windows

from ..measure import scaled

SEED = 20261126
ALARM = AlarmLimits(satisfied_ratio=0.8, mix_drift=0.05)
SHOWN = scaled(10, 1)  # worlds whose figures are printed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", type=int, default=scaled(200, 1))
    parser.add_argument("--visitors", type=int, default=scaled(8_000, 400))
    arguments, _ = parser.parse_known_args()
    started = time.process_time()
    for title, world in (("each likes its own kind", {}), ("all like all", {"liking": 0.0})):
        print_windows(title, arguments.visitors, world)
        print_alarms(title, arguments.worlds, arguments.visitors, world)
    print(f"\n{time.process_time() - started:.0f} CPU s")


def random_of(number):
    return np.random.default_rng((SEED, number))


def print_windows(title, visitors, world):
    print(
        f"\n{title}: satisfied few / many, and the many of all, by version (mean of {SHOWN} "
        "worlds, then lowest .. highest)"
    )
    many, few = KINDS
    worlds = [
        list(windows(random_of(number), visitors=visitors, **world)) for number in range(SHOWN)
    ]
    for version in range(VERSIONS):
        ratios = [
            (window[few][1] / window[few][0]) / (window[many][1] / window[many][0])
            for window in (windows_[version] for windows_ in worlds)
        ]
        shares = [
            window[many][0] / (window[many][0] + window[few][0])
            for window in (windows_[version] for windows_ in worlds)
        ]
        print(
            f"  {version + 1}   {ranged(ratios, 2)}   "
            f"{ranged([100 * share for share in shares], 1)} %"
        )


def ranged(values, digits):
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})"


def print_alarms(title, worlds, visitors, world):
    alarms_by_world = [
        alarms(random_of(number), ALARM, visitors=visitors, **world) for number in range(worlds)
    ]
    counts = {
        (figure, version): sum(
            any(figure in figures for figures in run[:version]) for run in alarms_by_world
        )
        for figure in GOALS
        for version in (2, 3, 6)
    }
    print(f"{title}: worlds of {worlds} with an alarm by the second, third, sixth version")
    for figure, goal in GOALS.items():
        print(
            f"  {figure:<16} {counts[figure, 2]:>4} {counts[figure, 3]:>4} {counts[figure, 6]:>4} "
            f"  {'' if world else goal}"
        )
    print(
        f"  {'either':<16} {sum(any(run) for run in alarms_by_world):>14}   "
        f"{'goal: at most 2.5 %' if world else ''}"
    )


GOALS = {"satisfied_ratio": "goal: 95 % by the third", "mix_drift": "goal: all by the sixth (95 %)"}

if __name__ == "__main__":
    main()
