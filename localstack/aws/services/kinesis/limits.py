"""The limits of Kinesis: reads of a shard, how long records are kept, and new shard counts.

Quotas: Developer Guide, "Quotas and limits", GetRecords and UpdateShardCount in the API Reference.
The stack's own reads, as Firehose's, count for none of them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from ...core.moto_internals import KinesisRecord as Record
from ...core.moto_internals import KinesisShard as Shard
from ...core.moto_internals import KinesisStream as Stream
from ...core.registry import AwsError

_READS = 5  # of a shard in a second
_BYTES = 2 << 20  # of a shard in a second; what an answer has beyond it is paid for by waiting
_LONGEST = 5.0  # seconds: an answer has at most 10 MiB


class _Read(msgspec.Struct, frozen=True):
    """An answered read of a shard: when, by the clocks of stack and machine, and its bytes."""

    moment: datetime
    monotonic: float
    size: int


_lock = threading.Lock()
_reads: WeakKeyDictionary[Shard, deque[_Read]] = WeakKeyDictionary()


def check_rate(stream: Stream, shard: Shard, now: datetime) -> None:
    """Refuse a read of a shard that was read too often, or gave too much, in the last seconds.

    A second has passed when it has on the stack's clock, which may stand still, or on the
    machine's.

    Raises:
        AwsError: There were too many reads, or bytes.
    """
    machine = time.monotonic()
    with _lock:
        reads = _reads.setdefault(shard, deque())
        while reads and _age(reads[0], now, machine) >= _LONGEST:
            reads.popleft()
        ages = [(_age(read, now, machine), read.size) for read in reads]
    if sum(age < 1 for age, _ in ages) >= _READS or any(
        sum(size for age, size in ages if age < seconds) >= seconds * _BYTES
        for seconds in range(1, int(_LONGEST) + 1)
    ):
        raise AwsError(
            "ProvisionedThroughputExceededException",
            f"Rate exceeded for shard {shard.shard_id} in stream {stream.stream_name} under "
            f"account {stream.account_id}.",
        )


def note_read(shard: Shard, now: datetime, size: int) -> None:
    """Take note of a read of a shard that was answered with so many bytes."""
    with _lock:
        _reads.setdefault(shard, deque()).append(_Read(now, time.monotonic(), size))


def _age(read: _Read, now: datetime, machine: float) -> float:
    """Return the seconds since a read, by the clock on which more have passed."""
    return max((now - read.moment).total_seconds(), machine - read.monotonic)


def horizon(stream: Stream, now: datetime) -> datetime:
    """Return the time before which a stream's records are trimmed."""
    return now - timedelta(hours=stream.retention_period_hours)


def trim(stream: Stream, shard: Shard, now: datetime) -> None:
    """Drop the records of a shard that are older than its stream keeps them.

    The last one stays, as moto counts from it, and is not read any more.
    """
    oldest = horizon(stream, now).timestamp()
    for number, record in list(shard.records.items())[:-1]:
        if record.created_at >= oldest:
            return
        del shard.records[number]


def kept_records(stream: Stream, shard: Shard, now: datetime) -> list[Record]:
    """Return the records of a shard that its stream still keeps."""
    trim(stream, shard, now)
    oldest = horizon(stream, now).timestamp()
    return [record for record in shard.records.values() if record.created_at >= oldest]


def is_trimmed(stream: Stream, shard: Shard, number: int, now: datetime) -> bool:
    """Return whether the record of a sequence number was in a shard and is kept no more."""
    trim(stream, shard, now)
    first = next(iter(shard.records.values()), None)
    if first is None or number < 1:
        return False
    if number < first.sequence_number:
        return True
    return number == first.sequence_number and first.created_at < horizon(stream, now).timestamp()


def check_shard_count(stream: Stream, params: dict[str, Any]) -> None:
    """Refuse a shard count beyond double, or below half, the open shards of a stream.

    Moto refuses any count of a stream in on-demand mode.

    Raises:
        AwsError: The count is too far from the present one.
    """
    if stream.stream_mode.get("StreamMode") == "ON_DEMAND":
        return
    present = sum(shard.is_open for shard in stream.shards.values())
    target: int = params["TargetShardCount"]
    if present / 2 <= target <= present * 2:
        return
    where = "up over double" if target > present else "down below half"
    raise AwsError(
        "LimitExceededException",
        f"UpdateShardCount cannot scale {where} your current open shard count. Current open shard "
        f"count: {present} Target shard count: {target}",
    )
