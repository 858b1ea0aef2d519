"""How many units an effect needs, judged by simulating that many; and what looks cost."""

import math

import numpy as np
import pytest

from isthmus.experiments.statistics.ratio import compare
from isthmus.experiments.statistics.sample_size import (
    days_left,
    effect_shown,
    planned_units,
    units_needed,
)
from isthmus.experiments.statistics.spending import (
    alpha_spending,
    bounds,
    cost_of_looks,
    crossing_probability,
)

from .test_ratio import RUNS, arm, outside, rows_of
from .worlds import sums, units


def test_bounds_of_five_looks_are_the_published_ones():
    assert bounds([0.2, 0.4, 0.6, 0.8, 1.0]) == pytest.approx(
        [4.877, 3.357, 2.680, 2.290, 2.031], abs=2e-3
    )


def test_one_look_is_the_normal_quantile_and_all_of_the_five_percent():
    assert bounds([1.0]) == pytest.approx([1.96], abs=1e-3)
    assert alpha_spending(1.0) == pytest.approx(0.05)


def test_without_an_effect_a_bound_is_crossed_in_five_percent():
    assert crossing_probability([look / 14 for look in range(1, 15)], drift=0.0) == pytest.approx(
        0.05, abs=5e-4
    )


def test_simulated_walks_cross_the_bounds_as_often_as_computed():
    looks, drift = 14, 2.8015852
    times = np.arange(1, looks + 1) / looks
    random = np.random.default_rng(20260103)
    walk = random.normal(drift / looks, math.sqrt(1 / looks), (20_000, looks)).cumsum(
        axis=1
    ) / np.sqrt(times)
    crossed = (np.abs(walk) > bounds(list(times))).any(axis=1).sum()
    expected = crossing_probability(list(times), drift=drift)
    assert abs(crossed - 20_000 * expected) <= 4 * math.sqrt(20_000 * expected * (1 - expected))
    assert cost_of_looks(looks) == pytest.approx(0.8 - expected, abs=1e-4)


def test_units_needed_show_the_effect_four_times_in_five():
    rate, effect = 0.04, 0.25
    units = units_needed(rows_of(40_000 * rate, 40_000), effect)
    random = np.random.default_rng(20260104)
    control = random.binomial(units, rate, RUNS)
    treatment = random.binomial(units, rate * (1 + effect), RUNS)
    shown = sum(
        outside([rows_of(c, units), rows_of(t, units)])
        for c, t in zip(control, treatment, strict=True)
    )
    assert abs(shown - 0.8 * RUNS) <= 4 * math.sqrt(RUNS * 0.8 * 0.2)


def test_people_with_several_rows_need_more_than_their_rows_alone_would():
    random = np.random.default_rng(20260105)
    d = random.integers(1, 30, 5_000)
    people = arm(random.binomial(d, random.beta(1, 4, 5_000)), d)
    assert units_needed(people, 0.1) * people.d / people.units > 2 * units_needed(
        rows_of(people.y, people.d), 0.1
    )


def test_the_effect_shown_is_the_one_whose_units_there_are():
    control = rows_of(38, 10_000)
    effect = effect_shown(control, 10_000)
    assert units_needed(control, effect) <= 10_000 < units_needed(control, effect - 1e-3)
    assert effect_shown(control, 10) is None


def test_the_figures_of_the_example():
    control, treatment = rows_of(38, 10_000), rows_of(42, 10_000)
    difference = compare(control, treatment, "fixed")
    assert [
        round(100 * bound, 3) for bound in (difference.absolute.low, difference.absolute.high)
    ] == [-0.135, 0.215]
    assert [
        round(100 * bound) for bound in (difference.relative.low, difference.relative.high)
    ] == [-29, 71]
    assert [round(units_needed(control, effect), -3) for effect in (0.05, 0.2)] == [
        1_687_000,
        113_000,
    ]


def test_arms_of_unequal_weight_and_people_with_several_rows_are_as_many_as_show_the_effect_four_times_in_five():
    random = np.random.default_rng(20261241)
    pilot = sums(*units("ratio", random, 1, 20_000)[:2])[0]
    size = planned_units(pilot, 0.25, (70, 30))
    y, d, _ = units("ratio", random, RUNS, round(0.7 * size))
    raised, of, _ = units("ratio", random, RUNS, round(0.3 * size), 0.25)
    shown = sum(outside(pair) for pair in zip(sums(y, d), sums(raised, of), strict=True))
    assert abs(shown - 0.8 * RUNS) <= 4 * math.sqrt(RUNS * 0.8 * 0.2)


def test_a_plan_of_two_equal_arms_is_twice_an_arm_and_more_tests_or_an_uneven_split_need_more():
    control = rows_of(400, 10_000)
    two = planned_units(control, 0.2, (1, 1))
    assert two == pytest.approx(2 * units_needed(control, 0.2), abs=1)
    assert planned_units(control, 0.2, (1, 1), saved=0.4) == pytest.approx(0.6 * two, abs=1)
    assert (
        planned_units(control, 0.2, (1, 1), tests=4)
        > planned_units(control, 0.2, (1, 1), tests=2)
        > two
    )
    assert planned_units(control, 0.2, (9, 1)) > 2 * two


def test_a_plan_is_over_when_its_units_have_come_and_their_days_have_passed():
    assert days_left(10_000, 7_200, 560) == 5
    assert days_left(10_000, 7_200, 560, within=7) == 12
    assert days_left(10_000, 12_000, 0.0, within=3.5) == 4
    assert days_left(10_000, 7_200, 0.0) is None
