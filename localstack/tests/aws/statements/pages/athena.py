"""Athena."""

from isthmus_stack.testing.jobs_kit import until
from isthmus_stack.tests.aws.statements.account import refusal
from isthmus_stack.tests.aws.statements.table import Page, promises


def user_guide(title, name):
    return Page(title, f"athena/latest/ug/{name}")


def api(name):
    return Page(name, f"athena/latest/APIReference/API_{name}")


RESULTS = user_guide("Work with query results and recent queries", "querying")
STATUS = api("QueryExecutionStatus")
START = api("StartQueryExecution")
GET_RESULTS = api("GetQueryResults")
CTAS = user_guide(
    "Considerations and limitations for CTAS queries", "ctas-considerations-limitations"
)
INSERT = user_guide("INSERT INTO", "insert-into")
MSCK = user_guide("MSCK REPAIR TABLE", "msck-repair-table")
ADD = user_guide("ALTER TABLE ADD PARTITION", "alter-table-add-partition")
PROJECTION = user_guide("Set up partition projection", "partition-projection-setting-up")
PARAMETERS = user_guide("Use parameterized queries", "querying-with-prepared-statements")
OVERRIDE = user_guide("Override client-side settings", "workgroups-settings-override")
REUSE = user_guide("Reuse query results in Athena", "reusing-query-results")
LIMITS = user_guide("Other notable limitations", "other-notable-limitations")


def table(aws, columns="a int, b string", *, partitioned="", data=None, properties=""):
    """A table of comma-separated text and its location."""
    name = aws.fresh("t").replace("-", "_")
    location = f"tables/{name}/"
    for key, body in (data or {}).items():
        aws.put(f"{location}{key}", body)
    by = f"partitioned by ({partitioned})" if partitioned else ""
    more = f"tblproperties ({properties})" if properties else ""
    aws.rows(
        f"create external table {name} ({columns}) {by} row format delimited fields terminated by "
        f"',' location 's3://bucket/{location}' {more}"
    )
    return name, location


@promises("A query that ends well is SUCCEEDED, with its times.", STATUS)
def a_query_succeeds(aws):
    execution = aws.executed("select 1")
    assert execution["Status"]["State"] == "SUCCEEDED"
    assert execution["Status"]["SubmissionDateTime"] <= execution["Status"]["CompletionDateTime"]


@promises("A query that fails is FAILED, and StateChangeReason says why.", STATUS)
def a_query_fails_with_its_reason(aws):
    status = aws.executed("select nothing from nowhere")["Status"]
    assert (status["State"], "nowhere" in status["StateChangeReason"]) == ("FAILED", True)


@promises("AthenaError tells the category of an error: 2 is the user's.", api("AthenaError"))
def an_error_has_its_category(aws):
    assert (
        aws.executed("select nothing from nowhere")["Status"]["AthenaError"]["ErrorCategory"] == 2
    )


@promises(
    "The results are a CSV at OutputLocation/ID.csv, with a header, every value quoted.", RESULTS
)
def results_are_a_csv(aws):
    execution = aws.executed("select 1 as a, 'x' as b")
    location = execution["ResultConfiguration"]["OutputLocation"]
    assert location == f"s3://bucket/results/{execution['QueryExecutionId']}.csv"
    assert aws.body(location.removeprefix("s3://bucket/")) == b'"a","b"\n"1","x"\n'


@promises("Beside the results there is a metadata file.", RESULTS)
def results_have_their_metadata(aws):
    identity = aws.executed("select 1")["QueryExecutionId"]
    assert f"results/{identity}.csv.metadata" in aws.keys("results/")


@promises(
    "The first row of the first page of a SELECT's results has the names of the columns.",
    GET_RESULTS,
)
def the_first_row_is_a_header(aws):
    identity = aws.executed("select 1 as a")["QueryExecutionId"]
    page = aws.athena.get_query_results(QueryExecutionId=identity)["ResultSet"]
    assert [row["Data"][0]["VarCharValue"] for row in page["Rows"]] == ["a", "1"]
    assert page["ResultSetMetadata"]["ColumnInfo"][0]["Type"] == "integer"


@promises("Results come in pages of 1,000 rows at most.", GET_RESULTS)
def results_come_in_pages(aws):
    identity = aws.executed("select n from unnest(sequence(1, 1500)) as t(n)")["QueryExecutionId"]
    first = aws.athena.get_query_results(QueryExecutionId=identity)
    second = aws.athena.get_query_results(QueryExecutionId=identity, NextToken=first["NextToken"])
    assert (len(first["ResultSet"]["Rows"]), len(second["ResultSet"]["Rows"])) == (1000, 501)
    assert "NextToken" not in second


@promises("A null has no VarCharValue.", GET_RESULTS)
def a_null_has_no_value(aws):
    assert aws.rows("select cast(null as varchar), 'x'") == [(None, "x")]


@promises("Results of a query that has not succeeded cannot be read.", GET_RESULTS)
def results_need_success(aws):
    identity = aws.executed("select nothing from nowhere")["QueryExecutionId"]
    assert "InvalidRequestException" in refusal(
        aws.athena.get_query_results, QueryExecutionId=identity
    )


@promises("The same ClientRequestToken starts a query once.", START)
def a_token_starts_once(aws):
    token = aws.fresh("t" * 32)
    assert aws.query("select 1", ClientRequestToken=token) == aws.query(
        "select 1", ClientRequestToken=token
    )


@promises("A query without a location for its results is refused.", RESULTS)
def a_query_needs_its_location(aws):
    assert "InvalidRequestException" in refusal(
        aws.athena.start_query_execution, QueryString="select 1"
    )


@promises("StopQueryExecution makes a query CANCELLED.", api("StopQueryExecution"))
def a_query_is_cancelled(aws):
    numbers = "unnest(sequence(1, 10000))"
    long = (
        f"select count(*) from {numbers} a(x) cross join {numbers} b(y) cross join {numbers} "
        "c(z) where (x * y + z) % 7 = 3"
    )
    identity = aws.query(long)
    aws.athena.stop_query_execution(QueryExecutionId=identity)
    query = until(lambda: aws.ended(identity))
    assert query["Status"]["State"] == "CANCELLED"


@promises(
    "A query in QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED is told by its id; another "
    "id is refused.",
    api("GetQueryExecution"),
)
def an_unknown_query_is_refused(aws):
    assert "InvalidRequestException" in refusal(
        aws.athena.get_query_execution, QueryExecutionId="00000000-0000-0000-0000-000000000000"
    )


@promises("DDL and DML are told as StatementType.", api("QueryExecution"))
def statements_have_their_type(aws):
    assert aws.executed("select 1")["StatementType"] == "DML"
    assert aws.executed("show tables")["StatementType"] in ("UTILITY", "DDL")


@promises("DataScannedInBytes is told of each query.", api("QueryExecutionStatistics"))
def scanned_bytes_are_told(aws):
    name, _ = table(aws, data={"a.csv": b"1,x\n2,y\n"})
    assert aws.executed(f"select * from {name}")["Statistics"]["DataScannedInBytes"] == 8


@promises(
    "A table of CSV text is read by LazySimpleSerDe.",
    user_guide("Lazy Simple SerDe for CSV, TSV, and custom-delimited files", "lazy-simple-serde"),
)
def text_is_read(aws):
    name, _ = table(aws, data={"a.csv": b"1,x\n,y\n"})
    assert aws.rows(f"select a, b from {name} order by b") == [("1", "x"), (None, "y")]


@promises(
    "A table of JSON lines is read by the OpenX SerDe.",
    user_guide("OpenX JSON SerDe", "openx-json-serde"),
)
def json_is_read(aws):
    name = aws.fresh("t").replace("-", "_")
    aws.put(f"tables/{name}/a.json", b'{"a": 1, "b": ["x", "y"]}\n')
    aws.rows(
        f"create external table {name} (a int, b array<string>) row format serde "
        f"'org.openx.data.jsonserde.JsonSerDe' location 's3://bucket/tables/{name}/'"
    )
    assert aws.rows(f"select a, b[2] from {name}") == [("1", "y")]


@promises(
    "Objects whose names begin with an underscore or a dot are not read.",
    user_guide("Specify a table location", "tables-location-format"),
)
def hidden_objects_are_not_read(aws):
    name, _ = table(aws, data={"a.csv": b"1,x\n", "_b.csv": b"2,y\n", ".c.csv": b"3,z\n"})
    assert aws.rows(f"select a from {name}") == [("1",)]


@promises("CTAS makes a table of its results, in Parquet unless it says otherwise.", CTAS)
def a_table_is_made_of_results(aws):
    name = aws.fresh("t").replace("-", "_")
    aws.rows(
        f"create table {name} with (external_location = 's3://bucket/tables/{name}/') as "
        "select 7 as a"
    )
    assert aws.rows(f"select a from {name}") == [("7",)]
    assert aws.body(aws.keys(f"tables/{name}/")[0])[:4] == b"PAR1"


@promises("The external_location of CTAS must be empty.", CTAS)
def a_new_tables_location_is_empty(aws):
    name = aws.fresh("t").replace("-", "_")
    aws.put(f"tables/{name}/old.csv", b"1\n")
    status = aws.executed(
        f"create table {name} with (external_location = 's3://bucket/tables/{name}/') as "
        "select 7 as a"
    )["Status"]
    assert (status["State"], "HIVE_PATH_ALREADY_EXISTS" in status["StateChangeReason"]) == (
        "FAILED",
        True,
    )


@promises("CTAS and INSERT INTO write 100 partitions at most.", INSERT)
def a_hundred_partitions_are_written(aws):
    name = aws.fresh("t").replace("-", "_")
    head = (
        f"create table {name} with (external_location = 's3://bucket/tables/{name}/', "
        "partitioned_by = array['p']) as"
    )
    status = aws.executed(f"{head} select n as a, n as p from unnest(sequence(1, 101)) t(n)")[
        "Status"
    ]
    assert (status["State"], "TOO_MANY" in status["StateChangeReason"]) == ("FAILED", True)


@promises("INSERT INTO adds rows; the partition's column stands last.", INSERT)
def rows_are_inserted(aws):
    name, _ = table(aws, "a int", partitioned="p string")
    aws.rows(f"insert into {name} select 1, 'x'")
    aws.rows(f"insert into {name} values (2, 'y')")
    assert aws.rows(f"select a, p from {name} order by a") == [("1", "x"), ("2", "y")]


@promises("MSCK REPAIR TABLE adds Hive-style partitions that are in S3, and removes none.", MSCK)
def partitions_are_repaired(aws):
    name, location = table(
        aws, "a int", partitioned="p string", data={"p=x/a.csv": b"1\n", "p=y/a.csv": b"2\n"}
    )
    assert aws.rows(f"select a from {name}") == []
    aws.rows(f"msck repair table {name}")
    aws.s3.delete_object(Bucket="bucket", Key=f"{location}p=y/a.csv")
    aws.rows(f"msck repair table {name}")
    assert sorted(aws.rows(f"show partitions {name}")) == [("p=x",), ("p=y",)]
    assert aws.rows(f"select a from {name}") == [("1",)]


@promises("ADD PARTITION names a partition's place; with IF NOT EXISTS twice is once.", ADD)
def a_partition_is_added(aws):
    name, _ = table(aws, "a int", partitioned="p string")
    aws.put("elsewhere/a.csv", b"5\n")
    for _ in range(2):
        aws.rows(
            f"alter table {name} add if not exists partition (p = 'x') location "
            "'s3://bucket/elsewhere/'"
        )
    assert aws.rows(f"select a from {name} where p = 'x'") == [("5",)]
    assert (
        aws.executed(f"alter table {name} add partition (p = 'x')")["Status"]["State"] == "FAILED"
    )


@promises(
    "With partition projection partitions are computed, not looked up in the catalog.", PROJECTION
)
def partitions_are_projected(aws):
    settings = (
        "'projection.enabled' = 'true', 'projection.p.type' = 'enum', 'projection.p.values' = 'x,y'"
    )
    name, _ = table(
        aws,
        "a int",
        partitioned="p string",
        data={"p=x/a.csv": b"1\n", "p=z/a.csv": b"3\n"},
        properties=settings,
    )
    assert aws.rows(f"select a, p from {name}") == [("1", "x")]


@promises("ExecutionParameters take the place of question marks in their order.", PARAMETERS)
def parameters_take_their_places(aws):
    name, _ = table(aws, data={"a.csv": b"1,x\n2,y\n"})
    assert aws.rows(
        f"select b from {name} where a = ? and b = ?", ExecutionParameters=["2", "'y'"]
    ) == [("y",)]


@promises("A prepared statement of a workgroup is run with EXECUTE ... USING.", PARAMETERS)
def a_prepared_statement_is_run(aws):
    aws.athena.create_prepared_statement(
        StatementName="twice", WorkGroup="primary", QueryStatement="select 2 * ?"
    )
    assert aws.rows("execute twice using 21") == [("42",)]


@promises(
    "A workgroup that overrides client-side settings puts results into its own location.", OVERRIDE
)
def a_workgroup_overrides(aws):
    name = aws.fresh("group")
    configuration = {
        "EnforceWorkGroupConfiguration": True,
        "ResultConfiguration": {"OutputLocation": "s3://bucket/enforced/"},
    }
    aws.athena.create_work_group(Name=name, Configuration=configuration)
    assert aws.executed("select 1", WorkGroup=name)["ResultConfiguration"][
        "OutputLocation"
    ].startswith("s3://bucket/enforced/")


@promises("A disabled workgroup runs no query.", api("UpdateWorkGroup"))
def a_disabled_workgroup_runs_nothing(aws):
    name = aws.fresh("group")
    aws.athena.create_work_group(Name=name)
    aws.athena.update_work_group(WorkGroup=name, State="DISABLED")
    assert "InvalidRequestException" in refusal(aws.query, sql="select 1", WorkGroup=name)


@promises(
    "UNLOAD writes results in another format, Parquet for one, without a header.",
    user_guide("UNLOAD", "unload"),
)
def results_are_unloaded(aws):
    target = f"unloaded/{aws.fresh()}/"
    aws.executed(f"unload (select 1 as a) to 's3://bucket/{target}' with (format = 'PARQUET')")
    assert [aws.body(key)[:4] for key in aws.keys(target)] == [b"PAR1"]


@promises(
    "Views are stored queries, made and dropped by DDL.", user_guide("Work with views", "views")
)
def a_view_is_a_query(aws):
    name = aws.fresh("v").replace("-", "_")
    aws.rows(f"create or replace view {name} as select 3 as a")
    assert aws.rows(f"select a from {name}") == [("3",)]
    aws.rows(f"drop view {name}")
    assert aws.executed(f"select a from {name}")["Status"]["State"] == "FAILED"


@promises("Dropping an external table leaves its data.", user_guide("DROP TABLE", "drop-table"))
def data_outlives_its_table(aws):
    name, location = table(aws, data={"a.csv": b"1,x\n"})
    aws.rows(f"drop table {name}")
    assert aws.keys(location) == [f"{location}a.csv"]
    assert aws.executed(f"drop table {name}")["Status"]["State"] == "FAILED"
    assert aws.executed(f"drop table if exists {name}")["Status"]["State"] == "SUCCEEDED"


@promises(
    "SHOW TABLES, SHOW COLUMNS and DESCRIBE tell what the catalog has.",
    user_guide("DDL statements", "ddl-reference"),
)
def the_catalog_is_shown(aws):
    name, _ = table(aws)
    assert (name,) in aws.rows("show tables")
    assert [row[0].strip() for row in aws.rows(f"show columns in {name}")] == ["a", "b"]


@promises(
    "json_extract_scalar reads a value of JSON text.",
    user_guide("Extract JSON data from strings", "extracting-data-from-json"),
)
def json_values_are_extracted(aws):
    assert aws.rows("""select json_extract_scalar('{"a": {"b": 5}}', '$.a.b')""") == [("5",)]


@promises("ResultReuseConfiguration answers from an earlier query's results.", REUSE)
def results_are_reused(aws):
    aws.executed("select 5")
    again = aws.executed(
        "select 5",
        ResultReuseConfiguration={
            "ResultReuseByAgeConfiguration": {"Enabled": True, "MaxAgeInMinutes": 60}
        },
    )
    assert again["Statistics"]["ResultReuseInformation"]["ReusedPreviousResult"] is True


@promises("DELETE, UPDATE and MERGE work on Iceberg tables only.", LIMITS)
def rows_of_external_tables_stay(aws):
    name, _ = table(aws, data={"a.csv": b"1,x\n"})
    assert "not supported" in refusal(aws.query, sql=f"delete from {name} where a = 1")
    assert aws.rows(f"select a from {name}") == [("1",)]


@promises(
    "Iceberg tables are made with table_type = ICEBERG.",
    user_guide("Create Iceberg tables", "querying-iceberg-creating-tables"),
    differs="refused by name",
)
def iceberg_tables_are_made(aws):
    name = aws.fresh("t").replace("-", "_")
    sql = (
        f"create table {name} (a int) location 's3://bucket/tables/{name}/' tblproperties "
        "('table_type' = 'ICEBERG')"
    )
    assert aws.executed(sql)["Status"]["State"] == "SUCCEEDED"


@promises(
    "ListQueryExecutions lists the queries of a workgroup, the last first.",
    api("ListQueryExecutions"),
)
def queries_are_listed(aws):
    name = aws.fresh("group")
    configuration = {"ResultConfiguration": {"OutputLocation": "s3://bucket/results/"}}
    aws.athena.create_work_group(Name=name, Configuration=configuration)
    first, second = (
        aws.executed(f"select {number}", WorkGroup=name)["QueryExecutionId"] for number in (1, 2)
    )
    assert aws.athena.list_query_executions(WorkGroup=name)["QueryExecutionIds"] == [second, first]


@promises("A named query keeps its text.", api("CreateNamedQuery"))
def a_named_query_is_kept(aws):
    identity = aws.athena.create_named_query(Name="n", Database="db", QueryString="select 1")[
        "NamedQueryId"
    ]
    assert (
        aws.athena.get_named_query(NamedQueryId=identity)["NamedQuery"]["QueryString"] == "select 1"
    )
