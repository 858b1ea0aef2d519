"""The neutral subset: what it takes, what it refuses, and where it says so."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.targets import sql_of
from isthmus.events.tables.relations import exactly_once_view
from isthmus.feature_store.as_known.queries import (
    blamed_sql,
    inputs_of,
    known_times_sql,
    totals_sql,
)
from isthmus.feature_store.joins.point_in_time import JoinView, join_sql
from isthmus.feature_store.joins.view_history import ViewSource, first_sql, latest_sql, next_sql
from isthmus.feature_store.sql.forms import FORMS, PARTS, STRANGERS
from isthmus.feature_store.sql.subset import check, parse, tables
from isthmus.feature_store.tables.relations import objective_view, static_table
from isthmus.feature_store.views.schema import view_schemas
from isthmus.feature_store.views.sources import view_sources

from ..adapters.sql.example import example

ACCEPTED = [
    (
        "SELECT a, t.b AS c FROM t WHERE a = 1 AND NOT (b < 2 OR c IS NULL) ORDER BY a DESC "
        "NULLS FIRST, b LIMIT 3"
    ),
    "FROM t SELECT a",
    "SELECT DISTINCT a FROM (SELECT * FROM t) AS u CROSS JOIN v",
    (
        "WITH w AS (SELECT a FROM t), x AS (SELECT a FROM w) SELECT w.a FROM w LEFT JOIN x ON "
        "x.a = w.a JOIN y ON y.a = w.a"
    ),
    "SELECT a FROM t UNION ALL SELECT b FROM u UNION ALL (SELECT c FROM v) ORDER BY 1",
    (
        "SELECT a, count(*), count(DISTINCT b), sum(c), min(c), max(c), avg(c), stddev_samp(c) "
        "FROM t GROUP BY a HAVING count(*) > 1"
    ),
    (
        "SELECT row_number() OVER (PARTITION BY a ORDER BY b), rank() OVER w, lag(b, 2) OVER w "
        "FROM t WINDOW w AS (ORDER BY b)"
    ),
    (
        "SELECT sum(a) OVER (ORDER BY t ROWS BETWEEN 3 PRECEDING AND 1 FOLLOWING), avg(a) OVER "
        "(ORDER BY t) FROM x"
    ),
    (
        "SELECT sum(a) OVER (ORDER BY t RANGE BETWEEN INTERVAL '7 days' PRECEDING AND INTERVAL 1 "
        "SECOND PRECEDING) FROM x"
    ),
    (
        "SELECT CASE WHEN a > 0 THEN 1 ELSE 0 END, coalesce(a, 0), nullif(a, 0), CAST(a AS "
        "DOUBLE), a::VARCHAR, round(a / 2)::INT FROM t"
    ),
    (
        "SELECT a + b - c * -d / 3.5, a % 7, a || '-' || b, abs(a), sign(a), floor(a), ceil(a), "
        "ln(a), exp(a), sqrt(a), a ** 2 FROM t"
    ),
    (
        "SELECT lower(a), upper(a), length(a), substr(a, 1, 12), substring(a, 2), replace(a, "
        "'x', 'y'), starts_with(a, 'x') FROM t"
    ),
    (
        "SELECT t + INTERVAL 1 WEEK, t - INTERVAL 3 HOURS, date_trunc('day', t), extract(hour "
        "FROM t), date_diff('millisecond', s, t) FROM x"
    ),
    (
        "SELECT a FROM t WHERE t >= TIMESTAMP '2019-11-24 00:00:00' AND t < $until AND a IN (1, "
        "2) AND b BETWEEN 1 AND 2 AND c LIKE 'x%'"
    ),
    (
        "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a = t.a) AND NOT EXISTS (SELECT 1 "
        "FROM v) AND a IN (SELECT a FROM w)"
    ),
    "SELECT a FROM t WHERE a IS DISTINCT FROM b AND a IS NOT NULL AND a = (SELECT max(a) FROM t)",
    "SELECT a FROM t; -- a comment after the semicolon",
]

REFUSED = {  # text -> a part of what must be named
    "SELECT a FROM t ASOF JOIN u ON t.a >= u.a": "ASOF JOIN",
    "SELECT a, count(*) FROM t GROUP BY ALL": "GROUP BY ALL",
    "SELECT a FROM t ORDER BY ALL": "ALL",
    "SELECT a FROM t QUALIFY row_number() OVER (ORDER BY a) = 1": "QUALIFY",
    "SELECT percentile_cont(a, 0.5) FROM t": "percentile_cont()",
    "SELECT median(a) FROM t": "median()",
    "SELECT a FROM t UNION ALL BY NAME SELECT a FROM u": "UNION ALL BY NAME",
    "SELECT a FROM t UNION SELECT a FROM u": "UNION",
    "SELECT epoch(t) FROM x": "epoch()",
    "SELECT epoch_ms(t) FROM x": "epoch_ms()",
    "SELECT TIMESTAMPTZ '2019-11-24 00:00:00+00:00'": "TIMESTAMPTZ",
    "SELECT t::TIMESTAMPTZ FROM x": "TIMESTAMPTZ",
    "SELECT TIMESTAMP '2019-11-24 00:00:00+02:00'": "TIMESTAMP '2019-11-24 00:00:00+02:00'",
    "SELECT TIMESTAMP '2019-11-24 00:00:00.123456'": "TIMESTAMP",
    "SELECT t AT TIME ZONE 'UTC' FROM x": "AT TIME ZONE",
    "SELECT [1, 2]": "a list",
    "SELECT {'a': 1}": "a struct",
    "SELECT list(a) FROM t": "a list",
    "SELECT a[1] FROM t": "[...]",
    "SELECT random()": "random()",
    "SELECT now()": "now()",
    "SELECT current_timestamp": "the current time",
    "SELECT current_date": "the current date",
    "SELECT uuid()": "uuid()",
    "SELECT greatest(a, b) FROM t": "greatest()",
    "SELECT least(a, b) FROM t": "least()",
    "SELECT concat(a, b) FROM t": "concat()",
    "SELECT log(a) FROM t": "log()",
    "SELECT trim(a) FROM t": "trim()",
    "SELECT md5(a) FROM t": "md5()",
    "SELECT a // b FROM t": "//",
    "SELECT a % b FROM t": "%",
    "SELECT a % 0 FROM t": "%",
    "SELECT if(a, b, c) FROM t": "if()",
    "SELECT sum(a) FILTER (WHERE b) FROM t": "FILTER",
    "SELECT sum(DISTINCT a) FROM t": "DISTINCT",
    "SELECT count(DISTINCT a) OVER (PARTITION BY b) FROM t": "count(DISTINCT x) OVER",
    "SELECT count() FROM t": "count()",
    "SELECT DISTINCT ON (a) a, b FROM t": "DISTINCT ON",
    "SELECT * EXCLUDE (a) FROM t": "* EXCLUDE",
    "SELECT COLUMNS('a.*') FROM t": "COLUMNS",
    "SELECT a FROM t, u": "comma",
    "SELECT a FROM t JOIN u USING (a)": "JOIN USING",
    "SELECT a FROM t NATURAL JOIN u": "NATURAL JOIN",
    "SELECT a FROM t SEMI JOIN u ON t.a = u.a": "SEMI JOIN",
    "SELECT a FROM t FULL JOIN u ON t.a = u.a": "FULL JOIN",
    "SELECT a FROM t RIGHT JOIN u ON t.a = u.a": "RIGHT JOIN",
    "SELECT * FROM 'data/x.parquet'": "the file 'data/x.parquet'",
    "SELECT * FROM read_csv('x')": "READ_CSV('x')",
    "SELECT a FROM main.t": "schema",
    "SELECT sql FROM sqlite_master": "sqlite_master",
    "SELECT a FROM t TABLESAMPLE 10%": "TABLESAMPLE",
    "WITH RECURSIVE x AS (SELECT 1) SELECT * FROM x": "WITH RECURSIVE",
    "SELECT a FROM t LIMIT $n": "LIMIT",
    "SELECT a FROM t LIMIT 3 OFFSET 2": "OFFSET",
    "SELECT ? FROM t": "parameter",
    "SELECT $1 FROM t": "parameter",
    "SELECT row_number() OVER () FROM t": "ORDER BY",
    "SELECT lag(a) FROM t": "without OVER",
    "SELECT lag(a) OVER (ORDER BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t": "frame",
    "SELECT sum(a) OVER w FROM t": "OVER w",
    "SELECT sum(a) OVER (w ORDER BY b) FROM t WINDOW w AS (PARTITION BY a)": "OVER (w ...)",
    "SELECT sum(a) OVER (ORDER BY a GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t": "GROUPS",
    "SELECT sum(a) OVER (ORDER BY a, b RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t": "several columns",
    "SELECT sum(a) OVER (ORDER BY t RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 DAY "
    "PRECEDING) FROM t": "UNBOUNDED",
    "SELECT sum(a) OVER (ORDER BY a ROWS BETWEEN b PRECEDING AND CURRENT ROW) FROM t": "computed bound",
    "SELECT sum(a) OVER (ORDER BY t RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND 1 FOLLOWING) "
    "FROM x": "to a number",
    "SELECT t + INTERVAL 1 MONTH FROM x": "INTERVAL '1' MONTH",
    "SELECT t + INTERVAL (a) DAY FROM x": "INTERVAL",
    "SELECT INTERVAL 1 DAY": "an interval in this place",
    "SELECT date_trunc('week', t) FROM x": "WEEK",
    "SELECT extract(dow FROM t) FROM x": "extract()",
    "SELECT date_diff('day', a, b) FROM x": "date_diff()",
    "SELECT a::DECIMAL(3, 1) FROM t": "DECIMAL",
    "SELECT a::FLOAT FROM t": "REAL",
    "SELECT a::DATE FROM t": "DATE",
    "SELECT CAST(a / b AS BIGINT) FROM t": "fraction",
    "SELECT CAST(avg(a) AS VARCHAR) FROM t": "fraction",
    "SELECT TRY_CAST(a AS BIGINT) FROM t": "TRY_CAST",
    "SELECT CAST('nan' AS DOUBLE) AS x": "the number 'nan'",
    "SELECT '-inf'::DOUBLE AS x": "the number '-inf'",
    "SELECT 1e999 AS x": "the number 1e999",
    "SELECT 1e AS x": "the number 1e",
    "SELECT a FROM t WHERE a ILIKE 'x'": "ILIKE",
    "SELECT a FROM t WHERE a LIKE 'x\\_'": "LIKE",
    "SELECT a FROM t WHERE a LIKE b": "LIKE",
    "SELECT a FROM t WHERE (a, b) IN (SELECT 1, 2)": "a row of values",
    "SELECT substr(a, 0) FROM t": "substr() from 0",
    "SELECT substr(a, b) FROM t": "computed start",
    'SELECT "user-item" FROM t': "user-item",
    "SELECT foo(a) FROM t": "foo()",
    "SELECT string_agg(a ORDER BY b) FROM t": "group_concat()",
    "SELECT list_transform(a, x -> x) FROM t": "transform()",
    "DROP TABLE t": "DROP",
    "INSERT INTO t SELECT 1": "INSERT",
    "COPY t TO 'x'": "COPY",
    "SELECT 1; SELECT 2": "2 statements",
    "SELECT 1; DROP TABLE t": "2 statements",
    "": "no statement",
    "-- nothing": "no statement",
    "SELECT a frm t": "syntax error",
    "SELECT 'abc": "syntax error",
    "SELECT (a FROM t": "syntax error",
}


@pytest.mark.parametrize("sql", ACCEPTED)
def test_what_every_target_says_alike_is_accepted(sql):
    assert check(sql) == ()


@pytest.mark.parametrize(("sql", "named"), REFUSED.items())
def test_everything_else_is_refused_by_name_and_with_a_reason(sql, named):
    problems = check(sql)
    assert any(named in problem.what for problem in problems), problems
    assert all(problem.why and problem.line == 1 for problem in problems)


def test_a_problem_names_the_line_that_it_is_on():
    sql = "SELECT a,\n       median(b) AS m\nFROM t\nASOF JOIN u ON t.a >= u.a\nQUALIFY m > 1"
    assert [(problem.line, problem.what) for problem in check(sql)] == [
        (2, "median()"),
        (4, "ASOF JOIN"),
        (5, "QUALIFY"),
    ]


@pytest.mark.parametrize(
    ("sql", "line"),
    [("SELECT a\nFROM t\nWHERE )", 3), ("SELECT a,\n 'b\nFROM t", 2), ("\n\nDROP TABLE t", 3)],
)
def test_a_syntax_error_names_its_line(sql, line):
    (problem,) = check(sql)
    assert problem.line == line


@given(st.text(max_size=60))
def test_any_text_is_judged_and_never_raises(text):
    for sql in (text, f"SELECT {text} FROM t", f"SELECT a FROM t WHERE {text}"):
        assert isinstance(check(sql), tuple)
        assert isinstance(tables(sql), frozenset)


def test_relations_are_named_without_the_querys_own():
    assert tables(
        "WITH w AS (SELECT a FROM ctr) SELECT * FROM w JOIN (SELECT * FROM Items) AS i ON i.a = w.a"
    ) == {"ctr", "items"}
    assert tables("SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u) UNION ALL SELECT b FROM v") == {
        "t",
        "u",
        "v",
    }
    assert tables("WITH ctr AS (SELECT * FROM ctr) SELECT * FROM ctr") == {"ctr"}
    assert tables("SELECT (") == frozenset()


def test_parse_is_for_sound_text():
    with pytest.raises(ValueError, match=r"line 1: syntax error near .DROP."):
        parse("DROP TABLE t")


def test_every_message_is_about_something_outside_of_the_subset():
    assert not set(STRANGERS) & set(FORMS)
    assert not [(node, part) for node, part in PARTS if part in FORMS[node]]


def test_the_sql_that_isthmus_writes_itself_is_in_the_subset():
    description = example()
    spec = description.spec
    schemas, problems = view_schemas(description)
    assert problems == ()
    sources = [
        ViewSource(
            view=view,
            entity=spec.entities[view.entity],
            features=schemas[name].features,
            has_created=schemas[name].has_created,
        )
        for name, view in spec.feature_views.items()
    ]
    joined = [
        JoinView(history=source.view.name, key=source.entity.key, features=source.features)
        for source in sources
    ]
    written = [exactly_once_view(event).view_sql for event in spec.events.values()]
    written += [objective_view(spec, objective).view_sql for objective in spec.objectives.values()]
    written += [static_table("items", spec.events["click"].attributes)[1].view_sql]
    written += [make(source) for source in sources for make in (first_sql, next_sql, latest_sql)]
    written += [join_sql("SELECT * FROM ctr", ("event_id", "event_timestamp"), joined)]
    for sql in (*written, *as_known(sources, description)):
        assert check(sql) == (), sql


def as_known(sources, description):
    moments = [datetime(2019, 11, day, tzinfo=UTC) for day in (25, 27)]
    for source in sources:
        read = inputs_of(source, description)
        asked = (
            totals_sql(source, read, moments),
            *(blamed_sql(source, read, moments, again=again) for again in (False, True)),
        )
        for sql, params in asked:
            assert set(re.findall(r"\$(\w+)", sql)) == set(params)
            yield sql
        if any(i.known for i in read):
            yield known_times_sql(read, (0.1, 0.7))


@pytest.mark.parametrize("adapter", ["local", "sagemaker", "vertex"])
def test_every_target_can_say_the_as_known_check_of_the_example(adapter):
    for sql in as_known(view_sources(example()), example()):
        assert sql_of(adapter).check(sql) == (), sql


def test_a_tree_is_its_callers_own_however_often_a_text_is_read():
    parse("SELECT a AS b FROM t").set("expressions", [])
    assert [output.alias for output in parse("SELECT a AS b FROM t").selects] == ["b"]
