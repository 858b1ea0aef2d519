"""What BigQuery's list takes and refuses."""

import re

import pytest

from isthmus.adapters.local import sql as local
from isthmus.adapters.vertex.sql import FORMS, check, render
from isthmus.errors import Invalid
from isthmus.feature_store.sql.forms import FORMS as NEUTRAL


def said(sql):
    return re.sub(r"\s+", " ", render(sql).sql).replace("( ", "(").replace(" )", ")")


DAY = "RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND CURRENT ROW"


@pytest.mark.parametrize(
    ("sql", "bigquery"),
    [
        ("SELECT a / b AS x FROM t", "SELECT a / NULLIF(b, 0) AS x FROM t"),
        (
            "SELECT a / (b / c) AS x FROM t",
            "SELECT a / NULLIF(b / NULLIF(c, 0), 0) AS x FROM t",
        ),
        ("SELECT a / 250 AS x FROM t", "SELECT a / 250 AS x FROM t"),
        ("SELECT a / 0 AS x FROM t", "SELECT a / NULLIF(0, 0) AS x FROM t"),
        ("SELECT a % 7 AS x FROM t", "SELECT MOD(a, 7) AS x FROM t"),
        ("SELECT ln(f) AS x FROM t", "SELECT LN(CASE WHEN f > 0 THEN f END) AS x FROM t"),
        ("SELECT 2 ^ (a + 1) AS x FROM t", "SELECT SAFE.POWER(2, (a + 1)) AS x FROM t"),
        (
            "SELECT a::INT AS x, a::DOUBLE AS y, a::VARCHAR AS z FROM t",
            "SELECT CAST(a AS INT64) AS x, CAST(a AS FLOAT64) AS y, CAST(a AS STRING) AS z FROM t",
        ),
        ("SELECT CAST(t AS TIMESTAMP) AS x FROM y", "SELECT CAST(t AS TIMESTAMP) AS x FROM y"),
        (
            "SELECT TIMESTAMP '2019-11-24' AS x",
            "SELECT TIMESTAMP '2019-11-24 00:00:00.000+00' AS x",
        ),
        (
            "SELECT t - INTERVAL 2 WEEKS + INTERVAL 1 HOUR AS x FROM y",
            "SELECT TIMESTAMP_ADD(TIMESTAMP_SUB(t, INTERVAL 14 DAY), INTERVAL 1 HOUR) AS x FROM y",
        ),
        (
            "SELECT date_diff('millisecond', a, b) AS x FROM t",
            "SELECT TIMESTAMP_DIFF(b, a, MILLISECOND) AS x FROM t",
        ),
        ("SELECT date_trunc('day', t) AS x FROM y", "SELECT TIMESTAMP_TRUNC(t, DAY) AS x FROM y"),
        ("SELECT a FROM t WHERE b = $b", "SELECT a FROM t WHERE b = @b"),
        ("SELECT a FROM t WHERE b = 'it''s \\ 1'", "SELECT a FROM t WHERE b = 'it\\'s \\\\ 1'"),
        ("SELECT a FROM t ORDER BY a, b DESC", "SELECT a FROM t ORDER BY a NULLS LAST, b DESC"),
        (
            f"SELECT sum(a) OVER (ORDER BY t DESC {DAY}) AS x FROM y",
            (
                "SELECT SUM(a) OVER (ORDER BY UNIX_MILLIS(t) DESC RANGE BETWEEN 86400000 "
                "PRECEDING AND CURRENT ROW) AS x FROM y"
            ),
        ),
        (
            "SELECT sum(a) OVER (ORDER BY b range between 5 preceding and current row) AS x FROM t",
            (
                "SELECT SUM(a) OVER (ORDER BY b ASC RANGE BETWEEN 5 PRECEDING AND CURRENT ROW) "
                "AS x FROM t"
            ),
        ),
        (
            "SELECT sum(a) OVER (ORDER BY b) AS x FROM t",
            "SELECT SUM(a) OVER (ORDER BY b IS NULL ASC, b ASC) AS x FROM t",
        ),
        (
            "SELECT sum(a) OVER (ORDER BY b NULLS FIRST) AS x FROM t",
            "SELECT SUM(a) OVER (ORDER BY b ASC) AS x FROM t",
        ),
        (
            "SELECT sum(a) OVER (ORDER BY b DESC) AS x FROM t",
            "SELECT SUM(a) OVER (ORDER BY b DESC) AS x FROM t",
        ),
        (
            "SELECT sum(a) OVER (ORDER BY b DESC NULLS FIRST) AS x FROM t",
            "SELECT SUM(a) OVER (ORDER BY b IS NULL DESC, b DESC) AS x FROM t",
        ),
    ],
)
def test_a_construct_is_said_in_bigquerys_words(sql, bigquery):
    assert said(sql) == bigquery


def test_a_window_used_twice_is_rewritten_once():
    window = f"WINDOW w AS (ORDER BY t {DAY})"
    assert (
        render(f"SELECT sum(a) OVER w AS x, sum(b) OVER w AS y FROM z {window}").windows_rewritten
        == 1
    )
    assert (
        render(
            f"SELECT sum(a) OVER w AS x, sum(b) OVER (ORDER BY t {DAY}) AS y FROM z {window}"
        ).windows_rewritten
        == 2
    )
    assert render("SELECT sum(a) OVER (ORDER BY t) AS x FROM z").windows_rewritten == 0


def test_a_window_belongs_to_its_own_select():
    sql = (
        "SELECT sum(x) OVER w AS y FROM (SELECT sum(a) OVER w AS x, b FROM t WINDOW w AS (ORDER "
        "BY c)) AS u WINDOW w AS (PARTITION BY b)"
    )
    assert said(sql) == (
        "SELECT SUM(x) OVER (PARTITION BY b) AS y FROM (SELECT SUM(a) OVER (ORDER BY c IS "
        "NULL ASC, c ASC) AS x, b FROM t) AS u"
    )


@pytest.mark.parametrize("on", ["t.a > u.a", "t.a = 1", "t.a = t.b", "t.a = u.a OR t.b = u.b"])
def test_a_left_join_needs_an_equality_of_both_sides(on):
    (problem,) = check(f"SELECT 1 AS x\nFROM t\nLEFT JOIN u ON {on}")
    assert problem.line == 3
    assert "LEFT JOIN" in problem.what
    assert local.check(f"SELECT 1 AS x\nFROM t\nLEFT JOIN u ON {on}") == ()
    with pytest.raises(Invalid, match="line 3: LEFT JOIN"):
        render(f"SELECT 1 AS x\nFROM t\nLEFT JOIN u ON {on}")


@pytest.mark.parametrize(
    "on", ["t.a = u.a", "t.a = u.a AND t.b > u.b", "(t.a > u.a AND (u.b = t.b))", "a = b"]
)
def test_a_left_join_with_one_may_have_other_conditions_beside_it(on):
    assert check(f"SELECT 1 AS x FROM t LEFT JOIN u ON {on}") == ()


def test_the_list_covers_the_neutral_subset_and_names_a_page_for_each_form():
    assert {node for form in FORMS for node in form.nodes} == set(NEUTRAL)
    assert all(
        form.page.startswith("https://cloud.google.com/bigquery/docs/") and form.rendering
        for form in FORMS
    )


def test_locally_the_neutral_text_is_run_as_it_is():
    sql = f"SELECT sum(a) OVER w AS x FROM z -- why\nWINDOW w AS (ORDER BY t {DAY})"
    assert local.render(sql).sql == sql
    assert local.render(sql).windows_rewritten == 0
    assert [problem.what for problem in local.check("SELECT a FROM t QUALIFY true")] == ["QUALIFY"]
