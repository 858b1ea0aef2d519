"""Count false alarms of tests whose arms are unequal and whose units are very unlike.

`python -m benchmarks unequal_arms [--runs 4000]`. Every row is one look at arms that are alike: how
often the treatment is called worse, and better, in percent of all tests. What is called goes by
`ratio.compare` and `verdict.side`, as in results; "own" is what each arm's own variance alone would
say. Then tests of arms that differ: how often the interval misses the truth, and what is found.
Seeds are fixed. It fails where a side is called in more than 2.5 %, by four standard errors.
"""

from __future__ import annotations

import argparse
import math
import time
from functools import partial

import numpy as np

from isthmus.experiments.statistics.ratio import Z, compare, difference, points
from isthmus.experiments.statistics.verdict import side
from isthmus.tests.experiments.statistics.skewed_worlds import WORLDS, amounts, ratios, shares

from ..measure import SMALL, scaled

PROMISE = 0.025  # to each side
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
TREATED = (0.5, 0.1, 0.01)
LEAST = 100  # units of an arm
SLOW = 1_000  # runs of worlds that are drawn unit by unit, from MANY units on
MANY = 30_000
_MEAN = {sigma: math.exp(sigma**2 / 2) for sigma in (1.0, 1.5)}
_REVENUE = partial(amounts, buyers=0.2, sigma=1.5)
# control, treatment, the true ratio
DIFFERENT = {
    "20 % more buyers": (_REVENUE, partial(amounts, buyers=0.24, sigma=1.5), 1.2),
    "20 % fewer buyers": (_REVENUE, partial(amounts, buyers=0.16, sigma=1.5), 0.8),
    "20 % larger amounts": (_REVENUE, partial(_REVENUE, times=1.2), 1.2),
    "20 % smaller amounts": (_REVENUE, partial(_REVENUE, times=0.8), 0.8),
    "5 % that buy: 20 % more": (partial(shares, share=0.05), partial(shares, share=0.06), 1.2),
    "the same mean, amounts less unlike": (
        _REVENUE,
        partial(amounts, buyers=0.2, sigma=1.0, times=_MEAN[1.5] / _MEAN[1.0]),
        1.0,
    ),
    "the same mean, amounts more unlike": (
        partial(amounts, buyers=0.2, sigma=1.0, times=_MEAN[1.5] / _MEAN[1.0]),
        _REVENUE,
        1.0,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=scaled(4000, 40))
    arguments, _ = parser.parse_known_args()
    started = time.process_time()
    beyond = alike(arguments.runs)
    different(arguments.runs)
    print(f"\n{time.process_time() - started:.0f} CPU s")
    if beyond and not SMALL:
        raise SystemExit(f"called too often: {', '.join(beyond)}")


def sizes():
    for total in SIZES:
        for treated in TREATED:
            if round(total * treated) >= LEAST:
                yield total - round(total * treated), round(total * treated)


def alike(runs):
    """Print the rate of false alarms of each world and size; return the rows beyond the promise."""
    beyond = []
    print(f"\n% of {runs:,} tests of arms that are alike, one look (goal: 2.5 to each side)")
    print(f"  {'':<66}{'own':^14} {'as decided':^14}{'compared':>9}")
    print(f"  {'':<44}{'units':>20}  {'worse':>6} {'better':>6}  {'worse':>6} {'better':>6}")
    for seed, (name, world) in enumerate(WORLDS.items()):
        for control, treatment in sizes():
            number = min(runs, SLOW) if world.func is ratios and control >= MANY / 2 else runs
            random = np.random.default_rng([700 + seed, control, treatment])
            pairs = drawn(random, number, (world, control), (world, treatment))
            own = rates([own_side(*pair) for pair in pairs])
            sides = [decided(*pair) for pair in pairs]
            called = rates(sides)
            limit = PROMISE + 4 * math.sqrt(PROMISE * (1 - PROMISE) / number)
            if max(called) > limit:
                beyond.append(f"{name}, {control:,} : {treatment:,}")
            none = sum(compare(*pair, "fixed") is None for pair in pairs)
            print(
                f"  {name:<44}{f'{control:,} : {treatment:,}':>20}  {100 * own[0]:>6.2f} "
                f"{100 * own[1]:>6.2f}  {100 * called[0]:>6.2f} {100 * called[1]:>6.2f} "
                f"{100 * (1 - none / number):>6.0f} %",
                flush=True,
            )
    return beyond


def different(runs):
    """Print how often the interval of arms that differ lies below or above the truth, and finds."""
    print(f"\n% of {runs:,} tests of arms that differ, one look (goal of a miss: 2.5 to each side)")
    print(f"  {'':<56}{'own':^22} {'as decided':^22}")
    heads = f"{'below':>6} {'above':>6} {'found':>6}"
    print(f"  {'':<36}{'units':>18}  {heads}   {heads}")
    for seed, (name, (of_control, of_treatment, truth)) in enumerate(DIFFERENT.items()):
        for control, treatment in ((10_000, 10_000), (18_000, 2_000), (99_000, 1_000)):
            random = np.random.default_rng([800 + seed, control, treatment])
            pairs = drawn(random, runs, (of_control, control), (of_treatment, treatment))
            own = [difference(*points({"c": c, "t": t}).values(), Z) for c, t in pairs]
            judged = [compare(*pair, "fixed") for pair in pairs]
            columns = "   ".join(" ".join(missed(of, truth, runs)) for of in (own, judged))
            print(f"  {name:<36}{f'{control:,} : {treatment:,}':>18}  {columns}", flush=True)


def missed(differences, truth, runs):
    """Return the shares of intervals below and above the truth, and of those that find a side."""
    relative = [of.relative for of in differences if of is not None]
    below = sum(1 + of.high < truth for of in relative)
    above = sum(1 + of.low > truth for of in relative)
    found = sum(not of.low <= 0 <= of.high for of in relative)
    return [f"{100 * count / runs:>6.2f}" for count in (below, above, found)]


def drawn(random, runs, *arms):
    """Return the sums of both arms of each run; an arm is drawn by a world, of so many units."""
    return list(zip(*(world(random, runs, units) for world, units in arms), strict=True))


def decided(control, treatment):
    return side(compare(control, treatment, "fixed"), "maximise")


def own_side(control, treatment):
    """Return the side by each arm's own variance alone, where there are data at all."""
    if not (control.comparable and treatment.comparable):
        return "open"
    of = points({"control": control, "treatment": treatment})
    return side(difference(of["control"], of["treatment"], Z), "maximise")


def rates(sides):
    return sides.count("worse") / len(sides), sides.count("better") / len(sides)


if __name__ == "__main__":
    main()
