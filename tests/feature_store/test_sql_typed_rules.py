"""What engines do differently by the types of values: casts, equality, partitions."""

import pytest

from isthmus.events.port import Column
from isthmus.feature_store.sql.subset import check, parse
from isthmus.feature_store.sql.typed_rules import typed_problems, types_of

RELATIONS = {
    "x": (
        Column(name="a", type="int64"),
        Column(name="f", type="float64"),
        Column(name="k", type="string"),
        Column(name="t", type="timestamp"),
    )
}


def problems(expression):
    columns = "a, f, k, t, t AS seen, a * f AS product, 1 + sum(f) OVER () AS total"
    sql = f"WITH w AS (SELECT {columns} FROM x)\nSELECT {expression} AS e\nFROM w"
    assert check(sql) == ()
    return [
        (problem.line, problem.what) for problem in typed_problems(parse(sql), types_of(RELATIONS))
    ]


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
        ("CAST(k AS DOUBLE)", "a cast of text to DOUBLE"),
        ("CAST(lower(k || 'x') AS DOUBLE)", "a cast of text to DOUBLE"),
        ("CAST(coalesce(k, '') AS TIMESTAMP)", "a cast of text to TIMESTAMP"),
        ("CAST((SELECT max(k) FROM x) AS TIMESTAMP)", "a cast of text to TIMESTAMP"),
        ("sum(f) OVER () = 1", "equality of a computed DOUBLE"),
        ("nullif(avg(a) OVER (), 2)", "equality of a computed DOUBLE"),
        ("a IN (1, exp(f))", "equality of a computed DOUBLE"),
        ("(SELECT sum(f) AS s FROM x) IS DISTINCT FROM f", "equality of a computed DOUBLE"),
        ("CASE ln(f) WHEN 0 THEN 1 END", "equality of a computed DOUBLE"),
        ("total = f", "equality of a computed DOUBLE"),
        ("count(*) OVER (PARTITION BY product)", "PARTITION BY a DOUBLE"),
    ],
)
def test_what_engines_do_differently_is_found_by_types(expression, what):
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
        "CAST('1.5e3' AS DOUBLE)",
        "CAST('2020-01-02' AS TIMESTAMP)",
        "f = 1.5",
        "product * 2 / 3 = f",
        "sum(a) OVER () = 1",
        "round(total, 2) = 1.5",
        "total < 1",
        "count(*) OVER (PARTITION BY CAST(round(f) AS BIGINT), k, t)",
    ],
)
def test_what_every_engine_does_alike_is_not(expression):
    assert problems(expression) == []


def test_a_relation_that_nobody_knows_is_left_to_who_runs_it():
    sql = "SELECT CAST(f AS BIGINT) AS e FROM elsewhere"
    assert list(typed_problems(parse(sql), types_of(RELATIONS))) == []
