"""A/A tests with units that see far more than others and do nothing: robots, pages left open.

Seeds and bounds come before the runs.
"""

import math

import numpy as np
import pytest

from isthmus.experiments.statistics.assessment import decide
from isthmus.experiments.statistics.inference import LookSchedule

from .worlds import sums

RUNS = 400
LIMIT = 0.025 * RUNS + 4 * math.sqrt(0.025 * RUNS)


def people(random, number):
    """Clicks and impressions of people whose rates differ."""
    shown = 1 + random.poisson(2, (RUNS, number))
    return random.binomial(shown, random.beta(2, 18, shown.shape)) + 0.0, shown + 0.0


def with_idle(random, arm, share, most):
    """Some units, drawn at random, have many impressions and no click."""
    clicks, shown = arm
    idle = random.random(shown.shape) < share
    many = np.ceil(random.exponential(most, shown.shape))
    return np.where(idle, 0.0, clicks), np.where(idle, many, shown)


def results_of(control, treatment):
    """What each run shows of the treatment."""
    horizon = {"ctr": LookSchedule(inference="fixed", units=0)}
    return [
        decide({"ctr": {"control": c, "treatment": t}}, {"ctr": "maximise"}, horizon)[0]
        for c, t in zip(sums(*control), sums(*treatment), strict=True)
    ]


@pytest.mark.parametrize("number", [300, 1000])
@pytest.mark.parametrize("impressions", [100, 300, 1000, 10_000, 30_000])
def test_one_idle_unit_of_the_treatment_does_not_make_it_worse(number, impressions):
    random = np.random.default_rng(20261231)
    control, (clicks, shown) = people(random, number), people(random, number)
    clicks[:, 0], shown[:, 0] = 0.0, impressions
    verdicts = [result.side for result in results_of(control, (clicks, shown))]
    # a unit of a few percent of the impressions moves the rate, which is no false alarm of size
    assert verdicts.count("worse") <= 2 * LIMIT


@pytest.mark.parametrize(
    ("share", "most", "number"), [(0.02, 40, 1000), (0.02, 400, 1000), (0.002, 1000, 300)]
)
def test_idle_units_in_both_arms_call_one_of_twenty_at_most(share, most, number):
    random = np.random.default_rng(20261230)
    arms = [with_idle(random, people(random, number), share, most) for _ in range(2)]
    verdicts = [result.side for result in results_of(*arms)]
    assert verdicts.count("worse") <= LIMIT
    assert verdicts.count("better") <= LIMIT


def test_the_verdict_is_that_of_the_interval_that_is_printed():
    random = np.random.default_rng(20261229)
    arms = [with_idle(random, people(random, 200), 0.01, 150) for _ in range(2)]
    results = [result for result in results_of(*arms) if result.difference]
    assert len(results) > 50
    for result in results:
        relative = result.difference.relative
        assert (result.side == "open") == (relative.low <= 0 <= relative.high)
