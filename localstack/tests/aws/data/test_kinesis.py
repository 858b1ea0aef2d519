"""Reading streams by boto3: iterators, closed shards, times of the clock that the test moves."""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.tests.aws.data_kit import manual_process, moved

FIRST = "shardId-000000000000"


@pytest.fixture
def stream(moved):
    moved.kinesis.create_stream(StreamName="clicks", ShardCount=1)
    return moved


def put(stream, *data):
    for one in data:
        stream.kinesis.put_record(StreamName="clicks", Data=one, PartitionKey="k")


def iterator(stream, kind="TRIM_HORIZON", shard=FIRST, **more):
    return stream.kinesis.get_shard_iterator(
        StreamName="clicks", ShardId=shard, ShardIteratorType=kind, **more
    )["ShardIterator"]


def read(stream, at, **more):
    answer = stream.kinesis.get_records(ShardIterator=at, **more)
    return [record["Data"] for record in answer["Records"]], answer


def refusal(call, **params):
    with pytest.raises(ClientError) as error:
        call(**params)
    found = error.value.response
    return (
        found["Error"]["Code"],
        found["Error"]["Message"],
        found["ResponseMetadata"]["HTTPStatusCode"],
    )


def test_a_shard_that_is_split_keeps_its_records_ends_and_names_its_children(stream):
    put(stream, b"1", b"2")
    stream.kinesis.split_shard(
        StreamName="clicks", ShardToSplit=FIRST, NewStartingHashKey=str(2**127)
    )
    put(stream, b"3")
    data, half = read(stream, iterator(stream), Limit=1)
    assert (data, "ChildShards" in half) == ([b"1"], False)
    data, ended = read(stream, half["NextShardIterator"])
    assert (data, ended.get("NextShardIterator")) == ([b"2"], None)
    children = {child["ShardId"]: child["ParentShards"] for child in ended["ChildShards"]}
    assert children == {"shardId-000000000001": [FIRST], "shardId-000000000002": [FIRST]}
    assert sorted(read(stream, iterator(stream, shard=child))[0] for child in children) == [
        [],
        [b"3"],
    ]
    assert "NextShardIterator" not in read(stream, iterator(stream, "LATEST"))[1]


def test_shards_that_are_merged_end_in_the_same_child(stream):
    stream.kinesis.split_shard(
        StreamName="clicks", ShardToSplit=FIRST, NewStartingHashKey=str(2**127)
    )
    halves = ("shardId-000000000001", "shardId-000000000002")
    put(stream, b"1")
    stream.kinesis.merge_shards(
        StreamName="clicks", ShardToMerge=halves[0], AdjacentShardToMerge=halves[1]
    )
    ends = [read(stream, iterator(stream, shard=half)) for half in halves]
    assert sorted(data for data, _ in ends) == [[], [b"1"]]
    assert {child["ShardId"] for _, end in ends for child in end["ChildShards"]} == {
        "shardId-000000000003"
    }


def test_an_iterator_at_a_time_begins_with_what_arrived_since(stream):
    put(stream, b"1")
    stream.stack.advance(60)
    between = stream.stack.now()
    stream.stack.advance(60)
    put(stream, b"2")
    assert read(stream, iterator(stream, "AT_TIMESTAMP", Timestamp=between))[0] == [b"2"]
    assert read(stream, iterator(stream, "AT_TIMESTAMP", Timestamp=between - timedelta(days=1)))[
        0
    ] == [b"1", b"2"]
    place = {"StreamName": "clicks", "ShardId": FIRST, "ShardIteratorType": "AT_TIMESTAMP"}
    future = refusal(
        stream.kinesis.get_shard_iterator, **place, Timestamp=between + timedelta(days=1)
    )
    assert future[0] == "InvalidArgumentException"
    assert "cannot be greater than the currentTimestampInMillis" in future[1]
    assert refusal(stream.kinesis.get_shard_iterator, **place)[0] == "InvalidArgumentException"


def test_an_iterator_expires_after_five_minutes_and_a_garbled_one_is_refused(stream):
    old = iterator(stream)
    stream.stack.advance(299)
    assert read(stream, old)[0] == []
    stream.stack.advance(2)
    code, words, status = refusal(stream.kinesis.get_records, ShardIterator=old)
    assert (code, status) == ("ExpiredIteratorException", 400)
    assert "tolerated delay of 300000 milliseconds" in words
    for garbled in ("nonsense", old[:-4], "AAAA"):
        assert refusal(stream.kinesis.get_records, ShardIterator=garbled)[::2] == (
            "InvalidArgumentException",
            400,
        )


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": "00x"},
            "ValidationException",
        ),
        ({"ShardIteratorType": "AT_SEQUENCE_NUMBER"}, "InvalidArgumentException"),
        (
            {"ShardIteratorType": "LATEST", "ShardId": "shardId-000000000009"},
            "ResourceNotFoundException",
        ),
        ({"ShardIteratorType": "LATEST", "StreamName": "nobody"}, "ResourceNotFoundException"),
    ],
)
def test_an_iterator_that_cannot_be_is_refused(stream, more, code):
    assert (
        refusal(
            stream.kinesis.get_shard_iterator, **{"StreamName": "clicks", "ShardId": FIRST, **more}
        )[0]
        == code
    )


def test_how_far_a_reader_is_behind_is_told_by_the_clock(stream):
    put(stream, b"1", b"2")
    stream.stack.advance(30)
    _, half = read(stream, iterator(stream), Limit=1)
    assert half["MillisBehindLatest"] == pytest.approx(30_000, abs=1000)
    assert read(stream, half["NextShardIterator"])[1]["MillisBehindLatest"] == 0


def test_subscriptions_to_shards_are_refused_by_name(stream):
    arn = stream.kinesis.describe_stream(StreamName="clicks")["StreamDescription"]["StreamARN"]
    consumer = stream.kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"][
        "ConsumerARN"
    ]
    code, words, status = refusal(
        stream.kinesis.subscribe_to_shard,
        ConsumerARN=consumer,
        ShardId=FIRST,
        StartingPosition={"Type": "LATEST"},
    )
    assert (code, status) == ("NotImplemented", 501)
    assert "kinesis:SubscribeToShard" in words
