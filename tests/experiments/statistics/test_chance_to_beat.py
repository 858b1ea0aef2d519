"""The chance to beat the control: the posterior of a normal prior, calibrated where it holds."""

import math

import numpy as np
import pytest

from isthmus.experiments.statistics.chance_to_beat import PRIOR_SD, chance_to_beat
from isthmus.experiments.statistics.ratio import ArmRate

from .prior_worlds import calibration, drawn, stopped
from .worlds import KINDS


def point(value, error):
    return ArmRate(value=value, variance=(value * error) ** 2)


def test_it_is_the_part_of_the_posterior_above_no_difference():
    """By numbers: the prior times the likelihood, added up over a grid of true effects."""
    control, treatment = point(0.20, 0.03), point(0.21, 0.04)
    grid = np.linspace(-1, 1, 200_001)
    seen, error = math.log(0.21 / 0.20), math.hypot(0.03, 0.04)
    weights = np.exp(-0.5 * (grid / PRIOR_SD) ** 2 - 0.5 * ((grid - seen) / error) ** 2)
    assert chance_to_beat(control, treatment, "maximise").probability == pytest.approx(
        weights[grid > 0].sum() / weights.sum(), abs=1e-4
    )


def test_without_data_it_is_a_half_and_with_many_it_is_what_they_show():
    few = chance_to_beat(point(0.2, 50), point(0.3, 50), "maximise")
    many = chance_to_beat(point(0.2, 0.001), point(0.3, 0.001), "maximise")
    assert few.probability == pytest.approx(0.5, abs=1e-3)
    assert many.probability == pytest.approx(1)


def test_of_what_is_to_be_little_the_lower_one_is_better():
    control, treatment = point(0.2, 0.05), point(0.22, 0.05)
    more, less = (
        chance_to_beat(control, treatment, goal).probability for goal in ("maximise", "minimise")
    )
    assert more > 0.5
    assert more + less == pytest.approx(1)


@pytest.mark.parametrize(
    ("control", "treatment"),
    [
        (point(0.0, 0.1), point(0.2, 0.1)),
        (point(-0.1, 0.1), point(0.2, 0.1)),
        (point(0.2, 0.0), point(0.3, 0.0)),
        (point(math.nan, 0.1), point(0.2, 0.1)),
    ],
)
def test_there_is_none_of_rates_without_a_ratio_or_without_variance(control, treatment):
    assert chance_to_beat(control, treatment, "maximise") is None


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "seed"), list(zip(KINDS, range(20270101, 20270105), strict=True)))
def test_of_results_that_say_so_many_percent_so_many_are_better(kind, seed):
    said, better = drawn(kind, runs=2_000, units_an_arm=1_000, seed=seed)
    assert all(row.holds for row in calibration(said, better))


@pytest.mark.soak
def test_stopping_at_the_first_look_that_is_nearly_sure_leaves_it_as_sure_as_it_says():
    said, better = stopped("ratio", runs=2_000, looks=20, at=0.95, seed=20270110)
    assert len(said) > 200
    (row,) = calibration(said, better, edges=(0.95, 1.0))
    assert row.holds
