"""Jobs: loads, queries, copies; their ids and their errors."""

import io

import pandas as pd
import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import bigquery

Field = bigquery.SchemaField


def test_a_job_id_is_taken_once_and_the_job_can_be_asked_for(client):
    client.query("SELECT 1", job_id="once").result()
    with pytest.raises(Conflict, match=r"Already Exists: Job shop-project:US\.once"):
        client._call_api(  # the client itself would take the job that is there
            None,
            method="POST",
            path="/projects/shop-project/jobs",
            data={
                "jobReference": {"jobId": "once"},
                "configuration": {"query": {"query": "SELECT 1", "useLegacySql": False}},
            },
        )
    job = client.get_job("once")
    assert (job.state, job.statement_type, [tuple(row) for row in job.result()]) == (
        "DONE",
        "SELECT",
        [(1,)],
    )
    with pytest.raises(NotFound):
        client.get_job("once", location="EU")


@pytest.mark.parametrize(
    ("sql", "kind", "reason", "words"),
    [
        (
            "SELECT foo FROM shop.t",
            BadRequest,
            "invalidQuery",
            r"Unrecognized name: foo at \[1:8\]",
        ),
        (
            "SELEC 1",
            BadRequest,
            "invalidQuery",
            r'Syntax error: Unexpected identifier "SELEC" at \[1:1\]',
        ),
        (
            "SELECT 1 FROM shop.nope",
            NotFound,
            "notFound",
            "Not found: Table shop-project:shop.nope was not found in location US",
        ),
        ("SELECT 1/0", BadRequest, "invalidQuery", "division by zero: 1 / 0"),
        (
            "SELECT a FROM shop.t x LEFT JOIN shop.t y ON x.a < y.a",
            BadRequest,
            "invalidQuery",
            "ambiguous",
        ),
        (
            "SELECT x.a FROM shop.t x LEFT JOIN shop.t y ON x.a < y.a",
            BadRequest,
            "invalidQuery",
            "an equality of fields from both sides",
        ),
    ],
)
def test_a_query_fails_with_bigquerys_reason_and_googles_words(client, sql, kind, reason, words):
    client.create_table(bigquery.Table("shop-project.shop.t", [Field("a", "INT64")]))
    job = client.query(sql)
    with pytest.raises(kind, match=words):
        job.result()
    assert client.get_job(job.job_id).error_result["reason"] == reason


def test_a_dry_run_says_the_columns_and_the_bytes_and_does_nothing(client):
    client.load_table_from_json([{"a": n, "b": "x" * 8} for n in range(10)], "shop.t").result()
    job = client.query("SELECT a FROM shop.t", job_config=bigquery.QueryJobConfig(dry_run=True))
    assert (job.total_bytes_processed, [(f.name, f.field_type) for f in job.schema]) == (
        80,
        [("a", "INTEGER")],
    )
    job = client.query("SELECT * FROM shop.t", job_config=bigquery.QueryJobConfig(dry_run=True))
    assert job.total_bytes_processed == 180


def test_destinations_are_written_as_their_dispositions_say(client, rows):
    def write(disposition):
        config = bigquery.QueryJobConfig(
            destination="shop-project.shop.out", write_disposition=disposition
        )
        return client.query("SELECT 1 AS a", job_config=config).result()

    write("WRITE_EMPTY")
    with pytest.raises(Conflict, match=r"Already Exists: Table shop-project:shop\.out"):
        write("WRITE_EMPTY")
    write("WRITE_APPEND")
    assert rows("SELECT count(*) FROM shop.out") == [(2,)]
    write("WRITE_TRUNCATE")
    assert rows("SELECT count(*) FROM shop.out") == [(1,)]
    config = bigquery.QueryJobConfig(
        destination="shop-project.shop.out", write_disposition="WRITE_APPEND"
    )
    with pytest.raises(BadRequest, match=r"Cannot add fields \(field: b\)"):
        client.query("SELECT 1 AS a, 2 AS b", job_config=config).result()
    config.schema_update_options = ["ALLOW_FIELD_ADDITION"]
    client.query("SELECT 1 AS a, 2 AS b", job_config=config).result()
    assert rows("SELECT a, b FROM shop.out ORDER BY b") == [(1, None), (1, 2)]


def test_csv_is_read_as_its_options_say(client, rows):
    text = 'name;age;day\n"Ann;a";3;2024-01-02\nBob;NULL;2024-01-03\nbad;x;y\n'
    config = bigquery.LoadJobConfig(
        source_format="CSV",
        skip_leading_rows=1,
        field_delimiter=";",
        null_marker="NULL",
        max_bad_records=1,
        schema=[Field("name", "STRING"), Field("age", "INT64"), Field("day", "DATE")],
    )
    job = client.load_table_from_file(
        io.BytesIO(text.encode()), "shop.t", job_config=config
    ).result()
    assert job.output_rows == 2
    assert rows("SELECT name, age, FORMAT_DATE('%d', day) FROM shop.t ORDER BY name") == [
        ("Ann;a", 3, "02"),
        ("Bob", None, "03"),
    ]
    config.max_bad_records = 0
    with pytest.raises(BadRequest, match="Could not convert value to integer: 'x'"):
        client.load_table_from_file(io.BytesIO(text.encode()), "shop.u", job_config=config).result()
    with pytest.raises(NotFound):
        client.get_table("shop.u")
    config = bigquery.LoadJobConfig(source_format="CSV", autodetect=True)
    client.load_table_from_file(
        io.BytesIO(b"n,f,t\n1,1.5,x\n2,2,y\n"), "shop.d", job_config=config
    ).result()
    assert [(f.name, f.field_type) for f in client.get_table("shop.d").schema] == [
        ("n", "INTEGER"),
        ("f", "FLOAT"),
        ("t", "STRING"),
    ]


def test_a_file_can_come_in_parts(client, rows):
    content = b"".join(b'{"a": %d}\n' % n for n in range(60_000))
    config = bigquery.LoadJobConfig(
        source_format="NEWLINE_DELIMITED_JSON", schema=[Field("a", "INT64")]
    )

    class Slow(io.BytesIO):
        """Of an unknown size, so that the client sends it in parts of 256 KiB."""

    from google.cloud.bigquery import client as module

    module._DEFAULT_CHUNKSIZE, before = 256 << 10, module._DEFAULT_CHUNKSIZE
    try:
        client.load_table_from_file(Slow(content), "shop.t", job_config=config).result()
    finally:
        module._DEFAULT_CHUNKSIZE = before
    assert rows("SELECT count(*), sum(a) FROM shop.t") == [(60_000, 60_000 * 59_999 // 2)]


def test_data_frames_go_in_and_come_out_by_both_ways(client, storage_read):
    frame = pd.DataFrame(
        {
            "i": pd.array([1, None, 3], "Int64"),
            "f": [0.5, float("nan"), -1.0],
            "s": ["a", None, "ü"],
            "t": pd.to_datetime(
                ["2024-01-01", "2024-01-02 03:04:05.678901", None], utc=True, format="ISO8601"
            ),
            "l": [[1, 2], [], [3]],
        }
    )
    config = bigquery.LoadJobConfig(schema=[Field("l", "INT64", "REPEATED")])
    client.load_table_from_dataframe(frame, "shop.t", job_config=config).result()
    for reader in (None, storage_read):
        answer = (
            client.query("SELECT * FROM shop.t")
            .result()
            .to_dataframe(bqstorage_client=reader, create_bqstorage_client=False)
        )
        assert answer["i"].tolist()[::2] == [1, 3]
        assert answer["s"].tolist()[2] == "ü"
        assert answer["t"][1] == frame["t"][1]
        assert [list(value) for value in answer["l"]] == [[1, 2], [], [3]]


def test_a_table_is_copied_with_its_layout(client, rows):
    client.query("CREATE TABLE shop.t (d DATE) PARTITION BY d").result()
    client.query("INSERT shop.t (d) VALUES ('2024-01-02')").result()
    client.copy_table("shop-project.shop.t", "shop-project.shop.u").result()
    assert client.get_table("shop.u").time_partitioning.field == "d"
    assert rows("SELECT count(*) FROM shop.u") == [(1,)]


def test_what_is_not_there_yet_is_refused_by_its_name(client):
    from google.api_core.exceptions import MethodNotImplemented

    with pytest.raises(
        MethodNotImplemented, match="not supported by the offline BigQuery yet: legacy SQL"
    ):
        client.query("SELECT 1", job_config=bigquery.QueryJobConfig(use_legacy_sql=True)).result()
    client.load_table_from_dataframe(pd.DataFrame({"a": range(6000)}), "shop.t").result()
    with pytest.raises(MethodNotImplemented, match="the function FORMAT, over more than 5000 rows"):
        client.query("SELECT FORMAT('%d', a) FROM shop.t").result()


@pytest.mark.parametrize(
    ("path", "content", "place"),
    [
        ("queries", {"query": "SELECT 1", "defaultDataset": "shop"}, "defaultDataset"),
        ("queries", {"query": "SELECT 1", "connectionProperties": [1]}, "connectionProperties"),
        (
            "queries",
            {"query": "SELECT 1", "queryParameters": [{"parameterType": "INT64"}]},
            "queryParameters.parameterType",
        ),
        ("queries", {"query": "SELECT 1", "useLegacySql": False, "timeoutMs": "soon"}, "timeoutMs"),
        ("jobs", {"configuration": {"query": "SELECT 1"}}, "configuration.query"),
        (
            "jobs",
            {"configuration": {"load": {"schema": {"fields": "a"}}}},
            "configuration.load.schema.fields",
        ),
        ("datasets/shop/tables/t/insertAll", {"rows": [{"json": 1}]}, "rows.json"),
        ("datasets/shop/tables", {"tableReference": "t"}, "tableReference"),
    ],
)
def test_a_member_of_another_kind_is_named(client, path, content, place):
    from google.api_core.exceptions import BadRequest

    with pytest.raises(BadRequest, match=f"Invalid value at '{place}'"):
        client._connection.api_request("POST", f"/projects/{client.project}/{path}", data=content)
