"""What Athena's list takes and refuses, and how parameters become literals."""

import re
from datetime import UTC, datetime, timedelta, timezone

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.sagemaker.sql import FORMS, bind, check, render
from isthmus.errors import Invalid
from isthmus.feature_store.sql.forms import FORMS as NEUTRAL

ENGINE = duckdb.connect()


def said(sql):
    return re.sub(r"\s+", " ", render(sql).sql).replace("( ", "(").replace(" )", ")")


@pytest.mark.parametrize(
    ("sql", "athena"),
    [
        ("SELECT a / b AS x FROM t", "SELECT CAST(a AS DOUBLE) / NULLIF(b, 0) AS x FROM t"),
        (
            "SELECT a / (b / c) AS x FROM t",
            "SELECT CAST(a AS DOUBLE) / NULLIF(CAST(b AS DOUBLE) / NULLIF(c, 0), 0) AS x FROM t",
        ),
        (
            "SELECT round((SELECT max(f) AS m FROM t), 1) AS x",
            (
                "SELECT CASE WHEN ABS((SELECT MAX(f) AS m FROM t)) < 9.007199E+14 THEN "
                "ROUND((SELECT MAX(f) AS m FROM t), 1) ELSE (SELECT MAX(f) AS m FROM t) END AS x"
            ),
        ),
        (
            "SELECT replace(a, b, c) AS x, replace(a, 'b', c) AS y FROM t",
            (
                "SELECT CASE WHEN b = '' AND NOT c IS NULL THEN a ELSE REPLACE(a, b, c) END AS x, "
                "REPLACE(a, 'b', c) AS y FROM t"
            ),
        ),
        (
            "SELECT sqrt(a - 1) AS x, a ^ b AS y FROM t",
            (
                "SELECT SQRT(CASE WHEN (a - 1) >= 0 THEN (a - 1) END) AS x, CASE WHEN "
                "IS_FINITE(POWER(a, b)) THEN POWER(a, b) END AS y FROM t"
            ),
        ),
        ("SELECT a + 1.0 AS x FROM t", "SELECT a + 1.0E0 AS x FROM t"),
        ("SELECT a + 1e3 AS x FROM t", "SELECT a + 1e3 AS x FROM t"),
        (
            "SELECT a || (b / 2.5) AS x FROM t",
            "SELECT a || (CAST(b AS DOUBLE) / 2.5E0) AS x FROM t",
        ),
        (
            "SELECT CAST(a AS INTEGER) AS x, b::VARCHAR AS y FROM t",
            "SELECT CAST(a AS BIGINT) AS x, CAST(b AS VARCHAR) AS y FROM t",
        ),
        ("SELECT TIMESTAMP '2019-11-24' AS x", "SELECT TIMESTAMP '2019-11-24 00:00:00.000' AS x"),
        ("SELECT t - INTERVAL 2 WEEKS AS x FROM y", "SELECT t - INTERVAL '14' DAY AS x FROM y"),
        (
            "SELECT date_diff('millisecond', a, b - INTERVAL 1 WEEK) AS x FROM t",
            "SELECT DATE_DIFF('millisecond', a, b - INTERVAL '7' DAY) AS x FROM t",
        ),
        (
            "SELECT sum(a) OVER w AS x FROM t WINDOW w AS (ORDER BY b DESC)",
            "SELECT SUM(a) OVER (ORDER BY b DESC) AS x FROM t",
        ),
        (
            "SELECT a FROM t /* why */ ORDER BY a NULLS FIRST",
            "SELECT a FROM t ORDER BY a NULLS FIRST",
        ),
        (
            "SELECT a AS rows, b AS \"unnest\" FROM t WHERE c = 'it''s'",
            "SELECT a AS rows, b AS \"unnest\" FROM t WHERE c = 'it''s'",
        ),
    ],
)
def test_a_construct_is_said_in_athenas_words(sql, athena):
    assert said(sql) == athena


def test_the_list_covers_the_neutral_subset_and_names_a_page_for_each_form():
    assert {node for form in FORMS for node in form.nodes} == set(NEUTRAL)
    assert all(
        form.page.startswith(("https://docs.aws.amazon.com/athena/", "https://trino.io/"))
        and form.rendering
        for form in FORMS
    )


def test_what_no_target_can_is_refused_here_too_and_never_rendered():
    assert [problem.what for problem in check("SELECT a FROM t QUALIFY true")] == ["QUALIFY"]
    with pytest.raises(Invalid, match="line 1: QUALIFY cannot be said to Athena"):
        render("SELECT a FROM t QUALIFY true")


values = st.one_of(
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    st.none(),
    st.integers(0, 2**42).map(
        lambda n: datetime.fromtimestamp(n // 1000, UTC).replace(
            microsecond=n % 1000 * 1000, tzinfo=None
        )
    ),
)


@given(values)
def test_a_bound_parameter_is_a_literal_of_its_value(value):
    sql = bind("SELECT $x AS x", {"x": value})
    assert check(sql) == ()
    assert "$" not in sql or "$" in str(value)
    (found,) = ENGINE.execute(sql).fetchone()
    if isinstance(value, float):
        assert float(found) == pytest.approx(value, rel=1e-12)
    else:
        assert found == value


def test_a_time_is_bound_in_utc_and_whole_milliseconds():
    tokyo = datetime(2019, 11, 24, 9, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=9)))
    bound = bind("SELECT a FROM t WHERE t <= $until", {"until": tokyo})
    assert said(bound) == "SELECT a FROM t WHERE t <= TIMESTAMP '2019-11-24 00:00:00.123'"


@pytest.mark.parametrize(
    "params", [{}, {"a": 1, "b": 2}, {"b": 1}, {"a": float("nan")}, {"a": [1]}, {"a": timedelta(1)}]
)
def test_parameters_that_do_not_fit_are_refused(params):
    with pytest.raises(Invalid):
        bind("SELECT $a AS x", params)


def test_text_cannot_leave_its_quotes():
    evil = "x' OR '1'='1"
    assert (
        said(bind("SELECT a FROM t WHERE b = $b", {"b": evil}))
        == "SELECT a FROM t WHERE b = 'x'' OR ''1''=''1'"
    )
    assert bind("SELECT $now AS x", {"now": datetime(2020, 1, 1, tzinfo=UTC)}).endswith("AS x")
