"""BigQuery's texts before GoogleSQL's own analyzer, and their rows by its reference implementation.

Our translator judges nothing here.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.common.warehouse import duckdb_functions
from isthmus.adapters.vertex import sql as bigquery
from isthmus.endpoints.gateway.log.streams import ASSIGNMENTS, EXPOSURES, RANKINGS
from isthmus.errors import Invalid
from isthmus.events.port import Column
from isthmus.events.tables.relations import event_columns
from isthmus.feature_store.views.schema import relation_columns
from isthmus.tests.experiments.fuller_shop import SHOP
from isthmus.tests.sampled import costly
from isthmus_stack.gcp.googlesql.compiled import available
from isthmus_stack.gcp.googlesql.reference import Relation, evaluate

from .example import VIEW, example, texts

pytestmark = pytest.mark.skipif(
    not available(),
    reason="the wheel zetasql is not installed: BigQuery's texts are judged by nobody",
)

KINDS = {
    "bool": "BOOL",
    "int64": "INT64",
    "float64": "FLOAT64",
    "string": "STRING",
    "timestamp": "TIMESTAMP",
}
COLUMNS = {
    "n": ("INT64", "BIGINT"),
    "k": ("STRING", "VARCHAR"),
    "s": ("STRING", "VARCHAR"),
    "a": ("INT64", "BIGINT"),
    "b": ("INT64", "BIGINT"),
    "f": ("FLOAT64", "DOUBLE"),
    "p": ("BOOL", "BOOLEAN"),
    "t": ("TIMESTAMP", "TIMESTAMP"),
    "u": ("TIMESTAMP", "TIMESTAMP"),
}
EXPRESSIONS = """
a + 1; a - b; a * 2; -a; a / b; a / 250; a / 0; a % 7; f + 1.5; f * 0.1; f / 3; f / 0; f - a; a * 1.5; 2.5 / a; 1.0 / 3
(a + 1.0) / (b + 10)
a = b; a <> b; a < b; a BETWEEN 1 AND 3; a IN (1, 2, NULL); a IS NULL; a IS NOT DISTINCT FROM b; a IS DISTINCT FROM b; f > 0.1; a > 0.1
NOT p; p AND a > 1; p OR a > 1; p = true; k LIKE 'x%'; k LIKE '_y'; k = s; k < s
k || s; lower(k); upper(s); length(s); substring(s, 2); substring(s, 1, 2); replace(s, 'y', 'zz'); starts_with(s, 'x'); coalesce(k, s, '-')
nullif(k, s); CASE WHEN a > 1 THEN 'big' WHEN a IS NULL THEN 'none' ELSE 'small' END; CASE a WHEN 1 THEN 2 ELSE 3 END; coalesce(a, 0.5)
CASE WHEN p THEN 1.5 ELSE 0 END; CAST(a AS DOUBLE); CAST(a AS VARCHAR); CAST(p AS VARCHAR); CAST(p AS BIGINT); CAST(a AS BOOLEAN)
CAST(round(f) AS BIGINT); CAST(floor(f) AS BIGINT); CAST('12' AS BIGINT); CAST('1.5' AS DOUBLE); CAST('2020-01-02' AS TIMESTAMP)
round(f); round(f, 1); round(a); floor(f); ceil(f); abs(a); abs(f); sign(a); sign(f); round(f * CAST(0.1 AS DOUBLE), 1); round(1.5 * a)
ln(f); ln(a); ln(0); exp(f); exp(f * 1000); sqrt(f); sqrt(a); power(f, 2); power(a, 2); power(a, b); power(f, 0.5); power(f, f)
power(f, -1); power(10, a * 400); power(0, a); exp(ln(a + 1) + ln(b)); sqrt(power(a, 2) + 1); ln(1.5) / ln(2)
t + INTERVAL 7 DAY; t - INTERVAL 90 MINUTE; t + INTERVAL 1 WEEK; t < u; t = TIMESTAMP '2020-01-01 12:00:00'; coalesce(t, u)
date_trunc('day', t); date_trunc('month', t); date_trunc('hour', t); date_trunc('year', t); extract(hour FROM t); extract(year FROM t)
extract(day FROM t); date_diff('millisecond', t, u); date_diff('millisecond', t, u) / 3600000.0
count(*) OVER (); sum(a) OVER (PARTITION BY k); avg(a) OVER (PARTITION BY k); min(t) OVER (PARTITION BY k); max(s) OVER ()
sum(a) OVER (ORDER BY n ROWS BETWEEN 2 PRECEDING AND CURRENT ROW); count(a) OVER (PARTITION BY k); row_number() OVER (ORDER BY k DESC, n)
rank() OVER (ORDER BY k); dense_rank() OVER (ORDER BY k DESC); lag(a) OVER (ORDER BY n); lead(a, 2) OVER (ORDER BY k, n)
first_value(a) OVER (ORDER BY n); last_value(a) OVER (ORDER BY n); max(f) OVER (PARTITION BY p); sum(a * 0.5) OVER (); avg(a * 0.1) OVER ()
sum(a) OVER (PARTITION BY k ORDER BY t RANGE BETWEEN INTERVAL 2 HOUR PRECEDING AND CURRENT ROW)
count(*) OVER (ORDER BY t DESC RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND INTERVAL 1 SECOND FOLLOWING)
sum(a) OVER (ORDER BY a RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING); sum(a) OVER (ORDER BY b NULLS FIRST); sum(a) OVER (ORDER BY b DESC)
EXISTS (SELECT 1 FROM x AS y WHERE y.a = x.a AND y.n <> x.n); a IN (SELECT b FROM x AS y)
"""
ONE_BY_ONE = [
    expression.strip()
    for expression in EXPRESSIONS.replace("\n", ";").split(";")
    if expression.strip()
]
SELECT = (
    "SELECT n, "
    f"{', '.join(f'{expression} AS e{place}' for place, expression in enumerate(ONE_BY_ONE))} "
    "FROM x"
)
RELATIONS = [
    "SELECT x FROM x",
    "SELECT x AS y, n FROM x WHERE x > 1",
    "SELECT x.x + 1 AS more, x FROM x ORDER BY x",
    "SELECT n FROM x AS n",
    "SELECT y.n, count(*) AS c FROM x AS y JOIN x AS n ON y.n <= n.n GROUP BY y.n",
    "WITH n AS (SELECT n, x FROM x) SELECT n, n.x FROM n",
    "SELECT n FROM x WHERE EXISTS (SELECT 1 FROM x AS n WHERE n.x = x.x AND n > 1)",
    "SELECT sum(x) AS x FROM (SELECT x FROM x) AS x",
    "SELECT max(x) OVER (ORDER BY n) AS m FROM x UNION ALL SELECT n FROM x AS x",
]
TINY = duckdb.connect(config={"threads": "1"})
duckdb_functions.define(TINY)


def canonical(value):
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return (
            f"{round(float(value), 9) + 0.0:.9g}"  # what sums in two orders leave of a zero is none
        )
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


def rows(table):
    return sorted(([canonical(value) for value in row] for row in table), key=repr)


def by_duckdb(sql, columns, table):
    TINY.execute(
        "CREATE OR REPLACE TABLE x "
        f"({', '.join(f'{name} {kind}' for name, (_, kind) in columns.items())})"
    )
    for row in table:
        TINY.execute(
            f"INSERT INTO x VALUES ({', '.join('?' * len(row))})",
            [v.replace(tzinfo=None) if isinstance(v, datetime) else v for v in row],
        )
    return rows(TINY.execute(sql).fetchall())


def by_googlesql(sql, columns, table):
    relation = Relation(columns=[(name, kind) for name, (kind, _) in columns.items()], rows=table)
    return rows(evaluate(bigquery.render(sql).sql, {("x",): relation}).rows)


KIND_HISTORY = (
    *(Column(name=name, type="string") for name in ("entity_key", "item_kind")),
    *(Column(name=name, type="timestamp") for name in ("event_timestamp", "created_timestamp")),
)


def relations():
    """What the example's views read, with dt and what only raw tables have."""
    spec = example().spec
    columns = {f"events_{event.name}": event_columns(event) for event in spec.events.values()}
    columns |= {
        "impression_raw": event_columns(spec.events["impression"]),
        **relation_columns(example()),
    }
    columns |= {
        "events_view": event_columns(VIEW),
        "exposures": EXPOSURES.columns,
        "assignments": ASSIGNMENTS.columns,
    }
    columns |= {"rankings": RANKINGS.columns, "kind_history": KIND_HISTORY}
    columns |= {"events_purchase": event_columns(SHOP.events["purchase"])}
    typed = {
        name: {column.name: KINDS[column.type] for column in of_relation}
        for name, of_relation in columns.items()
    }
    typed["impression_raw"] |= {
        "correction": "INT64",
        "stored_timestamp": "TIMESTAMP",
        "payload_digest": "STRING",
    }
    typed["events_click"] |= {"exposure_id": "STRING"}
    typed["events_impression"] |= {"exposure_id": "STRING"}
    typed["ctr"] |= {"exposure_id": "STRING"}
    typed["impression_exposed"] = {"event_id": "STRING", "unit": "STRING"}
    return {
        (name,): Relation(columns=[*of_relation.items(), ("dt", "STRING")], rows=[])
        for name, of_relation in typed.items()
    }


@pytest.mark.parametrize("name", texts())
def test_google_takes_the_golden_texts(name):
    answer = evaluate(bigquery.render(texts()[name]).sql, relations())
    assert answer.columns
    assert {kind for _, kind in answer.columns} <= set(KINDS.values())


RUN = {  # what a run's query reads; dt is added
    "assignments": {
        **dict.fromkeys(("run", "unit", "arm", "reason", "segment"), "STRING"),
        "event_timestamp": "TIMESTAMP",
    },
    "rankings": {
        **dict.fromkeys(("event_id", "endpoint", "unit", "version"), "STRING"),
        "event_timestamp": "TIMESTAMP",
    },
    "ctr": {
        "event_id": "STRING",
        "outcome": "INT64",
        "event_timestamp": "TIMESTAMP",
        "created_timestamp": "TIMESTAMP",
    },
    "impression_exposed": {"event_id": "STRING", "unit": "STRING"},
    "events_click": {"impression_id": "STRING", "event_timestamp": "TIMESTAMP"},
    "events_purchase": {"visitor_id": "INT64", "amount": "FLOAT64", "event_timestamp": "TIMESTAMP"},
}
DUCKDB = {"INT64": "BIGINT", "STRING": "VARCHAR", "FLOAT64": "DOUBLE", "TIMESTAMP": "TIMESTAMP"}
run_moments = st.integers(0, 5 * 24).map(
    lambda hour: datetime(2019, 11, 24, tzinfo=UTC) + timedelta(hours=hour)
)
run_units = st.integers(1, 3)
run_logs = st.fixed_dictionaries(
    {
        "assignments": st.lists(
            st.tuples(
                st.just("r.1"),
                run_units.map(str),
                st.sampled_from(["control", "treatment"]),
                st.just("split"),
                st.sampled_from(["", "platform=ios", "platform=web", "country=JP"]),
                run_moments,
            ),
            max_size=9,
        ),
        "rankings": st.lists(
            st.tuples(
                st.sampled_from("abcdef"),
                st.sampled_from(["ranker", "other"]),
                run_units.map(str),
                st.sampled_from("12"),
                run_moments,
            ),
            max_size=6,
            unique_by=lambda row: row[0],
        ),
        "ctr": st.lists(
            st.tuples(st.sampled_from("abcd"), st.integers(0, 1), run_moments, run_moments),
            max_size=6,
        ),
        "impression_exposed": st.lists(
            st.tuples(st.sampled_from("abcd"), run_units.map(str)), max_size=4
        ),
        "events_click": st.lists(st.tuples(st.sampled_from("abcd"), run_moments), max_size=6),
        "events_purchase": st.lists(
            st.tuples(run_units, st.none() | st.integers(0, 40).map(float), run_moments), max_size=6
        ),
    }
)


@costly(3, of=5)
@given(run_logs)
def test_a_runs_query_has_duckdbs_rows_in_googlesql(log):
    dated = {name: [[*row, _date(row)] for row in log[name]] for name in RUN}
    relations = {
        (name,): Relation(columns=[*columns.items(), ("dt", "STRING")], rows=dated[name])
        for name, columns in RUN.items()
    }
    with duckdb.connect(config={"threads": "1"}) as engine:
        duckdb_functions.define(engine)
        for name, columns in RUN.items():
            engine.execute(
                f"CREATE TABLE {name} "
                f"({', '.join(f'{of} {DUCKDB[kind]}' for of, kind in columns.items())}, dt "
                "VARCHAR)"
            )
            for row in dated[name]:
                values = [
                    value.replace(tzinfo=None) if isinstance(value, datetime) else value
                    for value in row
                ]
                engine.execute(
                    f"INSERT INTO {name} VALUES ({', '.join('?' * len(values))})", values
                )
        for name in ("run_cells", "run_segments", "run_versions"):
            sql = texts()[name]
            assert rows(evaluate(bigquery.render(sql).sql, relations).rows) == rows(
                engine.execute(sql).fetchall()
            )


def _date(row):
    """Of its first moment, which is its own."""
    return next((f"{value:%Y-%m-%d}" for value in row if isinstance(value, datetime)), "2019-11-24")


moments = st.none() | st.integers(-(10**12), 2 * 10**12).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
numbers = st.none() | st.integers(-4, 4)
halves = (
    st.none()
    | st.integers(-9, 9).map(lambda n: n / 2)
    | st.floats(-1e6, 1e6).map(lambda x: round(x, 3) + 0.0)
)
words = st.none() | st.sampled_from(["", "x", "y", "xyz", "Yé", "Zy"])
tables = st.lists(
    st.tuples(words, words, numbers, numbers, halves, st.none() | st.booleans(), moments, moments),
    max_size=8,
)


@costly(12, of=25)
@given(tables)
def test_every_expression_has_duckdbs_value_in_googlesql(values):
    table = [[n, *row] for n, row in enumerate(values)]
    mine, google = by_duckdb(SELECT, COLUMNS, table), by_googlesql(SELECT, COLUMNS, table)
    differing = {
        expression
        for one, other in zip(mine, google, strict=True)
        for expression, left, right in zip(["n", *ONE_BY_ONE], one, other, strict=True)
        if left != right
    }
    assert not differing


@pytest.mark.parametrize("sql", RELATIONS)
def test_a_column_with_the_name_of_a_relation_is_the_column(sql):
    columns = {"n": ("INT64", "BIGINT"), "x": ("INT64", "BIGINT")}
    table = [[1, 10], [2, 20], [3, None], [4, 20]]
    assert by_googlesql(sql, columns, table) == by_duckdb(sql, columns, table)


@pytest.mark.parametrize("cloud", ["vertex", "sagemaker"])
@pytest.mark.parametrize(
    "expression",
    ["round(2.675, 2)", "round(a * 0.1, 1)", "floor(f * 1.1)", "a * 0.1 = 0.3", "0.1 + a > 0.3"],
)
def test_where_an_exact_decimal_decides_it_is_refused_with_a_way_out(expression, cloud):
    from importlib import import_module

    dialect = import_module(f"isthmus.adapters.{cloud}.sql")
    with pytest.raises(Invalid) as refused:
        dialect.render(f"SELECT {expression} AS e FROM x")
    assert "CAST(0.1 AS DOUBLE)" in refused.value.remedy
