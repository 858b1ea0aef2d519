from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.feature_store.leaks import auc, leak_alarm

START = datetime(2019, 11, 24, tzinfo=UTC)


def week(seed=0, rows=2800, rate=0.004, days=7):
    """A log like Open Bandit's: seven days, some 11 clicks each."""
    random = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    outcome = np.zeros(rows * days, int)
    for number in range(days):
        outcome[number * rows + random.choice(rows, int(rows * rate), replace=False)] = 1
    times = [START + timedelta(days=int(d), hours=1) for d in day]
    return random, day, outcome, times


def table(times, outcome, zone=None, **features):
    return pa.table(
        {
            "event_timestamp": pa.array([moment.replace(tzinfo=zone) for moment in times], pa.timestamp("ms", tz="UTC" if zone else None)),
            "outcome": outcome,
            **features,
        }
    )


def test_a_feature_that_saw_the_click_on_one_day_is_named_with_the_day():
    random, day, outcome, times = week()
    leak = random.normal(size=day.size)
    leak[(day == 0) & (outcome == 1)] += 2.7  # AUC about 0.97 that day, chance on the others
    (warning,) = leak_alarm(table(times, outcome, leak=leak, honest=random.normal(size=day.size)), "outcome", ["leak", "honest"])
    assert (warning.feature, warning.day) == ("leak", date(2019, 11, 24))
    assert warning.auc > 0.9
    assert abs(warning.others - 0.5) < 0.1
    assert str(warning).startswith(f"leak: AUC {warning.auc:.3f} on 24 November 2019 and ")


def test_a_leak_may_also_point_the_other_way_and_lie_in_a_mostly_zero_column():
    _, day, outcome, times = week()
    leak = np.where((day == 3) & (outcome == 1), -1, 0)
    (warning,) = leak_alarm(table(times, outcome, leak=leak), "outcome", ["leak"])
    assert (warning.day, warning.auc) == (date(2019, 11, 27), 0.0)


def test_honest_features_raise_no_alarm():
    """120 weeks of noise and of a good feature: alpha is 1 % a call, so more than five alarms would be a wrong formula (p < 0.002)."""
    alarms = 0
    for seed in range(120):
        random, day, outcome, times = week(seed, rows=500, rate=0.02)
        good = random.normal(size=day.size) + outcome
        found = leak_alarm(table(times, outcome, noise=random.normal(size=day.size), good=good), "outcome", ["noise", "good"])
        alarms += len(found) > 0
    assert alarms <= 5


def test_nulls_constants_text_and_days_of_one_class_are_passed_over():
    _, day, outcome, times = week()
    outcome = np.where(day == 2, 0, outcome)
    data = table(times, outcome, nothing=pa.nulls(day.size, pa.float64()), constant=np.ones(day.size), text=["x"] * day.size, flag=day == 1)
    assert leak_alarm(data, "outcome", ["nothing", "constant", "text", "flag"]) == ()


def test_an_empty_table_raises_no_alarm():
    assert leak_alarm(table([], pa.array([], pa.int64()), x=pa.array([], pa.float64())), "outcome", ["x"]) == ()


@given(pairs=st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_the_auc_is_the_share_of_pairs_in_order(pairs):
    scores, truth = np.array([float(s) for s, _ in pairs]), np.array([t for _, t in pairs])
    compared = [(p > n) + 0.5 * (p == n) for p in scores[truth] for n in scores[~truth]]
    if compared:
        assert auc(scores, truth) == pytest.approx(sum(compared) / len(compared))
    else:
        assert np.isnan(auc(scores, truth))


def test_zoned_times_are_days_in_utc():
    _, day, outcome, times = week()
    leak = np.where((day == 3) & (outcome == 1), 1.0, 0.0)
    data = table(times, outcome, zone=UTC, leak=leak)
    assert [warning.day for warning in leak_alarm(data, "outcome", ["leak"])] == [date(2019, 11, 27)]
