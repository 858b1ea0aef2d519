"""Casts whose meaning depends on the type of what is cast."""

import pytest

from isthmus.events.port import Column
from isthmus.feature_store.sql.casts import lossy_casts
from isthmus.feature_store.sql.subset import check, parse

RELATIONS = {
    "x": (
        Column(name="a", type="int64"),
        Column(name="f", type="float64"),
        Column(name="k", type="string"),
        Column(name="t", type="timestamp"),
    )
}


def problems(expression):
    sql = (
        f"WITH w AS (SELECT a, f, k, t, t AS seen, a * f AS product FROM x)\nSELECT {expression} "
        "AS e\nFROM w"
    )
    assert check(sql) == ()
    return [(problem.line, problem.what) for problem in lossy_casts(parse(sql), RELATIONS)]


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("CAST(t AS VARCHAR)", "a cast of a timestamp to VARCHAR"),
        ("CAST(w.seen AS VARCHAR)", "a cast of a timestamp to VARCHAR"),
        ("k || CAST(date_trunc('day', seen) AS VARCHAR)", "a cast of a timestamp to VARCHAR"),
        ("CAST(max(t) OVER () AS VARCHAR)", "a cast of a timestamp to VARCHAR"),
        ("CAST(f AS VARCHAR)", "a cast of a DOUBLE to VARCHAR"),
        ("CAST(round(f) AS VARCHAR)", "a cast of a DOUBLE to VARCHAR"),
        ("CAST(product AS BIGINT)", "a cast of a DOUBLE to BIGINT"),
        ("CAST(coalesce(f, 1) AS BIGINT)", "a cast of a DOUBLE to BIGINT"),
        ("CAST(round(f, 1) AS BIGINT)", "a cast of a DOUBLE to BIGINT"),
        ("CAST((SELECT max(f) FROM x) AS BIGINT)", "a cast of a DOUBLE to BIGINT"),
        ("CAST(((SELECT max(t) AS m FROM x)) AS VARCHAR)", "a cast of a timestamp to VARCHAR"),
        ("CAST(nullif(f, $v) AS BIGINT)", "a cast of a DOUBLE to BIGINT"),
    ],
)
def test_a_cast_that_engines_do_differently_is_found_by_the_type_of_what_is_cast(expression, what):
    assert problems(expression) == [(2, what)]


@pytest.mark.parametrize(
    "expression",
    [
        "CAST(a AS VARCHAR)",
        "CAST(k AS BIGINT)",
        "CAST(f AS DOUBLE)",
        "CAST(round(f) AS BIGINT)",
        "CAST(round(f, 0) AS BIGINT)",
        "CAST((floor(product)) AS BIGINT)",
        "CAST(CAST(ceil(f) AS BIGINT) AS VARCHAR)",
        "CAST(extract(year FROM t) AS VARCHAR)",
        "CAST(row_number() OVER (ORDER BY f) AS VARCHAR)",
        "CAST(k AS TIMESTAMP)",
    ],
)
def test_what_every_engine_casts_alike_is_not(expression):
    assert problems(expression) == []


def test_a_relation_that_nobody_knows_is_left_to_who_runs_it():
    assert list(lossy_casts(parse("SELECT CAST(f AS BIGINT) AS e FROM elsewhere"), RELATIONS)) == []
