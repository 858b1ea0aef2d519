"""The check of a split, which may be looked at every day; and what a guardrail's interval says of
its margin.
"""

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from isthmus.experiments.statistics.conclusion import compared
from isthmus.experiments.statistics.ratio import Difference
from isthmus.experiments.statistics.split import check
from isthmus.experiments.statistics.verdict import judge
from isthmus.pipelines.evaluation.statistics import Estimate
from isthmus.project.specs.experiments import ExperimentGuardrail

EVEN = {"control": 50.0, "treatment": 50.0}


@given(st.integers(0, 3000), st.integers(0, 3000), st.floats(1, 99))
def test_the_odds_are_those_of_the_beta_binomial_against_the_binomial(control, treatment, weight):
    planned = {"control": weight, "treatment": 100 - weight}
    seen = control + treatment
    expected = stats.betabinom.logpmf(control, seen, weight, 100 - weight) - stats.binom.logpmf(
        control, seen, weight / 100
    )
    assert check({"control": control, "treatment": treatment}, planned).log_odds == pytest.approx(
        expected, abs=1e-6
    )


def test_twenty_eight_daily_looks_alarm_in_at_most_one_of_a_thousand():
    runs, looks = 5000, 28
    came = np.random.default_rng(20260106).binomial(500, 0.5, (runs, looks)).cumsum(axis=1)
    alarms = sum(
        any(
            check({"control": int(control), "treatment": 500 * day - int(control)}, EVEN).alarm
            for day, control in enumerate(run, 1)
        )
        for run in came
    )
    assert alarms <= runs * 0.001 + 4 * math.sqrt(runs * 0.001)


def test_a_share_of_49_percent_for_50_is_seen_by_48_000_units_in_half_of_the_cases():
    runs, looks, a_day = 400, 24, 2000
    came = np.random.default_rng(20260107).binomial(a_day, 0.49, (runs, looks)).cumsum(axis=1)
    seen = sum(
        any(
            check({"control": int(n), "treatment": a_day * day - int(n)}, EVEN).alarm
            for day, n in enumerate(run, 1)
        )
        for run in came
    )
    assert abs(seen - runs / 2) <= 4 * math.sqrt(runs / 4)


def difference(low, high):
    return Difference(
        absolute=Estimate(value=(low + high) / 2, low=low, high=high),
        relative=Estimate(value=(low + high) / 2, low=low, high=high),
    )


@pytest.mark.parametrize(
    ("may", "low", "high", "judged"),
    [
        ("rise", -0.3, 0.09, "holds"),
        ("rise", -0.3, 0.11, "inconclusive"),
        ("rise", 0.11, 0.2, "broken"),
        ("drop", -0.09, 0.3, "holds"),
        ("drop", -0.11, 0.3, "inconclusive"),
        ("drop", -0.3, -0.11, "broken"),
    ],
)
def test_a_guardrail_is_judged_by_the_side_on_which_the_harm_is(may, low, high, judged):
    assert (
        judge(
            ExperimentGuardrail(metric="bought", may=may, margin=Decimal(10)), difference(low, high)
        )
        == judged
    )


@pytest.mark.parametrize(
    ("low", "high", "goal", "guardrail", "word"),
    [
        (0.1, 0.2, "maximise", "holds", "better"),
        (0.1, 0.2, "minimise", "holds", "worse"),
        (-0.2, -0.1, "minimise", "holds", "better"),
        (-0.1, 0.2, "maximise", "holds", "undecided"),
        (0.1, 0.2, "maximise", "inconclusive", "undecided"),
        (0.1, 0.2, "maximise", "broken", "worse"),
    ],
)
def test_better_asks_for_the_metric_and_for_every_guardrail(low, high, goal, guardrail, word):
    assert compared(difference(low, high), goal, {"errors": guardrail}).word == word
