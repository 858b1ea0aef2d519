"""The leak alarm of a number sees what has seen the outcome, and is quiet in honest logs."""

import numpy as np
import pyarrow as pa
import pytest

from isthmus.pipelines.evaluation.leaks.number_alarm import number_leak_alarm
from isthmus.tests.pipelines.evaluation import honest_numbers as honest

START = np.datetime64("2026-01-01T12:00", "ms")


def table(seconds, days=10, **features):
    """Rows of so many days, one person each."""
    day = np.arange(len(seconds)) % days
    times = START + day.astype("timedelta64[D]")
    return pa.table({"event_timestamp": times, "outcome": seconds, **features})


@pytest.mark.parametrize("world", honest.WORLDS)
def test_honest_worlds_raise_no_alarm(world):
    """10 worlds of 300 people at 1 % a call: more than 2 alarms have a chance of 1 in 8,000.
    benchmarks/pipelines/number_leaks.py has 200.
    """
    alarms = [lines for seed in range(10) if (lines := honest.alarmed(world, 300, seed))]
    assert len(alarms) <= 2, alarms


@pytest.mark.parametrize(
    ("world", "kind", "told"),
    [
        ("log-normal", "text", "AUC 1.000 alone"),
        ("log-normal", "noisy", "AUC 0.99"),
        ("pareto with a cap", "id", "though nearly every row or list has a value of its own"),
        ("zero-inflated", "table", "than the true"),
        ("zero-inflated", "filled", "of stay.seconds other than 0 where it has a value"),
        ("pareto with a cap", "daily", "than the true mean of every item and day could"),
        ("log-normal", "every day", "with what was known 1h earlier"),
    ],
)
def test_a_feature_that_has_seen_the_number_is_called(world, kind, told):
    lines = [line for line in honest.alarmed(world, 300, 0, leak=kind) if "leaky" in line]
    assert len(lines) == 1
    assert told in lines[0]
    assert lines[0].endswith("has it seen the label?")


def test_an_honest_feature_is_told_with_the_cut_at_which_it_ranks_better():
    quality = next(
        one for one in honest.looked_at("zero-inflated", 300, 0) if one.feature == "quality"
    )
    assert quality.warnings == ()
    assert 0.5 < quality.auc < 0.9
    assert quality.outcome.startswith(("stay.seconds other than 0", "stay.seconds above "))
    assert f"AUC {quality.auc:.3f} of {quality.outcome}, " in str(quality)
    assert str(quality).endswith("nothing stands out")


def test_a_value_that_long_visits_alone_have_is_no_alarm_where_everybody_stays():
    """That all long films are watched for longer than the median is known beforehand."""
    random = np.random.default_rng(3)
    film = random.random(4000) < 0.25
    seconds = np.where(film, 5.0, 1.0) * np.exp(random.normal(0, 0.3, 4000))
    length = pa.array(np.where(film, 1.0, np.nan), from_pandas=True)
    (finding,) = number_leak_alarm(table(seconds, length=length), "outcome", ["length"])
    assert finding.warnings == ()


def test_more_than_half_of_the_rows_at_the_cap_are_asked_whether_they_reach_it():
    random = np.random.default_rng(4)
    seconds = np.where(random.random(3000) < 0.7, 60.0, random.uniform(1, 60, 3000))
    data = table(seconds, leak=np.where(seconds == 60.0, "full", "part"))
    (finding,) = number_leak_alarm(data, "outcome", ["leak"], what="stay.seconds")
    assert finding.outcome == "stay.seconds of 60 at least"
    assert "AUC 1.000 alone" in finding.warnings[0]


def test_losses_are_asked_as_gains_are():
    random = np.random.default_rng(5)
    loss = np.where(random.random(3000) < 0.3, random.normal(-5, 4, 3000), 0.0)
    data = table(loss, leak=loss + random.normal(0, 0.01, 3000), noise=random.normal(size=3000))
    leak, noise = number_leak_alarm(data, "outcome", ["leak", "noise"])
    assert any("alone, more than what is known beforehand" in said for said in leak.warnings)
    assert noise.warnings == ()


@pytest.mark.parametrize("seconds", [np.zeros(500), np.full(500, 30.0), np.array([])])
def test_outcomes_that_are_all_alike_tell_nothing_and_say_so(seconds):
    data = table(seconds, x=np.arange(len(seconds), dtype=float))
    (finding,) = number_leak_alarm(data, "outcome", ["x"], what="stay.seconds")
    assert str(finding) == "x: not looked at: stay.seconds is the same in all but 50 rows"


def test_rare_outcomes_are_asked_as_far_as_there_are_enough_of_them():
    """309 of 60,000 rows."""
    random = np.random.default_rng(6)
    seconds = np.where(np.arange(60_000) % 194 == 0, np.exp(random.normal(2, 1, 60_000)), 0.0)
    (finding,) = number_leak_alarm(table(seconds, leak=seconds), "outcome", ["leak"])
    assert any("AUC 1.000 alone" in said for said in finding.warnings)


def test_a_grade_that_few_rows_exceed_is_asked_whether_it_is_reached():
    grade = np.concatenate([np.full(391, 3.0), np.full(602, 4.0), np.full(7, 5.0)])
    grade = np.random.default_rng(7).permutation(np.tile(grade, 3))
    (finding,) = number_leak_alarm(table(grade, leak=grade), "outcome", ["leak"], what="stars")
    assert finding.outcome == "stars of 4 at least"
    assert finding.warnings
