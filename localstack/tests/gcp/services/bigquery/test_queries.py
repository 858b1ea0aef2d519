"""What queries and statements do, by the genuine clients."""

import datetime as dt
from decimal import Decimal

import pytest
from google.api_core.exceptions import BadRequest, MethodNotImplemented
from google.cloud import bigquery
from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter, StructQueryParameter


def test_parameters_have_their_types_by_name_and_by_place(client, rows):
    moment = dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    config = bigquery.QueryJobConfig(
        query_parameters=[
            ScalarQueryParameter("n", "INT64", 5),
            ScalarQueryParameter("t", "TIMESTAMP", moment),
            ScalarQueryParameter("d", "NUMERIC", Decimal("1.25")),
            ArrayQueryParameter("a", "STRING", ["x", "y"]),
            StructQueryParameter(
                "s",
                ScalarQueryParameter("k", "FLOAT64", 1.5),
                ScalarQueryParameter("b", "BYTES", b"\x00\xff"),
            ),
        ]
    )
    sql = "SELECT @n + 1, @t, @d * 2, 'y' IN UNNEST(@a), @s.k, @s"
    assert rows(sql, job_config=config) == [
        (6, moment, Decimal("2.5"), True, 1.5, {"k": 1.5, "b": b"\x00\xff"})
    ]
    config = bigquery.QueryJobConfig(
        query_parameters=[
            ScalarQueryParameter(None, "INT64", 2),
            ScalarQueryParameter(None, "DATE", "2024-01-02"),
        ]
    )
    assert rows("SELECT ? * 2, FORMAT('%t', ?)", job_config=config) == [(4, "2024-01-02")]


def test_every_type_comes_back_as_it_is(rows):
    values = rows(
        "SELECT 1, 1.5, NUMERIC '1.10', BIGNUMERIC '1e-38', TRUE, 'ä', b'\\xff', DATE "
        "'2024-02-29', DATETIME '2024-01-02T03:04:05.6', TIME '01:02:03', TIMESTAMP '2024-01-02 "
        "03:04:05+02', JSON '{\"a\": [1, null]}', [1, 2], STRUCT(1 AS a, ['x'] AS b), CAST('nan' "
        "AS FLOAT64) > 1"
    )[0]
    assert values == (
        1, 1.5, Decimal("1.1"), Decimal("1e-38"), True, "ä", b"\xff", dt.date(2024, 2, 29),
        dt.datetime(2024, 1, 2, 3, 4, 5, 600000),  # noqa: DTZ001  a DATETIME
 dt.time(1, 2, 3), dt.datetime(2024, 1, 2, 1, 4, 5, tzinfo=dt.UTC),
        {"a": [1, None]}, [1, 2], {"a": 1, "b": ["x"]}, False,
    )  # fmt: skip


def test_statements_change_tables_and_say_how_many_rows(client, rows):
    def run(sql):
        job = client.query(sql)
        job.result()
        return job.num_dml_affected_rows

    run(
        "CREATE TABLE shop.t (k INT64 NOT NULL, s STRING, r STRUCT<x INT64, y STRING>, l "
        "ARRAY<INT64>)"
    )
    assert (
        run(
            "INSERT shop.t VALUES (1, 'a', (1, 'p'), [1]), (2, 'b', NULL, NULL), (3, 'c', "
            "(3, 'q'), [])"
        )
        == 3
    )
    assert run("UPDATE shop.t SET s = 'z', r.x = 9 WHERE k = 1") == 1
    assert run("DELETE FROM shop.t WHERE k = 3") == 1
    merge = (
        "MERGE shop.t t USING UNNEST([STRUCT(2 AS k, 'm' AS s), (7, 'n')]) u ON t.k = u.k WHEN "
        "MATCHED THEN UPDATE SET s = u.s WHEN NOT MATCHED THEN INSERT (k, s) VALUES (u.k, u.s) "
        "WHEN NOT MATCHED BY SOURCE AND t.k = 1 THEN DELETE"
    )
    assert run(merge) == 3
    assert rows("SELECT * FROM shop.t ORDER BY k") == [(2, "m", None, []), (7, "n", None, [])]
    with pytest.raises(BadRequest, match="at most one source row"):
        run(
            "MERGE shop.t t USING UNNEST([2, 2]) k ON t.k = k WHEN MATCHED THEN UPDATE SET s "
            "= 'twice'"
        )
    with pytest.raises(BadRequest, match="Required field k cannot be null"):
        run("INSERT shop.t (s) VALUES ('x')")
    assert rows("SELECT s FROM shop.t ORDER BY k") == [("m",), ("n",)]


def test_ddl_makes_alters_and_drops(client, rows):
    client.query(
        "CREATE TABLE shop.t PARTITION BY day CLUSTER BY s OPTIONS (labels = [('a', 'b')]) "
        "AS SELECT DATE '2024-01-01' AS day, 's' AS s"
    ).result()
    table = client.get_table("shop.t")
    assert (table.labels, table.time_partitioning.field, table.clustering_fields) == (
        {"a": "b"},
        "day",
        ["s"],
    )
    client.query("ALTER TABLE shop.t ADD COLUMN n NUMERIC(5, 2)").result()
    client.query("CREATE OR REPLACE VIEW shop.v AS SELECT s FROM shop.t").result()
    listed = "SELECT table_name, table_type FROM shop.INFORMATION_SCHEMA.TABLES ORDER BY table_name"
    assert rows(listed) == [("t", "BASE TABLE"), ("v", "VIEW")]
    columns = (
        "SELECT column_name, data_type, is_partitioning_column FROM "
        "shop.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 't'"
    )
    assert rows(columns) == [("day", "DATE", "YES"), ("s", "STRING", "NO"), ("n", "NUMERIC", "NO")]
    client.query("DROP VIEW shop.v").result()
    client.query("DROP TABLE shop.t").result()
    assert client.query("DROP TABLE IF EXISTS shop.t").result() is not None


def test_columns_are_renamed_dropped_widened_and_given_defaults(client, rows):
    client.query_and_wait(
        "CREATE TABLE shop.t (k INT64, a STRING, n INT64, day DATE) PARTITION BY day CLUSTER "
        "BY k OPTIONS (partition_expiration_days = 3)"
    )
    assert client.get_table("shop.t").time_partitioning.expiration_ms == 3 * 86_400_000
    client.query_and_wait("INSERT shop.t VALUES (1, 'x', 2, DATE '2024-01-01')")
    for action in (
        "RENAME COLUMN a TO b",
        "DROP COLUMN IF EXISTS none_",
        "ALTER COLUMN n SET DATA TYPE NUMERIC",
        "ALTER COLUMN b SET DEFAULT 'd'",
    ):
        client.query_and_wait(f"ALTER TABLE shop.t {action}")
    client.query_and_wait("INSERT shop.t (k) VALUES (2)")
    assert rows("SELECT k, b, n FROM shop.t ORDER BY k") == [(1, "x", Decimal(2)), (2, "d", None)]
    client.query_and_wait("ALTER TABLE shop.t DROP COLUMN b")
    client.query_and_wait("ALTER TABLE shop.t RENAME TO u")
    assert rows("SELECT * FROM shop.u WHERE k = 1") == [(1, Decimal(2), dt.date(2024, 1, 1))]
    for action, words in (
        ("DROP COLUMN day", "partitioned"),
        ("RENAME COLUMN k TO m", "clustered"),
        ("ALTER COLUMN n SET DATA TYPE INT64", "is assignable"),
        ("RENAME COLUMN none_ TO m", "not found"),
    ):
        with pytest.raises(BadRequest, match=words):
            client.query_and_wait(f"ALTER TABLE shop.u {action}")
    assert [field.name for field in client.get_table("shop.u").schema] == ["k", "n", "day"]
    client.query_and_wait(
        "ALTER TABLE shop.u SET OPTIONS (description = 'kept', friendly_name = 'U', "
        "expiration_timestamp = TIMESTAMP '2999-01-01')"
    )
    client.query_and_wait("ALTER TABLE shop.u SET OPTIONS (description = NULL)")
    table = client.get_table("shop.u")
    assert (table.description, table.friendly_name, table.expires.year) == (None, "U", 2999)


def test_alter_table_is_done_whole_or_not_at_all(client, rows):
    client.query_and_wait("CREATE TABLE shop.t (k INT64 NOT NULL, a INT64, b INT64)")
    client.query_and_wait("CREATE VIEW shop.v AS SELECT 1 AS n")
    client.query_and_wait("INSERT shop.t VALUES (1, 2, 3)")
    for table, action, error, words in (
        (
            "t",
            "DROP COLUMN a, ALTER COLUMN b SET DATA TYPE BIGNUMERIC",
            MethodNotImplemented,
            "SET DATA TYPE of b",
        ),
        (
            "t",
            "ALTER COLUMN b SET DATA TYPE NUMERIC(20, 2)",
            MethodNotImplemented,
            "SET DATA TYPE of b",
        ),
        ("t", "RENAME TO shop.u", BadRequest, "cannot contain dot"),
        ("t", "DROP COLUMN a, RENAME TO u", MethodNotImplemented, "RENAME TO beside other actions"),
        (
            "t",
            "ADD COLUMN x INT64, ADD COLUMN y INT64 NOT NULL",
            BadRequest,
            "Cannot add required fields",
        ),
        ("t", "ALTER COLUMN a DROP NOT NULL", BadRequest, "needs a column with NOT NULL"),
        ("v", "ADD COLUMN x INT64", BadRequest, "currently a VIEW"),
    ):
        with pytest.raises(error, match=words):
            client.query_and_wait(f"ALTER TABLE shop.{table} {action}")
    client.query_and_wait(
        "ALTER TABLE shop.t ALTER COLUMN k DROP NOT NULL, ADD COLUMN IF NOT EXISTS a INT64, "
        "ADD COLUMN s STRING(3)"
    )
    client.query_and_wait("INSERT shop.t (a) VALUES (4)")
    assert rows("SELECT * FROM shop.t ORDER BY a") == [(1, 2, 3, None), (None, 4, None, None)]
    client.query_and_wait("ALTER TABLE shop.t ALTER COLUMN s SET DATA TYPE STRING")
    client.query_and_wait("UPDATE shop.t SET s = 'longer' WHERE a = 4")
    client.query_and_wait("ALTER TABLE IF EXISTS shop.none_ ADD COLUMN x INT64")
    client.query_and_wait(
        "-- of a tool\n/* that says so */ ALTER TABLE shop.t DROP COLUMN k, DROP COLUMN b"
    )
    assert rows("SELECT * FROM shop.t ORDER BY a") == [(2, None), (4, "longer")]


def test_a_table_is_replaced_by_one_that_can_be_and_expires_when_its_statement_says(client, rows):
    client.query_and_wait(
        "CREATE TABLE shop.t OPTIONS (expiration_timestamp = TIMESTAMP '2999-01-01') AS "
        "SELECT 1 AS x"
    )
    assert client.get_table("shop.t").expires.year == 2999
    with pytest.raises(BadRequest, match="must be of type TIMESTAMP, DATE or DATETIME"):
        client.query_and_wait("CREATE OR REPLACE TABLE shop.t (s STRING) PARTITION BY s")
    assert rows("SELECT x FROM shop.t") == [(1,)]
    client.query_and_wait("CREATE OR REPLACE TABLE shop.t AS SELECT 2 AS x")
    assert client.get_table("shop.t").expires is None


def test_a_result_s_second_column_of_a_name_has_a_number(client, rows):
    answer = client.query_and_wait(
        "SELECT t.*, u.* FROM (SELECT 1 AS a, 2 AS b) t CROSS JOIN (SELECT 3 AS a, 4 AS b) u"
    )
    assert [field.name for field in answer.schema] == ["a", "b", "a_1", "b_1"]
    assert [tuple(row) for row in answer] == [(1, 2, 3, 4)]
    config = bigquery.QueryJobConfig(destination="shop-project.shop.r")
    with pytest.raises(BadRequest, match="Duplicate column names"):
        rows("SELECT 1 AS a, 2 AS a", job_config=config)


def test_results_come_in_pages(client):
    job = client.query("SELECT x FROM UNNEST(GENERATE_ARRAY(1, 25)) x ORDER BY x")
    result = job.result(page_size=10)
    assert [len(list(page)) for page in result.pages] == [10, 10, 5]
    assert [row.x for row in client.get_job(job.job_id).result(start_index=20)] == [
        21,
        22,
        23,
        24,
        25,
    ]


def test_the_read_api_gives_streams_of_some_columns_and_rows(client, storage_read):
    from google.cloud.bigquery_storage import types

    client.query(
        "CREATE TABLE shop.t AS SELECT x, MOD(x, 3) AS m, CAST(x AS STRING) AS s FROM "
        "UNNEST(GENERATE_ARRAY(1, 100)) x"
    ).result()
    options = types.ReadSession.TableReadOptions(
        selected_fields=["x", "s"], row_restriction="m = 1 AND x < 50"
    )
    wanted = types.ReadSession(
        table="projects/shop-project/datasets/shop/tables/t",
        data_format=types.DataFormat.ARROW,
        read_options=options,
    )
    session = storage_read.create_read_session(
        parent="projects/shop-project", read_session=wanted, max_stream_count=3
    )
    session_of_three = storage_read.create_read_session(
        request=types.CreateReadSessionRequest(
            parent="projects/shop-project",
            read_session=wanted,
            preferred_min_stream_count=3,
            max_stream_count=3,
        )
    )
    assert len(session_of_three.streams) == 3
    client.query("TRUNCATE TABLE shop.t").result()
    values = []
    for stream in session.streams:
        table = storage_read.read_rows(stream.name).rows(session).to_arrow()
        assert table.column_names == ["x", "s"]
        values += table.column("x").to_pylist()
    assert values == [x for x in range(1, 50) if x % 3 == 1]


def test_the_db_api_gives_rows(client):
    from google.cloud.bigquery import dbapi

    cursor = dbapi.connect(client, prefer_bqstorage_client=False).cursor()
    cursor.execute("SELECT %(n)s AS n, 'x' AS s", {"n": 3})
    assert [tuple(row) for row in cursor.fetchall()] == [(3, "x")]


def test_pandas_gbq_writes_and_reads_with_nothing_in_its_code(client, gcp):
    code = """
import pandas, pandas_gbq
frame = pandas.DataFrame({"a": [1, 2]})
pandas_gbq.to_gbq(frame, "shop.g", project_id="shop-project", progress_bar=False)
sql = "SELECT sum(a) AS a FROM shop.g"
frame = pandas_gbq.read_gbq(sql, project_id="shop-project", progress_bar_type=None)
print(frame["a"].tolist())
"""
    assert gcp.run(code).split() == ["[3]"]
    assert client.get_table("shop.g").num_rows == 2


def test_a_script_runs_its_statements_as_child_jobs(client):
    job = client.query(
        "CREATE TEMP TABLE e (x INT64);\n-- two rows\nINSERT e VALUES (5), (6);\nSELECT x "
        "FROM e ORDER BY x;"
    )
    assert [row.x for row in job.result()] == [5, 6]
    assert [child.statement_type for child in client.list_jobs(parent_job=job)] == [
        "SELECT",
        "INSERT",
        "CREATE_TABLE",
    ]
    with pytest.raises(BadRequest, match=r"Unrecognized name: foo at \[2:8\]"):
        client.query("SELECT 1;\nSELECT foo").result()


def test_a_table_that_requires_it_is_read_with_a_condition_on_its_partitions(client, rows):
    client.query(
        "CREATE TABLE shop.t (day DATE, n INT64) PARTITION BY day OPTIONS "
        "(require_partition_filter = TRUE)"
    ).result()
    with pytest.raises(BadRequest, match="without a filter over column"):
        rows("SELECT n FROM shop.t WHERE n > 1")
    assert rows("SELECT n FROM shop.t WHERE day > '2024-01-01'") == []
