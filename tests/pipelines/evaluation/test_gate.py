"""Gates have three values, and only a whole interval passes or fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.pipelines.evaluation import gate
from isthmus.pipelines.evaluation.leak_alarm import FeatureFinding
from isthmus.pipelines.evaluation.statistics import Estimate
from isthmus.project.specs.description import Bound, Gate

BOTH = (Bound(metric="auc", against=True, low=0.0), Bound(metric="calibration", low=0.67, high=1.5))
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
    assert judge(BOTH, difference, calibration).verdict == said


def judge(bounds, difference, calibration, **why):
    differences, figures = (
        {name: value} if value else {}
        for name, value in (("auc", difference), ("calibration", calibration))
    )
    return gate.judge(bounds, figures, differences, **why)


def test_a_configuration_without_a_gate_is_not_judged():
    assert judge((), None, None).verdict is None


def test_what_is_missing_is_said():
    result = judge(BOTH, None, None, no_champion="no champion yet")
    assert [check.reason for check in result.checks] == [
        "no champion yet",
        "its scores are not probabilities, or units are too few",
    ]


def test_a_ranking_is_compared_with_the_champion_s_unless_the_gate_does_so_itself():
    default = Bound(metric="ndcg@10", against=True, low=0.0)
    assert gate.bounds_of(Gate(), ranked=True, champion=True) == (default,)
    assert gate.bounds_of(Gate(bounds=BOTH), ranked=True, champion=True) == (*BOTH, default)
    own = (Bound(metric="mrr", against=True, low=-0.01),)
    assert gate.bounds_of(Gate(bounds=own), ranked=True, champion=True) == own
    assert (
        gate.bounds_of(Gate(), ranked=False, champion=True)
        == gate.bounds_of(Gate(), ranked=True, champion=False)
        == ()
    )


def test_better_by_auc_and_worse_as_a_ranking_says_both():
    differences = {"auc": between(0.05, 0.15), "ndcg@10": between(-0.1, -0.02)}
    for bounds, verdict in (
        (BOTH[:1], "pass"),
        (gate.bounds_of(Gate(), ranked=True, champion=True), "fail"),
    ):
        result = gate.judge(bounds, {}, differences)
        assert result.verdict == verdict
        assert "by AUC alone it would pass (auc_vs_champion 0.100" in result.note
        assert "it ranks worse (ndcg@10_vs_champion -0.060" in result.note
    assert gate.judge((), {}, differences | {"ndcg@10": between(-0.1, 0.02)}).note is None


@given(numbers, numbers, numbers, st.floats(0, 1))
def test_a_narrower_interval_never_turns_a_verdict_around(low, high, bound, share):
    low, high = sorted((low, high))
    wide = gate.within(between(low, high), bound)
    narrow = gate.within(
        between(low + share * (high - low) / 2, high - share * (high - low) / 2), bound
    )
    assert wide in (narrow, "inconclusive")


@given(numbers, numbers, numbers, numbers)
def test_an_interval_passes_inside_and_fails_outside(low, high, bottom, top):
    low, high = sorted((low, high))
    bottom, top = sorted((bottom, top))
    found = gate.within(between(low, high), bottom, top)
    assert (found == "pass") == (bottom <= low and high <= top)
    assert (found == "fail") == (high < bottom or low > top)


def test_leaks_none_fails_with_an_alarm_and_is_inconclusive_while_a_feature_was_not_looked_at():
    quiet, tags = (
        FeatureFinding(feature="a", days=3, auc=0.6),
        FeatureFinding(feature="c", why_not="it is a list"),
    )
    alarm = FeatureFinding(feature="b", days=3, auc=0.9, warnings=("AUC 0.9",))
    asked = Gate(leaks="none")
    verdicts = [
        gate.no_leaks(asked, looked).verdict
        for looked in ([quiet], [quiet, tags], [tags, alarm], [])
    ]
    assert verdicts == ["pass", "inconclusive", "fail", "inconclusive"]
    assert gate.no_leaks(asked, [quiet, tags]).reason == "not looked at: c (it is a list)"
    judged = gate.judge((), {}, {}, leaks=gate.no_leaks(asked, [quiet, alarm]))
    assert (judged.verdict, judged.verdict_of("leaks"), judged.checks[0].reason) == (
        "fail",
        "fail",
        "the leak alarm calls b",
    )
    assert gate.no_leaks(Gate(), [alarm]) is None
