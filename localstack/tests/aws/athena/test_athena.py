"""Athena by boto3: executions, results, tables, views, writes, partitions; against the stack in
another process.
"""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

import io
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from isthmus_stack.tests.aws.data_kit import (
    BUCKET,
    aws,
    instant_process,
    manual_process,
    moved,
    table_input,
)

CSV = "org.apache.hadoop.hive.serde2.OpenCSVSerde"


def put_parquet(aws, key, **columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=sink.getvalue())


@pytest.fixture
def events(aws):
    """events(id bigint, name string, x double, at timestamp), partitioned by dt."""
    columns = [("id", "bigint"), ("name", "string"), ("x", "double"), ("at", "timestamp")]
    aws.glue.create_table(
        DatabaseName="db",
        TableInput=table_input(
            "events", columns, f"s3://{BUCKET}/events/", partitions=[("dt", "string")]
        ),
    )
    start = datetime(2024, 1, 1, 12, 0, 0, 123456)  # noqa: DTZ001  Athena's timestamps have no zone
    for day, ids in enumerate(([1, 2], [3], [4])):
        put_parquet(
            aws,
            f"events/dt=2024-01-0{day + 1}/part.parquet",
            id=pa.array(ids, pa.int64()),
            name=pa.array([None if i == 3 else f"n'{i}" for i in ids], pa.string()),
            x=pa.array([i / 2 for i in ids], pa.float64()),
            at=pa.array([start + timedelta(days=day)] * len(ids), pa.timestamp("us")),
        )
    aws.rows("MSCK REPAIR TABLE events")
    return aws


def test_rows_come_typed_with_a_header_and_quoted_in_the_result_file(events):
    execution = events.execution("SELECT id, name, x, at, dt FROM events ORDER BY id")
    results = events.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])[
        "ResultSet"
    ]
    assert [c["Type"] for c in results["ResultSetMetadata"]["ColumnInfo"]] == [
        "bigint",
        "varchar",
        "double",
        "timestamp",
        "varchar",
    ]
    assert [cell.get("VarCharValue") for cell in results["Rows"][0]["Data"]] == [
        "id",
        "name",
        "x",
        "at",
        "dt",
    ]
    key = execution["ResultConfiguration"]["OutputLocation"].removeprefix(f"s3://{BUCKET}/")
    assert events.read(key).decode().splitlines() == [
        '"id","name","x","at","dt"',
        '"1","n\'1","0.5","2024-01-01 12:00:00.123","2024-01-01"',
        '"2","n\'2","1.0","2024-01-01 12:00:00.123","2024-01-01"',
        '"3",,"1.5","2024-01-02 12:00:00.123","2024-01-02"',
        '"4","n\'4","2.0","2024-01-03 12:00:00.123","2024-01-03"',
    ]
    assert f"{key}.metadata" in events.keys("results/")
    assert execution["Statistics"]["DataScannedInBytes"] > 0


def test_an_execution_goes_through_its_states_on_the_clock(moved):
    started = moved.start("SELECT 1 AS one")
    state = lambda: moved.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"][  # noqa: E731
        "Status"
    ]["State"]
    assert state() == "QUEUED"
    with pytest.raises(ClientError, match="has not yet finished"):
        moved.athena.get_query_results(QueryExecutionId=started)
    moved.stack.advance(0.1)
    assert state() == "RUNNING"
    moved.stack.advance(0.2)
    assert state() == "SUCCEEDED"
    statistics = moved.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"][
        "Statistics"
    ]
    assert (statistics["QueryQueueTimeInMillis"], statistics["EngineExecutionTimeInMillis"]) == (
        100,
        100,
    )


def test_a_stopped_execution_is_cancelled_and_has_no_results(moved):
    started = moved.start("SELECT 1 AS one")
    moved.athena.stop_query_execution(QueryExecutionId=started)
    moved.stack.advance(10)
    assert (
        moved.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"][
            "State"
        ]
        == "CANCELLED"
    )
    with pytest.raises(ClientError, match="CANCELLED"):
        moved.athena.get_query_results(QueryExecutionId=started)


def test_the_same_token_starts_nothing_again(events):
    token = "t" * 40
    sql = "INSERT INTO events SELECT 9, 'n', 1e0, timestamp '2024-01-01 00:00:00', '2024-01-09'"
    first, second = (
        events.start(sql, ClientRequestToken=token),
        events.start(sql, ClientRequestToken=token),
    )
    assert first == second
    events.finished(first)
    assert events.rows("SELECT count(*) FROM events WHERE id = 9") == [("1",)]
    with pytest.raises(ClientError, match="Idempotent"):
        events.start("SELECT 2", ClientRequestToken=token)


def test_results_come_in_pages(aws):
    started = aws.start("SELECT n FROM UNNEST(sequence(1, 2500)) AS t (n) ORDER BY n")
    aws.finished(started)
    pages = aws.athena.get_paginator("get_query_results").paginate(
        QueryExecutionId=started, PaginationConfig={"PageSize": 999}
    )
    rows = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
    assert rows == ["n", *map(str, range(1, 2501))]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (
            "SELECT * FROM nothing",
            "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.db.nothing' does not exist",
        ),
        ("SELECT * FROM nodb.t", "SCHEMA_NOT_FOUND: line 1:15: Schema 'nodb' does not exist"),
        (
            "SELECT id,\n nosuch FROM events",
            "COLUMN_NOT_FOUND: line 2:2: Column 'nosuch' cannot be resolved",
        ),
        (
            "SELECT id AS i FROM events WHERE i > 1",
            "COLUMN_NOT_FOUND: line 1:34: Column 'i' cannot be resolved",
        ),
        (
            "SELECT dt AS d, count(*) FROM events GROUP BY d",
            "COLUMN_NOT_FOUND: line 1:47: Column 'd' cannot be resolved",
        ),
        (
            "SELECT id + 1 AS b, b * 2 FROM events",
            "COLUMN_NOT_FOUND: line 1:21: Column 'b' cannot be resolved",
        ),
        (
            "SELECT arg_max(id, x) FROM events",
            "FUNCTION_NOT_FOUND: line 1:8: Function 'arg_max' not registered",
        ),
        (
            "SELECT id FROM events WHERE id = '1'",
            "TYPE_MISMATCH: line 1:1: Cannot apply operator: bigint = varchar",
        ),
        (
            "SELECT id FROM events WHERE dt = 1",
            "TYPE_MISMATCH: line 1:1: Cannot apply operator: varchar = integer",
        ),
        (
            "SELECT id FROM events WHERE at > '2024-01-01'",
            "TYPE_MISMATCH: line 1:1: Cannot apply operator: timestamp = varchar",
        ),
        (
            "SELECT id, count(*) FROM events",
            (
                "EXPRESSION_NOT_AGGREGATE: line 1:8: 'id' must be an aggregate expression or "
                "appear in GROUP BY clause"
            ),
        ),
        ("SELECT 1 / (id - id) FROM events", "DIVISION_BY_ZERO: Division by zero"),
        (
            "SELECT CAST(name AS integer) FROM events WHERE id = 1",
            "INVALID_CAST_ARGUMENT: Cannot cast 'n'1' to integer",
        ),
        (
            "SELECT lower(id) FROM events",
            "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (bigint) for function lower",
        ),
        ("SELECT * FROM events ASOF JOIN events u ON events.id >= u.id", "SYNTAX_ERROR"),
    ],
)
def test_a_wrong_query_fails_with_athenas_reason(events, sql, reason):
    assert events.reason(sql).startswith(reason)


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT a FROM t GROUP BY ALL",
        "DELETE FROM t",
        "SELECT 1; SELECT 2",
        "DROP NOTHING x",
    ],
)
def test_a_text_that_does_not_parse_is_refused_when_it_is_started(aws, sql):
    with pytest.raises(ClientError) as error:
        aws.start(sql)
    assert error.value.response["Error"]["Code"] == "InvalidRequestException"
    assert error.value.response.get("AthenaErrorCode") == "MALFORMED_QUERY"


def test_a_window_over_seven_days_and_a_point_in_time_join_are_computed(events):
    window = (
        "SELECT id, count(*) OVER (ORDER BY at RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND "
        "CURRENT ROW) FROM events ORDER BY id"
    )
    assert events.rows(window) == [("1", "2"), ("2", "2"), ("3", "3"), ("4", "2")]
    join = """
        SELECT id, seen FROM (
          SELECT a.id, b.id AS seen, row_number() OVER (PARTITION BY a.id ORDER BY b.at DESC, b.id DESC) AS n
          FROM events a LEFT JOIN events b ON b.at < a.at) WHERE n = 1 ORDER BY id"""
    assert events.rows(join) == [("1", None), ("2", None), ("3", "2"), ("4", "3")]


def test_parameters_are_bound_in_order(events):
    assert events.rows(
        "SELECT id FROM events WHERE dt = ? AND id > ?", ExecutionParameters=["'2024-01-01'", "1"]
    ) == [("2",)]


def test_a_prepared_statement_is_executed_with_its_parameters(events):
    events.athena.create_prepared_statement(
        StatementName="by_day",
        WorkGroup="primary",
        QueryStatement="SELECT id FROM events WHERE dt = ?",
    )
    started = events.start("EXECUTE by_day USING '2024-01-03'")
    events.finished(started)
    rows = events.athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
    assert [row["Data"][0]["VarCharValue"] for row in rows] == ["id", "4"]
    listed = events.athena.list_prepared_statements(WorkGroup="primary")["PreparedStatements"]
    assert [one["StatementName"] for one in listed] == ["by_day"]


def test_a_view_is_kept_in_glue_as_athena_does_and_read_by_its_columns(events):
    events.rows("CREATE VIEW late AS SELECT id AS number, name FROM events WHERE id > 2")
    table = events.glue.get_table(DatabaseName="db", Name="late")["Table"]
    assert table["TableType"] == "VIRTUAL_VIEW"
    assert table["ViewOriginalText"].startswith("/* Presto View: ")
    assert [(c["Name"], c["Type"]) for c in table["StorageDescriptor"]["Columns"]] == [
        ("number", "bigint"),
        ("name", "string"),
    ]
    assert events.rows(
        "SELECT l.number FROM late l JOIN events e ON e.id = l.number ORDER BY 1"
    ) == [("3",), ("4",)]
    assert events.reason("CREATE VIEW late AS SELECT 1 AS a").startswith("ALREADY_EXISTS")
    events.rows("CREATE OR REPLACE VIEW late AS SELECT count(*) AS n FROM events")
    assert events.rows("SELECT n FROM late") == [("4",)]
    events.rows("DROP VIEW late")
    assert events.reason("SELECT * FROM late").startswith("TABLE_NOT_FOUND")


def test_a_table_made_by_a_query_has_files_partitions_types_and_a_manifest(events):
    sql = f"""CREATE TABLE made WITH (format = 'PARQUET', external_location = 's3://{BUCKET}/made/', partitioned_by = ARRAY['dt'])
              AS SELECT id, at, CAST(x AS decimal(6, 2)) AS price, dt FROM events"""
    execution = events.execution(sql)
    manifest = (
        events.read(execution["Statistics"]["DataManifestLocation"].removeprefix(f"s3://{BUCKET}/"))
        .decode()
        .split()
    )
    assert sorted(uri.split("/")[-2] for uri in manifest) == [
        "dt=2024-01-01",
        "dt=2024-01-02",
        "dt=2024-01-03",
    ]
    table = events.glue.get_table(DatabaseName="db", Name="made")["Table"]
    assert [(c["Name"], c["Type"]) for c in table["StorageDescriptor"]["Columns"]] == [
        ("id", "bigint"),
        ("at", "timestamp"),
        ("price", "decimal(6,2)"),
    ]
    assert events.rows(
        "SELECT id, price, at, dt FROM made WHERE dt > '2024-01-01' ORDER BY id"
    ) == [
        ("3", "1.50", "2024-01-02 12:00:00.123", "2024-01-02"),
        ("4", "2.00", "2024-01-03 12:00:00.123", "2024-01-03"),
    ]
    assert events.reason(sql).startswith("TABLE_ALREADY_EXISTS")
    events.rows("DROP TABLE made")
    assert events.keys("made/")  # the objects of an external table stay
    assert events.reason(sql).startswith("HIVE_PATH_ALREADY_EXISTS")


def test_times_in_written_parquet_are_int96_and_cut_to_milliseconds(events):
    events.rows(
        f"UNLOAD (SELECT id, at FROM events WHERE id = 1) TO 's3://{BUCKET}/times/' WITH "
        "(format = 'PARQUET')"
    )
    (key,) = events.keys("times/")
    file = pq.ParquetFile(io.BytesIO(events.read(key)))
    assert file.schema.column(1).physical_type == "INT96"
    assert file.read().column("at").to_pylist()[0] == datetime(2024, 1, 1, 12, 0, 0, 123000)  # noqa: DTZ001


def test_unload_writes_a_folder_a_partition_and_refuses_one_that_is_not_empty(events):
    sql = (
        f"UNLOAD (SELECT id, dt FROM events) TO 's3://{BUCKET}/out/' WITH (format = 'PARQUET', "
        "partitioned_by = ARRAY['dt'])"
    )
    events.rows(sql)
    assert sorted(key.split("/")[1] for key in events.keys("out/")) == [
        "dt=2024-01-01",
        "dt=2024-01-02",
        "dt=2024-01-03",
    ]
    assert events.reason(sql).startswith("HIVE_PATH_ALREADY_EXISTS")
    late = sql.replace("/out/", "/out2/").replace("SELECT id, dt", "SELECT dt, id")
    assert events.reason(late).startswith("HIVE_COLUMN_ORDER_MISMATCH")


def test_a_hundred_partitions_are_written_and_one_more_is_refused(aws):
    sql = (
        "UNLOAD (SELECT 1 AS v, CAST(n AS varchar) AS p FROM UNNEST(sequence(1, {n})) AS t (n)) "
        "TO 's3://{b}/m{n}/' WITH (format = 'PARQUET', partitioned_by = ARRAY['p'])"
    )
    aws.rows(sql.format(n=100, b=BUCKET))
    assert len(aws.keys("m100/")) == 100
    assert aws.reason(sql.format(n=101, b=BUCKET)).startswith("HIVE_TOO_MANY_OPEN_PARTITIONS")
    assert aws.keys("m101/") == []


@pytest.mark.parametrize(
    ("select", "reason"),
    [
        ("SELECT 1 AS a, 2 AS a", "DUPLICATE_COLUMN_NAME"),
        ("SELECT max(1)", "MISSING_COLUMN_NAME"),
        ("SELECT NULL AS a", "COLUMN_TYPE_UNKNOWN"),
        ("SELECT current_timestamp AS a", "NOT_SUPPORTED"),
    ],
)
def test_a_table_needs_named_distinct_columns_of_known_types(aws, select, reason):
    assert aws.reason(f"CREATE TABLE t AS {select}").startswith(reason)


def test_insert_into_adds_rows_and_registers_the_partition(events):
    events.rows("INSERT INTO events (id, dt) VALUES (7, '2024-02-01')")
    assert events.rows("SELECT id, name, x FROM events WHERE dt = '2024-02-01'") == [
        ("7", None, None)
    ]
    assert ("dt=2024-02-01",) in events.rows("SHOW PARTITIONS events")
    assert events.reason("INSERT INTO events SELECT 'a', 'b', 1e0, at, dt FROM events").startswith(
        "TYPE_MISMATCH"
    )
    assert events.reason("INSERT INTO events SELECT 1").startswith("TYPE_MISMATCH")


def test_a_csv_table_is_read_by_its_separator_quote_and_escape(aws):
    aws.s3.put_object(
        Bucket=BUCKET, Key="csv/a.csv", Body=b"id,name,x\n1,`a,b`,0.5\n2,`it\\`s`,1e3\n"
    )
    aws.rows(f"""CREATE EXTERNAL TABLE c (id INT, name STRING, x DOUBLE)
        ROW FORMAT SERDE '{CSV}' WITH SERDEPROPERTIES ("separatorChar" = ",", "quoteChar" = "`", "escapeChar" = "\\\\")
        LOCATION 's3://{BUCKET}/csv' TBLPROPERTIES ('skip.header.line.count'='1')""")
    assert aws.rows("SELECT id, name, x FROM c ORDER BY id") == [
        ("1", "a,b", "0.5"),
        ("2", "it`s", "1000.0"),
    ]
    aws.s3.put_object(Bucket=BUCKET, Key="csv/b.csv", Body=b"h\n`many`,`x`,`1`\n")
    assert aws.reason("SELECT id FROM c").startswith("HIVE_BAD_DATA")


def test_json_lines_are_read_with_nested_types(aws):
    aws.s3.put_object(
        Bucket=BUCKET,
        Key="json/a",
        Body=b'{"captureData": {"mode": "INPUT", "n": 1}, "Tags": ["x", "y"]}\n{"tags": null}\n',
    )
    serde = "org.openx.data.jsonserde.JsonSerDe"
    columns = [("capturedata", "struct<mode:string,n:int>"), ("tags", "array<string>")]
    aws.glue.create_table(
        DatabaseName="db", TableInput=table_input("j", columns, f"s3://{BUCKET}/json/", serde=serde)
    )
    assert aws.rows("SELECT capturedata.mode, tags, cardinality(tags) FROM j") == [
        ("INPUT", "[x, y]", "2"),
        (None, None, None),
    ]


def test_a_file_whose_type_the_table_contradicts_is_bad_data(aws):
    put_parquet(aws, "bad/a.parquet", id=pa.array(["one"]))
    aws.glue.create_table(
        DatabaseName="db",
        TableInput=table_input(
            "bad", [("id", "bigint"), ("gone", "double")], f"s3://{BUCKET}/bad/"
        ),
    )
    assert aws.reason("SELECT id FROM bad").startswith(
        "HIVE_BAD_DATA: Field id's type STRING in parquet file"
    )
    assert aws.rows("SELECT gone FROM bad") == [(None,)]  # a column that a file lacks is null


def projected(aws, name, parameters, partitions):
    parameters = {"projection.enabled": "true", **parameters}
    aws.glue.create_table(
        DatabaseName="db",
        TableInput=table_input(
            name,
            [("id", "bigint")],
            f"s3://{BUCKET}/{name}/",
            partitions=partitions,
            parameters=parameters,
        ),
    )


def test_projected_dates_are_partitions_within_their_range_only(aws):
    projected(
        aws,
        "p",
        {
            "projection.dt.type": "date",
            "projection.dt.format": "yyyy-MM-dd",
            "projection.dt.range": "2024-01-02,NOW",
        },
        [("dt", "string")],
    )
    for day in ("2024-01-01", "2024-01-02", "2024-01-31", "2999-01-01", "not-a-date"):
        put_parquet(aws, f"p/dt={day}/a.parquet", id=pa.array([1], pa.int64()))
    assert aws.rows("SELECT dt FROM p ORDER BY dt") == [("2024-01-02",), ("2024-01-31",)]


def test_projected_enums_and_integers_follow_a_template(aws):
    projected(
        aws,
        "q",
        {
            "projection.kind.type": "enum",
            "projection.kind.values": "a,b",
            "projection.hour.type": "integer",
            "projection.hour.range": "0,23",
            "projection.hour.digits": "2",
            "storage.location.template": f"s3://{BUCKET}/raw/${{kind}}/${{hour}}/",
        },
        [("kind", "string"), ("hour", "int")],
    )
    for number, place in enumerate(("a/00", "a/23", "b/07", "b/7", "c/01", "a/24")):
        put_parquet(aws, f"raw/{place}/x.parquet", id=pa.array([number], pa.int64()))
    assert aws.rows("SELECT id, kind, hour FROM q ORDER BY id") == [
        ("0", "a", "0"),
        ("1", "a", "23"),
        ("2", "b", "7"),
    ]
    assert aws.rows("SELECT id FROM q WHERE hour = 7 AND kind = 'b'") == [("2",)]


def test_an_injected_partition_needs_an_equality(aws):
    projected(aws, "r", {"projection.who.type": "injected"}, [("who", "string")])
    for who in ("ann", "bob"):
        put_parquet(aws, f"r/who={who}/x.parquet", id=pa.array([len(who)], pa.int64()))
    assert aws.rows("SELECT id, who FROM r WHERE who = 'bob'") == [("3", "bob")]
    assert aws.reason("SELECT id FROM r").startswith("CONSTRAINT_VIOLATION")


def test_partitions_are_added_dropped_and_described(events):
    events.rows(
        "ALTER TABLE events ADD IF NOT EXISTS PARTITION (dt = '2024-03-01') LOCATION "
        f"'s3://{BUCKET}/events/dt=2024-01-01/'"
    )
    assert events.rows("SELECT count(*) FROM events") == [("6",)]
    assert events.reason("ALTER TABLE events ADD PARTITION (dt = '2024-03-01')").startswith(
        "ALREADY_EXISTS"
    )
    events.rows("ALTER TABLE events DROP PARTITION (dt = '2024-03-01')")
    assert events.rows("SELECT count(*) FROM events") == [("4",)]
    described = [row[0].split("\t")[0].strip() for row in events.rows("DESCRIBE events")]
    assert described[:5] == ["id", "name", "x", "at", "dt"]
    assert events.rows("SHOW TABLES") == [("events",)]


def test_databases_and_tables_are_there_through_athenas_api(events):
    table = events.athena.get_table_metadata(
        CatalogName="AwsDataCatalog", DatabaseName="db", TableName="events"
    )["TableMetadata"]
    assert [c["Name"] for c in table["Columns"]] == ["id", "name", "x", "at"]
    assert [c["Name"] for c in table["PartitionKeys"]] == ["dt"]
    events.rows("CREATE DATABASE IF NOT EXISTS more")
    names = [
        d["Name"]
        for d in events.athena.list_databases(CatalogName="AwsDataCatalog")["DatabaseList"]
    ]
    assert names == ["db", "default", "more"]
    with pytest.raises(ClientError) as error:
        events.athena.get_database(CatalogName="AwsDataCatalog", DatabaseName="nothing")
    assert error.value.response["Error"]["Code"] == "MetadataException"


def test_a_workgroup_decides_where_results_go_when_it_insists(aws):
    aws.athena.create_work_group(
        Name="team",
        Configuration={
            "ResultConfiguration": {"OutputLocation": f"s3://{BUCKET}/team/"},
            "EnforceWorkGroupConfiguration": True,
        },
    )
    execution = aws.execution("SELECT 1 AS a", WorkGroup="team")
    assert execution["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{BUCKET}/team/")
    assert aws.athena.list_query_executions(WorkGroup="team")["QueryExecutionIds"] == [
        execution["QueryExecutionId"]
    ]
    aws.athena.update_work_group(
        WorkGroup="team",
        ConfigurationUpdates={
            "ResultConfigurationUpdates": {"OutputLocation": f"s3://{BUCKET}/other/"}
        },
    )
    assert aws.execution("SELECT 1 AS a", WorkGroup="team")["ResultConfiguration"][
        "OutputLocation"
    ].startswith(f"s3://{BUCKET}/other/")


def test_without_a_place_for_the_results_nothing_starts(aws):
    with pytest.raises(ClientError, match="No output location provided"):
        aws.athena.start_query_execution(QueryString="SELECT 1")
    with pytest.raises(ClientError, match="WorkGroup nobody is not found"):
        aws.start("SELECT 1", WorkGroup="nobody")


def test_the_clock_of_the_stack_is_the_time_of_the_query(moved):
    moved.stack.advance(3600)
    before = moved.stack.now()
    started = moved.start("SELECT CAST(current_timestamp AS varchar)")
    moved.stack.advance(1)
    rows = moved.athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
    at = rows[1]["Data"][0]["VarCharValue"]
    assert f"{before:%Y-%m-%d %H:%M:%S}" <= at[:19] <= f"{moved.stack.now():%Y-%m-%d %H:%M:%S}"
