"""The source of a delivery stream: a Kinesis stream, read shard by shard."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from ...core.registry import Context
from .delivery import Record
from .errors import invalid


def shards(ctx: Context, arn: str) -> list[str]:
    """Return the names of a Kinesis stream's shards."""
    try:
        return [
            shard["ShardId"]
            for shard in ctx.client("kinesis").list_shards(StreamName=arn.rpartition("/")[2])[
                "Shards"
            ]
        ]
    except ClientError as error:
        raise invalid(
            f"Stream {arn.rpartition('/')[2]} under account {ctx.account} not found."
        ) from error


def latest(ctx: Context, arn: str) -> dict[str, str]:
    """Return the last sequence number of each shard of a Kinesis stream; "" for an empty one."""
    positions = dict.fromkeys(shards(ctx, arn), "")
    for shard in positions:
        _read_shard(ctx, arn, shard, positions)
    return positions


def read(ctx: Context, arn: str, positions: dict[str, str]) -> list[Record]:
    """Return a Kinesis stream's records after `positions`, and advance these.

    They are the last sequence number that was read, by shard.
    """
    return [
        record for shard in shards(ctx, arn) for record in _read_shard(ctx, arn, shard, positions)
    ]


def _read_shard(ctx: Context, arn: str, shard: str, positions: dict[str, str]) -> list[Record]:
    """Return a Kinesis shard's records after its position, and advance the position."""
    client, name = ctx.client("kinesis"), arn.rpartition("/")[2]
    last = positions.get(shard, "")
    start = (
        {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": last}
        if last
        else {"ShardIteratorType": "TRIM_HORIZON"}
    )
    iterator = client.get_shard_iterator(StreamName=name, ShardId=shard, **start)["ShardIterator"]
    records: list[Record] = []
    while iterator:
        page = client.get_records(ShardIterator=iterator, Limit=10_000)
        records += [
            Record(record["Data"], _arrival(record, ctx.clock.now())) for record in page["Records"]
        ]
        if not page["Records"]:
            break
        positions[shard] = page["Records"][-1]["SequenceNumber"]
        iterator = page.get("NextShardIterator")
    return records


def _arrival(record: dict[str, Any], now: datetime) -> datetime:
    """Return the time at which a Kinesis record arrived: the record's own, or else `now`."""
    arrival: datetime | None = record.get("ApproximateArrivalTimestamp")
    return arrival.astimezone(now.tzinfo) if arrival is not None else now
