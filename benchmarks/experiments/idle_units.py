"""Count false alarms of tests in which robots see far more than people, and do nothing, or click.

`python -m benchmarks idle_units [--runs 4000]`. The same simulated units are judged three times:
all of them, without those above a generous `drop_above`, and without those above a tight one.

The first table: both arms are alike, people and a share of robots, drawn at random, whose
impressions are exponential. Every figure is a share of tests with any call, of one look at its end,
and of 20 looks of a plan at equal steps. In rows that `grow`, units go on acting at later looks, so
that robots are told only after a while, and are then taken out of what was counted.

The second table: what a limit costs where there are no robots, but people of whom some see
hundreds of times as much as others.

Seeds and limits are fixed. It fails where, with the tight limit, one look calls more than 5 %, or
20 looks more than 6 %, by four standard errors.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
from msgspec.structs import replace

from isthmus.experiments.statistics.inference import ONCE, LookSchedule
from isthmus.experiments.statistics.ratio import (
    are_comparable,
    cautious_points,
    difference,
    information,
)
from isthmus.experiments.statistics.verdict import side
from isthmus.tests.experiments.statistics.worlds import sums, sums_so_far

from ..measure import scaled

LOOKS = scaled(20, 4)
GENEROUS, TIGHT = 1000, 20
LIMITS = (None, GENEROUS, TIGHT)
# share of robots, their mean impressions, the share of these that they click, units an arm, grow
ROBOTS = (
    (0.0, 1, 0.0, 1000, False),
    (0.02, 40, 0.0, 1000, False),
    (0.02, 400, 0.0, 1000, False),
    (0.002, 1000, 0.0, 1000, False),
    (0.002, 10_000, 0.0, 1000, False),
    (0.02, 40, 0.0, 10_000, False),
    (0.002, 1000, 0.0, 10_000, False),
    (0.02, 40, 0.5, 1000, False),
    (0.002, 1000, 0.5, 1000, False),
    (0.002, 1000, 0.5, 10_000, False),
    (0.02, 400, 0.0, 1000, True),
    (0.02, 400, 0.5, 1000, True),
)
# what the treatment does to each click's chance, and to the number of impressions
TREATMENTS = ((1.0, 1.0), (1.1, 1.0), (1.0, 1.2), (1.0, 2.0))
HEAVY_UNITS = scaled(5000, 500)  # an arm
CHUNK = 2_000_000  # units at a time


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=scaled(4000, 20))
    runs = parser.parse_known_args()[0].runs
    started = time.process_time()
    beyond = false_alarms(runs)
    costs(runs)
    print(f"\n{time.process_time() - started:.0f} CPU s")
    if beyond:
        raise SystemExit(f"called too often: {', '.join(beyond)}")


def false_alarms(runs: int) -> list[str]:
    """Print how often arms that are alike are called, and return what is above the goals."""
    print(
        f"\n% of {runs:,} tests of arms that are alike that are called, of one look and of {LOOKS}"
        " (goals: 5.0 and 6.0), and that are compared at the end"
    )
    print(
        f"  {'robots':>7} {'impressions':>12} {'clicks':>7} {'units an arm':>13} {'grow':>5}"
        + "".join(f"{limit_text(limit):>26}" for limit in LIMITS)
    )
    beyond = []
    for seed, (share, seen, clicks, number, grow) in enumerate(ROBOTS):
        random = np.random.default_rng(900 + seed)
        once, often, compared = (dict.fromkeys(LIMITS, 0) for _ in range(3))
        for begun in range(0, runs, step := max(1, CHUNK // number)):
            shape = min(step, runs - begun), number
            draw = growing_looks if grow else whole_looks
            by_arm = [draw(random, shape, share, seen, clicks) for _ in range(2)]
            for limit in LIMITS:
                pairs = [
                    list(zip(*arms, strict=True))
                    for arms in zip(*(arm[limit] for arm in by_arm), strict=True)
                ]
                multiples = planned_multiples(number, pairs if grow else None)
                for looks in zip(*pairs, strict=True):
                    often[limit] += any(map(called, looks, multiples))
                    last = called(looks[-1], ONCE.multiple())
                    once[limit] += bool(last)
                    compared[limit] += last is not None
        for name, count, promise in (("one look", once, 0.05), ("looks", often, 0.06)):
            if count[TIGHT] > runs * promise + 4 * math.sqrt(runs * promise * (1 - promise)):
                beyond.append(f"{name} with {share:.1%} robots of {seen:,}")
        print(
            f"  {share:>7.1%} {seen:>12,} {clicks:>7.0%} {number:>13,} {'yes' if grow else '':>5}"
            + "".join(
                f"{100 * once[limit] / runs:>12.2f}{100 * often[limit] / runs:>7.2f}"
                f"{100 * compared[limit] / runs:>5.0f} %"
                for limit in LIMITS
            ),
            flush=True,
        )
    return beyond


def limit_text(limit: int | None) -> str:
    return "no limit" if limit is None else f"drop_above: {limit}"


def planned_multiples(number, pairs):
    """Return the standard errors to either side at each look.

    Where units go on acting, the looks are as alike as by the mean information of these tests.
    """
    units = tuple(2 * (number * look // LOOKS) for look in range(1, LOOKS + 1))
    known = () if pairs is None else tuple(map(mean_information, pairs))
    return [
        LookSchedule(
            inference="planned",
            units=units[look],
            planned=2 * number,
            looks=units[: look + 1],
            information=known[: look + 1],
        ).multiple()
        for look in range(LOOKS)
    ]


def mean_information(pairs):
    """Return the mean over tests of what a look knows, as far as rates are positive."""
    known = [information(named(pair)) for pair in pairs]
    return float(np.mean([figure for figure in known if figure]))


def named(pair):
    return dict(zip(("control", "treatment"), pair, strict=True))


def whole_looks(random, shape, share, seen, clicks):
    """Return by limit each look's sums, of units that act at once and never again."""
    tests, number = shape
    parts = [visitors(random, (tests, number // LOOKS), share, seen, clicks) for _ in range(LOOKS)]
    looks = {}
    for limit in LIMITS:
        kept = [within(*part, limit) for part in parts]
        dropped = np.cumsum([left_out(shown) for _, shown in kept], axis=0)
        by_look = zip(*sums_so_far(kept), strict=True)
        looks[limit] = [with_dropped(*look) for look in zip(by_look, dropped, strict=True)]
    return looks


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


def growing_looks(random, shape, share, seen, clicks):
    """Return by limit each look's sums, of units that go on acting after their first."""
    number = shape[1]
    robot = random.random(shape) < share
    rate = np.where(robot, random.exponential(seen, shape), 2) * 2 / LOOKS
    likely = np.where(robot, clicks, random.beta(2, 18, shape))
    clicked, shown = np.zeros(shape), np.zeros(shape)
    looks = {limit: [] for limit in LIMITS}
    for look in range(LOOKS):
        came, known = number * look // LOOKS, number * (look + 1) // LOOKS
        more = random.poisson(rate[:, :known])
        more[:, came:] += 1
        shown[:, :known] += more
        clicked[:, :known] += random.binomial(more, likely[:, :known])
        for limit, of_limit in looks.items():
            of_limit.append(limited(clicked[:, :known], shown[:, :known], limit))
    return looks


def within(clicked, shown, limit):
    """Return clicks and impressions, which are 0 of units with more impressions than the limit."""
    kept = 1.0 if limit is None else shown <= limit
    return clicked * kept, shown * kept


def left_out(shown):
    """Return by test the number of units that are left out: every other one sees something."""
    return (shown == 0).sum(1)


def limited(clicked, shown, limit):
    """Return each test's sums of the units within a limit."""
    kept = within(clicked, shown, limit)
    return with_dropped(sums(*kept), left_out(kept[1]))


def with_dropped(of_tests, dropped):
    """Return each test's sums with the number of units that are left out."""
    return [replace(of, dropped=int(number)) for of, number in zip(of_tests, dropped, strict=True)]


def called(pair, multiple):
    """Return whether a side is called; None: the arms are not compared."""
    by_arm = cautious_points(named(pair))
    points = by_arm["control"], by_arm["treatment"]
    if not are_comparable(list(zip(pair, points, strict=True))):
        return None
    return side(difference(*points, multiple), "maximise") != "open"


def costs(runs: int) -> None:
    """Print what a limit does where there are no robots, and some people see very much."""
    print(
        f"\npeople of a log-normal number of impressions (median 3, sigma 1.5), {HEAVY_UNITS:,} an"
        " arm; who sees more clicks less often. Mean effect on the rate, % of tests that are"
        " called, that are compared, and % of units that are left out"
    )
    print(
        f"  {'clicks':>7} {'impressions':>12}"
        + "".join(f"{limit_text(limit):>33}" for limit in LIMITS)
    )
    for seed, (lift, more) in enumerate(TREATMENTS):
        random = np.random.default_rng(950 + seed)
        effects: dict[int | None, list[float]] = {limit: [] for limit in LIMITS}
        calls, compared, dropped = (dict.fromkeys(LIMITS, 0) for _ in range(3))
        for begun in range(0, runs, step := max(1, CHUNK // HEAVY_UNITS)):
            shape = min(step, runs - begun), HEAVY_UNITS
            arms = people(random, shape), people(random, shape, lift, more)
            for limit in LIMITS:
                for pair in zip(*(limited(*arm, limit) for arm in arms), strict=True):
                    call = called(pair, ONCE.multiple())
                    calls[limit] += bool(call)
                    compared[limit] += call is not None
                    effects[limit].append(pair[1].rate / pair[0].rate - 1)
                    dropped[limit] += pair[0].dropped + pair[1].dropped
        print(
            f"  {'x' + format(lift, 'g'):>7} {'x' + format(more, 'g'):>12}"
            + "".join(
                f"{100 * float(np.mean(effects[limit])):>+12.2f} %"
                f"{100 * calls[limit] / runs:>7.1f}{100 * compared[limit] / runs:>5.0f} %"
                f"{100 * dropped[limit] / runs / 2 / HEAVY_UNITS:>7.2f}"
                for limit in LIMITS
            ),
            flush=True,
        )


def people(random, shape, lift=1.0, more=1.0):
    """Return clicks and impressions of people; who sees ten times as much clicks 0.6 as often."""
    activity = random.lognormal(math.log(3), 1.5, shape)
    shown = 1 + random.poisson(more * activity)
    likely = random.beta(2, 18, shape) * np.minimum((activity / 3) ** math.log10(0.6), 2) * lift
    return random.binomial(shown, np.minimum(likely, 1)) + 0.0, shown + 0.0


if __name__ == "__main__":
    main()
