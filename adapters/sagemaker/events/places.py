"""The place of a consumer in a Kinesis stream, as bytes that the consumer keeps. Pure.

A shard that was split or merged ends, and other shards go on from it. Their records are read when
their parents have been read to the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ....errors import Invalid
from ....times import from_epoch


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """A shard of a stream, and the shards that it goes on from."""

    name: str
    parents: tuple[str, ...]


class Place(msgspec.Struct, kw_only=True):
    """How far a consumer has read each shard of a stream."""

    created: str  # when the stream was created: another stream of the name has other shards
    since: int  # ms: shards that were never read are read from then on
    # the sequence number of the last record that was read, by shard
    read: dict[str, str] = {}
    ended: list[str] = []  # shards that were read to their end


_decode = msgspec.json.Decoder(Place).decode


def encode(place: Place) -> bytes:
    """Return a place as the bytes that a consumer keeps."""
    return msgspec.json.encode(place)


def decode(after: bytes, stream: str) -> Place:
    """Return the place in a stream that was encoded as these bytes.

    Raises:
        Invalid: The bytes are no place.
    """
    try:
        return _decode(after)
    except msgspec.MsgspecError as error:
        raise Invalid(f"this is no place in stream {stream}: {error}") from error


def readable(place: Place, shards: Sequence[Shard]) -> list[str]:
    """Return the shards that can be read now: those whose parents, if they are kept, have ended."""
    ended = set(place.ended)
    unread = {shard.name for shard in shards} - ended
    return [
        shard.name
        for shard in shards
        if shard.name in unread and not unread.intersection(shard.parents)
    ]


def waiting(place: Place, shards: Sequence[Shard]) -> bool:
    """Return whether there are shards that are read only when their parents have ended."""
    return len(readable(place, shards)) + len(
        set(place.ended).intersection(shard.name for shard in shards)
    ) < len(shards)


def start(place: Place, shard: str) -> dict[str, Any]:
    """Return the arguments of GetShardIterator by which a shard is read on from a place.

    A shard that was never read begins at the place's time, which is its begin where that is later.
    """
    if (number := place.read.get(shard)) is not None:
        return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": number}
    return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": from_epoch(place.since)}


def forget_absent(place: Place, shards: Sequence[Shard]) -> None:
    """Drop the shards of a place that the stream no longer has, since their records are trimmed."""
    names = {shard.name for shard in shards}
    place.read = {name: number for name, number in place.read.items() if name in names}
    place.ended = [name for name in place.ended if name in names]
