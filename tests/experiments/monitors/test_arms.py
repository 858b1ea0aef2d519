"""What monitors say of each arm of a run: a treatment that narrows, or that serves one kind of
units better, is told.
"""

from datetime import datetime, timedelta

import duckdb
import numpy as np
import pytest

from isthmus.experiments.monitors import arms as by_arm
from isthmus.experiments.monitors import spread
from isthmus.experiments.monitors.arms_sql import satisfied_sql, spread_sql
from isthmus.experiments.monitors.items_sql import SPREAD_SUMS
from isthmus.experiments.results.text import arm_texts
from isthmus.feature_store.sql import subset as neutral
from isthmus.project.specs.description import Endpoint

from ..fuller_shop import SHOP
from .test_item_monitors import spread_of

START = datetime(2026, 11, 2)  # noqa: DTZ001  as SQL has them, in UTC
HOUR = timedelta(hours=1)
RANKER = Endpoint(name="ranker", objective="ctr", unit="visitor_id", variants=())
TABLES = """
CREATE TABLE assignments(
    run VARCHAR, unit VARCHAR, arm VARCHAR, reason VARCHAR, segment VARCHAR, event_timestamp TIMESTAMP, dt VARCHAR);
CREATE TABLE exposures(
    event_id VARCHAR, endpoint VARCHAR, entity VARCHAR, unit VARCHAR, entity_key VARCHAR, event_timestamp TIMESTAMP, dt VARCHAR);
CREATE TABLE rankings(event_id VARCHAR, endpoint VARCHAR, unit VARCHAR, attributes VARCHAR, event_timestamp TIMESTAMP, dt VARCHAR);
CREATE TABLE impression_exposed(event_id VARCHAR, unit VARCHAR);
CREATE TABLE events_click(impression_id VARCHAR, event_timestamp TIMESTAMP, dt VARCHAR);
"""
ARM = {"a": "control", "b": "control", "c": "treatment", "d": "treatment"}
SHOWN = [
    ("a", "1"),
    ("a", "2"),
    ("b", "2"),
    ("b", "3"),
    ("c", "1"),
    ("c", "1"),
    ("d", "1"),
    ("d", "2"),
    ("both", "9"),
]


@pytest.fixture(scope="module")
def log():
    """Everybody is assigned at the start; `both` is in two arms, and what is an hour earlier is of
    nobody.
    """
    with duckdb.connect(config={"threads": "1"}) as connection:
        connection.execute(TABLES)
        day = f"{START:%Y-%m-%d}"
        for unit, arm in (*ARM.items(), ("both", "control"), ("both", "treatment")):
            connection.execute(
                "INSERT INTO assignments VALUES ('r.1', ?, ?, 'split', '', ?, ?)",
                [unit, arm, START, day],
            )
        for number, (unit, item) in enumerate(SHOWN):
            row = [f"q-{number}", unit, item, START + HOUR, day]
            for _ in range(2):  # a copy counts once
                connection.execute(
                    "INSERT INTO exposures VALUES (?, 'ranker', 'item', ?, ?, ?, ?)", row
                )
        connection.execute(
            "INSERT INTO exposures VALUES ('early', 'ranker', 'item', 'a', '7', ?, ?)",
            [START - HOUR, day],
        )
        for unit, said in {"a": "f", "b": "m", "c": "f", "d": "m", "both": "f"}.items():
            connection.execute(
                "INSERT INTO rankings VALUES (?, 'ranker', ?, ?, ?, ?)",
                [f"r-{unit}", unit, said, START + HOUR, day],
            )
        connection.execute("INSERT INTO impression_exposed VALUES ('ib', 'b'), ('ic', 'c')")
        for name, at in (("ib", START + 2 * HOUR), ("ic", START - HOUR)):
            connection.execute("INSERT INTO events_click VALUES (?, ?, ?)", [name, at, day])
        yield connection


def asked(log, sql, **more):
    answer = log.execute(
        sql,
        {
            "run": "r.1",
            "endpoint": "ranker",
            "since": "2026-11-01",
            "until": START + 24 * HOUR,
            **more,
        },
    )
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def test_an_arm_is_what_its_units_were_shown_from_their_assignment_on(log):
    rows = {row["arm"]: row for row in asked(log, spread_sql(), entity="item")}
    assert {name: (row["n"], row["shown"]) for name, row in rows.items()} == {
        "control": (3, 4),
        "treatment": (2, 4),
        "": (3, 0),
    }
    figure = by_arm.concentration(("control", "treatment"), list(rows.values()))
    assert figure.arms["control"].value == pytest.approx(1 / 6)  # 1, 1 and 2 of three
    assert figure.arms["treatment"].value == pytest.approx(0.5)  # none, 1 and 3


def test_satisfied_units_are_those_with_an_outcome_after_their_assignment(log):
    rows = asked(log, satisfied_sql(SHOP, RANKER), earliest="2026-11-01", known=START + 24 * HOUR)
    found = {(row["arm"], row["attributes"], row["satisfied"], row["units"]) for row in rows}
    assert found == {
        ("control", "f", 0, 1),
        ("control", "m", 1, 1),
        ("treatment", "f", 0, 1),
        ("treatment", "m", 0, 1),
    }


def test_the_queries_are_in_the_neutral_subset():
    assert neutral.check(spread_sql()) == neutral.check(satisfied_sql(SHOP, RANKER)) == ()


def row_of(arm, counts):
    of = spread_of(counts)
    return {"arm": arm, "n": of.items} | {name: getattr(of, name) for name in SPREAD_SUMS}


def test_a_treatment_that_narrows_is_told_with_an_interval():
    wide, narrow = np.full(50, 400), np.repeat([100, 700], 25)
    rows = [row_of("control", wide), row_of("treatment", narrow), row_of("", np.ones(50))]
    figure = by_arm.concentration(("control", "treatment"), rows)
    difference = figure.differences["treatment"]
    assert difference.value == pytest.approx(spread.gini(spread_of(narrow), 50).value)
    assert 0 < difference.low < difference.value < difference.high
    assert next(arm_texts(figure)).startswith(f"concentration {difference.value:+.2f} (")


def test_an_arm_that_showed_next_to_nothing_is_compared_with_nobody():
    rows = [row_of("control", np.full(50, 400)), row_of("treatment", [3]), row_of("", np.ones(50))]
    assert by_arm.concentration(("control", "treatment"), rows) is None


def cells(arm, **groups):
    return [
        {"arm": arm, "attributes": f'{{"gender":"{name}"}}', "satisfied": found, "units": number}
        for name, of in groups.items()
        for found, number in zip((1, 0), of, strict=True)
    ]


def test_the_groups_furthest_apart_in_the_control_are_followed_into_the_treatment():
    rows = [
        *cells("control", f=(138, 862), m=(200, 800), x=(180, 820)),
        *cells("treatment", f=(148, 852), m=(200, 800), x=(20, 980)),
    ]
    figure = by_arm.satisfied_ratio("gender", ("control", "treatment"), rows)
    assert (figure.group, figure.against) == ("f", "m")
    assert list(arm_texts(figure)) == ["satisfied f / m 0.69 -> 0.74 in treatment"]


def test_too_few_in_an_arm_are_not_compared():
    rows = [
        *cells("control", f=(138, 862), m=(200, 800)),
        *cells("treatment", f=(5, 40), m=(200, 800)),
    ]
    assert by_arm.satisfied_ratio("gender", ("control", "treatment"), rows) is None
