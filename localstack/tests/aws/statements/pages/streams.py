"""Kinesis data streams and Firehose."""

import gzip
import json
from datetime import timedelta
from functools import cache

from isthmus_stack.testing.jobs_kit import ROLE, until
from isthmus_stack.tests.aws.statements.account import refusal
from isthmus_stack.tests.aws.statements.table import Page, promises

PREFIXES = Page(
    "Understand custom prefixes for Amazon S3 objects", "firehose/latest/dev/s3-prefixes"
)
DYNAMIC = Page(
    "Partition streaming data in Amazon Data Firehose", "firehose/latest/dev/dynamic-partitioning"
)
DELIVERY = Page(
    "Understand data delivery in Amazon Data Firehose", "firehose/latest/dev/basic-deliver"
)
RESHARDING = Page("Reshard a stream", "streams/latest/dev/kinesis-using-sdk-java-resharding")


def kinesis(name):
    return Page(name, f"kinesis/latest/APIReference/API_{name}")


def firehose(name):
    return Page(name, f"firehose/latest/APIReference/API_{name}")


def stream(aws, shards=1):
    """Its name, once it is active."""
    name = aws.fresh("stream")
    aws.kinesis.create_stream(StreamName=name, ShardCount=shards)
    until(lambda: described(aws, name)["StreamStatus"] == "ACTIVE")
    return name


def described(aws, name):
    return aws.kinesis.describe_stream(StreamName=name)["StreamDescription"]


@cache
def filled(aws):
    """A stream with three records a, b, c of one shard, and their sequence numbers."""
    name = stream(aws)
    answers = [
        aws.kinesis.put_record(StreamName=name, Data=text, PartitionKey="k")
        for text in (b"a", b"b", b"c")
    ]
    return name, [answer["SequenceNumber"] for answer in answers]


def shared(aws):
    return filled(aws)[0]


def iterator(aws, name, kind="TRIM_HORIZON", shard=0, **more):
    shard_id = described(aws, name)["Shards"][shard]["ShardId"]
    return aws.kinesis.get_shard_iterator(
        StreamName=name, ShardId=shard_id, ShardIteratorType=kind, **more
    )["ShardIterator"]


def records(aws, **params):
    """What GetRecords answers, once the shard was not read too often in the last second."""

    def ask():
        try:
            return aws.kinesis.get_records(**params)
        except aws.kinesis.exceptions.ProvisionedThroughputExceededException:
            return None

    return until(ask)


def read(aws, name, kind="TRIM_HORIZON", shard=0, **more):
    return [
        record["Data"]
        for record in records(aws, ShardIterator=iterator(aws, name, kind, shard, **more))[
            "Records"
        ]
    ]


@promises(
    "Records of one partition key are in one shard, in the order in which they were put.",
    kinesis("PutRecord"),
)
def a_key_keeps_its_order(aws):
    name, numbers = filled(aws)
    assert read(aws, name) == [b"a", b"b", b"c"]
    assert numbers == sorted(numbers, key=int)


@promises(
    "AT_SEQUENCE_NUMBER begins with a record, AFTER_SEQUENCE_NUMBER right after it, LATEST "
    "after the last.",
    kinesis("GetShardIterator"),
)
def iterators_begin_where_they_say(aws):
    name, (_, second, _) = filled(aws)
    assert read(aws, name, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=second) == [b"b", b"c"]
    assert read(aws, name, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=second) == [b"c"]
    assert read(aws, name, "LATEST") == []


@promises(
    "AT_TIMESTAMP begins with the first record at or after a time.", kinesis("GetShardIterator")
)
def an_iterator_begins_at_a_time(aws):
    now = aws.stack.now()
    assert read(aws, shared(aws), "AT_TIMESTAMP", Timestamp=now - timedelta(hours=1)) == [
        b"a",
        b"b",
        b"c",
    ]
    assert read(aws, shared(aws), "AT_TIMESTAMP", Timestamp=aws.stack.now()) == []


@promises(
    "NextShardIterator goes on where GetRecords ended; Limit is the most records of an answer.",
    kinesis("GetRecords"),
)
def reading_goes_on(aws):
    first = records(aws, ShardIterator=iterator(aws, shared(aws)), Limit=2)
    second = records(aws, ShardIterator=first["NextShardIterator"])
    assert ([r["Data"] for r in first["Records"]], [r["Data"] for r in second["Records"]]) == (
        [b"a", b"b"],
        [b"c"],
    )


@promises(
    "An iterator that nobody gave is InvalidArgumentException.",
    kinesis("GetRecords"),
)
def a_garbled_iterator_is_refused(aws):
    assert "InvalidArgumentException" in refusal(
        aws.kinesis.get_records, ShardIterator="no iterator"
    )


@promises(
    "An iterator expires 5 minutes after it was given.", kinesis("GetShardIterator"), clock="manual"
)
def an_iterator_expires(aws):
    old = iterator(aws, shared(aws))
    aws.stack.advance(301)
    assert "ExpiredIteratorException" in refusal(aws.kinesis.get_records, ShardIterator=old)


@promises(
    "MillisBehindLatest is 0 at the tip of the stream and more behind it.", kinesis("GetRecords")
)
def the_delay_is_told(aws):
    assert records(aws, ShardIterator=iterator(aws, shared(aws)), Limit=1)["MillisBehindLatest"] > 0
    assert records(aws, ShardIterator=iterator(aws, shared(aws)))["MillisBehindLatest"] == 0


@promises(
    "PutRecords answers for each record, in order; FailedRecordCount counts what failed.",
    kinesis("PutRecords"),
)
def many_records_are_answered_one_by_one(aws):
    name = stream(aws, shards=2)
    answer = aws.kinesis.put_records(
        StreamName=name, Records=[{"Data": b"x", "PartitionKey": str(n)} for n in range(5)]
    )
    assert (answer["FailedRecordCount"], len(answer["Records"])) == (0, 5)
    assert len(read(aws, name, shard=0) + read(aws, name, shard=1)) == 5


@promises("PutRecords takes 500 records at most.", kinesis("PutRecords"))
def a_request_has_500_records(aws):
    many = [{"Data": b"x", "PartitionKey": "k"}] * 501
    assert refusal(aws.kinesis.put_records, StreamName=shared(aws), Records=many)


@promises("A stream is CREATING, then ACTIVE.", kinesis("CreateStream"))
def a_stream_becomes_active(aws):
    name = aws.fresh("stream")
    aws.kinesis.create_stream(StreamName=name, ShardCount=1)
    assert described(aws, name)["StreamStatus"] in ("CREATING", "ACTIVE")
    assert until(lambda: described(aws, name)["StreamStatus"] == "ACTIVE")
    assert "ResourceInUseException" in refusal(
        aws.kinesis.create_stream, StreamName=name, ShardCount=1
    )


@promises("A stream that is not there is ResourceNotFoundException.", kinesis("DescribeStream"))
def a_missing_stream_is_not_found(aws):
    assert "ResourceNotFoundException" in refusal(aws.kinesis.describe_stream, StreamName="nobodys")


@promises("SplitShard closes a shard and opens two, which name their parent.", RESHARDING)
def a_shard_is_split(aws):
    name = stream(aws)
    shard = described(aws, name)["Shards"][0]
    middle = str(
        (
            int(shard["HashKeyRange"]["StartingHashKey"])
            + int(shard["HashKeyRange"]["EndingHashKey"])
        )
        // 2
    )
    aws.kinesis.split_shard(
        StreamName=name, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle
    )
    shards = until(
        lambda: [
            s for s in described(aws, name)["Shards"] if s.get("ParentShardId") == shard["ShardId"]
        ]
    )
    assert len(shards) == 2
    parent = next(s for s in described(aws, name)["Shards"] if s["ShardId"] == shard["ShardId"])
    assert parent["SequenceNumberRange"]["EndingSequenceNumber"]


@promises(
    "A closed shard that was read to its end has no NextShardIterator.", kinesis("GetRecords")
)
def a_closed_shard_ends(aws):
    name = stream(aws)
    start = iterator(aws, name)
    shard = described(aws, name)["Shards"][0]
    aws.kinesis.split_shard(
        StreamName=name, ShardToSplit=shard["ShardId"], NewStartingHashKey=str(2**127)
    )
    until(lambda: len(described(aws, name)["Shards"]) == 3)
    assert not aws.kinesis.get_records(ShardIterator=start).get("NextShardIterator")


@promises("A shard answers five GetRecords in a second.", kinesis("GetRecords"), clock="manual")
def a_sixth_read_is_refused(aws):
    at = iterator(aws, stream(aws))
    for _ in range(5):
        aws.kinesis.get_records(ShardIterator=at)
    assert "ProvisionedThroughputExceededException" in refusal(
        aws.kinesis.get_records, ShardIterator=at
    )


@promises(
    "After an answer of 10 MB a shard gives nothing for 5 seconds.",
    kinesis("GetRecords"),
    clock="manual",
)
def many_bytes_are_waited_for(aws):
    name = stream(aws)
    for _ in range(10):
        aws.kinesis.put_record(StreamName=name, Data=b"x" * (1 << 20), PartitionKey="k")
    answer = aws.kinesis.get_records(ShardIterator=iterator(aws, name))
    assert len(answer["Records"]) == 10
    aws.stack.advance(4)
    assert "ProvisionedThroughputExceededException" in refusal(
        aws.kinesis.get_records, ShardIterator=answer["NextShardIterator"]
    )
    aws.stack.advance(1)
    assert aws.kinesis.get_records(ShardIterator=answer["NextShardIterator"])["Records"] == []


@promises(
    "Records are kept for 24 hours, unless the stream has another retention period.",
    Page("Change the data retention period", "streams/latest/dev/kinesis-extended-retention"),
    clock="manual",
)
def records_are_trimmed(aws):
    name = stream(aws)
    aws.kinesis.put_record(StreamName=name, Data=b"a", PartitionKey="k")
    aws.stack.advance(24 * 3600 - 1)
    assert read(aws, name) == [b"a"]
    aws.stack.advance(2)
    assert read(aws, name) == []


@promises(
    "UpdateShardCount goes to double the shards at most, and to half of them at least.",
    kinesis("UpdateShardCount"),
)
def a_shard_count_changes_by_double_and_half(aws):
    name = stream(aws, shards=4)
    for target in (9, 1):
        assert "LimitExceededException" in refusal(
            aws.kinesis.update_shard_count,
            StreamName=name,
            TargetShardCount=target,
            ScalingType="UNIFORM_SCALING",
        )


@promises("UpdateShardCount is for streams with provisioned capacity.", kinesis("UpdateShardCount"))
def a_stream_on_demand_is_not_resharded(aws):
    name = aws.fresh("stream")
    aws.kinesis.create_stream(StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    until(lambda: described(aws, name)["StreamStatus"] == "ACTIVE")
    assert refusal(
        aws.kinesis.update_shard_count,
        StreamName=name,
        TargetShardCount=8,
        ScalingType="UNIFORM_SCALING",
    )


@promises(
    "SubscribeToShard pushes records to a registered consumer.",
    kinesis("SubscribeToShard"),
    differs="refused by name",
)
def records_are_pushed(aws):
    arn = described(aws, shared(aws))["StreamARN"]
    consumer = aws.kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=aws.fresh())[
        "Consumer"
    ]["ConsumerARN"]
    shard = described(aws, shared(aws))["Shards"][0]["ShardId"]
    aws.kinesis.subscribe_to_shard(
        ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": "TRIM_HORIZON"}
    )


def delivery(aws, **more):
    """A delivery stream to s3://bucket/NAME/..., once it is active."""
    name = aws.fresh("delivery")
    base = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::bucket", "Prefix": f"{name}/"}
    settings = {
        **base,
        **{
            key: value.replace("NAME", name) if isinstance(value, str) else value
            for key, value in more.items()
        },
    }
    aws.firehose.create_delivery_stream(
        DeliveryStreamName=name, ExtendedS3DestinationConfiguration=settings
    )
    aws.pass_time(60)
    told = aws.firehose.describe_delivery_stream
    until(
        lambda: (
            told(DeliveryStreamName=name)["DeliveryStreamDescription"]["DeliveryStreamStatus"]
            == "ACTIVE"
        )
    )
    return name


def send(aws, name, *bodies):
    aws.firehose.put_record_batch(
        DeliveryStreamName=name, Records=[{"Data": body} for body in bodies]
    )


def arrived(aws, name):
    return until(lambda: aws.keys(f"{name}/"))


@promises("Records are joined as they are into one object; no line break is added.", DELIVERY)
def records_are_joined(aws):
    name = delivery(aws)
    send(aws, name, b"a", b"b\n", b"c")
    assert b"".join(aws.body(key) for key in arrived(aws, name)) == b"ab\nc"


@promises(
    "A prefix without an expression of time gets YYYY/MM/dd/HH/ of UTC.", PREFIXES, clock="manual"
)
def a_prefix_gets_its_hour(aws):
    name = delivery(aws)
    send(aws, name, b"a")
    hour = aws.stack.now().strftime("%Y/%m/%d/%H/")
    aws.stack.advance(900)
    assert arrived(aws, name)[0].startswith(f"{name}/{hour}{name}-1-")


@promises("timestamp expressions are filled in as Java formats them.", PREFIXES, clock="manual")
def times_are_filled_in(aws):
    name = delivery(
        aws,
        Prefix="NAME/year=!{timestamp:yyyy}/day=!{timestamp:dd}/",
        ErrorOutputPrefix="NAME-errors/!{firehose:error-output-type}/",
    )
    send(aws, name, b"a")
    now = aws.stack.now()
    aws.stack.advance(900)
    assert arrived(aws, name)[0].startswith(f"{name}/year={now:%Y}/day={now:%d}/")


@promises(
    "A buffer is delivered after its interval, or when it is full.",
    firehose("BufferingHints"),
    clock="manual",
)
def a_buffer_waits_for_its_interval(aws):
    name = delivery(aws, BufferingHints={"IntervalInSeconds": 300, "SizeInMBs": 5})
    send(aws, name, b"a")
    aws.stack.advance(200)
    assert aws.keys(f"{name}/") == []
    aws.stack.advance(200)
    assert arrived(aws, name)


@promises("With an expression in Prefix, ErrorOutputPrefix is required.", PREFIXES)
def an_expression_needs_its_error_prefix(aws):
    assert "InvalidArgumentException" in refusal(delivery, aws=aws, Prefix="x/!{timestamp:yyyy}/")


@promises(
    "An expression in ErrorOutputPrefix has the error-output-type, and Prefix has it not.", PREFIXES
)
def error_prefixes_tell_the_error(aws):
    wrong = {"Prefix": "x/!{timestamp:yyyy}/", "ErrorOutputPrefix": "e/!{timestamp:yyyy}/"}
    assert "InvalidArgumentException" in refusal(delivery, aws=aws, **wrong)
    wrong = {
        "Prefix": "x/!{firehose:error-output-type}/",
        "ErrorOutputPrefix": "e/!{firehose:error-output-type}/",
    }
    assert "InvalidArgumentException" in refusal(delivery, aws=aws, **wrong)


@promises(
    "CompressionFormat GZIP compresses the objects.", firehose("ExtendedS3DestinationConfiguration")
)
def objects_are_compressed(aws):
    name = delivery(aws, CompressionFormat="GZIP")
    send(aws, name, b"a")
    assert gzip.decompress(aws.body(arrived(aws, name)[0])) == b"a"


def partitioned(aws):
    query = [
        {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{customer: .customer}"}
    ]
    engine = [{"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"}]
    return delivery(
        aws,
        Prefix="NAME/customer=!{partitionKeyFromQuery:customer}/",
        ErrorOutputPrefix="NAME-errors/!{firehose:error-output-type}/",
        BufferingHints={"SizeInMBs": 64, "IntervalInSeconds": 60},
        DynamicPartitioningConfiguration={"Enabled": True},
        ProcessingConfiguration={
            "Enabled": True,
            "Processors": [{"Type": "MetadataExtraction", "Parameters": [*query, *engine]}],
        },
    )


@promises(
    "Dynamic partitioning groups records below the values that a jq expression finds.", DYNAMIC
)
def records_are_partitioned(aws):
    name = partitioned(aws)
    send(aws, name, *(json.dumps({"customer": customer}).encode() for customer in ("a", "b", "a")))
    keys = until(lambda: len(aws.keys(f"{name}/")) >= 2 and aws.keys(f"{name}/"))
    assert {key.split("/")[1] for key in keys} == {"customer=a", "customer=b"}


@promises("A record that cannot be partitioned goes to the error prefix.", DYNAMIC)
def what_cannot_be_partitioned_is_an_error(aws):
    name = partitioned(aws)
    send(aws, name, b"no json")
    (key,) = until(lambda: aws.keys(f"{name}-errors/"))
    assert "failed" in key.split("/")[1]


@promises("PutRecordBatch takes 500 records at most.", firehose("PutRecordBatch"))
def a_batch_has_500_records(aws):
    name = delivery(aws)
    assert refusal(
        aws.firehose.put_record_batch, DeliveryStreamName=name, Records=[{"Data": b"x"}] * 501
    )


@promises(
    "Putting to a delivery stream that is not there is ResourceNotFoundException.",
    firehose("PutRecord"),
)
def a_missing_delivery_stream_is_not_found(aws):
    assert "ResourceNotFoundException" in refusal(
        aws.firehose.put_record, DeliveryStreamName="nobodys", Record={"Data": b"x"}
    )
