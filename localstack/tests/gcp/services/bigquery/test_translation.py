"""DuckDB gives what GoogleSQL's own reference implementation gives, or the translation refuses."""

import datetime as dt
import math
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.core.clock import Clock
from isthmus_stack.gcp.googlesql import compiled
from isthmus_stack.gcp.services.bigquery.data import bignumeric, decode, encode
from isthmus_stack.gcp.services.bigquery.data.types import (
    SchemaField,
    duckdb_type,
    quoted,
    schema_from_rest,
)
from isthmus_stack.gcp.services.bigquery.errors import BigQueryError
from isthmus_stack.gcp.services.bigquery.jobs import queries
from isthmus_stack.gcp.services.bigquery.operations import rows as single_rows
from isthmus_stack.gcp.services.bigquery.sql.analysis import analyzer, resolved_tree
from isthmus_stack.gcp.services.bigquery.sql.execution import reference_evaluation, translation
from isthmus_stack.gcp.services.bigquery.sql.scripts import parsing
from isthmus_stack.gcp.services.bigquery.state.catalog import Catalog, TableRef
from isthmus_stack.gcp.services.bigquery.state.instance import BigQueryState
from isthmus_stack.gcp.services.bigquery.state.job_work import RunningJob
from isthmus_stack.gcp.services.bigquery.state.jobs import Job
from isthmus_stack.gcp.services.bigquery.state.warehouse import Warehouse
from isthmus_stack.gcp.services.bigquery.tables import datasets, tables
from isthmus_stack.gcp.services.bigquery.tables.row_writes import fill_from

HERE = Path(__file__).parent
judged = pytest.mark.skipif(
    not compiled.available(), reason="zetasql is not installed: there is no judge"
)

COLUMNS = (
    "i:INT64 k:INT64 f:FLOAT64 g:FLOAT64 n:NUMERIC b:BOOL s:STRING u:STRING y:BYTES d:DATE "
    "e:DATE dt:DATETIME tm:TIME ts:TIMESTAMP "
    "tz:TIMESTAMP j:JSON"
)
ROWS = [
    {
        "i": 1, "k": 2, "f": 1.5, "g": 2.0, "n": "1.5", "b": True, "s": "Hello World", "u": "lo",
        "y": "aGVsbG8=", "d": "2024-02-29", "e": "2023-12-31", "dt": "2024-02-29T12:34:56.123456",
        "tm": "12:34:56.789", "ts": "2024-02-29 12:34:56.123456Z", "tz": "2023-12-31 23:59:59Z",
        "l": [3, 1, 2], "j": {"a": 1, "b": "x", "c": [1, 2]}, "st": {"x": 1, "z": "q"},
    },
    {
        "i": -7, "k": 3, "f": -2.5, "g": 0.1, "n": "-2.675", "b": False, "s": "ärger  ", "u": "",
        "y": "AAEC", "d": "2021-01-03", "e": "2021-01-04", "dt": "2021-01-03T00:00:00",
        "tm": "00:00:00", "ts": "2021-01-03 00:00:00Z", "tz": "1969-12-31 23:59:58.5Z", "l": [],
        "st": {"x": None, "z": "r"},
    },
    {
        "i": 0, "k": -2, "f": 0.5, "g": 3.0, "n": "0", "s": "42", "u": "4", "d": "1970-01-01",
        "e": "1969-12-31", "dt": "1970-01-01T00:00:00.5", "tm": "23:59:59.999999",
        "ts": "1970-01-01 00:00:00.5Z", "tz": "2000-01-01T00:00:00Z", "l": [5],
        "j": {"a": None, "b": True},
    },
    {
        "k": 1, "g": 1e10, "b": True, "u": "x", "y": "", "e": "2022-05-01",
        "tz": "2022-05-01 10:00:00Z", "l": [7, 7], "j": "[1]", "st": {"x": 5, "z": None},
    },
    {
        "i": 100, "k": 7, "f": "NaN", "g": "inf", "n": "123.456789123", "b": False, "s": "a,b,,c",
        "u": ",", "y": "//8=", "d": "2020-12-28", "e": "2020-06-15", "dt": "2020-12-28T23:59:59",
        "tm": "01:02:03", "ts": "2020-12-28 05:00:00Z", "tz": "2020-12-27 04:59:59Z",
        "l": [1, 2, 3, 4], "j": {"a": {"b": 2.5}}, "st": {"x": 9, "z": "w"},
    },
]  # fmt: skip


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    made = BigQueryState(
        catalog=Catalog(),
        warehouse=Warehouse(tmp_path_factory.mktemp("bigquery"), None),
        clock=Clock("manual"),
    )
    datasets.create(made, "p", "ds", {})
    plain = [
        {"name": name, "type": kind}
        for name, _, kind in (part.partition(":") for part in COLUMNS.split())
    ]
    record = {
        "name": "st",
        "type": "RECORD",
        "fields": [{"name": "x", "type": "INT64"}, {"name": "z", "type": "STRING"}],
    }
    fields = schema_from_rest(
        {"fields": [*plain, {"name": "l", "type": "INT64", "mode": "REPEATED"}, record]}
    )
    table = tables.create(made, TableRef("p", "ds", "t"), {}, fields)
    single_rows.append(made, table, [decode.record(row, fields) for row in ROWS])
    yield made
    made.warehouse.close()


def comparable(value):
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value
    if isinstance(value, dict):
        return {key: comparable(member) for key, member in value.items()}
    return [comparable(member) for member in value] if isinstance(value, list) else value


def by_duckdb(instance, meaning, fields):
    with instance.warehouse.session() as cursor, translation.bigquery_errors(RunningJob()):
        cursor.execute(
            "CREATE TEMP TABLE answer "
            f"({', '.join(f'{quoted(f.name)} {duckdb_type(f)}' for f in fields)})"
        )
        fill_from(translation.query(instance, meaning))(cursor, "temp.main.answer", fields)
        return cursor.execute("SELECT * FROM temp.main.answer").to_arrow_table().to_pylist()


def by_reference(instance, meaning, fields):
    rows = reference_evaluation.evaluate(
        instance, meaning, fields, BigQueryError("invalidQuery", "judged")
    ).to_pylist()
    repeated = {field.name for field in fields if field.repeated}
    return [
        {name: [] if value is None and name in repeated else value for name, value in row.items()}
        for row in rows
    ]


def outcome(function, *arguments):
    try:
        return comparable(function(*arguments))
    except BigQueryError as error:
        return "refused" if error.reason == "notImplemented" else "failed"


def whole(line):
    return line.startswith(("SELECT", "WITH"))


def statements(group):
    """Expressions together, which takes a fifth of the time, and queries one by one."""
    lines = group.splitlines()[1:]
    columns = ", ".join(
        f"{line} AS x{number}" for number, line in enumerate(lines) if not whole(line)
    )
    return [*([f"SELECT {columns} FROM ds.t ORDER BY k"] if columns else []), *filter(whole, lines)]


@judged
@pytest.mark.parametrize(
    "group",
    (HERE / "expressions.txt").read_text().split("\n\n"),
    ids=lambda group: group.splitlines()[0].strip("# "),
)
def test_duckdb_agrees_with_the_reference_implementation(instance, group):
    for sql in statements(group):
        meaning = analyzer.analyze(instance, analyzer.AnalysisRequest(sql=sql, project="p"))
        fields = [field for _, field in meaning.columns]
        assert outcome(by_duckdb, instance, meaning, fields) == outcome(
            by_reference, instance, meaning, fields
        ), sql[:200]


@judged
def test_a_long_sum_is_read_although_protobuf_does_not(instance):
    meaning = analyzer.analyze(
        instance,
        analyzer.AnalysisRequest(
            sql=f"SELECT {' + '.join(['k'] * 60)} AS x FROM ds.t WHERE k = 7", project="p"
        ),
    )
    assert isinstance(meaning.statement, resolved_tree.ResolvedNode)
    assert by_duckdb(instance, meaning, [SchemaField(name="x", type="INTEGER")]) == [{"x": 420}]


FUNCTIONS = """
CREATE TEMP FUNCTION plus(x ANY TYPE, y INT64) AS (IF(x IS NULL, y, y + 1));
CREATE TEMP FUNCTION ratio(x INT64, y INT64) RETURNS FLOAT64 AS (x / NULLIF(y, 0));
CREATE TEMP FUNCTION total(l ARRAY<INT64>) AS (
  (SELECT SUM(v * (SELECT COUNT(*) FROM UNNEST(l))) FROM UNNEST(l) v)
);
CREATE TEMP FUNCTION both(x INT64, y INT64) AS (
  STRUCT(ratio(x, y) AS r, plus(CAST(x AS STRING), y) AS p)
);
SELECT k, both(i, k) AS b, total(l) AS t, plus(f + g, k) AS p, ratio(plus(i, k), plus(s, 0)) AS q,
  SUM(ratio(k, 2)) OVER (ORDER BY plus(k, k)) AS w,
  (SELECT MAX(ratio(v, t.k)) FROM UNNEST(t.l) v) AS m
FROM ds.t WHERE ratio(k, k) = 1 ORDER BY ratio(k, 3), plus(s, k)
"""


@judged
def test_functions_in_sql_give_what_the_reference_implementation_gives(instance):
    nodes = parsing.statements(FUNCTIONS)
    question = queries.with_functions(
        instance, analyzer.AnalysisRequest(sql=FUNCTIONS, project="p"), nodes
    )
    meaning = analyzer.analyze(instance, question)
    fields = [field for _, field in meaning.columns]
    rows = comparable(by_duckdb(instance, meaning, fields))
    assert len(rows) == len(ROWS)
    assert rows == comparable(by_reference(instance, meaning, fields))


@judged
def test_a_script_can_be_cancelled_in_its_loop(instance):
    configuration = {"query": {"query": "LOOP SELECT 1; END LOOP", "useLegacySql": False}}
    job = Job(
        project="p",
        id="j",
        location="US",
        configuration=configuration,
        kind="query",
        created=instance.now(),
        running=RunningJob(),
    )
    threading.Timer(0.1, job.running.stop).start()
    with pytest.raises(BigQueryError, match="cancelled"):
        queries.run(instance, queries.spec_of(job), job.running)


def test_without_the_analyzer_a_query_runs_unchecked(instance, monkeypatch):
    monkeypatch.setattr(analyzer, "available", lambda: False)
    configuration = {"query": {"query": "SELECT k, s FROM ds.t WHERE k > 2", "useLegacySql": False}}
    job = Job(
        project="p",
        id="j",
        location="US",
        configuration=configuration,
        kind="query",
        created=instance.now(),
        running=RunningJob(),
    )
    done = queries.run(instance, queries.spec_of(job), job.running)
    assert (done.rows, [(field.name, field.type) for field in done.fields]) == (
        2,
        [("k", "INTEGER"), ("s", "STRING")],
    )
    job.configuration = {"query": {"query": "DELETE FROM ds.t WHERE TRUE", "useLegacySql": False}}
    with pytest.raises(BigQueryError, match="without GoogleSQL's analyzer"):
        queries.run(instance, queries.spec_of(job), job.running)


@given(
    st.decimals(min_value=-(10**38), max_value=10**38, places=38),
    st.decimals(min_value=-(10**38), max_value=10**38, places=38),
)
def test_a_bignumeric_is_kept_exactly_and_sorts_as_a_number(first, second):
    assert bignumeric.number(bignumeric.key(first)) == first
    assert (bignumeric.key(first) < bignumeric.key(second)) is (first < second)


@given(st.floats(allow_nan=False))
def test_a_float_is_written_so_that_it_is_read_the_same(value):
    assert decode.floating(encode.float_text(value)) == value


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_a_timestamp_is_written_so_that_it_is_read_the_same(value):
    assert decode.timestamp_of(f"{encode.datetime_text(value)}+00:00") == value
    assert decode.timestamp_of(f"{encode.datetime_text(value)}Z") == value
