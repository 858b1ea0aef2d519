"""A view over an outcome says when its rows became known, and its windows leave no ties: what
`validate` refuses, where, and the way on.
"""

from datetime import timedelta

import msgspec
import pytest

from isthmus.feature_store.as_known.queries import inputs_of
from isthmus.feature_store.views.checks import check
from isthmus.feature_store.views.schema import view_schemas
from isthmus.feature_store.views.sources import view_sources
from isthmus.lifecycle.checks.validate import validate
from isthmus.project.specs.description import Objective, StaticTable
from isthmus.tests.cli.running import create, edit

from .test_schema import with_view

LATEST = (
    "CASE WHEN {0}.created_timestamp > {1}.created_timestamp THEN {0}.created_timestamp ELSE "
    "{1}.created_timestamp END"
)

WITH_T = "WITH c AS (SELECT item_id, event_timestamp AS t FROM ctr)"
WEEK = (
    "(PARTITION BY item_id ORDER BY event_timestamp RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND "
    "CURRENT ROW)"
)
FROM_IMPRESSIONS = (
    "SELECT item_id, event_timestamp, event_timestamp AS created_timestamp, 0 AS x FROM "
    "events_impression"
)


def with_two_objectives(sql):
    """`ctr`, and `cvr` of the same events, within a day."""
    described = with_view(sql)
    cvr = Objective(name="cvr", outcome="click", exposure="impression", within=timedelta(days=1))
    spec = msgspec.structs.replace(
        described.spec, objectives={**described.spec.objectives, "cvr": cvr}
    )
    return msgspec.structs.replace(described, spec=spec)


def told(sql, described=with_view):
    schemas, problems = view_schemas(described(sql))
    assert ("item_history" in schemas) == (
        not any(problem.severity == "error" for problem in problems)
    )
    return problems


@pytest.mark.parametrize(
    ("sql", "line", "message", "to_add"),
    [
        (
            "SELECT item_id, event_timestamp, outcome AS x\nFROM ctr",
            1,
            "returns no created_timestamp, and ctr has one",
            ": created_timestamp",
        ),
        (
            (
                "SELECT item_id, date_trunc('day', event_timestamp) AS event_timestamp, "
                "avg(outcome) AS x FROM ctr GROUP BY 1, 2"
            ),
            1,
            "returns no created_timestamp",
            "max(created_timestamp) AS created_timestamp",
        ),
        (
            (
                "SELECT i.item_id, c.event_timestamp, c.outcome AS x FROM items AS i JOIN ctr AS "
                "c ON c.item_id = i.item_id"
            ),
            1,
            "returns no created_timestamp",
            "c.created_timestamp AS created_timestamp",
        ),
        (
            (
                "SELECT item_id, event_timestamp, 1 AS x FROM events_impression\nWHERE item_id "
                "IN (SELECT item_id FROM ctr WHERE outcome = 1)"
            ),
            1,
            "returns no created_timestamp, and ctr has one",
            "created_timestamp",
        ),
        (
            (
                "SELECT item_id, event_timestamp, x FROM (SELECT item_id, event_timestamp, "
                "outcome AS x FROM ctr) AS c"
            ),
            1,
            "returns no",
            "created",
        ),
        (
            (
                "SELECT item_id, event_timestamp,\n event_timestamp AS created_timestamp, "
                "outcome AS x FROM ctr"
            ),
            2,
            "this is the same as none",
            "write instead: created_timestamp",
        ),
        (
            (
                f"{WITH_T}\nSELECT item_id, t AS event_timestamp,\n t AS created_timestamp, 1 AS "
                "x FROM c"
            ),
            3,
            "the same as none",
            "created_timestamp",
        ),
        (
            (
                "SELECT item_id, event_timestamp,\n max(event_timestamp) AS created_timestamp, "
                "avg(outcome) AS x FROM ctr GROUP BY 1, 2"
            ),
            2,
            "the same as none",
            "max(created_timestamp) AS created_timestamp",
        ),
        (
            (
                f"SELECT item_id, event_timestamp,\n max(event_timestamp) OVER {WEEK} AS "
                "created_timestamp, outcome AS x FROM ctr"
            ),
            2,
            "the same as none",
            "created_timestamp",
        ),
        (
            (
                f"{FROM_IMPRESSIONS}\nUNION ALL\nSELECT item_id, event_timestamp, "
                "event_timestamp AS created_timestamp, outcome FROM ctr"
            ),
            3,
            "not made of that of ctr",
            "created_timestamp",
        ),
    ],
)
def test_an_outcome_without_the_time_at_which_it_became_known_is_refused_with_the_line_to_add(
    sql, line, message, to_add
):
    (problem,) = told(sql)
    assert (problem.file, problem.line, problem.severity) == (
        "features/item_history.sql",
        line,
        "error",
    )
    assert message in problem.message
    assert to_add in problem.remedy


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT item_id, event_timestamp, created_timestamp, outcome AS x FROM ctr",
        (
            "SELECT * FROM (SELECT item_id, event_timestamp, created_timestamp, outcome AS x "
            "FROM ctr) AS c"
        ),
        (
            "WITH c AS (SELECT *, created_timestamp AS k FROM ctr) SELECT item_id, "
            "event_timestamp, k AS created_timestamp, position FROM c"
        ),
        (
            "SELECT item_id, event_timestamp, max(created_timestamp) AS created_timestamp, "
            "avg(outcome) AS x FROM ctr GROUP BY 1, 2"
        ),
        (
            "SELECT item_id, event_timestamp, event_timestamp + INTERVAL 30 MINUTE AS "
            "created_timestamp, outcome AS x FROM ctr"
        ),
        "SELECT item_id, event_timestamp, position AS x FROM events_impression",
        (
            f"{FROM_IMPRESSIONS} UNION ALL SELECT item_id, event_timestamp, created_timestamp AS "
            "known, outcome FROM ctr"
        ),
    ],
)
def test_what_says_when_it_became_known_or_has_nothing_to_say_is_taken(sql):
    assert told(sql) == ()


def test_of_two_objectives_the_greatest_of_both_is_asked_for_and_taken():
    sql = (
        "SELECT ctr.item_id, ctr.event_timestamp,\n {} AS created_timestamp, cvr.position\nFROM "
        "ctr JOIN cvr ON cvr.event_id = ctr.event_id"
    )
    (problem,) = told(sql.format("ctr.created_timestamp"), with_two_objectives)
    assert problem.line == 2
    assert "that of ctr alone, and cvr is read, too" in problem.message
    assert (
        problem.remedy
        == f"return the greatest of both: {LATEST.format('cvr', 'ctr')} AS created_timestamp"
    )
    assert told(sql.format(LATEST.format("cvr", "ctr")), with_two_objectives) == ()


def test_the_line_that_is_shown_is_one_that_validate_takes():
    sql = (
        "SELECT ctr.item_id, ctr.event_timestamp, cvr.outcome AS x FROM ctr JOIN cvr ON "
        "cvr.event_id = ctr.event_id"
    )
    (problem,) = told(sql, with_two_objectives)
    line = problem.remedy.removeprefix("add to the SELECT: ")
    assert told(sql.replace("cvr.outcome", f"{line}, cvr.outcome"), with_two_objectives) == ()


@pytest.mark.parametrize(
    ("moment", "held"), [("2019-11-24 00:00:00", True), ("last Sunday", False)]
)
def test_a_static_table_that_says_when_its_rows_became_known_is_held_to_it(tmp_path, moment, held):
    file = tmp_path / "prices.csv"
    file.write_text(f"item_id,price,created_timestamp\n1,2.5,{moment}\n")
    described = with_view(
        "SELECT item_id, TIMESTAMP '2019-11-24 00:00:00' AS event_timestamp, price FROM prices"
    )
    spec = msgspec.structs.replace(
        described.spec,
        tables={**described.spec.tables, "prices": StaticTable(name="prices", path=str(file))},
    )
    described = msgspec.structs.replace(described, spec=spec)
    _, problems = view_schemas(described)
    assert ["and prices has one" in problem.message for problem in problems] == [True] * held
    if not held:
        (source,) = view_sources(described, ["item_history"])
        assert [i.known for i in inputs_of(source, described)] == [None]


def test_an_outcome_event_read_directly_is_a_warning_and_no_error():
    (problem,) = told("SELECT item_id, event_timestamp, 1 AS x\nFROM events_click")
    assert (problem.severity, problem.line) == ("warning", 2)
    assert (
        problem.message
        == "click decides ctr: a row at the impression's own time may hold its own label"
    )
    assert problem.remedy == (
        "read ctr, or return created_timestamp = event_timestamp + 30m; if it is meant: "
        "outcome_events: known in feature_views.item_history"
    )
    assert str(problem).startswith("warning  features/item_history.sql:2")


@pytest.mark.parametrize(
    "sql",
    [
        (
            "SELECT item_id, event_timestamp, event_timestamp + INTERVAL 30 MINUTE AS "
            "created_timestamp, 1 AS x FROM events_click"
        ),
        (
            "SELECT ctr.item_id, ctr.event_timestamp, ctr.created_timestamp, 1 AS x FROM ctr "
            "JOIN events_click ON impression_id = ctr.event_id"
        ),
    ],
)
def test_an_outcome_event_whose_rows_wait_for_the_outcome_is_not_warned(sql):
    assert told(sql) == ()


def test_a_project_accepts_an_outcome_event_by_saying_so_and_validate_goes_on_after_a_warning(
    tmp_path,
):
    folder = create(tmp_path / "shop")
    sql = (
        "SELECT i.item_id, c.event_timestamp, i.position AS item_impressions_7d, 0.5 AS "
        "item_ctr_7d "
    )
    sql += "FROM events_impression AS i JOIN events_click AS c ON c.impression_id = i.event_id"
    (folder / "features/item_history.sql").write_text(sql)
    warned = validate(folder)
    assert [
        problem.severity for problem in warned.problems if "click decides ctr" in problem.message
    ] == ["warning"]
    assert warned.errors == ()
    assert warned.targets
    edit(
        folder / "project.yaml",
        "item_history: {entity: item, ttl: 7d}",
        "item_history: {entity: item, ttl: 7d, outcome_events: known}",
    )
    assert not any("click decides ctr" in problem.message for problem in validate(folder).problems)


def test_a_warning_alone_leaves_the_models_and_the_targets_checked():
    described = with_view(
        "SELECT item_id, event_timestamp, 0.5 AS item_ctr_7d, 1 AS item_impressions_7d FROM "
        "events_click"
    )
    assert [problem.severity for problem in check(described)] == ["warning"]


WINDOW = (
    "SELECT item_id, event_timestamp, created_timestamp,\n {} OVER (PARTITION BY item_id ORDER "
    "BY {}) AS x FROM ctr"
)
DAYS = (
    "SELECT item_id, day AS event_timestamp, created_timestamp, lag(rate) OVER (PARTITION BY "
    "{} ORDER BY day) AS x FROM ("
    "SELECT item_id, policy, date_trunc('day', event_timestamp) AS day, "
    "max(created_timestamp) AS created_timestamp, avg(outcome) AS rate "
    "FROM ctr GROUP BY item_id, policy, date_trunc('day', event_timestamp)) AS d"
)


@pytest.mark.parametrize(
    "call", ["row_number()", "lag(outcome)", "lead(position)", "first_value(position)", "last_value(position)"]
)  # fmt: skip
def test_a_window_that_goes_by_position_needs_an_order_without_ties(call):
    (problem,) = told(WINDOW.format(call, "event_timestamp"))
    assert (problem.line, problem.severity) == (2, "error")
    assert f"{call.partition('(')[0]}() over an order that leaves ties" in problem.message
    assert "ORDER BY event_timestamp, event_id" in problem.remedy
    assert told(WINDOW.format(call, "event_timestamp, event_id")) == ()


def test_a_frame_of_rows_needs_an_order_without_ties_also_by_its_windows_name():
    frame = "ROWS BETWEEN 3 PRECEDING AND CURRENT ROW"
    (problem,) = told(WINDOW.format("sum(outcome)", f"event_timestamp {frame}"))
    assert "ROWS over an order that leaves ties" in problem.message
    named = (
        "SELECT item_id, event_timestamp, created_timestamp,\n avg(outcome) OVER w AS x\nFROM "
        "ctr WINDOW w AS (ORDER BY {} {})"
    )
    assert [problem.line for problem in told(named.format("event_timestamp", frame))] == [2]
    assert told(named.format("event_timestamp, event_id", frame)) == ()


@pytest.mark.parametrize(
    ("call", "order"),
    [
        ("sum(outcome)", "event_timestamp RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW"),
        ("sum(outcome)", "event_timestamp"),
        ("rank()", "event_timestamp"),
        (
            "avg(position)",
            "event_timestamp ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
        ),
    ],
)
def test_windows_that_give_ties_one_answer_are_taken(call, order):
    assert told(WINDOW.format(call, order)) == ()


def test_rows_of_a_group_are_unique_by_all_of_its_keys_and_by_no_fewer():
    assert told(DAYS.format("item_id, policy")) == ()
    (problem,) = told(DAYS.format("item_id"))
    assert "lag() over an order that leaves ties" in problem.message


def test_a_static_tables_rows_are_unique_by_an_entitys_key():
    sql = (
        "SELECT item_id, TIMESTAMP '2019-11-24 00:00:00' AS event_timestamp, row_number() OVER "
        "(ORDER BY {}) AS x FROM items"
    )
    assert told(sql.format("item_feature_0, item_id")) == ()
    assert len(told(sql.format("item_feature_0"))) == 1
