"""The query of an interleaved run against a count by hand, and its statistics against simulated
preferences.
"""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from isthmus.experiments.design.power import preference_events as events
from isthmus.experiments.measure.cells_sql import cells_sql, win_rate
from isthmus.experiments.results.effects import ComparedMetrics
from isthmus.experiments.results.interleaving import (
    conclude,
    difference,
    effects,
    information_by_metric,
    units_needed,
)
from isthmus.experiments.statistics.conclusion import RunAge
from isthmus.experiments.statistics.inference import ONCE, LookSchedule
from isthmus.experiments.statistics.sums import UnitSums
from isthmus.feature_store.sql import subset as neutral
from isthmus.project.specs.description import Event, ProjectSpec
from isthmus.project.specs.experiments import INTERLEAVED, Experiment, ExperimentArm, Plan

from ..fuller_shop import METRICS, SHOP, attribute
from ..measure.test_cells_sql import database, day, fill, moments, units

CTR, CLICKS = METRICS[:2]
START = datetime(2026, 11, 1)  # noqa: DTZ001  as SQL has them, in UTC
CONTROL, TREATMENT = '{"r.1":"champion"}', '{"r.1":"challenger"}'
TABLES = """
CREATE OR REPLACE TABLE assignments(
    run VARCHAR, unit VARCHAR, arm VARCHAR, reason VARCHAR, segment VARCHAR, event_timestamp TIMESTAMP, dt VARCHAR);
CREATE OR REPLACE TABLE exposures(event_id VARCHAR, unit VARCHAR, credit VARCHAR, dt VARCHAR);
CREATE OR REPLACE TABLE ctr(exposure_id VARCHAR, outcome BIGINT, event_timestamp TIMESTAMP, created_timestamp TIMESTAMP, dt VARCHAR);
CREATE OR REPLACE TABLE events_impression(event_id VARCHAR, exposure_id VARCHAR);
CREATE OR REPLACE TABLE events_click(impression_id VARCHAR, event_timestamp TIMESTAMP, dt VARCHAR);
"""
logs = st.fixed_dictionaries(
    {
        "assignments": st.lists(st.tuples(units, moments), max_size=8),
        "shown": st.lists(
            st.tuples(
                units,
                moments,
                st.booleans(),
                st.sampled_from([None, CONTROL, TREATMENT, '{"r.2":"challenger"}']),
            ),
            max_size=15,
        ),
    }
)


@settings(max_examples=25)
@pytest.mark.parametrize("metric", [CTR, CLICKS], ids=["an objective", "a sum"])
@given(logs)
def test_a_units_wins_are_the_clicks_on_what_one_variant_picked_alone(metric, log):
    sql = cells_sql(SHOP, [win_rate(metric)], unit="visitor_id", arms=1, credited=True)
    assert neutral.check(sql) == ()
    connection = database()
    connection.execute(TABLES)
    fill(
        connection,
        "assignments",
        [("r.1", unit, INTERLEAVED, "split", "", at, day(at)) for unit, at in log["assignments"]],
    )
    rows = [(f"i{number}", *row) for number, row in enumerate(log["shown"])]
    fill(
        connection,
        "exposures",
        [
            (f"e{name}", unit, credit, day(at))
            for name, unit, at, _, credit in rows
            for _ in range(2)
        ],
    )
    fill(connection, "events_impression", [(name, f"e{name}") for name, *_ in rows])
    fill(
        connection,
        "ctr",
        [(f"e{name}", int(clicked), at, at, day(at)) for name, _, at, clicked, _ in rows],
    )
    fill(
        connection,
        "events_click",
        [(name, at, day(at)) for name, _, at, clicked, _ in rows if clicked],
    )
    values = {
        "run": "r.1",
        "since": "2000-01-01",
        "earliest": "2000-01-01",
        "until": START + timedelta(days=30),
    }
    known = {"known": values["until"]} if metric.objective else {}
    answer = connection.execute(
        sql,
        values
        | known
        | {"arm0": INTERLEAVED, "control_credit": CONTROL, "treatment_credit": TREATMENT},
    )
    names = [column[0] for column in answer.description]
    cells = [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
    assert {
        name: sum(int(cell[name]) for cell in cells)
        for name in ("units", *(f"m0_{sum_}" for sum_ in SUMS))
    } == by_hand(metric, log)


SUMS = ("y", "yy", "d", "yd", "dd")


def by_hand(metric, log):
    first: dict[str, datetime] = {}
    for unit, at in log["assignments"]:
        first[unit] = min(at, first.get(unit, at))
    totals = defaultdict(int, units=len(first))
    for unit, begins in first.items():
        ends = begins.replace(hour=0, minute=0) + metric.within if metric.within else datetime.max  # noqa: DTZ901
        clicks = [
            credit
            for name, at, clicked, credit in log["shown"]
            if name == unit and clicked and begins <= at < ends
        ]
        wins, losses = clicks.count(TREATMENT), clicks.count(CONTROL)
        y, d = wins - losses, wins + losses
        for name, value in zip(SUMS, (y, y * y, d, y * d, d * d), strict=True):
            totals[f"m0_{name}"] += value
    return {name: totals[name] for name in ("units", *(f"m0_{sum_}" for sum_ in SUMS))}


def test_a_metric_whose_event_says_no_exposure_is_a_mistake_of_the_caller():
    click = Event(name="click", attributes=(attribute("visitor_id"),))
    with pytest.raises(ValueError, match="click does not say which exposure it followed"):
        cells_sql(
            ProjectSpec(name="shop", events={"click": click}),
            [win_rate(CLICKS)],
            unit="visitor_id",
            arms=1,
            credited=True,
        )


def world(rng, number, preference):
    """Units have 0 to 4 clicks that count, each for the treatment with (1 + preference) / 2."""
    pairs = []
    for _ in range(number):
        clicks = rng.randrange(5)
        wins = sum(rng.random() < (1 + preference) / 2 for _ in range(clicks))
        pairs.append((2 * wins - clicks, clicks))
    y, d = zip(*pairs, strict=True)
    return UnitSums(
        units=number,
        y=sum(y),
        yy=sum(of * of for of in y),
        d=sum(d),
        yd=sum(one * other for one, other in pairs),
        dd=sum(of * of for of in d),
        outcomes=sum(d),
    )


def excluded(rng, number, preference, times):
    """How often a single look excludes 0."""
    seen = (difference(world(rng, number, preference), ONCE.multiple()) for _ in range(times))
    return sum(not of.absolute.low <= 0 <= of.absolute.high for of in seen) / times


DUEL = Experiment(
    name="order_duel",
    layer="home",
    arms=(ExperimentArm(name=INTERLEAVED),),
    interleave=("champion", "challenger"),
    metric=("clicks",),
    plan=Plan(minimum_effect=10),
)
COMPARISON = ComparedMetrics(experiment=DUEL, metrics={"clicks": win_rate(CLICKS)})


def test_without_a_preference_a_single_look_cries_as_often_as_it_may():
    share = excluded(random.Random(5), 150, 0.0, 400)
    assert abs(share - 0.05) < 4 * (0.05 * 0.95 / 400) ** 0.5


def test_units_that_act_twice_as_often_tell_twice_as_much_of_the_preference():
    once = UnitSums(units=400, y=0, d=400, yy=400, yd=0, dd=400)  # half of them -1, half +1
    twice = UnitSums(units=400, y=0, d=800, yy=800, yd=0, dd=1600)  # -2, 0, 0, +2
    first, second = (
        information_by_metric(COMPARISON, {"clicks": {INTERLEAVED: sums}})["clicks"]
        for sums in (once, twice)
    )
    assert second == pytest.approx(2 * first)


def test_as_many_units_as_are_planned_show_the_plans_preference_four_times_in_five():
    rng = random.Random(6)
    number = units_needed(COMPARISON, {"clicks": {INTERLEAVED: world(rng, 20_000, 0.0)}})
    share = excluded(rng, number, 0.1, 400)
    assert abs(share - 0.8) < 4 * (0.8 * 0.2 / 400) ** 0.5


def test_as_many_events_as_power_says_show_the_preference_four_times_in_five():
    number, rng = events(0.2), random.Random(9)
    wins = (sum(rng.random() < 0.6 for _ in range(number)) for _ in range(400))
    share = sum(abs(2 * won_ / number - 1) > 1.96 * (0.96 / number) ** 0.5 for won_ in wins) / 400
    assert abs(share - 0.8) < 4 * (0.8 * 0.2 / 400) ** 0.5


@pytest.mark.parametrize(
    ("preference", "word", "of"),
    [(0.3, "prefers", "challenger"), (-0.3, "prefers", "champion"), (0, "keep running", "")],
)
def test_the_verdict_names_the_order_that_is_preferred(preference, word, of):
    sums = {"clicks": {INTERLEAVED: world(random.Random(7), 2_000, preference)}}
    (effect,) = effects(COMPARISON, sums, {"clicks": LookSchedule(inference="always", units=2_000)})
    seen = conclude(COMPARISON, effect, RunAge(days=2), unsound=None)
    assert (seen.word, seen.of) == (word, of)
    assert effect.relative.value == pytest.approx(preference, abs=0.06)
    turned = replace(COMPARISON, metrics={"clicks": replace(COMPARISON.first, goal="minimise")})
    (other,) = effects(turned, sums, {"clicks": LookSchedule(inference="always", units=2_000)})
    assert {conclude(turned, other, RunAge(days=2), unsound=None).of, seen.of} == (
        {"champion", "challenger"} if preference else {""}
    )


def test_too_few_units_or_clicks_show_nothing():
    few = {"clicks": {INTERLEAVED: world(random.Random(8), 50, 0.9)}}
    (effect,) = effects(COMPARISON, few, {"clicks": ONCE})
    assert (effect.absolute, effect.side, units_needed(COMPARISON, few)) == (None, "open", None)
    assert (
        conclude(COMPARISON, effect, RunAge(days=20, over=True), unsound=None).word == "undecided"
    )
