"""Reading streams by iterators: moto keeps shards and records, the iterators and times are here.

So is the end of a closed shard, and what follows it.
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from ...core.moto_internals import JsonRESTError, kinesis_backends
from ...core.moto_internals import KinesisRecord as Record
from ...core.moto_internals import KinesisShard as Shard
from ...core.moto_internals import KinesisStream as Stream
from ...core.protocol.moto_server import SERIAL
from ...core.protocol.wire import malformed_error
from ...core.registry import AwsError, Context, handles
from . import limits

_LIVES = 300.0  # seconds of an iterator
_MOST, _LARGEST = 10_000, 10 << 20  # records and bytes of an answer
_find_shard = Stream.get_shard_for_key


def _open_shard(stream: Stream, partition_key: str, explicit_hash_key: str) -> Shard | None:
    """Return the open shard of a Kinesis stream into which a record with this key goes.

    Moto's own function would choose a shard that was split or merged, and is closed.
    """
    all_shards = stream.shards
    try:
        stream.shards = {name: shard for name, shard in all_shards.items() if shard.is_open}
        return _find_shard(stream, partition_key, explicit_hash_key)
    finally:
        stream.shards = all_shards


Stream.get_shard_for_key = _open_shard  # type: ignore[assignment,method-assign]


class _Iterator(msgspec.Struct, frozen=True, array_like=True):
    stream: str
    shard: str
    last: int  # the number of the record before the first that it gives
    created: float  # seconds since 1970, on the stack's clock
    trimmed: bool = False  # made for a record that was kept no more


_decode = msgspec.json.Decoder(_Iterator).decode


def _invalid(message: str) -> AwsError:
    """Return Kinesis's InvalidArgumentException with this message."""
    return AwsError("InvalidArgumentException", message)


def _stream(ctx: Context, name: str) -> Stream:
    """Return moto's Kinesis stream of this name.

    Raises:
        AwsError: There is no such stream.
    """
    stream: Stream | None = kinesis_backends[ctx.account][ctx.region].streams.get(name)
    if stream is None:
        raise AwsError(
            "ResourceNotFoundException", f"Stream {name} under account {ctx.account} not found."
        )
    return stream


def _shard(ctx: Context, stream: Stream, name: str) -> Shard:
    """Return moto's shard of a Kinesis stream.

    Raises:
        AwsError: There is no such shard.
    """
    shard: Shard | None = stream.shards.get(name)
    if shard is None:
        text = (
            f"Shard {name} in stream {stream.stream_name} under account {ctx.account} does not "
            "exist"
        )
        raise AwsError("ResourceNotFoundException", text)
    return shard


def _name(params: dict[str, Any]) -> str:
    """Return the name of a request's Kinesis stream, also where it gives the ARN."""
    name: str = params.get("StreamName") or params.get("StreamARN", "").rpartition("/")[2]
    return name


def put(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer PutRecord and PutRecords by moto.

    moto's backend is called directly: moto's server takes longer than all the rest of a put.
    """
    # of moto's types, some are too narrow for what its own server passes
    backend: Any = kinesis_backends[ctx.account][ctx.region]
    where = (params.get("StreamARN"), params.get("StreamName"))
    try:
        with SERIAL:
            if "Records" in params:
                records = [
                    {**record, "Data": _text(record["Data"])} for record in params["Records"]
                ]
                answer: dict[str, Any] = backend.put_records(*where, records)
                return answer
            number, shard = backend.put_record(
                *where, params["PartitionKey"], params.get("ExplicitHashKey"), _text(params["Data"])
            )
    except JsonRESTError as error:
        raise AwsError(error.error_type, str(error.message), error.code) from error
    except (KeyError, TypeError, AttributeError):
        if ctx.incoming is not None and (wrong := malformed_error(ctx.incoming)) is not None:
            raise wrong from None
        raise
    return {"SequenceNumber": number, "ShardId": shard}


def _text(data: bytes) -> str:
    """Return a record's bytes as the base64 text that moto keeps."""
    return base64.b64encode(data).decode()


def stamp(ctx: Context, params: dict[str, Any], put: Iterable[tuple[str, str]]) -> None:
    """Set the arrival time of records, named by shard and sequence number, by the stack's clock.

    `params` name the stream.
    """
    stream, now = _stream(ctx, _name(params)), ctx.clock.now()
    for shard, number in put:
        record: Record = stream.shards[shard].records[int(number)]
        record.created_at, record.created_at_datetime = (
            now.timestamp(),
            now.astimezone(UTC).replace(tzinfo=None),
        )


@handles("kinesis", "GetShardIterator")
def get_shard_iterator(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    stream = _stream(ctx, _name(params))
    with SERIAL:
        shard = _shard(ctx, stream, params["ShardId"])
        last = _number_before(ctx, params, shard)
        now = ctx.clock.now()
        # Users tell that such an iterator gives nothing, and stays as far behind as records are
        # kept: github.com/harlow/kinesis-consumer, issues 98 and 125. AWS's documents are silent.
        trimmed = (
            "StartingSequenceNumber" in params
            and not _is_internal(ctx)
            and limits.is_trimmed(stream, shard, int(params["StartingSequenceNumber"]), now)
        )
    iterator = _Iterator(stream.stream_name, shard.shard_id, last, now.timestamp(), trimmed)
    return {"ShardIterator": _token(iterator)}


def _is_internal(ctx: Context) -> bool:
    """Return whether the stack asks itself."""
    return ctx.incoming is not None and ctx.incoming.is_internal


def _number_before(ctx: Context, params: dict[str, Any], shard: Shard) -> int:
    """Return the sequence number before the first record that a new shard iterator gives."""
    kind: str = params["ShardIteratorType"]
    if kind == "TRIM_HORIZON":
        return 0
    if kind == "LATEST":
        return int(shard.get_max_sequence_number())
    if kind == "AT_TIMESTAMP":
        return _before_time(params.get("Timestamp"), shard, ctx.clock.now())
    number = params.get("StartingSequenceNumber")
    if number is None:
        raise _invalid(
            f"Must either specify a starting sequence number or not use {kind} iterator type."
        )
    if not number.isdigit():
        place = f"on shard {shard.shard_id} in stream {_name(params)} under account {ctx.account}"
        raise _invalid(
            f"StartingSequenceNumber {number} used in GetShardIterator {place} is invalid."
        )
    return int(number) - (kind == "AT_SEQUENCE_NUMBER")


def _before_time(moment: datetime | None, shard: Shard, now: datetime) -> int:
    """Return the sequence number of a shard's last record before a time.

    Raises:
        AwsError: There is no time, or it is later than `now`.
    """
    if moment is None:
        raise _invalid(
            "Must either specify timestamp parameter or not use AT_TIMESTAMP iterator type."
        )
    if moment > now:
        requested, current = (int(time.timestamp() * 1000) for time in (moment, now))
        raise _invalid(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
            f"timestampInMillis: {requested}, currentTimestampInMillis: {current}"
        )
    earlier = (
        number for number, record in shard.records.items() if record.created_at < moment.timestamp()
    )
    return max(earlier, default=0)


@handles("kinesis", "GetRecords")
def get_records(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer GetRecords; a closed shard ends with its last record.

    The response then has no NextShardIterator, but the shards that continue the closed one.
    """
    now = ctx.clock.now()
    iterator = _iterator(params["ShardIterator"], now)
    stream = _stream(ctx, iterator.stream)
    with SERIAL:
        shard = _shard(ctx, stream, iterator.shard)
        if not _is_internal(ctx):
            limits.check_rate(stream, shard, now)
        if iterator.trimmed:
            limits.note_read(shard, now, 0)
            return _nothing_kept(stream, iterator, now)
        left = [
            record
            for record in limits.kept_records(stream, shard, now)
            if record.sequence_number > iterator.last
        ]
        is_open, children = shard.is_open, _children(stream, shard.shard_id)
    some = _fitting(left, params.get("Limit", _MOST))
    if not _is_internal(ctx):
        limits.note_read(shard, now, sum(map(_size, some)))
    behind = left[len(some)] if len(left) > len(some) else None
    answer: dict[str, Any] = {
        "Records": [record.to_json() for record in some],
        "MillisBehindLatest": max(1, round((now.timestamp() - behind.created_at) * 1000))
        if behind is not None
        else 0,
    }
    if behind is None and not is_open:
        return {**answer, "ChildShards": children}
    last = some[-1].sequence_number if some else iterator.last
    return {
        **answer,
        "NextShardIterator": _token(
            _Iterator(iterator.stream, iterator.shard, last, now.timestamp())
        ),
    }


def _fitting(records: list[Record], most: int) -> list[Record]:
    """Return the first records that fit the limits: `most` records, and bytes; at least one."""
    size = 0
    for index, record in enumerate(records[:most]):
        size += _size(record)
        if size > _LARGEST and index:
            return records[:index]
    return records[:most]


def _size(record: Record) -> int:
    """Return the bytes of a record's data, which moto keeps as base64."""
    return len(record.data) * 3 // 4 - record.data[-2:].count("=")


def _nothing_kept(stream: Stream, iterator: _Iterator, now: datetime) -> dict[str, Any]:
    """Return GetRecords' answer to an iterator that was made for a record that is trimmed."""
    following = msgspec.structs.replace(iterator, created=now.timestamp())
    return {
        "Records": [],
        "NextShardIterator": _token(following),
        "MillisBehindLatest": stream.retention_period_hours * 3_600_000,
    }


def _children(stream: Stream, shard: str) -> list[dict[str, Any]]:
    """Return the shards that continue a closed shard, as ChildShards of GetRecords."""
    children = [
        child for child in stream.shards.values() if shard in (child.parent, child.adjacent_parent)
    ]
    return [
        {
            "ShardId": child.shard_id,
            "ParentShards": [parent for parent in (child.parent, child.adjacent_parent) if parent],
            "HashKeyRange": {
                "StartingHashKey": str(child.starting_hash),
                "EndingHashKey": str(child.ending_hash),
            },
        }
        for child in children
    ]


def _token(iterator: _Iterator) -> str:
    """Encode a shard iterator as the text that a client gets."""
    return base64.b64encode(msgspec.json.encode(iterator)).decode()


def _iterator(text: str, now: datetime) -> _Iterator:
    """Decode the text of a shard iterator.

    Raises:
        AwsError: The text is no shard iterator, or the iterator has expired.
    """
    try:
        iterator = _decode(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise _invalid("Invalid ShardIterator.") from error
    if now.timestamp() - iterator.created > _LIVES:
        created, right_now = (
            f"{moment:%a %b %d %H:%M:%S UTC %Y}"
            for moment in (datetime.fromtimestamp(iterator.created, UTC), now)
        )
        text = (
            f"The iterator was created at time {created} while right now it is {right_now} which "
            "is further in the future than the "
        )
        raise AwsError(
            "ExpiredIteratorException",
            f"Iterator expired. {text}tolerated delay of {int(_LIVES * 1000)} milliseconds.",
        )
    return iterator


@handles("kinesis", "SplitShard", "MergeShards", "UpdateShardCount")
def reshard(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SplitShard, MergeShards and UpdateShardCount; records stay in their old shards.

    Moto would move them to the new ones.
    """
    with SERIAL:
        stream = _stream(ctx, _name(params))
        if "TargetShardCount" in params:
            limits.check_shard_count(stream, params)
        records = {name: OrderedDict(shard.records) for name, shard in stream.shards.items()}
        answer = ctx.forward()
        for name, shard in stream.shards.items():
            shard.records = records.get(name, OrderedDict())
    return answer
