"""What Kinesis refuses and forgets, by boto3: reads of a shard, old records, shard counts."""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

import time

import pytest

from isthmus_stack.tests.aws.data.test_kinesis import FIRST, iterator, put, read, refusal, stream
from isthmus_stack.tests.aws.data_kit import manual_process, moved

MIB = 1 << 20
DAY = 24 * 3600


def refused(stream, at):
    return refusal(stream.kinesis.get_records, ShardIterator=at)


def following(stream, at, **more):
    return read(stream, at, **more)[1]["NextShardIterator"]


def test_a_sixth_read_of_a_shard_in_a_second_is_refused_and_nothing_is_lost(stream):
    put(stream, b"1", b"2")
    at = iterator(stream)
    for _ in range(5):
        last, at = at, following(stream, at, Limit=1)
    code, words, status = refused(stream, last)
    assert (code, status) == ("ProvisionedThroughputExceededException", 400)
    assert words == f"Rate exceeded for shard {FIRST} in stream clicks under account 123456789012."
    stream.stack.advance(1)
    assert read(stream, iterator(stream))[0] == [b"1", b"2"]


def test_a_second_of_the_machine_is_one_too_where_the_clock_stands_still(stream):
    at = iterator(stream)
    for _ in range(5):
        at = following(stream, at)
    assert refused(stream, at)[0] == "ProvisionedThroughputExceededException"
    time.sleep(1.05)
    assert read(stream, at)[0] == []


def test_another_shard_has_reads_of_its_own(moved):
    moved.kinesis.create_stream(StreamName="clicks", ShardCount=2)
    for _ in range(5):
        read(moved, iterator(moved))
    assert read(moved, iterator(moved, shard="shardId-000000000001"))[0] == []


def test_two_mebibytes_of_a_second_are_paid_for_before_more_is_given(stream):
    put(stream, *[b"x" * MIB] * 3)
    at = following(stream, iterator(stream), Limit=1)
    at = following(stream, at, Limit=1)
    assert refused(stream, at)[0] == "ProvisionedThroughputExceededException"
    stream.stack.advance(1)
    assert len(read(stream, at)[0]) == 1


def test_ten_mebibytes_of_one_answer_are_paid_for_in_five_seconds(stream):
    put(stream, *[b"x" * MIB] * 11)
    data, answer = read(stream, iterator(stream))
    assert len(data) == 10
    for _ in range(4):
        stream.stack.advance(1)
        code = refused(stream, answer["NextShardIterator"])[0]
        assert code == "ProvisionedThroughputExceededException"
    stream.stack.advance(1)
    assert len(read(stream, answer["NextShardIterator"])[0]) == 1


def test_records_are_kept_for_a_day_by_the_clock(stream):
    put(stream, b"1")
    stream.stack.advance(DAY - 1)
    put(stream, b"2")
    assert read(stream, iterator(stream))[0] == [b"1", b"2"]
    stream.stack.advance(2)
    assert read(stream, iterator(stream))[0] == [b"2"]
    stream.stack.advance(DAY)
    assert read(stream, iterator(stream))[0] == []
    put(stream, b"3")
    assert read(stream, iterator(stream))[0] == [b"3"]


def test_records_are_kept_longer_where_the_stream_says_so(stream):
    stream.kinesis.increase_stream_retention_period(StreamName="clicks", RetentionPeriodHours=48)
    put(stream, b"1")
    stream.stack.advance(2 * DAY - 1)
    assert read(stream, iterator(stream))[0] == [b"1"]
    stream.stack.advance(2)
    assert read(stream, iterator(stream))[0] == []


def test_who_goes_on_from_a_trimmed_record_gets_nothing_and_stays_a_day_behind(stream):
    put(stream, b"1")
    number = read(stream, iterator(stream))[1]["Records"][0]["SequenceNumber"]
    stream.stack.advance(DAY + 1)
    put(stream, b"2")
    at = iterator(stream, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number)
    for _ in range(2):
        data, answer = read(stream, at)
        assert (data, answer["MillisBehindLatest"]) == ([], DAY * 1000)
        at = answer["NextShardIterator"]
    assert read(stream, iterator(stream))[0] == [b"2"]


def test_who_reads_on_all_the_time_misses_nothing_when_its_last_record_is_trimmed(stream):
    put(stream, b"1")
    at = following(stream, iterator(stream))
    for _ in range(DAY // 240 + 1):
        stream.stack.advance(240)
        at = following(stream, at)
    put(stream, b"2")
    assert read(stream, at)[0] == [b"2"]


@pytest.mark.parametrize(("present", "target", "where"), [(2, 5, "up over double"), (4, 1, "down below half"), (3, 1, "down below half")])  # fmt: skip
def test_a_shard_count_beyond_double_or_below_half_is_refused(moved, present, target, where):
    moved.kinesis.create_stream(StreamName="clicks", ShardCount=present)
    code, words, status = refusal(
        moved.kinesis.update_shard_count,
        StreamName="clicks",
        TargetShardCount=target,
        ScalingType="UNIFORM_SCALING",
    )
    assert (code, status) == ("LimitExceededException", 400)
    assert words == (
        f"UpdateShardCount cannot scale {where} your current open shard count. "
        f"Current open shard count: {present} Target shard count: {target}"
    )
    assert len(moved.kinesis.list_shards(StreamName="clicks")["Shards"]) == present


def test_closed_shards_do_not_count_for_double_and_half(moved):
    moved.kinesis.create_stream(StreamName="clicks", ShardCount=2)
    for target in (4, 2, 1):
        moved.kinesis.update_shard_count(
            StreamName="clicks", TargetShardCount=target, ScalingType="UNIFORM_SCALING"
        )
    shards = moved.kinesis.list_shards(StreamName="clicks")["Shards"]
    assert sum("EndingSequenceNumber" not in s["SequenceNumberRange"] for s in shards) == 1


def test_a_stream_on_demand_has_no_shard_count_to_change(moved):
    moved.kinesis.create_stream(StreamName="clicks", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    code, words, _ = refusal(
        moved.kinesis.update_shard_count,
        StreamName="clicks",
        TargetShardCount=8,
        ScalingType="UNIFORM_SCALING",
    )
    assert (code, "On-Demand" in words) == ("ValidationException", True)
