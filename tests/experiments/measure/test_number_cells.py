"""The sums of an objective that is a number, of a run and of a site's log, against sums that are
made unit by unit in Python.
"""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.experiments.measure import log_cells
from isthmus.experiments.measure.cells_sql import cells_sql, parameters, sums_of
from isthmus.experiments.statistics.ratio import is_share
from isthmus.feature_store.sql import subset as neutral
from isthmus.project.metrics.metrics import of_objectives
from isthmus.project.specs.description import Event, Objective
from isthmus.project.specs.experiments import Analysis

from ..fuller_shop import SHOP, attribute
from .test_cells_sql import ARMS, DAY, START, TABLES, database, day, fill, moments, units

DWELL = Objective(
    name="dwell",
    outcome="stay",
    sums="seconds",
    exposure="impression",
    within=timedelta(minutes=30),
    at_most=600.0,
    unit="visitor_id",
)
OF_STAYS = msgspec.structs.replace(
    SHOP,
    events=SHOP.events
    | {
        "stay": Event(
            name="stay",
            attributes=(
                attribute("impression_id", event="impression"),
                attribute("seconds", "float"),
            ),
        )
    },
    objectives={"dwell": DWELL},
)
METRIC = of_objectives([DWELL])["dwell"]
SQL = cells_sql(OF_STAYS, [METRIC], unit="visitor_id", arms=2)
seconds = st.integers(0, 4800).map(lambda n: n / 8)
logs = st.fixed_dictionaries(
    {
        "assignments": st.dictionaries(units, st.tuples(st.sampled_from(ARMS), moments)),
        "shown": st.lists(st.tuples(units, moments, seconds), max_size=15),
    }
)


def test_it_is_an_amount_whose_query_every_engine_can_run():
    assert not is_share(METRIC)
    assert neutral.check(SQL) == ()


@settings(max_examples=40)
@given(logs)
def test_a_runs_cells_add_what_rows_were_capped_to(log):
    connection = database()
    connection.execute(TABLES)
    connection.execute(
        "CREATE OR REPLACE TABLE dwell(event_id VARCHAR, outcome DOUBLE, event_timestamp "
        "TIMESTAMP, created_timestamp TIMESTAMP, dt VARCHAR)"
    )
    fill(
        connection,
        "assignments",
        [("r.1", u, arm, "split", "", at, day(at)) for u, (arm, at) in log["assignments"].items()],
    )
    shown = [(f"i{n}", *row) for n, row in enumerate(log["shown"])]
    fill(connection, "impression_exposed", [(name, unit) for name, unit, _, _ in shown])
    fill(connection, "dwell", [(name, y, at, at, day(at)) for name, _, at, y in shown])
    values = {
        "run": "r.1",
        "since": "2000-01-01",
        "earliest": "2000-01-01",
        "until": START + 9 * DAY,
    } | parameters([METRIC], ARMS, known_at=START + 9 * DAY, shifts={})
    # DuckDB takes only the parameters that a statement has
    used = {name: value for name, value in values.items() if re.search(rf"\${name}\b", SQL)}
    answer = connection.execute(SQL, used)
    names = [column[0] for column in answer.description]
    rows = [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
    for number, arm in enumerate(ARMS):
        cells = [row for row in rows if row["arm"] == number]
        of_units = [
            [y for _, who, at, y in shown if who == unit and at >= first]
            for unit, (assigned, first) in log["assignments"].items()
            if assigned == arm
        ]
        expected = {
            "y": sum(sum(own) for own in of_units),
            "yy": sum(sum(own) ** 2 for own in of_units),
            "d": sum(len(own) for own in of_units),
            "yd": sum(sum(own) * len(own) for own in of_units),
            "dd": sum(len(own) ** 2 for own in of_units),
        }
        assert sum(row["units"] for row in cells) == len(of_units)
        for name in sums_of(METRIC):
            assert sum(row[f"m0_{name}"] for row in cells) == expected[name]
        assert all(isinstance(row["m0_y"], float) for row in cells)


@pytest.mark.parametrize("unit", ["visitor_id", None])
@settings(max_examples=25)
@given(shown=st.lists(st.tuples(units, st.sampled_from(ARMS), moments, seconds), max_size=15))
def test_a_logs_cells_add_what_rows_were_capped_to(unit, shown):
    objective = msgspec.structs.replace(DWELL, unit=unit)
    analysis = Analysis(
        name="a",
        event="impression",
        attribute="policy",
        control=ARMS[0],
        treatment=ARMS[1],
        metric="dwell",
    )
    of_arm = {who: arm for who, arm, _, _ in shown}  # a unit is in one arm
    rows = [(who, of_arm[who], at, y) for who, _, at, y in shown]
    connection = database()
    connection.execute(
        "CREATE OR REPLACE TABLE dwell(visitor_id VARCHAR, policy VARCHAR, outcome DOUBLE, "
        "event_timestamp TIMESTAMP, created_timestamp TIMESTAMP, dt VARCHAR)"
    )
    fill(connection, "dwell", [(who, arm, y, at, at, day(at)) for who, arm, at, y in rows])
    until = START + 9 * DAY
    answer = connection.execute(
        log_cells.cells_sql(analysis, objective),
        {"control": ARMS[0], "treatment": ARMS[1], "until": until, "known": until},
    )
    names = [column[0] for column in answer.description]
    cells = [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
    for arm in ARMS:
        own = [(who if unit else n, y) for n, (who, of, _, y) in enumerate(rows) if of == arm]
        by_unit = {who: [y for other, y in own if other == who] for who, _ in own}
        expected = {
            "units": len(by_unit),
            "y": sum(map(sum, by_unit.values())),
            "d": len(own),
            "yy": sum(sum(ys) ** 2 for ys in by_unit.values()),
            "yd": sum(sum(ys) * len(ys) for ys in by_unit.values()),
            "dd": sum(len(ys) ** 2 for ys in by_unit.values()),
        }
        for name, total in expected.items():
            assert sum(cell[name] for cell in cells if cell["arm"] == arm) == total
