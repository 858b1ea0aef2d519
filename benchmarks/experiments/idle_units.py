"""Count false alarms of tests in which robots see far more than people, and do nothing, or click.

`python -m benchmarks idle_units [--runs 4000]`. Both arms are alike: people, and a share of robots,
drawn at random, whose impressions are exponential. Every row is a share of tests with any call, of
one look at its end, and of 20 looks of a plan at equal steps. Seeds are fixed. It fails where one
look calls more than 5 %, or 20 looks more than 6 %, by four standard errors.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np

from isthmus.experiments.statistics.inference import ONCE, Horizon
from isthmus.experiments.statistics.ratio import are_comparable, cautious_points, difference
from isthmus.experiments.statistics.verdict import side
from isthmus.tests.experiments.statistics.worlds import sums_so_far

from ..measure import scaled

LOOKS = scaled(20, 4)
# share of robots, their mean impressions, the share of these that they click, units an arm
ROBOTS = (
    (0.0, 1, 0.0, 1000),
    (0.02, 40, 0.0, 1000),
    (0.02, 400, 0.0, 1000),
    (0.002, 1000, 0.0, 1000),
    (0.002, 10_000, 0.0, 1000),
    (0.02, 40, 0.0, 10_000),
    (0.002, 1000, 0.0, 10_000),
    (0.02, 40, 0.5, 1000),
    (0.002, 1000, 0.5, 1000),
    (0.002, 1000, 0.5, 10_000),
)
CHUNK = 2_000_000  # units at a time


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=scaled(4000, 20))
    runs = parser.parse_known_args()[0].runs
    started, beyond = time.process_time(), []
    print(f"\n% of {runs:,} tests of arms that are alike that are called (goals: 5.0; 6.0)")
    print(
        f"  {'robots':>7} {'impressions':>12} {'clicks':>7} {'units an arm':>13} "
        f"{'one look':>9} {'20 looks':>9} {'compared at the end':>20}"
    )
    for seed, (share, seen, clicks, number) in enumerate(ROBOTS):
        random = np.random.default_rng(900 + seed)
        multiples = [
            Horizon(
                inference="planned",
                units=units,
                planned=2 * number,
                looks=tuple(2 * number * at // LOOKS for at in range(1, look + 1)),
            ).multiple()
            for look in range(1, LOOKS + 1)
            for units in (2 * number * look // LOOKS,)
        ]
        once = often = compared = 0
        for begun in range(0, runs, step := max(1, CHUNK // number)):
            size = min(step, runs - begun)
            arms = [
                sums_so_far(
                    [
                        visitors(random, (size, number // LOOKS), share, seen, clicks)
                        for _ in range(LOOKS)
                    ]
                )
                for _ in range(2)
            ]
            for looks in zip(*arms, strict=True):
                pairs = list(zip(*looks, strict=True))
                often += any(
                    called(*pair, multiple) for pair, multiple in zip(pairs, multiples, strict=True)
                )
                last = called(*pairs[-1], ONCE.multiple())
                once += bool(last)
                compared += last is not None
        for name, count, promise in (("one look", once, 0.05), ("looks", often, 0.06)):
            if count > runs * promise + 4 * math.sqrt(runs * promise * (1 - promise)):
                beyond.append(f"{name} with {share:.1%} robots of {seen:,}")
        print(
            f"  {share:>7.1%} {seen:>12,} {clicks:>7.0%} {number:>13,} {100 * once / runs:>9.2f} "
            f"{100 * often / runs:>9.2f} {100 * compared / runs:>18.0f} %",
            flush=True,
        )
    print(f"\n{time.process_time() - started:.0f} CPU s")
    if beyond:
        raise SystemExit(f"called too often: {', '.join(beyond)}")


def visitors(random, shape, share, seen, clicks):
    """Return clicks and impressions of units, of which a share are robots."""
    shown = 1 + random.poisson(2, shape)
    clicked = random.binomial(shown, random.beta(2, 18, shape))
    robot = random.random(shape) < share
    many = np.ceil(random.exponential(seen, shape)).astype(np.int64)
    return (
        np.where(robot, random.binomial(many, clicks), clicked) + 0.0,
        np.where(robot, many, shown) + 0.0,
    )


def called(control, treatment, multiple):
    """Return whether a side is called; None: the arms are not compared."""
    by_arm = cautious_points({"control": control, "treatment": treatment})
    pair = by_arm["control"], by_arm["treatment"]
    if not are_comparable(list(zip((control, treatment), pair, strict=True))):
        return None
    return side(difference(*pair, multiple), "maximise") != "open"


if __name__ == "__main__":
    main()
