"""A ratio of totals at the unit: against sums over the units themselves, and by simulated A/A
tests, whose false alarms are counted.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.experiments.statistics.inference import always_multiple
from isthmus.experiments.statistics.ratio import compare, interval
from isthmus.experiments.statistics.sums import UnitSums
from isthmus.pipelines.evaluation.statistics import poisson_interval

RUNS = 2000


def arm(y, d):
    y, d = np.asarray(y, dtype=np.int64), np.asarray(d, dtype=np.int64)
    sums = {
        "y": y.sum(),
        "d": d.sum(),
        "yy": (y * y).sum(),
        "yd": (y * d).sum(),
        "dd": (d * d).sum(),
    }
    return UnitSums(units=len(y), **{name: int(value) for name, value in sums.items()})


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 60)), min_size=2, max_size=40))
def test_the_variance_is_that_of_the_linearised_units(pairs):
    y, d = (np.array(column, dtype=np.longdouble) for column in zip(*pairs, strict=True))
    rate = y.sum() / d.sum()
    expected = (y - rate * d).var(ddof=1) / len(y) / d.mean() ** 2
    assert arm(y, d).variance == pytest.approx(float(expected), rel=1e-9, abs=1e-18)


def test_sums_of_ten_million_units_lose_nothing():
    random = np.random.default_rng(1)
    d = random.integers(1, 20_000, 1_000_000)
    y = random.binomial(d, 0.3)
    big = arm(np.tile(y, 10), np.tile(d, 10))
    rate = np.longdouble(y.sum()) / d.sum()
    expected = ((y - rate * d) ** 2).sum() * 10 / (10**7 - 1) / 10**7 / np.longdouble(d.mean()) ** 2
    assert big.variance == pytest.approx(float(expected), rel=1e-9)


def test_where_a_row_is_a_unit_the_interval_of_few_outcomes_is_exact():
    rows = UnitSums(units=10_000, y=38, d=10_000, yy=38, yd=38, dd=10_000)
    low, high = poisson_interval(38)
    assert (interval(rows).low, interval(rows).high) == (low / 10_000, high / 10_000)


def test_too_little_has_no_interval():
    few = UnitSums(units=99, y=50, d=99, yy=50, yd=50, dd=99)
    rare = UnitSums(units=10_000, y=9, d=10_000, yy=9, yd=9, dd=10_000)
    enough = UnitSums(units=100, y=10, d=100, yy=10, yd=10, dd=100)
    assert [interval(one) is None for one in (few, rare, enough)] == [True, True, False]
    assert compare(enough, few, "fixed") is None


def within_four_sigma(alarms, share):
    return abs(alarms - RUNS * share) <= 4 * math.sqrt(RUNS * share * (1 - share))


def people(random, units):
    """Several rows of a person, who likes or does not: rows of one person are alike."""
    d = random.integers(1, 30, (RUNS, units))
    y = random.binomial(d, random.beta(1, 4, (RUNS, units)))
    return y, d


def test_an_aa_test_alarms_in_five_percent_by_unit_and_far_more_often_by_row():
    random = np.random.default_rng(20260101)
    sides = [people(random, 400), people(random, 400)]
    by_unit = by_row = 0
    for run in range(RUNS):
        arms = [arm(y[run], d[run]) for y, d in sides]
        by_unit += outside(arms)
        by_row += outside([rows(one) for one in arms])
    assert within_four_sigma(by_unit, 0.05)
    assert by_row > 2 * by_unit


def rows(one):
    return UnitSums(units=one.d, y=one.y, d=one.d, yy=one.y, yd=one.y, dd=one.d)


def outside(arms, inference="fixed"):
    difference = compare(*arms, inference).absolute
    return not difference.low <= 0 <= difference.high


def test_the_always_valid_interval_covers_at_all_of_twenty_looks_together_and_the_fixed_one_does_not():
    random = np.random.default_rng(20260102)
    looks, step = 20, 500
    y = random.binomial(step, 0.1, (RUNS, 2, looks)).cumsum(axis=2)
    always = fixed = 0
    for run in y:
        pairs = [
            [rows_of(run[side][look], step * (look + 1)) for side in (0, 1)]
            for look in range(looks)
        ]
        always += any(outside(pair, "always") for pair in pairs)
        fixed += any(outside(pair) for pair in pairs)
    assert always <= RUNS * 0.05
    assert fixed > RUNS * 0.15


def rows_of(y, d):
    return UnitSums(units=d, y=int(y), d=d, yy=int(y), yd=int(y), dd=d)


def test_the_always_valid_interval_is_never_narrower_than_a_single_look():
    assert all(always_multiple(units) > 1.96 for units in (100, 1_000, 10_000, 10**6, 10**9))
