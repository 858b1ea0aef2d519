"""Firehose by boto3: from Kinesis and directly, by partition, as Parquet, on the stack's clock."""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

import base64
import gzip
import io
import json
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.aws.services.firehose import delivery, jq, prefix
from isthmus_stack.testing.keys_kit import fetched
from isthmus_stack.tests.aws.data_kit import (
    BUCKET,
    ROLE,
    aws,
    instant_process,
    manual_process,
    moved,
    table_input,
)

COLUMNS = [("event_id", "string"), ("event_time", "timestamp"), ("n", "bigint")]


def destination(
    prefix_="events/dt=!{partitionKeyFromQuery:dt}/", *, query="{dt: .dt}", parquet=True, **more
):
    made = {
        "RoleARN": ROLE,
        "BucketARN": f"arn:aws:s3:::{BUCKET}",
        "Prefix": prefix_,
        "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 60},
        "DynamicPartitioningConfiguration": {"Enabled": True},
        "ProcessingConfiguration": {
            "Enabled": True,
            "Processors": [
                {
                    "Type": "MetadataExtraction",
                    "Parameters": [
                        {"ParameterName": "MetadataExtractionQuery", "ParameterValue": query},
                        {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
                    ],
                }
            ],
        },
    }
    if parquet:
        made["DataFormatConversionConfiguration"] = {
            "Enabled": True,
            "SchemaConfiguration": {
                "DatabaseName": "db",
                "TableName": "events",
                "RoleARN": ROLE,
                "Region": "us-east-1",
            },
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
        }
    return {**made, **more}


def from_kinesis(aws, name="delivery", **more):
    aws.glue.create_table(
        DatabaseName="db",
        TableInput=table_input(
            "events", COLUMNS, f"s3://{BUCKET}/events/", partitions=[("dt", "string")]
        ),
    )
    aws.kinesis.create_stream(StreamName="clicks", ShardCount=2)
    arn = aws.kinesis.describe_stream(StreamName="clicks")["StreamDescription"]["StreamARN"]
    aws.firehose.create_delivery_stream(
        DeliveryStreamName=name,
        DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": ROLE},
        ExtendedS3DestinationConfiguration=destination(**more),
    )


def emit(aws, *events):
    records = [
        {"Data": e if isinstance(e, bytes) else json.dumps(e).encode(), "PartitionKey": str(i)}
        for i, e in enumerate(events)
    ]
    assert aws.kinesis.put_records(StreamName="clicks", Records=records)["FailedRecordCount"] == 0


def event(number, day="2024-01-01", **more):
    return {
        "event_id": f"e{number}",
        "event_time": "2024-01-01 10:00:00.123",
        "n": number,
        "dt": day,
        **more,
    }


def delivered(aws, start="events/"):
    return {key: pq.read_table(io.BytesIO(aws.read(key))).to_pylist() for key in aws.keys(start)}


def test_a_kinesis_stream_is_delivered_after_the_buffers_interval_by_partition_as_parquet(moved):
    from_kinesis(moved)
    assert (
        moved.firehose.describe_delivery_stream(DeliveryStreamName="delivery")[
            "DeliveryStreamDescription"
        ]["DeliveryStreamStatus"]
        == "CREATING"
    )
    moved.stack.advance(10)
    emit(moved, *(event(i, f"2024-01-0{1 + i % 2}", ignored="x") for i in range(6)))
    moved.stack.advance(59)
    assert moved.keys("events/") == []
    moved.stack.advance(2)
    found = delivered(moved)
    assert sorted(key.split("/")[1] for key in found) == ["dt=2024-01-01", "dt=2024-01-02"]
    assert all(key.endswith(".parquet") and "/delivery-1-" in key for key in found)
    assert sorted(row["n"] for rows in found.values() for row in rows) == list(range(6))
    assert all(
        set(row) == {"event_id", "event_time", "n"} for rows in found.values() for row in rows
    )
    assert str(next(iter(found.values()))[0]["event_time"])[:23] == "2024-01-01 10:00:00.123"


def test_what_came_before_the_delivery_stream_is_not_delivered_and_nothing_comes_twice(aws):
    aws.kinesis.create_stream(StreamName="clicks", ShardCount=1)
    emit(aws, event(0))
    arn = aws.kinesis.describe_stream(StreamName="clicks")["StreamDescription"]["StreamARN"]
    aws.firehose.create_delivery_stream(
        DeliveryStreamName="plain",
        DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": ROLE},
        ExtendedS3DestinationConfiguration={
            "RoleARN": ROLE,
            "BucketARN": f"arn:aws:s3:::{BUCKET}",
            "Prefix": "raw/",
        },
    )
    emit(aws, event(1))
    emit(aws, event(2))
    lines = b"".join(aws.read(key) for key in aws.keys("raw/"))
    assert lines.count(b'"event_id"') == 2
    assert b'"e1"' in lines
    assert b'"e2"' in lines


def test_what_came_while_the_delivery_stream_was_being_made_is_delivered(moved):
    from_kinesis(moved)
    emit(moved, event(1))
    moved.stack.advance(5)
    moved.stack.advance(61)
    assert [row["n"] for rows in delivered(moved).values() for row in rows] == [1]


def test_records_that_cannot_be_partitioned_or_converted_go_to_the_error_prefix(aws):
    from_kinesis(aws)
    emit(aws, event(1), b"no json", event(2, None), {**event(3), "n": "many"})
    assert [row["n"] for rows in delivered(aws).values() for row in rows] == [1]
    by_kind = {
        key.split("/")[1]: [json.loads(line) for line in aws.read(key).splitlines()]
        for key in aws.keys("errors/")
    }
    assert sorted(
        base64.b64decode(line["rawData"])[:7] for line in by_kind["processing-failed"]
    ) == [b"no json", b'{"event']
    assert [line["errorCode"] for line in by_kind["format-conversion-failed"]] == [
        "DataFormatConversion.ParseError"
    ]


def test_records_put_one_by_one_are_there_once_each_whenever_somebody_looks(aws):
    from_kinesis(aws)
    for number in range(8):
        emit(aws, event(number))
        if number in (0, 5):
            assert sorted(row["n"] for rows in delivered(aws).values() for row in rows) == list(
                range(number + 1)
            )
    aws.firehose.delete_delivery_stream(DeliveryStreamName="delivery")
    assert sorted(row["n"] for rows in delivered(aws).values() for row in rows) == list(range(8))


def test_athena_reads_what_was_delivered(aws):
    from_kinesis(aws)
    emit(aws, event(1), event(2), event(3, "2024-01-05"))
    aws.rows("MSCK REPAIR TABLE events")
    assert aws.rows(
        "SELECT dt, count(*) AS n, max(event_time) AS t FROM events GROUP BY dt ORDER BY dt"
    ) == [
        ("2024-01-01", "2", "2024-01-01 10:00:00.123"),
        ("2024-01-05", "1", "2024-01-01 10:00:00.123"),
    ]


def test_the_duplicate_fault_delivers_everything_once_more(aws):
    from_kinesis(aws)
    aws.stack.fault(kind="duplicate", service="kinesis")
    emit(aws, event(1), event(2))
    emit(aws, event(3))
    assert sorted(row["n"] for rows in delivered(aws).values() for row in rows) == [1, 1, 2, 2, 3]


def direct(aws, **more):
    made = {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{BUCKET}", "Prefix": "direct/", **more}
    aws.firehose.create_delivery_stream(
        DeliveryStreamName="direct", ExtendedS3DestinationConfiguration=made
    )


def test_direct_puts_are_concatenated_below_the_hour_when_the_interval_is_over(moved):
    direct(
        moved, BufferingHints={"SizeInMBs": 1, "IntervalInSeconds": 30}, CompressionFormat="GZIP"
    )
    moved.stack.advance(10)
    moved.firehose.put_record(DeliveryStreamName="direct", Record={"Data": b"one\n"})
    answer = moved.firehose.put_record_batch(
        DeliveryStreamName="direct", Records=[{"Data": b"two\n"}, {"Data": b"three\n"}]
    )
    assert (answer["FailedPutCount"], len(answer["RequestResponses"])) == (0, 2)
    arrived = moved.stack.now()
    moved.stack.advance(31)
    (key,) = moved.keys("direct/")
    assert key.startswith(f"direct/{arrived:%Y/%m/%d/%H}/direct-1-")
    assert gzip.decompress(moved.read(key)) == b"one\ntwo\nthree\n"


def test_a_full_buffer_does_not_wait(moved):
    direct(moved, BufferingHints={"SizeInMBs": 1, "IntervalInSeconds": 900})
    moved.stack.advance(10)
    for _ in range(2):
        moved.firehose.put_record(DeliveryStreamName="direct", Record={"Data": b"x" * 700_000})
    assert len(moved.keys("direct/")) == 1


def test_a_stream_fed_by_kinesis_takes_no_direct_puts(aws):
    from_kinesis(aws)
    with pytest.raises(ClientError) as error:
        aws.firehose.put_record(DeliveryStreamName="delivery", Record={"Data": b"x"})
    assert error.value.response["Error"]["Code"] == "InvalidArgumentException"
    with pytest.raises(ClientError) as error:
        aws.firehose.put_record(DeliveryStreamName="absent", Record={"Data": b"x"})
    assert error.value.response["Error"]["Code"] == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "wrong",
    [
        {"prefix_": "events/"},
        {"prefix_": "events/!{partitionKeyFromQuery:other}/"},
        {"ErrorOutputPrefix": "errors/"},
        {"query": "dt"},
        {"BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 60}},
        {"CompressionFormat": "GZIP"},
        {"ProcessingConfiguration": {"Enabled": False}},
    ],
)
def test_a_delivery_stream_that_aws_would_refuse_is_refused(aws, wrong):
    with pytest.raises(ClientError) as error:
        aws.firehose.create_delivery_stream(
            DeliveryStreamName="wrong", ExtendedS3DestinationConfiguration=destination(**wrong)
        )
    assert error.value.response["Error"]["Code"] == "InvalidArgumentException"
    assert aws.firehose.list_delivery_streams()["DeliveryStreamNames"] == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{dt: .dt}", {"dt": "2024-01-02"}),
        ("{dt, n: .a.n}", {"dt": "2024-01-02", "n": 5}),
        (
            '{day: .dt[8:10], first: .l[0], "last": .l[-1]}',
            {"day": "02", "first": "x", "last": "y"},
        ),
        ('{h: (.t | strftime("%H"))}', {"h": "01"}),
        ('{p: "\\(.dt)-\\(.a.n)"}', {"p": "2024-01-02-5"}),
        ('{m: (.missing // "none")}', {"m": "none"}),
        ("{u: (.a.n | tostring)}", {"u": "5"}),
        ('{d: .a["n"]}', {"d": 5}),
    ],
)
def test_jq_queries_make_their_keys(query, expected):
    record = {"dt": "2024-01-02", "a": {"n": 5}, "l": ["x", "y"], "t": 1704160800 + 0}
    assert jq.compile_filter(query)(record) == expected | ({"h": "02"} if "h" in expected else {})
    assert delivery.partition_keys(query) == frozenset(expected)


@pytest.mark.parametrize("query", ["{dt: .dt", "{dt: env}", "{a: .b | nosuch}", "", "{a: .b[}"])
def test_a_query_that_is_no_jq_is_refused(query):
    with pytest.raises(jq.JqError):
        jq.compile_filter(query)({})


def test_expressions_in_a_prefix_are_filled():
    at = datetime(2024, 3, 5, 7, 8, 9, tzinfo=UTC)
    keys = {"dt": "x"}
    assert (
        prefix.fill("a/!{timestamp:yyyy/MM/dd}/k=!{partitionKeyFromQuery:dt}/", at, keys)
        == "a/2024/03/05/k=x/"
    )
    assert prefix.fill("a/!{timestamp:yyyy'T'HH}-", at, {}) == "a/2024T07-"
    assert prefix.fill(None, at, {}) == "2024/03/05/07/"
    assert (
        prefix.fill("e/", at, {}, error="processing-failed") == "e/processing-failed/2024/03/05/07/"
    )
    assert (
        prefix.fill("e/!{firehose:error-output-type}/", at, {}, error="processing-failed")
        == "e/processing-failed/"
    )


PLAN = delivery.Plan(
    "n", "1", "p/!{partitionKeyFromQuery:k}/", "e/", "{k: .k}", b"\n", None, "UNCOMPRESSED", None
)


@given(st.lists(st.one_of(st.integers(0, 5), st.none()), max_size=40))
def test_every_record_is_in_exactly_one_object(keys):
    at = datetime(2024, 1, 1, tzinfo=UTC)
    records = [
        delivery.Record(json.dumps({"k": k, "i": i}).encode(), at) for i, k in enumerate(keys)
    ]
    made = delivery.objects(PLAN, records, at)
    whole = [json.loads(line) for one in made if not one.failed for line in one.data.splitlines()]
    failed = [
        json.loads(base64.b64decode(json.loads(line)["rawData"]))
        for one in made
        if one.failed
        for line in one.data.splitlines()
    ]
    assert sorted(row["i"] for row in whole + failed) == list(range(len(keys)))
    assert all(row["k"] is None for row in failed)
    assert sum(one.records for one in made) == len(keys)


def test_a_signed_url_of_the_older_kind_sees_what_was_just_put(aws):
    destination = {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{BUCKET}", "Prefix": "older/"}
    aws.firehose.create_delivery_stream(
        DeliveryStreamName="older", ExtendedS3DestinationConfiguration=destination
    )
    listing = aws.s3.generate_presigned_url(
        "list_objects", Params={"Bucket": BUCKET, "Prefix": "older/"}
    )
    assert "AWSAccessKeyId=" in listing
    aws.firehose.put_record(DeliveryStreamName="older", Record={"Data": b"{}"})
    status, body = fetched(listing)
    assert (status, body.count(b"<Key>")) == (200, 1)
