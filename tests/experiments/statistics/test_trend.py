"""The trend of an effect over days, against NumPy's weighted least squares and simulated units that
drift each at its own pace.
"""

import math

import numpy as np
import pytest

from isthmus.experiments.statistics import trend
from isthmus.experiments.statistics.sums import UnitSums
from isthmus.experiments.statistics.trend import DayWeight, EffectTrend, Influences

from .drifting import calls, units

RUNS, SHAPE = 300, (100, 500, 14)


def pair(control, treatment, size=100):
    """One day's sums of both arms, by their rates."""
    return tuple(
        UnitSums(units=10, y=rate * size, d=size, yy=0, yd=0, dd=0) for rate in (control, treatment)
    )


def test_a_slope_is_the_regression_of_the_days_weighted_by_their_denominators():
    days, effects, sizes = [0, 1, 2, 5, 6], [0.1, 0.05, 0.07, 0.0, -0.03], [90, 50, 50, 10, 9]
    contrast = trend.slope_contrast(
        {
            day: pair(0.2, 0.2 * math.exp(effect), size)
            for day, effect, size in zip(days, effects, sizes, strict=True)
        }
    )
    slope, _ = np.polyfit(days, effects, 1, w=np.sqrt(sizes))
    assert contrast.slope == pytest.approx(slope)
    assert sum(contrast.weights.values()) == pytest.approx(0)
    assert sum(weight * day for day, weight in contrast.weights.items()) == pytest.approx(1)


def test_too_few_days_say_nothing_and_days_without_an_outcome_do_not_count():
    days = {0: pair(0.1, 0.2), 1: pair(0.2, 0.3), 2: pair(0, 0.1)}
    assert trend.slope_contrast(days) is None
    assert set(trend.slope_contrast(days | {3: pair(0.1, 0.2)}).weights) == {0, 1, 3}


def test_where_nothing_varies_or_an_arm_has_one_unit_there_is_no_interval():
    of = EffectTrend(slope=0.1, weights={0: -0.5, 2: 0.5})
    for arms in (
        (Influences(10, 0.0), Influences(10, 0.0)),
        (Influences(10, 1.0), Influences(1, 1.0)),
        (Influences(10, 1.0), Influences(10, math.inf)),
    ):
        assert trend.interval(of, arms) is None
    shown = trend.interval(of, (Influences(3, 2.0), Influences(5, 4.0)))
    assert (shown.high - shown.value, shown.value - shown.low) == (
        pytest.approx(1.959964 * math.sqrt(8)),
        pytest.approx(1.959964 * math.sqrt(8)),
    )


def test_a_days_weights_are_of_the_whole_totals_where_values_are_shifted():
    day = UnitSums(units=10, y=5.0, d=10, yy=9.0, yd=5.0, dd=10, shift=(2.0, 0, 0))
    assert trend.day_weights(EffectTrend(slope=0, weights={1: 0.5}), {1: day}) == {
        1: DayWeight(0.5 / 25, 0.5 / 10)
    }


def told(**how):
    """The share of runs in which a trend is shown, and was before."""
    random = np.random.default_rng(20261202)
    effect = how.pop("effect", 0.0)
    shown = [
        calls(
            units("ratio", random, SHAPE, **how),
            units("ratio", random, SHAPE, effect=effect, **how),
        )
        for _ in range(RUNS // SHAPE[0])
    ]
    return np.concatenate(shown).mean(0)


def test_units_that_drift_each_at_its_own_pace_are_no_change_of_the_effect():
    shown, was = told(drift=0.2)
    assert shown <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / RUNS)
    assert was > 0.15  # days that were taken for independent


def test_an_effect_that_fades_is_found_also_where_units_drift():
    shown, _ = told(drift=0.2, effect=np.linspace(1.0, 0.0, 14))
    assert shown > 0.6
