"""Tests of arms that are alike but unequal in size, of units that are very unlike: neither side is
called in more than 2.5 %. Seeds and bounds come before the runs; benchmarks/experiments/
unequal_arms.py has more of them.
"""

import math
from functools import partial

import numpy as np
import pytest

from isthmus.experiments.statistics.ratio import (
    Z,
    cautious_points,
    compare,
    difference,
    interval,
    points,
)
from isthmus.experiments.statistics.sums import UnitSums
from isthmus.experiments.statistics.verdict import side

from .skewed_worlds import amounts, ratios, shares

RUNS = 1500
LIMIT = 0.025 * RUNS + 4 * math.sqrt(0.025 * 0.975 * RUNS)
WORLDS = {
    "few buy": (partial(amounts, buyers=0.05, sigma=1.5), 100_000),
    "some buy": (partial(amounts, buyers=0.2, sigma=1.5), 10_000),
    "very unlike": (partial(amounts, buyers=0.2, sigma=2.0), 30_000),
    "clicks": (partial(ratios, sigma=1.5, likely=(0.2, 3.8)), 2_000),
    "shares": (partial(shares, share=0.02), 10_000),
}


def pairs(world, total, treated, seed):
    random = np.random.default_rng(seed)
    units = round(total * treated)
    return list(zip(world(random, RUNS, total - units), world(random, RUNS, units), strict=True))


@pytest.mark.parametrize("treated", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("name", list(WORLDS))
def test_neither_side_is_called_in_more_than_one_of_forty(name, treated):
    world, total = WORLDS[name]
    sides = [
        side(compare(*pair, "fixed"), "maximise") for pair in pairs(world, total, treated, 20261240)
    ]
    assert sides.count("worse") <= LIMIT
    assert sides.count("better") <= LIMIT


def test_a_small_arm_by_its_own_variance_alone_is_called_worse_far_more_often():
    world, total = WORLDS["some buy"]
    own = [
        difference(*points({"c": control, "t": treatment}).values(), Z)
        for control, treatment in pairs(world, total, 0.1, 20261240)
    ]
    assert sum(side(of, "maximise") == "worse" for of in own) > LIMIT


@pytest.mark.parametrize("times", [0.8, 1.25])
def test_an_interval_holds_the_truth_where_amounts_of_a_small_arm_are_others(times):
    control, treatment = (
        partial(amounts, buyers=0.2, sigma=1.5),
        partial(amounts, buyers=0.2, sigma=1.5, times=times),
    )
    random = np.random.default_rng(20261241)
    arms = control(random, RUNS, 36_000), treatment(random, RUNS, 4_000)
    differences = [compare(*pair, "fixed") for pair in zip(*arms, strict=True)]
    shown = [of.relative for of in differences if of is not None]
    assert len(shown) > 0.9 * RUNS
    assert sum(1 + of.high < times for of in shown) <= LIMIT
    assert sum(1 + of.low > times for of in shown) <= LIMIT


def test_shares_that_differ_vary_as_their_own_numbers_say():
    bought = [
        UnitSums(units=n, y=y, yy=y, d=n, yd=y, dd=n) for y, n in ((4000, 100_000), (50, 1000))
    ]
    arms = dict(zip("ct", bought, strict=True))
    own, cautious = points(arms), cautious_points(arms)
    assert [cautious[name].variance for name in arms] == pytest.approx(
        [own[name].variance for name in arms], rel=0.02
    )


def test_rates_below_zero_vary_as_all_arms_do():
    steps = np.arange(-50.0, 51.0)
    arms = {
        name: UnitSums(units=101, y=y.sum(), yy=(y * y).sum(), d=101, yd=y.sum(), dd=101)
        for name, y in {"c": steps - 10, "t": steps / 10 - 10}.items()
    }
    own, cautious = points(arms), cautious_points(arms)
    assert cautious["c"].variance == own["c"].variance
    assert cautious["t"].variance == pytest.approx(
        (own["c"].variance + own["t"].variance) / 2, rel=1e-12
    )


def test_an_arm_shown_by_itself_goes_by_its_own_values():
    alone = UnitSums(units=1000, y=2e3, yy=9e3, d=1000, yd=2e3, dd=1000)
    shown = interval(alone)
    assert shown.high - shown.low == pytest.approx(2 * Z * math.sqrt(alone.variance))
