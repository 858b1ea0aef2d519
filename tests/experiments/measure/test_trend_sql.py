"""The query of the units' influences on a slope, against a count unit by unit in Python."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.experiments.measure.trend_sql import trend_parameters, trend_sql
from isthmus.experiments.statistics.trend import DayWeight
from isthmus.feature_store.sql import subset as neutral

from ..fuller_shop import METRICS, SHOP
from .test_cells_sql import DAY, START, database, filled, logs, of_unit

ARMS = ("control", "low", "treatment")
# of two treatments: each compares the control with itself, on days of its own
SLOPES = (
    {
        "control": {0: DayWeight(0.5, 0.25), 2: DayWeight(-1.5, -0.125)},
        "treatment": {0: DayWeight(-0.75, 0.5), 2: DayWeight(2.0, 1e-7)},
    },
    {"control": {1: DayWeight(3.0, -0.5)}, "low": {1: DayWeight(1.25, 1.5)}},
)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_it_is_in_the_neutral_subset(metric):
    assert neutral.check(sql(metric)) == ()


def sql(metric):
    return trend_sql(SHOP, metric, unit="visitor_id", arms=ARMS, slopes=SLOPES)


@settings(max_examples=25)
@given(logs, st.integers(1, 7))
def test_each_units_days_that_are_over_add_up_to_its_influence(log, day):
    today = START + day * DAY
    connection = database()
    filled(connection, log)
    until = today + timedelta(hours=5)
    for metric in METRICS:
        answer = connection.execute(
            sql(metric),
            {
                "run": "r.1",
                "since": "2000-01-01",
                "earliest": "2000-01-01",
                "until": until,
            }
            | trend_parameters(metric, ARMS, until=until, known_at=START + 30 * DAY),
        ).fetchall()
        shown = {ARMS[arm]: (units, *squares) for arm, units, *squares in answer}
        assigned = [row for row in log["assignments"] if row[2] < until]
        expected = by_hand(metric, log | {"assignments": assigned}, today)
        assert shown.keys() == expected.keys()
        for arm, figures in shown.items():
            assert figures == pytest.approx(expected[arm], rel=1e-9, abs=1e-9)


def by_hand(metric, log, today: datetime) -> dict[str, tuple[float, ...]]:
    totals: dict[str, tuple[float, ...]] = {}
    for unit in {unit for unit, _, _ in log["assignments"]}:
        seen = sorted((at, arm) for name, arm, at in log["assignments"] if name == unit)
        first = seen[0][0].replace(hour=0, minute=0)
        if len({arm for _, arm in seen}) > 1 or first >= today:
            continue
        influences = [
            sum(
                influence(metric, log, unit, first + day * DAY, weight)
                for day, weight in slope.get(seen[0][1], {}).items()
                if first + day * DAY < today
            )
            for slope in SLOPES
        ]
        so_far = totals.get(seen[0][1], (0, 0.0, 0.0))
        totals[seen[0][1]] = (
            so_far[0] + 1,
            *(sum_ + one**2 for sum_, one in zip(so_far[1:], influences, strict=True)),
        )
    return totals


def influence(metric, log, unit, midnight, weight) -> float:
    so_far, after = (
        of_unit(metric, log, unit, first_of(log, unit), until, 0.0)
        for until in (midnight, midnight + DAY)
    )
    d = after["d"] - so_far["d"] if metric.denominator else 1
    return weight.of_y * (after["y"] - so_far["y"]) - weight.of_d * d


def first_of(log, unit: str) -> datetime:
    return min(at for name, _, at in log["assignments"] if name == unit)
