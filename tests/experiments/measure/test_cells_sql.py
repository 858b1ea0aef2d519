"""The query of a run's cells against sums that are made unit by unit in Python, at every look; and
what every target's SQL says of it.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from functools import cache

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.experiments.measure.cells_sql import (
    cells_sql,
    parameters,
    shifts_covariate,
    shifts_outcome,
    sums_of,
)
from isthmus.experiments.measure.run_units import segment_units
from isthmus.feature_store.sql import subset as neutral
from isthmus.project.specs.description import Event, ProjectSpec
from isthmus.project.specs.experiments import Metric, Total

from ..fuller_shop import METRICS, SHOP, attribute

DAY = timedelta(days=1)
START = datetime(2026, 11, 1)  # noqa: DTZ001  as SQL has them, in UTC


ARMS = ("control", "treatment")
SQL = cells_sql(SHOP, METRICS, unit="visitor_id", arms=2, daily=("ctr", "basket"))
BY_SEGMENT = cells_sql(
    SHOP,
    METRICS,
    unit="visitor_id",
    arms=2,
    units=segment_units(("platform", "country")),
    segmented=True,
)


def test_it_is_in_the_neutral_subset():
    assert neutral.check(SQL) == neutral.check(BY_SEGMENT) == ()


moments = st.integers(0, 6 * 24 * 4).map(lambda quarter: START + quarter * timedelta(minutes=15))
units = st.integers(1, 4).map(str)
logs = st.fixed_dictionaries(
    {
        "assignments": st.lists(
            st.tuples(units, st.sampled_from(["control", "treatment"]), moments), max_size=12
        ),
        "impressions": st.lists(st.tuples(units, moments, st.booleans()), max_size=12),
        "purchases": st.lists(
            st.tuples(units, moments, st.none() | st.integers(0, 40).map(float)), max_size=12
        ),
    }
)


@settings(max_examples=25)
@given(logs, st.integers(0, 1).map(lambda at: 5.0 * at))
def test_adding_cells_gives_every_look_of_the_past(log, shift):
    rows = queried(log, shift)
    for last in range(7):
        cells = [row for row in rows if row["day"] <= START + last * DAY and row["arm"] >= 0]
        assert added(cells) == by_hand(log, until=START + (last + 1) * DAY, shift=shift)


@settings(max_examples=25)
@given(logs)
def test_a_days_squares_are_of_what_that_day_alone_adds_to_each_unit(log):
    rows = queried(log, 0.0)
    for metric, at in ((METRICS[0], 0), (METRICS[4], 4)):
        for offset in range(7):
            cells = [row for row in rows if row["day"] == START + offset * DAY and row["arm"] >= 0]
            steps = [
                step(metric, log, unit, START + offset * DAY)
                for unit in sorted({unit for unit, _, _ in log["assignments"]})
            ]
            for name, (one, other) in {
                "uu": ("y", "y"),
                "uv": ("y", "d"),
                "vv": ("d", "d"),
            }.items():
                assert sum(float(cell[f"m{at}_{name}"]) for cell in cells) == sum(
                    of[one] * of[other] for of in steps
                )


def step(metric: Metric, log, unit: str, midnight: datetime) -> dict[str, float]:
    """What the unit did on one day, if it was in one arm."""
    seen = sorted((at, arm) for name, arm, at in log["assignments"] if name == unit)
    if len({arm for _, arm in seen}) > 1:
        return {"y": 0, "d": 0}
    before, after = (
        of_unit(metric, log, unit, seen[0][0], until, 0.0) for until in (midnight, midnight + DAY)
    )
    return {name: after[name] - before[name] for name in ("y", "d")}


@settings(max_examples=25)
@given(
    logs,
    st.lists(
        st.tuples(units, st.sampled_from(["platform=ios", "platform=web", "country=JP"]), moments),
        max_size=8,
    ),
)
def test_by_segment_a_unit_counts_once_for_each_attribute_with_its_first_value(log, values):
    rows = queried(log, 0.0, values)
    for segment in ("platform=ios", "platform=web", "country=JP"):
        whose = {
            unit
            for unit in "1234"
            if first_value(unit, segment.partition("=")[0], values) == segment
        }
        of_segment = log | {"assignments": [row for row in log["assignments"] if row[0] in whose]}
        cells = [row for row in rows if row["segment"] == segment and row["arm"] >= 0]
        assert added(cells) == by_hand(of_segment, until=START + 30 * DAY, shift=0.0)


def first_value(unit: str, attribute: str, values) -> str | None:
    own = sorted(
        (at, value)
        for name, value, at in values
        if name == unit and value.startswith(f"{attribute}=")
    )
    return own[0][1] if own else None


def queried(log, shift: float, values=None) -> list[dict[str, object]]:
    """What the query answers; `values` are of segments, which are then asked for."""
    connection = database()
    filled(connection, log, values)
    end = START + 30 * DAY
    asked = {"run": "r.1", "since": "2000-01-01", "earliest": "2000-01-01", "until": end}
    answer = connection.execute(
        SQL if values is None else BY_SEGMENT,
        asked
        | parameters(
            METRICS, ARMS, known_at=end, shifts={"revenue": (shift, 0), "basket": (0, shift)}
        ),
    )
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def filled(connection, log, values=None) -> None:
    """Make the tables anew, with what the log has."""
    connection.execute(TABLES)
    fill(
        connection,
        "assignments",
        [("r.1", u, arm, "split", "", at, day(at)) for u, arm, at in log["assignments"]],
    )
    early = START - 31 * DAY  # of another run, and of a segment: neither is a first assignment
    fill(connection, "assignments", [("r.2", "1", "control", "split", "", early, day(early))])
    if values is None:
        fill(
            connection,
            "assignments",
            [("r.1", "1", "control", "split", "platform=ios", early, day(early))],
        )
    fill(
        connection,
        "assignments",
        [("r.1", u, "control", "split", value, at, day(at)) for u, value, at in values or ()],
    )
    shown = [
        (f"i{number}", unit, at, clicked)
        for number, (unit, at, clicked) in enumerate(log["impressions"])
    ]
    fill(
        connection, "ctr", [(name, int(clicked), at, at, day(at)) for name, _, at, clicked in shown]
    )
    fill(connection, "impression_exposed", [(name, unit) for name, unit, _, _ in shown])
    fill(
        connection,
        "events_click",
        [(name, at, day(at)) for name, _, at, clicked in shown if clicked],
    )
    fill(
        connection,
        "events_purchase",
        [(int(unit), amount, at, day(at)) for unit, at, amount in log["purchases"]],
    )


TABLES = """
CREATE OR REPLACE TABLE assignments(
    run VARCHAR, unit VARCHAR, arm VARCHAR, reason VARCHAR, segment VARCHAR, event_timestamp TIMESTAMP, dt VARCHAR);
CREATE OR REPLACE TABLE ctr(event_id VARCHAR, outcome BIGINT, event_timestamp TIMESTAMP, created_timestamp TIMESTAMP, dt VARCHAR);
CREATE OR REPLACE TABLE impression_exposed(event_id VARCHAR, unit VARCHAR);
CREATE OR REPLACE TABLE events_click(impression_id VARCHAR, event_timestamp TIMESTAMP, dt VARCHAR);
CREATE OR REPLACE TABLE events_purchase(visitor_id BIGINT, amount DOUBLE, event_timestamp TIMESTAMP, dt VARCHAR);
"""


@cache
def database() -> duckdb.DuckDBPyConnection:
    """One for all logs: to make it is half of a test."""
    return duckdb.connect(config={"threads": 1})


def fill(connection, table: str, rows) -> None:
    if rows:
        values = ", ".join(f"({', '.join('?' * len(row))})" for row in rows)
        connection.execute(
            f"INSERT INTO {table} VALUES {values}", [value for row in rows for value in row]
        )


def day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def added(cells) -> dict[tuple[str, str], dict[str, float]]:
    totals: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for cell in cells:
        for at, metric in enumerate(METRICS):
            of_arm = totals[metric.name, ARMS[cell["arm"]]]
            of_arm["units"] += float(cell["units"])
            for name in sums_of(metric):
                of_arm[name] += float(cell[f"m{at}_{name}"])
    return {key: dict(values) for key, values in totals.items()}


def by_hand(log, *, until: datetime, shift: float) -> dict[tuple[str, str], dict[str, float]]:
    totals: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for unit in {unit for unit, _, _ in log["assignments"]}:
        seen = sorted((at, arm) for name, arm, at in log["assignments"] if name == unit)
        if len({arm for _, arm in seen}) == 1 and seen[0][0] < until:
            for metric in METRICS:
                of_arm = totals[metric.name, seen[0][1]]
                of_arm["units"] += 1
                for name, value in of_unit(metric, log, unit, seen[0][0], until, shift).items():
                    of_arm[name] += value
    return {key: dict(values) for key, values in totals.items()}


def of_unit(
    metric: Metric, log, unit: str, first: datetime, until: datetime, shift: float
) -> dict[str, float]:
    midnight = first.replace(hour=0, minute=0)
    end = min(until, midnight + metric.within) if metric.within else until
    rows = {
        "click": [(at, 1) for name, at, clicked in log["impressions"] if name == unit and clicked],
        "impression": [(at, 1) for name, at, _ in log["impressions"] if name == unit],
        "purchase": [(at, 1) for name, at, _ in log["purchases"] if name == unit],
        "amount": [(at, amount or 0.0) for name, at, amount in log["purchases"] if name == unit],
    }
    numerator = rows[metric.numerator.attribute or metric.numerator.event]
    y = sum(value for at, value in numerator if first <= at < end)
    y = min(y, 1) if metric.kind == "any" else min(y, metric.at_most) if metric.at_most else y
    y = y - shift if shifts_outcome(metric) else y
    d = (
        sum(value for at, value in rows[metric.denominator.event] if first <= at < end)
        if metric.denominator
        else 1
    )
    x = sum(
        value for at, value in numerator if metric.before and midnight - metric.before <= at < first
    )
    x = x - shift if shifts_covariate(metric) else x
    every = {
        "y": y,
        "yy": y * y,
        "d": d,
        "yd": y * d,
        "dd": d * d,
        "x": x,
        "xx": x * x,
        "yx": x * y,
        "dx": x * d,
    }
    return {name: every[name] for name in sums_of(metric)}


@pytest.mark.parametrize("event", ["purchase", "impression", "click"])
def test_an_event_that_does_not_reach_the_unit_is_a_mistake_of_the_caller(event):
    lost = Event(name=event, attributes=(attribute("color"),))
    spec = ProjectSpec(name="shop", events={event: lost})
    with pytest.raises(ValueError, match=f"{event} does not reach visitor_id"):
        cells_sql(
            spec,
            [Metric(name="n", kind="sum", numerator=Total(event=event))],
            unit="visitor_id",
            arms=2,
        )


@pytest.mark.parametrize("name", ["unit", "arm", "segment", "first_day", "day", "happened_at"])
def test_a_metric_may_add_up_an_attribute_that_is_called_as_a_column_of_the_query(name):
    paid = ProjectSpec(
        name="shop",
        events={
            "paid": Event(
                name="paid", attributes=(attribute("visitor_id"), attribute(name, "float"))
            )
        },
    )
    metric = Metric(
        name="sum", kind="sum", numerator=Total(event="paid", attribute=name), before=DAY
    )
    connection = database()
    connection.execute(
        f"{TABLES} CREATE OR REPLACE TABLE events_paid(visitor_id VARCHAR, event_timestamp "
        f"TIMESTAMP, dt VARCHAR, {name} DOUBLE)"
    )
    fill(
        connection,
        "assignments",
        [("r.1", "1", "treatment", "split", "", START + DAY, day(START + DAY))],
    )
    fill(
        connection,
        "events_paid",
        [("1", at, day(at), value) for at, value in ((START + DAY, 3.0), (START + 0.5 * DAY, 2.0))],
    )
    asked = {
        "run": "r.1",
        "since": "2000-01-01",
        "earliest": "2000-01-01",
        "until": START + 3 * DAY,
    }
    sql = cells_sql(paid, [metric], unit="visitor_id", arms=2)
    (row,) = connection.execute(
        sql, asked | parameters([metric], ARMS, known_at=START, shifts={"sum": (0, 0)})
    ).fetchall()
    assert row == (1, "", START + DAY, START + DAY, 1, 3.0, 9.0, 2.0, 4.0, 6.0)
