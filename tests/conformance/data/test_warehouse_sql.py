"""Warehouse:

SQL over its tables. Views, what a query may say and gives, and what is saved from one.
"""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from isthmus.errors import Invalid
from isthmus.events.port import Column
from isthmus.feature_store.port import TableSpec
from isthmus.tests.conformance.data.clicks import COLUMNS, ids_of, rows, with_column

pytestmark = pytest.mark.ports("warehouse")


def test_a_view_shows_what_is_below_it_now_also_through_another_view(warehouse):
    warehouse.apply(
        TableSpec(
            name="evens",
            columns=(),
            time_column="event_timestamp",
            view_sql="SELECT * FROM clicks_raw WHERE seen",
        )
    )
    warehouse.apply(
        TableSpec(
            name="top",
            columns=(),
            time_column="event_timestamp",
            view_sql="SELECT event_id FROM evens WHERE item > 1",
        )
    )
    warehouse.append("clicks_raw", rows(0, 1, 2), batch="b1")
    assert warehouse.query("SELECT event_id FROM top", {})["event_id"].to_pylist() == ["e2"]
    warehouse.append("clicks_raw", rows(4), batch="b2")
    assert sorted(warehouse.query("SELECT event_id FROM top", {})["event_id"].to_pylist()) == [
        "e2",
        "e4",
    ]
    warehouse.apply(with_column("place", "string"))
    assert warehouse.query("SELECT event_id FROM top", {}).num_rows == 2
    assert warehouse.observe("top").columns == (Column(name="event_id", type="string"),)


def test_a_view_can_be_changed(warehouse):
    warehouse.append("clicks_raw", rows(1), batch="b1")
    for sql, names in (
        ("SELECT event_id FROM clicks_raw", ["event_id"]),
        ("SELECT item, seen FROM clicks_raw", ["item", "seen"]),
    ):
        warehouse.apply(
            TableSpec(name="v", columns=(), time_column="event_timestamp", view_sql=sql)
        )
        assert warehouse.query("SELECT * FROM v", {}).schema.names == names


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT event_id,\n  nope FROM clicks_raw", r"line 2, column 3: .*nope"),
        ("SELECT event_id,\n  ln(event_id) AS l FROM clicks_raw", "line 2, column 3: .*ln"),
        ("SELECT event_id, item / event_id AS l FROM clicks_raw", "line 1, column 18: .*/"),
        ("SELECT item, item FROM clicks_raw", "two columns"),
        ("SELECT event_id FROM v", "v"),
    ],
)
def test_a_view_that_is_wrong_is_refused_with_its_position(warehouse, sql, words):
    with pytest.raises(Invalid, match=words):
        warehouse.apply(
            TableSpec(name="v", columns=(), time_column="event_timestamp", view_sql=sql)
        )
    assert warehouse.observe("v") is None


def test_save_appends_what_a_query_gives_and_its_batch_again_changes_nothing(warehouse):
    warehouse.append("clicks_raw", rows(*range(6)), batch="b1")
    warehouse.apply(TableSpec(name="copies_raw", columns=COLUMNS, time_column="event_timestamp"))
    sql = (
        "SELECT event_id, event_timestamp, item * 2 AS item, dt FROM clicks_raw WHERE "
        "event_timestamp >= $start AND seen = $seen"
    )
    for _ in range(2):
        warehouse.save(
            "copies_raw", sql, {"start": datetime(2026, 1, 2, tzinfo=UTC), "seen": True}, batch="s1"
        )
    found = warehouse.query(
        "SELECT event_id, item, score, dt FROM copies_raw ORDER BY event_id", {}
    )
    assert found.to_pylist() == [
        {"event_id": "e2", "item": 4, "score": None, "dt": "2026-01-03"},
        {"event_id": "e4", "item": 8, "score": None, "dt": "2026-01-02"},
    ]


def test_save_can_read_the_table_that_it_appends_to(warehouse):
    warehouse.append("clicks_raw", rows(1, 2), batch="b1")
    warehouse.save(
        "clicks_raw",
        "SELECT event_id || 'x' AS event_id, event_timestamp FROM clicks_raw",
        {},
        batch="s1",
    )
    assert ids_of(warehouse) == ["e1", "e1x", "e2", "e2x"]


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("SELECT event_id FROM clicks_raw", "event_timestamp"),
        ("SELECT event_id, event_timestamp, 1 AS colour FROM clicks_raw", "colour"),
        ("SELECT event_id, event_timestamp, 'x' AS item FROM clicks_raw", "item"),
        (
            (
                "SELECT CASE WHEN item > 1 THEN event_id END AS event_id, event_timestamp FROM "
                "clicks_raw"
            ),
            "event_id",
        ),
        ("SELECT nope FROM clicks_raw", "line 1, column 8"),
    ],
)
def test_a_saved_query_that_does_not_fit_is_invalid_and_leaves_nothing(warehouse, sql, word):
    warehouse.append("clicks_raw", rows(1, 2), batch="b1")
    with pytest.raises(Invalid, match=word):
        warehouse.save("clicks_raw", sql, {}, batch="s1")
    assert ids_of(warehouse) == ["e1", "e2"]


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("SELEC 1", "line 1"),
        ("SELECT event_id,\n  nope FROM clicks_raw", "line 2"),
        ("SELECT item +\nFROM clicks_raw", "line 2"),
        ("SELECT event_id,\n  ln(event_id) AS l FROM clicks_raw", "line 2, column 3: .*ln"),
        ("SELECT *\nFROM none", "line 2"),
    ],
)
def test_wrong_sql_is_invalid_with_its_position(warehouse, sql, place):
    with pytest.raises(Invalid, match=place):
        warehouse.query(sql, {})


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        (
            "SELECT\nCAST(half AS BIGINT) AS n FROM (SELECT item / 2 AS half FROM clicks_raw) AS h",
            "DOUBLE to BIGINT",
        ),
        ("SELECT event_id,\nCAST(score AS BIGINT) AS n FROM clicks_raw", "DOUBLE to BIGINT"),
        ("SELECT event_id,\nhalf::BIGINT AS n FROM halves", "DOUBLE to BIGINT"),
        ("SELECT\nCAST((SELECT max(score) AS m FROM clicks_raw) AS BIGINT) AS n", "to BIGINT"),
        ("SELECT\nCAST(score AS VARCHAR) AS s FROM clicks_raw", "DOUBLE to VARCHAR"),
        ("SELECT\nCAST(event_timestamp AS VARCHAR) AS s FROM clicks_raw", "timestamp to VARCHAR"),
        (
            "WITH w AS (SELECT max(moment) AS m FROM halves)\nSELECT CAST(m AS VARCHAR) AS s FROM w",
            "timestamp to VARCHAR",
        ),
    ],
)
def test_a_cast_that_engines_do_differently_is_refused_in_queries_and_views(warehouse, sql, what):
    """A half becomes the even number in DuckDB and the larger one on the clouds, and BigQuery prints
    a timestamp with its zone.
    """
    halves = "SELECT event_id, item / 2 AS half, event_timestamp AS moment FROM clicks_raw"
    warehouse.apply(TableSpec(name="halves", columns=(), time_column="moment", view_sql=halves))
    with pytest.raises(Invalid, match=f"line 2: .*{what}") as refusal:
        warehouse.query(sql, {})
    assert refusal.value.remedy
    with pytest.raises(Invalid, match=f"line 2: .*{what}"):
        warehouse.apply(
            TableSpec(name="cast", columns=(), time_column="event_timestamp", view_sql=sql)
        )
    assert warehouse.observe("cast") is None


def test_a_cast_that_engines_do_alike_gives_the_same_text_and_number(warehouse):
    warehouse.append("clicks_raw", rows(1, 2), batch="b1")
    sql = (
        "SELECT CAST(round(half) AS BIGINT) AS n, CAST(item AS VARCHAR) AS s FROM (SELECT item, "
        "item / 4 AS half FROM clicks_raw) AS h ORDER BY s"
    )
    assert warehouse.query(sql, {}).to_pylist() == [{"n": 0, "s": "1"}, {"n": 1, "s": "2"}]


def test_what_is_no_finite_number_is_null(warehouse):
    """Engines compare and sort NaN differently, and BigQuery fails where others give infinity."""
    warehouse.append("clicks_raw", rows(0, 1, 2), batch="b1")
    sql = (
        "SELECT item / (item - 1) AS ratio, (item - 1.5) / 0 AS of_zero, ln(item - 1) AS logarithm, "
        "sqrt(item - 1) AS root, exp(item * 800) AS exponential, power(item - 1, -0.5) AS power_, "
        "round(item * 1e300) AS large FROM clicks_raw ORDER BY item"
    )
    assert [list(row.values()) for row in warehouse.query(sql, {}).to_pylist()] == [
        [0.0, None, None, None, 1.0, None, 0.0],
        [None, None, None, 0.0, None, None, 1e300],
        [2.0, None, 0.0, 1.0, None, 1.0, 2e300],
    ]


@pytest.mark.parametrize(
    ("text", "lower", "upper"),
    [
        ("Éa Жσ", "éa жσ", "ÉA ЖΣ"),
        ("ß İ ŉ ﬁ Ǆ ς", "ß İ ŉ ﬁ Ǆ ς", "ß İ ŉ ﬁ Ǆ Σ"),
    ],
)
def test_letters_change_their_case_where_the_other_is_one_letter(warehouse, text, lower, upper):
    sql = "SELECT lower($text) AS low, upper($text) AS up, replace($text, '', 'x') AS same"
    assert warehouse.query(sql, {"text": text}).to_pylist() == [
        {"low": lower, "up": upper, "same": text}
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "DROP VIEW clicks_raw",
        "SELECT 1 AS a; SELECT 2 AS a",
        "COPY clicks_raw TO 'x'",
        "CREATE TABLE t (a INT)",
        "",
    ],
)
def test_a_query_is_one_select(warehouse, sql):
    with pytest.raises(Invalid):
        warehouse.query(sql, {})


@pytest.mark.parametrize("relation", ["read_text('{}')", "'{}'", "glob('{}')", "read_csv(['{}'])"])
def test_a_query_reads_tables_and_no_file(warehouse, tmp_path, relation):
    (tmp_path / "private.csv").write_text("n\n1\n")
    with pytest.raises(Invalid):
        warehouse.query(f"SELECT * FROM {relation.format(tmp_path / 'private.csv')}", {})


def test_parameters_have_the_types_of_their_values(warehouse):
    warehouse.append("clicks_raw", rows(*range(6)), batch="b1")
    sql = """SELECT event_id FROM clicks_raw WHERE item >= $low AND score < $high
        AND seen = $seen AND event_id <> $not_id AND event_timestamp < $end"""
    params = {
        "low": 1,
        "high": 0.5,
        "seen": True,
        "not_id": "e'2",
        "end": datetime(2026, 1, 9, tzinfo=UTC),
        "unused": 1,
    }
    assert sorted(warehouse.query(sql, params)["event_id"].to_pylist()) == ["e2", "e4"]


def test_a_parameter_without_a_value_or_of_another_type_is_invalid(warehouse):
    with pytest.raises(Invalid, match=r"\$low"):
        warehouse.query("SELECT event_id FROM clicks_raw WHERE item > $low", {})
    with pytest.raises(Invalid, match=r"\$low"):
        warehouse.query("SELECT event_id FROM clicks_raw WHERE item > $low", {"low": [1]})


def test_results_have_canonical_types(warehouse):
    warehouse.append("clicks_raw", rows(1, 2), batch="b1")
    found = warehouse.query(
        "SELECT sum(item) AS total, count(*) AS n, avg(score) AS mean, 1.5 AS half, "
        "max(event_timestamp) AS last, max(seen) AS any_seen, min(dt) AS first_day, CAST(1 AS "
        "INTEGER) AS one FROM clicks_raw",
        {},
    )
    kinds = [
        pa.int64(),
        pa.int64(),
        pa.float64(),
        pa.float64(),
        pa.timestamp("ms"),
        pa.bool_(),
        pa.string(),
        pa.int64(),
    ]
    assert [field.type for field in found.schema] == kinds
    assert found["total"].to_pylist() == [3]


def test_the_same_column_twice_in_a_result_is_invalid(warehouse):
    with pytest.raises(Invalid, match="two columns"):
        warehouse.query("SELECT item, item FROM clicks_raw", {})


def test_check_accepts_plain_sql_and_says_what_cannot_be_said(warehouse):
    assert warehouse.check("SELECT item, count(*) AS n FROM clicks_raw GROUP BY item") == ()
    problems = warehouse.check(
        "SELECT event_id\nFROM clicks_raw ASOF JOIN clicks_raw AS b ON clicks_raw.item = "
        "b.item AND clicks_raw.score >= b.score"
    )
    assert problems
    assert all(problem.what and problem.why for problem in problems)


def test_a_save_that_was_cut_can_be_repeated(target, warehouse, cut):
    warehouse.append("clicks_raw", rows(1, 2, 3), batch="b1")
    sql = (
        "SELECT event_id || 'x' AS event_id, event_timestamp FROM clicks_raw WHERE score IS NOT "
        "NULL"
    )
    with cut:
        warehouse.save("clicks_raw", sql, {}, batch="s1")
    for _ in range(2):
        warehouse.save("clicks_raw", sql, {}, batch="s1")
    assert ids_of(warehouse) == ["e1", "e1x", "e2", "e2x", "e3", "e3x"]
