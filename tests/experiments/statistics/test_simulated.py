"""A/A and A/B tests by the thousand: how often each way of looking cries, and what it finds.

Seeds and bounds come before the runs.
"""

import math
from functools import cache

import numpy as np
import pytest

from isthmus.experiments.statistics.inference import LookSchedule
from isthmus.experiments.statistics.ratio import cautious_points, difference, log_ratio
from isthmus.experiments.statistics.sums import UnitSums

from .worlds import KINDS, sums, sums_so_far, units

pytestmark = pytest.mark.soak

RUNS, UNITS, LOOKS = 2000, 300, 20


def within_four_sigma(number, share, runs=RUNS):
    return abs(number - runs * share) <= 4 * math.sqrt(runs * share * (1 - share))


def compared(control, treatment):
    of = cautious_points({"control": control, "treatment": treatment})
    return of["control"], of["treatment"]


def z(pair):
    distance, spread = log_ratio(*pair)
    return distance / math.sqrt(spread)


def alarms(arms):
    return sum(
        abs(z(compared(*pair))) > LookSchedule(inference="fixed", units=0).multiple()
        for pair in zip(*arms, strict=True)
    )


@pytest.mark.parametrize(
    ("kind", "seed"), list(zip(KINDS, (20261201, 20261202, 20261203, 20261204), strict=True))
)
def test_one_look_at_two_arms_that_are_alike_cries_in_five_percent_with_and_without_the_time_before(
    kind, seed
):
    random = np.random.default_rng(seed)
    arms = [units(kind, random, RUNS, UNITS) for _ in range(2)]
    assert within_four_sigma(alarms([sums(y, d) for y, d, _ in arms]), 0.05)
    assert within_four_sigma(alarms([sums(*arm) for arm in arms]), 0.05)


def test_a_ratio_taken_by_the_row_cries_far_more_often_than_by_the_unit():
    random = np.random.default_rng(20261205)
    arms = [units("ratio", random, RUNS, UNITS)[:2] for _ in range(2)]
    by_unit = alarms([sums(*arm) for arm in arms])
    by_row = alarms(
        [
            [rows(y, d) for y, d in zip(y.sum(1).tolist(), d.sum(1).tolist(), strict=True)]
            for y, d in arms
        ]
    )
    assert within_four_sigma(by_unit, 0.05)
    assert by_row > 4 * by_unit


def rows(y, d):
    return UnitSums(units=int(d), y=y, d=d, yy=y, yd=y, dd=d)


def looked(random, effect=0.0, columns=3):
    """Control and treatment at each of 20 looks of every run: people with several rows (and a time
    before), who come in equal parts.
    """
    sides = [
        sums_so_far(
            [units("ratio", random, RUNS, 50, effect * side)[:columns] for _ in range(LOOKS)]
        )
        for side in (0, 1)
    ]
    return [
        [compared(*pair) for pair in zip(*run, strict=True)] for run in zip(*sides, strict=True)
    ]


PLANNED = [100 * look for look in range(1, LOOKS + 1)]


@cache
def multiples(inference):
    """Of each planned look; walked through when a test asks, as every process of the suite reads
    this file.
    """
    horizons = (
        LookSchedule(
            inference=inference, units=n, planned=PLANNED[-1], looks=tuple(PLANNED[: at + 1])
        )
        for at, n in enumerate(PLANNED)
    )
    return [horizon.multiple() for horizon in horizons]


def crossed(runs, inference):
    return sum(
        any(abs(z(pair)) > c for pair, c in zip(run, multiples(inference), strict=True))
        for run in runs
    )


def test_twenty_looks_of_a_plan_cry_in_six_percent_at_most_always_in_five_and_looks_that_are_not_planned_in_a_quarter():
    runs = looked(np.random.default_rng(20261206))
    assert crossed(runs, "planned") <= 0.06 * RUNS
    assert crossed(runs, "always") <= 0.05 * RUNS
    assert within_four_sigma(crossed(runs, "fixed"), 0.25)


def test_an_interval_that_always_holds_covers_a_true_effect_at_all_looks_together_and_a_plan_finds_it_nearly_as_often_as_one_look():
    effect = 0.13
    runs = looked(np.random.default_rng(20261207), effect, columns=2)
    truth = 0.2 * effect
    covered = sum(
        all(holds(pair, c, truth) for pair, c in zip(run, multiples("always"), strict=True))
        for run in runs
    )
    assert covered >= 0.95 * RUNS
    last = sum(abs(z(run[-1])) > multiples("fixed")[-1] for run in runs) / RUNS
    assert 0.5 < last < 0.95
    assert last - crossed(runs, "planned") / RUNS <= 0.03


def holds(pair, multiple, truth):
    of = difference(*pair, multiple).absolute
    return of.low <= truth <= of.high


def test_the_time_before_saves_the_square_of_its_correlation_and_nothing_where_it_is_unrelated():
    random = np.random.default_rng(20261208)
    likely = random.normal(0, 1, (1, 400_000))
    y, x = (
        5 + likely + random.normal(0, 1, likely.shape),
        likely + random.normal(0, 0.5, likely.shape),
    )
    rho = 1 / math.sqrt(2 * 1.25)
    related, unrelated = (
        compared(*(sums(y[:, half], np.ones((1, 1)), before[:, half])[0] for half in halves))
        for before in (x, x[:, ::-1])
    )
    assert [point.saved for point in related] == pytest.approx([rho**2] * 2, rel=0.02)
    assert [point.saved for point in unrelated] == pytest.approx([0.0] * 2, abs=1e-3)


halves = (slice(None, 200_000), slice(200_000, None))
