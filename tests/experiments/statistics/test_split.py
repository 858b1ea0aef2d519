"""The check of a split, which may be looked at every day; and what a guardrail's interval says of
its margin.
"""

import math
from datetime import date, timedelta
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from isthmus.experiments.statistics.conclusion import compared
from isthmus.experiments.statistics.ratio import Difference
from isthmus.experiments.statistics.split import UnitSplit, check
from isthmus.experiments.statistics.verdict import judge
from isthmus.pipelines.evaluation.statistics import Estimate
from isthmus.project.specs.experiments import ExperimentGuardrail

EVEN = {"control": 50.0, "treatment": 50.0}


DAY = date(2026, 1, 1)


def by_day(arrivals, a_day):
    """The split at the end of a run: of each day the units of the control and of the treatment."""
    days = [
        (DAY + timedelta(day), {"control": came, "treatment": a_day - came})
        for day, came in enumerate(arrivals)
    ]
    control = sum(arrivals)
    counts = {"control": control, "treatment": a_day * len(arrivals) - control}
    return counts, days


def alarms(arrivals, a_day, planned=EVEN):
    """How many runs are called at some of their daily looks."""
    called = 0
    for run in arrivals.tolist():
        counts, days = by_day(run, a_day)
        so_far = {"control": 0, "treatment": 0}
        by_odds = False
        for _, came in days:
            so_far = {arm: count + came[arm] for arm, count in so_far.items()}
            by_odds = by_odds or check(so_far, planned).alarm
        called += by_odds or check(counts, planned, days=days).alarm
    return called


@given(st.integers(0, 3000), st.integers(0, 3000), st.floats(1, 99))
def test_the_odds_are_those_of_two_beta_binomials_against_the_binomial(control, treatment, weight):
    planned = {"control": weight, "treatment": 100 - weight}
    seen = control + treatment
    mixed = np.logaddexp(
        *(
            stats.betabinom.logpmf(control, seen, prior * weight, prior * (100 - weight))
            for prior in (0.02, 1)
        )
    ) - math.log(2)
    expected = mixed - stats.binom.logpmf(control, seen, weight / 100)
    assert check({"control": control, "treatment": treatment}, planned).log_odds == pytest.approx(
        expected, abs=1e-6
    )


@pytest.mark.parametrize(
    ("share", "a_day", "seed"), [(0.5, 357, 20260106), (0.99, 357, 20260108), (0.7, 40, 20260109)]
)
def test_twenty_eight_daily_looks_alarm_in_at_most_one_of_a_thousand(share, a_day, seed):
    runs, looks = 2000, 28
    came = np.random.default_rng(seed).binomial(a_day, share, (runs, looks))
    called = alarms(came, a_day, {"control": 100 * share, "treatment": 100 * (1 - share)})
    assert called <= runs * 0.001 + 4 * math.sqrt(runs * 0.001)


def test_a_share_of_48_percent_for_50_of_10_000_units_is_seen_in_two_of_three_runs():
    runs, looks = 1000, 28
    came = np.random.default_rng(20260107).binomial(357, 0.48, (runs, looks))
    assert alarms(came, 357) >= runs * 0.65 - 4 * math.sqrt(runs * 0.65 * 0.35)


def test_all_units_in_one_arm_are_told_by_twenty_units_without_a_day_that_is_over():
    assert check({"control": 20, "treatment": 0}, EVEN).alarm
    assert not check({"control": 10, "treatment": 10}, EVEN).alarm


@given(st.integers(1, 5000), st.floats(0.01, 0.99), st.data())
def test_a_look_at_a_day_goes_by_the_binomial(total, share, data):
    control = data.draw(st.integers(0, total))
    counts = {"control": control, "treatment": total - control}
    planned = {"control": share, "treatment": 1 - share}
    look = check(counts, planned, days=[(DAY, counts)], planned_days=1).by_day
    off = abs(control - total * share) / math.sqrt(total * share * (1 - share))
    rare = (
        stats.binom.sf(control - 1, total, share)
        if control > total * share
        else stats.binom.cdf(control, total, share)
    )
    expected = off if off < 2 else stats.norm.isf(max(min(rare, 0.5), 1e-300))
    assert look.distance == pytest.approx(expected, abs=1e-6)


def test_a_bound_that_was_crossed_on_a_day_stays_crossed_and_its_day_is_told():
    counts, days = by_day([600, 400, 400, 500], 1000)
    look = check(counts, EVEN, days=days)
    assert look.alarm
    assert look.by_day.day == "2026-01-01"
    assert "standard errors off on 2026-01-01; alarm at" in str(look)


def test_one_arm_has_everybody_and_no_look():
    split = check({"both": 40}, {"both": 1.0}, days=[(DAY, {"both": 40})])
    assert (split.alarm, split.by_day) == (False, None)


def test_three_arms_are_each_compared_with_the_rest():
    planned = {"a": 50.0, "b": 25.0, "c": 25.0}
    counts = {"a": 5000, "b": 2700, "c": 2300}
    assert check(counts, planned, days=[(DAY, counts)], planned_days=1).alarm
    fitting = {"a": 5000, "b": 2520, "c": 2480}
    assert not check(fitting, planned, days=[(DAY, fitting)], planned_days=1).alarm


def test_results_of_earlier_releases_are_judged_by_their_own_odds():
    stored = {"counts": {"a": 9, "b": 1}, "planned": {"a": 50, "b": 50}, "log_odds": math.log(2000)}
    assert msgspec.convert(stored, UnitSplit).alarm


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
