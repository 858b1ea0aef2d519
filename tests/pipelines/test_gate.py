"""Gates have three values, and only a whole interval passes or fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.pipelines import gate
from isthmus.pipelines.statistics import Estimate
from isthmus.project.specs import Gate

BOTH = Gate(auc_vs_champion_at_least=0.0, calibration_within=(0.67, 1.5))
numbers = st.floats(-2, 2)


def between(low, high):
    return Estimate(value=(low + high) / 2, low=low, high=high)


@pytest.mark.parametrize(
    ("difference", "calibration", "said"),
    [
        (between(-0.135, 0.007), between(0.79, 1.32), "inconclusive"),
        (between(0.001, 0.1), between(0.79, 1.32), "pass"),
        (between(0.001, 0.1), between(0.5, 1.32), "inconclusive"),
        (between(-0.2, -0.1), between(0.79, 1.32), "fail"),
        (between(-0.135, 0.007), between(1.6, 2.0), "fail"),
        (None, between(0.79, 1.32), "inconclusive"),
        (between(0.0, 0.1), None, "inconclusive"),
    ],
)
def test_the_worst_part_decides(difference, calibration, said):
    assert gate.judge(BOTH, auc_vs_champion=difference, calibration=calibration).verdict == said


def test_a_configuration_without_a_gate_is_not_judged():
    assert gate.judge(Gate(), auc_vs_champion=None, calibration=None).verdict is None


def test_what_is_missing_is_said():
    found = gate.judge(BOTH, auc_vs_champion=None, calibration=None, no_champion="no champion yet")
    assert [check.reason for check in found.checks] == ["no champion yet", "its scores are not probabilities"]


@given(numbers, numbers, numbers, st.floats(0, 1))
def test_a_narrower_interval_never_turns_a_verdict_around(low, high, bound, share):
    low, high = sorted((low, high))
    wide = gate.at_least(between(low, high), bound)
    narrow = gate.at_least(between(low + share * (high - low) / 2, high - share * (high - low) / 2), bound)
    assert wide in (narrow, "inconclusive")


@given(numbers, numbers, numbers, numbers)
def test_within_is_both_sides_of_at_least(low, high, bottom, top):
    low, high = sorted((low, high))
    bottom, top = sorted((bottom, top))
    found = gate.within(between(low, high), bottom, top)
    assert (found == "pass") == (bottom <= low and high <= top)
    assert (found == "fail") == (high < bottom or low > top)
