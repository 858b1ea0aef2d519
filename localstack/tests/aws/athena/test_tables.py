"""Tables that Athena's own DDL makes: partitions, projection, formats and codecs of files, hidden
columns; by boto3.
"""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

import base64
import bz2
import io
import zlib

import pyarrow as pa
import pytest
from pyarrow import orc, parquet

from isthmus_stack.tests.aws.data_kit import BUCKET, aws, instant_process

TEXT = "ROW FORMAT DELIMITED FIELDS TERMINATED BY ','"


def put(aws, key, data):
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=data)


def create(aws, name, columns, *clauses):
    aws.rows(f"CREATE EXTERNAL TABLE IF NOT EXISTS db.{name} ({columns}) {' '.join(clauses)}")


@pytest.fixture
def logs(aws):
    create(aws, "logs", "`a` int COMMENT 'x', b string", "COMMENT 'all'", "PARTITIONED BY (`dt` string COMMENT 'day', n int)", TEXT,
           f"STORED AS TEXTFILE LOCATION 's3://{BUCKET}/logs/' TBLPROPERTIES "
"('has_encrypted_data'='false')")  # fmt: skip
    put(aws, "logs/dt=d1/n=1/f.csv", b"1,x\n2,y\n")
    put(aws, "logs/dt=d2/n=2/f.csv", b"3,z\n")
    return aws


def test_a_partitioned_table_of_ddl_is_repaired_and_read(logs):
    assert logs.rows("SELECT * FROM logs") == []
    assert logs.rows("MSCK REPAIR TABLE `db`.`logs`")[1:] == [
        (f"Repair: Added partition to metastore logs:{folder}",)
        for folder in ("dt=d1/n=1", "dt=d2/n=2")
    ]
    assert logs.rows("MSCK REPAIR TABLE logs") == []
    assert logs.rows("SELECT a, dt, n FROM logs WHERE n = 2") == [("3", "d2", "2")]
    assert logs.rows("SHOW PARTITIONS logs") == [("dt=d1/n=1",), ("dt=d2/n=2",)]
    assert [
        c["Name"]
        for c in logs.glue.get_table(DatabaseName="db", Name="logs")["Table"]["PartitionKeys"]
    ] == ["dt", "n"]


def test_partitions_are_added_one_by_one_with_or_without_a_place(logs):
    logs.rows(
        "ALTER TABLE logs ADD PARTITION (dt = 'd1', n = 1) PARTITION (dt = 'else', n = 7) "
        f"LOCATION 's3://{BUCKET}/logs/dt=d2/n=2/'"
    )
    assert logs.rows("SELECT a, dt, n FROM logs ORDER BY a") == [
        ("1", "d1", "1"),
        ("2", "d1", "1"),
        ("3", "else", "7"),
    ]


def test_projection_is_declared_in_ddl(logs):
    create(logs, "projected", "a int, b string", "PARTITIONED BY (dt string, n int)", TEXT, f"LOCATION 's3://{BUCKET}/logs/'",
           "TBLPROPERTIES ('projection.enabled'='true', 'projection.dt.type'='enum', "
"'projection.dt.values'='d1,d2',"
           "'projection.n.type'='integer', 'projection.n.range'='1,1')")  # fmt: skip
    assert logs.rows("SELECT a, dt, n FROM projected ORDER BY a") == [
        ("1", "d1", "1"),
        ("2", "d1", "1"),
    ]


def test_a_hidden_column_is_there_by_name_and_in_no_star(logs):
    logs.rows("MSCK REPAIR TABLE logs")
    first, second = (f"s3://{BUCKET}/logs/{folder}/f.csv" for folder in ("dt=d1/n=1", "dt=d2/n=2"))
    assert logs.rows('SELECT DISTINCT "$path", "$file_size" FROM logs ORDER BY 1') == [
        (first, "8"),
        (second, "4"),
    ]
    assert logs.rows(f'SELECT l.*, "$path" FROM logs l WHERE "$path" = \'{second}\'') == [
        ("3", "z", "d2", "2", second)
    ]
    assert logs.rows('SELECT * FROM (SELECT *, "$path" FROM logs) WHERE a = 1') == [
        ("1", "x", "d1", "1", first)
    ]
    assert logs.reason('SELECT "$nosuch" FROM logs').startswith("COLUMN_NOT_FOUND")


@pytest.mark.parametrize(
    ("ending", "packed"),
    [
        ("bz2", bz2.compress),
        ("deflate", zlib.compress),
        ("zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
    ],
)
def test_text_is_unpacked_by_the_ending_of_its_name(aws, ending, packed):
    create(aws, "t", "a int, b string", TEXT, f"LOCATION 's3://{BUCKET}/t/'")
    put(aws, f"t/f.csv.{ending}", packed(b"1,x\n"))
    assert aws.rows("SELECT * FROM t") == [("1", "x")]


def test_what_is_not_of_its_codec_or_of_none_that_runs_here_fails_by_name(aws):
    create(aws, "t", "a int", TEXT, f"LOCATION 's3://{BUCKET}/t/'")
    put(aws, "t/f.csv.bz2", b"1\n")
    assert aws.reason("SELECT * FROM t").startswith("HIVE_CURSOR_ERROR: Failed to read file")
    aws.s3.delete_object(Bucket=BUCKET, Key="t/f.csv.bz2")
    put(aws, "t/f.snappy", b"1\n")
    assert "text compressed as .snappy" in aws.reason("SELECT * FROM t")


def test_nested_and_escaped_cells_of_text_are_read_by_their_delimiters(aws):
    create(aws, "t", "a array<int>, m map<string, int>, s struct<x: int, y: string>, b binary, v varchar(10), "
"d decimal(10,1)",
           "ROW FORMAT DELIMITED FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' COLLECTION "
"ITEMS TERMINATED BY '|'",
           f"MAP KEYS TERMINATED BY ':' LOCATION 's3://{BUCKET}/t/'")  # fmt: skip
    put(aws, "t/f", b"1|2|x\tk:1|l:2\t7|z\t" + base64.b64encode(b"\x01\x02") + b"\ta\\\tb\t0.1\n")
    assert aws.rows("SELECT * FROM t") == [
        ("[1, 2, null]", "{k=1, l=2}", "{x=7, y=z}", "01 02", "a\tb", "0.1")
    ]


def test_a_cell_of_text_that_its_type_cannot_hold_is_null_and_a_decimal_is_rounded(aws):
    create(
        aws,
        "narrow",
        "a tinyint, b decimal(3,1), c string",
        TEXT,
        f"LOCATION 's3://{BUCKET}/narrow/'",
    )
    put(aws, "narrow/f", b"300,12.25,x\n-128,123.4,caf\xe9\n1_0,99.96,y\n")
    assert aws.rows("SELECT * FROM narrow") == [
        (None, "12.3", "x"),
        ("-128", None, "caf\ufffd"),
        (None, None, "y"),
    ]


def test_a_cell_of_quoted_text_is_as_long_as_it_likes_and_of_its_type(aws):
    serde = "ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'"
    create(aws, "quoted", "a string, b tinyint", serde, f"LOCATION 's3://{BUCKET}/quoted/'")
    put(aws, "quoted/f", b'"' + b"x" * 140_000 + b'",1\n')
    assert aws.rows("SELECT length(a), b FROM quoted") == [("140000", "1")]
    put(aws, "quoted/f", b"x,300\n")
    assert "HIVE_BAD_DATA: Error parsing field value '300' for field b" in aws.reason(
        "SELECT * FROM quoted"
    )


@pytest.mark.parametrize("form", ["ORC", "PARQUET"])
def test_a_file_whose_columns_are_damaged_is_told_by_its_name(aws, form):
    sink = io.BytesIO()
    table = pa.table({"a": [str(number) * 50 for number in range(2000)]})
    if form == "ORC":
        orc.write_table(table, sink, compression="zlib")
    else:
        parquet.write_table(table, sink, compression="snappy", use_dictionary=False)
    data = bytearray(sink.getvalue())
    data[20:400] = b"\xff" * 380
    create(
        aws,
        f"damaged_{form}",
        "a string",
        f"STORED AS {form} LOCATION 's3://{BUCKET}/damaged_{form}/'",
    )
    put(aws, f"damaged_{form}/f", bytes(data))
    assert f"HIVE_CURSOR_ERROR: Failed to read file: s3://{BUCKET}/damaged_{form}/f" in aws.reason(
        f"SELECT * FROM damaged_{form}"
    )


def test_a_number_of_json_that_its_type_cannot_hold_fails_by_name(aws):
    create(
        aws,
        "j",
        "a tinyint",
        "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'",
        f"LOCATION 's3://{BUCKET}/j/'",
    )
    for wrong in (b"300", b"1e999"):
        put(aws, "j/f", b'{"a": ' + wrong + b"}\n")
        assert "HIVE_BAD_DATA: Error parsing a column" in aws.reason("SELECT * FROM j")


def test_a_boolean_of_json_is_true_only_when_it_says_so(aws):
    create(
        aws,
        "j",
        "a boolean",
        "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'",
        f"LOCATION 's3://{BUCKET}/j/'",
    )
    put(aws, "j/f", b'{"a": true}\n{"a": "TRUE"}\n{"a": false}\n{"a": "false"}\n{"a": null}\n')
    assert aws.rows("SELECT * FROM j") == [("true",), ("true",), ("false",), ("false",), (None,)]


def test_a_delimiter_is_one_character_or_its_number_and_an_empty_one_is_hives(aws):
    for name, written, cells in (("e", "", b"1\x01x"), ("n", "9", b"1\tx"), ("m", "||", b"1|x")):
        create(
            aws,
            name,
            "a int, b string",
            f"ROW FORMAT DELIMITED FIELDS TERMINATED BY '{written}' LOCATION "
            f"'s3://{BUCKET}/{name}/'",
        )
        put(aws, f"{name}/f", cells + b"\n")
        assert aws.rows(f"SELECT * FROM {name}") == [("1", "x")]
        aws.rows(f"INSERT INTO {name} VALUES (2, 'y')")
        assert aws.rows(f"SELECT * FROM {name} ORDER BY a") == [("1", "x"), ("2", "y")]


def test_an_option_that_says_nothing_fails_by_its_name(aws):
    place = f"LOCATION 's3://{BUCKET}/logs/'"
    put(aws, "logs/dt=1/f", b"1\n")
    create(aws, "h", "a int", TEXT, place, "TBLPROPERTIES ('skip.header.line.count'='abc')")
    assert (
        aws.reason("SELECT * FROM h")
        == "HIVE_INVALID_METADATA: Invalid value for skip.header.line.count property: abc"
    )
    serde = (
        "ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde' WITH SERDEPROPERTIES "
        "('separatorChar'='')"
    )
    create(aws, "c", "a string", serde, place)
    assert aws.reason("SELECT * FROM c").startswith("NOT_SUPPORTED: CSV not supported")
    for number, (name, wrong, more) in enumerate(
        [
            ("digits", "xx", "'projection.dt.range'='1,3'"),
            ("interval", "0", "'projection.dt.range'='1,3'"),
            ("range", "1", "'projection.dt.interval'='1'"),
        ]
    ):
        properties = (
            "'projection.enabled'='true', 'projection.dt.type'='integer', "
            f"'projection.dt.{name}'='{wrong}', {more}"
        )
        create(
            aws,
            f"p{number}",
            "a int",
            "PARTITIONED BY (dt int)",
            TEXT,
            place,
            f"TBLPROPERTIES ({properties})",
        )
        reason = aws.reason(f"SELECT * FROM p{number}")
        assert reason.startswith(f"INVALID_TABLE_PROPERTY: projection.dt.{name} has to be ")
        assert reason.endswith(f"not '{wrong}'")


def test_orc_is_read_by_place_or_by_name_and_written(aws):
    sink = io.BytesIO()
    orc.write_table(pa.table({"b": ["x", None], "a": pa.array([1, 2], pa.int64())}), sink)
    put(aws, "o/f.orc", sink.getvalue())
    create(
        aws,
        "by_place",
        "first string, second bigint, third int",
        f"STORED AS ORC LOCATION 's3://{BUCKET}/o/'",
    )
    assert aws.rows("SELECT * FROM by_place") == [("x", "1", None), (None, "2", None)]
    create(aws, "by_name", "a bigint, b string", "ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.orc.OrcSerde'",
           "WITH SERDEPROPERTIES ('orc.column.index.access'='false') STORED AS ORC LOCATION "
f"'s3://{BUCKET}/o/'")  # fmt: skip
    assert aws.rows("SELECT b FROM by_name") == [("x",), (None,)]
    properties = f"format = 'ORC', external_location = 's3://{BUCKET}/c/'"
    aws.rows(
        f"CREATE TABLE copied WITH ({properties}) AS SELECT *, date '2024-01-01' AS d FROM by_name"
    )
    aws.rows("INSERT INTO copied VALUES (3, 'new', NULL)")
    assert aws.rows("SELECT * FROM copied ORDER BY a") == [
        ("1", "x", "2024-01-01"),
        ("2", None, "2024-01-01"),
        ("3", "new", None),
    ]


def test_binary_columns_are_base64_in_text_and_json(aws):
    encoded = base64.b64encode(b"hello").decode()
    create(
        aws,
        "j",
        "a int, s binary",
        f"ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://{BUCKET}/j/'",
    )
    put(aws, "j/f.json", f'{{"a": 1, "s": "{encoded}"}}\n'.encode())
    assert aws.rows("SELECT from_utf8(s) FROM j") == [("hello",)]
    aws.rows(
        f"UNLOAD (SELECT s FROM j) TO 's3://{BUCKET}/u/' WITH (format = 'TEXTFILE', "
        "compression = 'NONE')"
    )
    assert aws.read(aws.keys("u/")[0]) == f"{encoded}\n".encode()


def test_avro_is_refused_by_name(aws):
    create(aws, "av", "a int", f"STORED AS AVRO LOCATION 's3://{BUCKET}/av/'")
    put(aws, "av/f.avro", b"Obj")
    for statement in ("SELECT * FROM av", "INSERT INTO av VALUES (1)"):
        assert (
            "tables with the serde org.apache.hadoop.hive.serde2.avro.AvroSerDe; Athena does"
            in aws.reason(statement)
        )


def test_a_statement_is_prepared_executed_and_deallocated_in_sql(aws):
    aws.rows("PREPARE my_select FROM SELECT ? AS x, ? AS y")
    kept = aws.athena.get_prepared_statement(StatementName="my_select", WorkGroup="primary")[
        "PreparedStatement"
    ]
    assert kept["QueryStatement"] == "SELECT ? AS x, ? AS y"
    assert aws.rows("EXECUTE my_select USING 1, 'two'") == [("1", "two")]
    assert aws.rows("EXECUTE my_select", ExecutionParameters=["1", "two"]) == [("1", "two")]
    assert aws.reason("EXECUTE my_select USING 1").startswith("INVALID_PARAMETER_USAGE")
    assert aws.reason("PREPARE my_select FROM SELECT 1").startswith("ALREADY_EXISTS")
    aws.rows("DEALLOCATE PREPARE my_select")
    assert aws.reason("DEALLOCATE PREPARE my_select").startswith("NOT_FOUND")
    for refused in (
        "EXECUTE my_select USING 1, 2",
        "PREPARE p FROM SHOW TABLES",
        "PREPARE p FROM DROP TABLE t",
    ):
        with pytest.raises(aws.athena.exceptions.InvalidRequestException):
            aws.start(refused)
    for statement in (
        "EXECUTE other",
        "PREPARE p FROM SELECT 1",
        "DROP TABLE t",
        "this is no SQL",
        "SELECT FROM",
    ):
        with pytest.raises(aws.athena.exceptions.InvalidRequestException):
            aws.athena.create_prepared_statement(
                StatementName="other", WorkGroup="primary", QueryStatement=statement
            )
    with pytest.raises(
        aws.athena.exceptions.InvalidRequestException, match="WorkGroup nowhere is not found"
    ):
        aws.athena.create_prepared_statement(
            StatementName="other", WorkGroup="nowhere", QueryStatement="SELECT 1"
        )


def test_an_insert_is_prepared_in_sql(aws):
    create(aws, "t", "a int", TEXT, f"LOCATION 's3://{BUCKET}/t/'")
    aws.rows("PREPARE add_row FROM INSERT INTO t SELECT ?")
    aws.rows("EXECUTE add_row USING 7")
    assert aws.rows("SELECT a FROM t") == [("7",)]
    with pytest.raises(aws.athena.exceptions.InvalidRequestException):
        aws.start("PREPARE p FROM INSERT INTO t SELECT FROM")


def test_a_catalog_of_the_same_account_is_the_same_glue_by_another_name(aws):
    aws.athena.create_data_catalog(
        Name="mine", Type="GLUE", Parameters={"catalog-id": "123456789012"}
    )
    aws.athena.create_data_catalog(
        Name="away",
        Type="LAMBDA",
        Parameters={"function": "arn:aws:lambda:us-east-1:123456789012:function:f"},
    )
    listed = aws.athena.list_data_catalogs()["DataCatalogsSummary"]
    assert [(c["CatalogName"], c["Type"]) for c in listed] == [
        ("AwsDataCatalog", "GLUE"),
        ("away", "LAMBDA"),
        ("mine", "GLUE"),
    ]
    create(aws, "t", "a int", TEXT, f"LOCATION 's3://{BUCKET}/t/'")
    put(aws, "t/f.csv", b"1\n")
    assert aws.rows('SELECT a FROM "mine".db.t') == [("1",)]
    assert aws.rows(
        "SELECT a FROM t", QueryExecutionContext={"Catalog": "mine", "Database": "db"}
    ) == [("1",)]
    assert [
        t["Name"]
        for t in aws.athena.list_table_metadata(CatalogName="mine", DatabaseName="db")[
            "TableMetadataList"
        ]
    ] == ["t"]
    assert "catalogs of type LAMBDA" in aws.reason("SELECT * FROM away.db.t")
    nowhere = {"Catalog": "nowhere", "Database": "db"}
    assert aws.reason("SELECT 1", QueryExecutionContext=nowhere).startswith("CATALOG_NOT_FOUND")
    aws.athena.delete_data_catalog(Name="mine")
    assert aws.reason('SELECT a FROM "mine".db.t').startswith("CATALOG_NOT_FOUND")
    for wrong in (
        {"Name": "away", "Type": "GLUE", "Parameters": {"catalog-id": "1"}},
        {"Name": "other", "Type": "HIVE"},
    ):
        with pytest.raises(aws.athena.exceptions.InvalidRequestException):
            aws.athena.create_data_catalog(**wrong)


def test_a_workgroup_with_managed_results_keeps_them_out_of_s3(aws):
    aws.athena.create_work_group(
        Name="managed", Configuration={"ManagedQueryResultsConfiguration": {"Enabled": True}}
    )
    ended = aws.finished(
        aws.athena.start_query_execution(QueryString="SELECT 1 AS a", WorkGroup="managed")[
            "QueryExecutionId"
        ]
    )
    assert (ended["Status"]["State"], ended["ManagedQueryResultsConfiguration"]) == (
        "SUCCEEDED",
        {"Enabled": True},
    )
    assert "OutputLocation" not in ended["ResultConfiguration"]
    assert aws.keys() == []
    rows = aws.athena.get_query_results(QueryExecutionId=ended["QueryExecutionId"])["ResultSet"][
        "Rows"
    ]
    assert [row["Data"][0]["VarCharValue"] for row in rows] == ["a", "1"]
    with pytest.raises(
        aws.athena.exceptions.InvalidRequestException, match="managed query results"
    ):
        aws.start("SELECT 1", WorkGroup="managed")
    both = {
        "ManagedQueryResultsConfiguration": {"Enabled": True},
        "ResultConfiguration": {"OutputLocation": f"s3://{BUCKET}/"},
    }
    with pytest.raises(aws.athena.exceptions.InvalidRequestException, match="OutputLocation"):
        aws.athena.create_work_group(Name="both", Configuration=both)


def test_a_young_result_of_the_same_query_is_used_again_where_the_call_takes_one(aws):
    def reused(minutes, sql="SELECT count(*) FROM t", **more):
        asked = (
            {
                "ResultReuseConfiguration": {
                    "ResultReuseByAgeConfiguration": {"Enabled": True, "MaxAgeInMinutes": minutes}
                }
            }
            if minutes
            else {}
        )
        ended = aws.execution(sql, **asked, **more)
        rows = aws.athena.get_query_results(QueryExecutionId=ended["QueryExecutionId"])[
            "ResultSet"
        ]["Rows"]
        return ended["Statistics"]["ResultReuseInformation"]["ReusedPreviousResult"], rows[1][
            "Data"
        ][0]["VarCharValue"]

    create(aws, "t", "a int", TEXT, f"LOCATION 's3://{BUCKET}/t/'")
    put(aws, "t/one", b"1\n")
    assert reused(60) == (False, "1")
    put(aws, "t/two", b"2\n")
    assert reused(60) == (True, "1")
    assert reused(0) == (False, "2")
    assert reused(60, "SELECT count(a) FROM t") == (False, "2")
    aws.stack.advance(3600)
    put(aws, "t/three", b"3\n")
    assert reused(30) == (False, "3")


def test_decimals_and_times_are_printed_in_full(aws):
    query = (
        "SELECT DECIMAL '0.00000000001', CAST(timestamp '2024-01-01 01:02:03.5' AS time), "
        "CAST(2.7 AS decimal)"
    )
    assert aws.rows(query) == [("0.00000000001", "01:02:03.500", "3")]


def test_what_pyathenas_suite_reads_is_written_as_athena_writes_it(aws):
    create(aws, "t", "a int, b real", TEXT, f"LOCATION 's3://{BUCKET}/t/'")
    put(aws, "t/f.csv", b"1,1.2345\n\n,\n")
    assert aws.rows("SELECT * FROM t") == [("1", "1.2345"), (None, None), (None, None)]
    assert aws.rows("SHOW COLUMNS IN t") == [("a".ljust(20),), ("b".ljust(20),)]
    assert (
        aws.glue.get_table(DatabaseName="db", Name="t")["Table"]["StorageDescriptor"]["Location"]
        == f"s3://{BUCKET}/t"
    )
    aws.rows("CREATE VIEW v AS SELECT a FROM t")
    assert aws.rows('SHOW CREATE VIEW "db"."v"')[0] == ("CREATE VIEW db.v AS",)


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        (
            (
                "CREATE TABLE i WITH (table_type = 'ICEBERG', is_external = false, location = "
                f"'s3://{BUCKET}/i/') AS SELECT 1 AS a"
            ),
            "Iceberg",
        ),
        (
            (
                f"CREATE EXTERNAL TABLE d LOCATION 's3://{BUCKET}/d/' TBLPROPERTIES "
                "('table_type' = 'DELTA')"
            ),
            "Delta Lake",
        ),
        ("SELECT * FROM lake", "Iceberg"),
        ("INSERT INTO lake VALUES (1)", "Iceberg"),
        ("ALTER TABLE t RENAME TO u", "ALTER TABLE RENAME TO"),
    ],
)
def test_tables_with_a_log_of_their_own_are_refused_by_name(aws, statement, name):
    create(aws, "t", "a int", TEXT, f"LOCATION 's3://{BUCKET}/t/'")
    descriptor = {"Columns": [{"Name": "a", "Type": "int"}], "Location": f"s3://{BUCKET}/lake/"}
    aws.glue.create_table(
        DatabaseName="db",
        TableInput={
            "Name": "lake",
            "StorageDescriptor": descriptor,
            "Parameters": {"table_type": "ICEBERG"},
        },
    )
    assert aws.reason(statement).startswith("NOT_SUPPORTED: ")
    assert f"does not run {name}" in aws.reason(statement)
    assert {table["Name"] for table in aws.glue.get_tables(DatabaseName="db")["TableList"]} == {
        "lake",
        "t",
    }


def test_columns_and_properties_are_changed_and_shown(aws):
    create(
        aws,
        "t",
        "a int, b string, c int",
        TEXT,
        f"LOCATION 's3://{BUCKET}/t/'",
        "TBLPROPERTIES ('x' = '1')",
    )
    aws.rows("ALTER TABLE t CHANGE COLUMN b d varchar(3) COMMENT 'new' FIRST")
    aws.rows("ALTER TABLE t CHANGE a a bigint AFTER c")
    columns = aws.glue.get_table(DatabaseName="db", Name="t")["Table"]["StorageDescriptor"][
        "Columns"
    ]
    assert [tuple(column.values()) for column in columns] == [
        ("d", "varchar(3)", "new"),
        ("c", "int"),
        ("a", "bigint"),
    ]
    for wrong in (
        "ALTER TABLE t ADD COLUMNS (z int) RESTRICTED",
        "ALTER TABLE t DROP PARTITION",
        "ALTER TABLE t SET TBLPROPERTIES ('x' = '2'",
        "SHOW TBLPROPERTIES t ('x'",
        "DROP TABLE t now",
        (
            "CREATE EXTERNAL TABLE u (a int) CLUSTERED BY (a) INTO many BUCKETS LOCATION "
            f"'s3://{BUCKET}/u/'"
        ),
    ):
        assert "mismatched input" in aws.reason(wrong)
    assert (
        len(
            aws.glue.get_table(DatabaseName="db", Name="t")["Table"]["StorageDescriptor"]["Columns"]
        )
        == 3
    )
    assert "Column z not found" in aws.reason("ALTER TABLE t CHANGE COLUMN z y int")
    assert ("x\t1",) in aws.rows("SHOW TBLPROPERTIES t")
    assert aws.rows("SHOW TBLPROPERTIES t ('x')") == [("x\t1",)]
    aws.rows("ALTER DATABASE db SET DBPROPERTIES ('owner' = 'us')")
    assert aws.glue.get_database(Name="db")["Database"]["Parameters"] == {"owner": "us"}
    with pytest.raises(aws.athena.exceptions.InvalidRequestException, match="does not run EXPLAIN"):
        aws.start("EXPLAIN SELECT 1")


def test_ddl_is_told_as_pyathenas_suite_reads_it(aws):
    create(aws, "t", "a real, b int", "COMMENT 'first\n\nsecond'", "PARTITIONED BY (dt string)", "CLUSTERED BY (a, b) INTO 5 BUCKETS", TEXT,
           f"LOCATION 's3://{BUCKET}/t/'")  # fmt: skip
    parameters = aws.athena.get_table_metadata(
        CatalogName="awsdatacatalog", DatabaseName="db", TableName="t"
    )["TableMetadata"]["Parameters"]
    assert (
        parameters["comment"],
        parameters["serde.param.field.delim"],
        parameters["serde.param.serialization.format"],
    ) == (
        "first second",
        ",",
        ",",
    )
    descriptor = aws.glue.get_table(DatabaseName="db", Name="t")["Table"]["StorageDescriptor"]
    assert (descriptor["BucketColumns"], descriptor["NumberOfBuckets"]) == (["a", "b"], 5)
    assert "not supported for bucketed tables" in aws.reason("INSERT INTO t VALUES (1.5, 1, 'd')")
    create(aws, "reals", "a real", f"STORED AS PARQUET LOCATION 's3://{BUCKET}/reals/'")
    aws.rows("INSERT INTO reals VALUES (1.2345)")
    assert aws.rows("SELECT a FROM reals") == [("1.2345",)]
