"""The pure parts: statistics of datapoints, M of N with missing data, metric math."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.aws.services.cloudwatch.evaluation import evaluate
from isthmus_stack.aws.services.cloudwatch.expressions import Refused
from isthmus_stack.aws.services.cloudwatch.expressions import evaluate as computed
from isthmus_stack.aws.services.cloudwatch.statistics import (
    Datapoints,
    Summary,
    floor,
    periods,
    statistic,
)

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50)


@given(VALUES, st.integers(0, 10_000).map(lambda at: f"{at / 100:.2f}" if at < 10_000 else "100"))
def test_a_percentile_is_between_the_least_and_the_most(values, at):
    found = statistic(f"p{at}")(Datapoints(values=values))
    assert min(values) <= found <= max(values)


@given(VALUES)
def test_p0_p50_and_p100_are_what_they_say(values):
    ordered = sorted(values)
    middle = (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
    found = [statistic(name)(Datapoints(values=values)) for name in ("p0", "p50", "p100")]
    assert found == [pytest.approx(ordered[0]), pytest.approx(middle), pytest.approx(ordered[-1])]


@given(VALUES)
def test_a_trimmed_mean_of_everything_is_the_mean(values):
    everything = statistic("TM(0%:100%)")(Datapoints(values=values))
    assert everything == pytest.approx(statistic("Average")(Datapoints(values=values)), abs=1e-6)


def test_statistic_sets_count_in_sums_and_have_no_percentiles_unless_all_is_one_value():
    mixed = Datapoints(values=[1.0, 3.0], summaries=[Summary(count=2, total=16, least=6, most=10)])
    assert [
        statistic(s)(mixed) for s in ("SampleCount", "Sum", "Average", "Minimum", "Maximum")
    ] == [4, 20, 5, 1, 10]
    assert statistic("p90")(mixed) is None
    assert (
        statistic("p50")(
            Datapoints(values=[], summaries=[Summary(count=3, total=6, least=2, most=2)])
        )
        == 2
    )


@pytest.mark.parametrize("name", ["p101", "q50", "p", "TM(90%:10%)", "PR(:300)", "average"])
def test_a_statistic_that_is_not_there_is_said_to_be_unknown(name):
    assert statistic(name) is None


@given(
    st.lists(st.tuples(st.integers(0, 7200), st.floats(-10, 10)), max_size=30),
    st.sampled_from([60, 300, 3600]),
)
def test_every_datapoint_falls_into_the_one_period_around_it(points, period):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    found = periods(((start + timedelta(seconds=s), v) for s, v in points), period)
    assert sum(p.count for p in found.values()) == len(points)
    assert list(found) == sorted(found)
    assert set(found) == {floor(start + timedelta(seconds=s), period) for s, _ in points}


def verdict(text, missing, *, of=3, needed=3, before="OK"):
    """`text`: one sign a period, the oldest first: 0 is fine, X breaches, - is missing (the user
    guide's own tables).
    """
    points = [{"0": 0.0, "X": 9.0, "-": None}[sign] for sign in text]
    return evaluate(
        points,
        threshold=5,
        comparison="GreaterThanThreshold",
        decisive=of,
        needed=needed,
        missing=missing,
        previous=before,
    ).state


@pytest.mark.parametrize(
    ("text", "missing", "ignore", "breaching", "not_breaching"),
    [
        ("0-X-X", "OK", "OK", "OK", "OK"),
        ("----0", "OK", "OK", "OK", "OK"),
        ("-----", "INSUFFICIENT_DATA", "before", "ALARM", "OK"),
        ("0XX-X", "ALARM", "ALARM", "ALARM", "ALARM"),
        ("--X--", "ALARM", "before", "ALARM", "OK"),
    ],
)
def test_missing_data_is_treated_as_the_user_guides_table_says(
    text, missing, ignore, breaching, not_breaching
):
    assert verdict(text, "missing") == missing
    for before in ("OK", "ALARM", "INSUFFICIENT_DATA"):
        assert verdict(text, "ignore", before=before) == (before if ignore == "before" else ignore)
    assert verdict(text, "breaching") == breaching
    assert verdict(text, "notBreaching") == not_breaching


@given(st.text("0X", min_size=5, max_size=8), st.integers(1, 5), st.data())
def test_with_no_datapoint_missing_m_of_the_newest_n_decide(text, of, data):
    needed = data.draw(st.integers(1, of))
    expected = "ALARM" if text[-of:].count("X") >= needed else "OK"
    for missing in ("missing", "ignore", "breaching", "notBreaching"):
        assert verdict(text, missing, of=of, needed=needed) == expected


def test_metric_math_is_computed_where_all_its_metrics_have_a_datapoint():
    one, two, three = (datetime(2026, 1, 1, 0, n, tzinfo=UTC) for n in range(3))
    series = {"a": {one: 1.0, two: 2.0, three: 3.0}, "b": {two: 4.0, three: 0.0}}
    assert computed("100 * (a + b) / b", series) == {two: 150.0}
    assert computed("-a ^ 2", series) == {one: -1.0, two: -4.0, three: -9.0}
    for wrong, words in (
        ("a +", "cannot be read"),
        ("a + c", "'c'"),
        ("SUM(METRICS())", r"SUM\(\)"),
        ("2 * 3", "no metric"),
        ("a if b else a", "not there"),
    ):
        with pytest.raises(Refused, match=words):
            computed(wrong, series)
