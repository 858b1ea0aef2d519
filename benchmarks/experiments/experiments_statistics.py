"""Count how often each way of looking at an experiment raises a false alarm, covers and finds.

20,000 simulated runs a row, seeds fixed: `python -m benchmarks.experiments.experiments_statistics
[--runs 20000]`. Arms of tests/experiments/statistics/worlds.py: a rate, a ratio of people with
several rows, a
mean, revenue that few bring; each with and without the metric of the time before. What is compared
is the relative difference by `ratio.cautious_points` and `inference.LookSchedule`, as in results.
"""

from __future__ import annotations

import argparse
import math
import time
from datetime import date, timedelta

import numpy as np

from isthmus.experiments.statistics import split
from isthmus.experiments.statistics.inference import LookSchedule, counting_looks
from isthmus.experiments.statistics.ratio import cautious_points, log_ratio, points
from isthmus.experiments.statistics.sample_size import planned_units
from isthmus.experiments.statistics.spending import bounds
from isthmus.experiments.statistics.sums import UnitSums
from isthmus.tests.experiments.statistics.worlds import KINDS, sums, sums_so_far, units

from ..measure import scaled

UNITS, LOOKS, PART = (
    300,
    scaled(20, 4),
    50,
)  # units an arm of one look; looks, and units an arm that each adds
PLANNED = tuple(2 * PART * look for look in range(1, LOOKS + 1))
CHUNK = 1000  # runs at a time
EFFECTS = {
    "rate": 0.23,
    "ratio": 0.1,
    "mean": 0.027,
    "skewed": 0.35,
}  # one look at the end finds them about four times in five


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=scaled(20_000, 4))
    arguments, _ = parser.parse_known_args()
    started = time.process_time()
    single(arguments.runs)
    several(arguments.runs)
    acting(arguments.runs)
    crept(arguments.runs)
    sized(arguments.runs)
    splits(arguments.runs)
    print(f"\n{time.process_time() - started:.0f} CPU s")


def chunks(runs):
    return [min(CHUNK, runs - begun) for begun in range(0, runs, CHUNK)]


def z(control, treatment):
    distance, spread = log_ratio(
        *cautious_points({"control": control, "treatment": treatment}).values()
    )
    return distance / math.sqrt(spread)


def single(runs):
    print(
        f"\n% of {runs:,} A/A tests of {UNITS} units an arm that one look calls (goal: 4.4 "
        "to 5.6; revenue from 3.5)"
    )
    print(
        f"  {'':<8} {'plain':>7} {'before':>7} {'by row':>7}   variance that the time before "
        "takes away"
    )
    for seed, kind in enumerate(KINDS):
        random = np.random.default_rng(100 + seed)
        plain = with_before = rows = 0
        saved = []
        for number in chunks(runs):
            arms = [units(kind, random, number, UNITS) for _ in range(2)]
            plain += called(*(sums(y, d) for y, d, _ in arms))
            pairs = [sums(*arm) for arm in arms]
            with_before += called(*pairs)
            rows += (
                called(*([by_row(arm_sums) for arm_sums in side] for side in pairs))
                if kind == "ratio"
                else 0
            )
            saved += [points({"a": arm_sums})["a"].saved for arm_sums in pairs[0][:50]]
        shown = f"{100 * rows / runs:7.1f}" if kind == "ratio" else f"{'-':>7}"
        print(
            f"  {kind:<8} {100 * plain / runs:7.2f} {100 * with_before / runs:7.2f} {shown}   "
            f"{100 * np.mean(saved):.0f} %"
        )


def called(control, treatment):
    bound = LookSchedule(inference="fixed", units=0).multiple()
    return sum(abs(z(*pair)) > bound for pair in zip(control, treatment, strict=True))


def by_row(totals):
    return UnitSums(
        units=int(totals.d), y=totals.y, d=totals.d, yy=totals.y, yd=totals.y, dd=totals.d
    )


def multiples(inference):
    return np.array(
        [
            LookSchedule(
                inference=inference, units=n, planned=PLANNED[-1], looks=PLANNED[: look + 1]
            ).multiple()
            for look, n in enumerate(PLANNED)
        ]
    )


def several(runs):
    limits = {inference: multiples(inference) for inference in ("fixed", "planned", "always")}
    print(
        f"\n% of {runs:,} runs called at some of {LOOKS} looks, {PART} units an arm each "
        "(A/A goals: planned 6.0, always 5.0 at most)"
    )
    print(f"  {'':<8} {'A/A':^24}   A/B, goal: planned within 3 points of the last look")
    print(
        f"  {'':<8} {'naive':>8}{'planned':>8}{'always':>8}   {'last look':>9} "
        f"{'planned':>8} {'always':>8}"
    )
    for seed, kind in enumerate(KINDS):
        same, other = (walk(kind, runs, effect, 200 + 10 * seed) for effect in (0.0, EFFECTS[kind]))
        cries = {name: 100 * (np.abs(same) > bound).any(1).mean() for name, bound in limits.items()}
        finds = {
            name: 100 * (np.abs(other) > bound).any(1).mean() for name, bound in limits.items()
        }
        last = 100 * (np.abs(other[:, -1]) > limits["fixed"][-1]).mean()
        print(
            f"  {kind:<8} {cries['fixed']:>8.1f}{cries['planned']:>8.2f}{cries['always']:>8.2f}"
            f"   {last:>9.1f} {finds['planned']:>8.1f} {finds['always']:>8.1f}"
        )


def walk(kind, runs, effect, seed):
    """Return z of each run at each look, less what the time before explains."""
    random = np.random.default_rng(seed)
    walks = []
    for number in chunks(runs):
        sides = [
            sums_so_far([units(kind, random, number, PART, effect * side) for _ in range(LOOKS)])
            for side in (0, 1)
        ]
        walks += [[z(*pair) for pair in zip(*run, strict=True)] for run in zip(*sides, strict=True)]
    return np.array(walks)


def acting(runs):
    """Simulate clicks of impressions of units that come look by look and all go on acting.

    The information grows faster than the units.
    """
    print(
        f"\n% of {runs:,} A/A called at some of {LOOKS} planned looks, {PART} new units an "
        "arm each, who all go on acting (goal: 6.0)"
    )
    print(
        f"  {'people':<12} {'as units':>9} {'as known':>9}   part of the information at a "
        "half of the units"
    )
    for seed, (name, likely) in enumerate(
        {"alike": (2000, 8000), "in between": (10, 40), "unlike": (1, 4)}.items()
    ):
        random = np.random.default_rng(600 + seed)
        walks = [
            acted(random, number, likely)
            for number in [min(250, runs - begun) for begun in range(0, runs, 250)]
        ]
        of_z, spreads = (np.concatenate(part) for part in zip(*walks, strict=True))
        true_information = tuple((1 / spreads).mean(0).tolist())
        limits = [
            [
                LookSchedule(
                    inference="planned",
                    units=n,
                    planned=PLANNED[-1],
                    looks=PLANNED[: look + 1],
                    information=information[: look + 1],
                ).multiple()
                for look, n in enumerate(PLANNED)
            ]
            for information in ((), true_information)
        ]
        cries = [100 * (np.abs(of_z) > np.array(limit)).any(1).mean() for limit in limits]
        print(
            f"  {name:<12} {cries[0]:>9.2f} {cries[1]:>9.2f}   "
            f"{true_information[LOOKS // 2 - 1] / true_information[-1]:.2f}"
        )


def acted(random, runs, likely):
    """Return z at each look, and the variance of the logarithms of both rates, of A/A tests."""
    sides = [side_acted(random, runs, likely) for _ in range(2)]
    (control, of_control), (treatment, of_treatment) = (
        (rates, variances) for rates, variances in sides
    )
    spread = of_control / control**2 + of_treatment / treatment**2
    return np.log(treatment / control) / np.sqrt(spread), spread


def side_acted(random, runs, likely):
    """Return one arm's rate and its variance at each look."""
    shape = runs, LOOKS * PART
    clicks, shown, rate = np.zeros(shape), np.zeros(shape), random.beta(*likely, shape)
    looks = []
    for count in range(PART, LOOKS * PART + 1, PART):
        impressions = random.poisson(3, (runs, count))
        shown[:, :count] += impressions
        clicks[:, :count] += random.binomial(impressions, rate[:, :count])
        ratio = clicks.sum(1) / shown.sum(1)
        looks.append((ratio, ((clicks - ratio[:, None] * shown) ** 2).sum(1) / shown.sum(1) ** 2))
    return tuple(np.stack(part, 1) for part in zip(*looks, strict=True))


def crept(runs):
    """Measure what shared bounds cost where somebody looks all the time.

    Looks that add less than 0.1 % of the plan have the bound of the previous look.
    """
    looks = np.arange(500, 10_001, scaled(2, 2_000))
    counted = looks[counting_looks(looks.tolist(), 10_000)] / 10_000
    bound = np.array(bounds(counted.tolist()))[
        np.searchsorted(counted, looks / 10_000, "right") - 1
    ]
    random = np.random.default_rng(300)
    cried = 0
    for number in chunks(runs):
        steps = random.normal(0, 1, (number, len(looks))) * np.sqrt(np.diff(looks, prepend=0))
        cried += (np.abs(steps.cumsum(1)) / np.sqrt(looks) > bound).any(1).sum()
    print(
        f"\n% of {runs:,} A/A called at some of {len(looks):,} looks of a plan, of which "
        f"{len(counted)} count: {100 * cried / runs:.2f}"
    )


def sized(runs):
    print(
        f"\n% of {runs:,} runs of the size that planned_units says, which one look at the "
        "end calls (goal: 78 to 82)"
    )
    for name, shares in {"50 : 50": (50, 50), "80 : 20": (80, 20)}.items():
        random = np.random.default_rng(400)
        control, effect = UnitSums(units=10_000, y=400, d=10_000, yy=400, yd=400, dd=10_000), 0.25
        number = planned_units(control, effect, shares)
        sizes = [round(number * share / sum(shares)) for share in shares]
        outcomes = [
            random.binomial(size, rate, runs).tolist()
            for size, rate in zip(sizes, (0.04, 0.04 * (1 + effect)), strict=True)
        ]
        sides = [
            [row_sums(y, size) for y in side] for side, size in zip(outcomes, sizes, strict=True)
        ]
        print(f"  {name}   {number:,} units   {100 * called(*sides) / runs:.1f}")


def row_sums(y, size):
    return UnitSums(units=size, y=y, d=size, yy=y, yd=y, dd=size)


def splits(runs):
    planned, a_day, days = {"control": 50.0, "treatment": 50.0}, 357, 28
    print(
        f"\n% of {runs:,} splits that are called at some of {days} daily looks, {a_day:,} "
        "units a day (goals: 0.1 at most; 65 at least), and at one look at the end"
    )
    for share in (0.5, 0.48):
        arrivals = np.random.default_rng(500).binomial(a_day, share, (runs, days))
        daily = sum(alarmed(run, a_day, planned) for run in arrivals.tolist())
        counts = arrivals.sum(1)
        at_end = np.abs(counts - a_day * days / 2) > 3.2905 * math.sqrt(a_day * days) / 2
        print(
            f"  {100 * share:g} for 50   {100 * daily / runs:.2f}   one look: "
            f"{100 * at_end.mean():.2f}"
        )


def alarmed(run, a_day, planned):
    """Return whether a run is called at some of its daily looks."""
    days = [
        (date(2026, 1, 1) + timedelta(day), {"control": came, "treatment": a_day - came})
        for day, came in enumerate(run)
    ]
    control = np.cumsum(run).tolist()
    by_odds = any(
        split.check({"control": n, "treatment": a_day * day - n}, planned).alarm
        for day, n in enumerate(control, 1)
    )
    total = {"control": control[-1], "treatment": a_day * len(run) - control[-1]}
    return by_odds or split.check(total, planned, days=days).alarm


if __name__ == "__main__":
    main()
