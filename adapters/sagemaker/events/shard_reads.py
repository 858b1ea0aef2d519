"""GetRecords on the shards of one Kinesis stream, with the iterators that it needs.

An iterator lives five minutes. What makes another one is the place alone, so any may be lost.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, final

import msgspec

from ....errors import Invalid
from .. import names
from ..session import AwsSession
from . import places

_MOST = 10_000  # records of an answer, which has at most 10 MiB
_NEARLY = timedelta(minutes=1)  # less than the retention: what is so far behind is being trimmed


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of GetRecords, of one shard."""

    records: tuple[bytes, ...] = ()
    last: str | None = None  # the sequence number of the last of them
    behind: int = 0  # milliseconds
    ended: bool = False  # a closed shard has been read to its end

    @property
    def size(self) -> int:
        """Return the bytes of the records."""
        return sum(map(len, self.records))


class _Iterator(msgspec.Struct, frozen=True, kw_only=True):
    """A shard iterator, and the place for which it stands."""

    token: str
    since: int
    last: str | None
    oldest: bool = False  # it begins with the oldest record that is kept


@final
class ShardReads:
    """The reads of one stream's shards by one consumer."""

    def __init__(self, aws: AwsSession, stream: str) -> None:
        self._aws = aws
        self._stream = stream
        self._name = names.underscored(aws.project, stream)
        self._iterators: dict[str, _Iterator] = {}
        self._arn = ""
        self.created = ""  # when the stream was created

    def summary(self) -> tuple[str, timedelta]:
        """Return when the stream was created, and for how long it keeps records.

        Raises:
            NotFound: There is no such stream.
        """
        with self._aws.reading("DescribeStreamSummary", self._name):
            summary = self._aws.client("kinesis").describe_stream_summary(StreamName=self._name)
        description = summary["StreamDescriptionSummary"]
        self._arn = description["StreamARN"]
        self.created = description["StreamCreationTimestamp"].isoformat()
        return self.created, timedelta(hours=description["RetentionPeriodHours"])

    def shards(self) -> tuple[places.Shard, ...]:
        """List the stream's shards, closed ones too as long as they have records."""
        shards: list[places.Shard] = []
        with self._aws.reading("ListShards", self._name):
            pages = self._aws.client("kinesis").get_paginator("list_shards")
            for page in pages.paginate(StreamName=self._name):
                for shard in page["Shards"]:
                    parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
                    shards.append(
                        places.Shard(name=shard["ShardId"], parents=tuple(filter(None, parents)))
                    )
        return tuple(shards)

    def get(self, place: places.Place, shard: str, limit: int) -> Answer:
        """Return the next records of a shard after a place.

        Raises:
            NotFound: There is no such stream or shard.
            Throttled: Others read the shard, too, or it gave too much.
        """
        iterator = self._iterators.pop(shard, None)
        last = place.read.get(shard)
        if iterator is None or (iterator.since, iterator.last) != (place.since, last):
            iterator = self._new_iterator(place, shard)
        result = self._records(iterator.token, limit)
        if result is None:  # it has expired
            iterator = self._new_iterator(place, shard)
            result = self._records(iterator.token, limit)
            if result is None:
                raise Invalid(f"stream {self._stream}: an iterator expired as soon as it was made")
        answer, following = result
        if self._is_trimmed(answer, iterator):
            # AWS goes on from a record that it no longer has with empty answers
            token = self._iterator(shard, {"ShardIteratorType": "TRIM_HORIZON"})
            iterator = _Iterator(token=token, since=place.since, last=last, oldest=True)
            self._iterators[shard] = iterator
            return Answer(behind=answer.behind)
        if following is not None:
            self._iterators[shard] = _Iterator(
                token=following,
                since=place.since,
                last=answer.last or last,
                oldest=iterator.oldest and answer.last is None,
            )
        return answer

    def _is_trimmed(self, answer: Answer, iterator: _Iterator) -> bool:
        """Return whether an iterator goes on from a record that the stream has trimmed."""
        if answer.records or answer.ended or iterator.last is None or iterator.oldest:
            return False
        behind = timedelta(milliseconds=answer.behind) + _NEARLY
        return behind >= timedelta(days=1) and behind >= self.summary()[1]

    def _new_iterator(self, place: places.Place, shard: str) -> _Iterator:
        """Make an iterator by which a shard is read on from a place."""
        try:
            token = self._iterator(shard, places.start(place, shard))
        except Invalid as error:
            if "timestamp" not in error.message.lower():
                raise
            # our clock is ahead of Kinesis', so that the place's time is yet to come
            token = self._iterator(shard, {"ShardIteratorType": "LATEST"})
        return _Iterator(token=token, since=place.since, last=place.read.get(shard))

    def _iterator(self, shard: str, start: dict[str, Any]) -> str:
        """Return what GetShardIterator gives for a shard."""
        with self._aws.reading("GetShardIterator", self._name):
            answer = self._aws.client("kinesis").get_shard_iterator(
                StreamName=self._name, ShardId=shard, **start
            )
        return str(answer["ShardIterator"])

    def _records(self, token: str, limit: int) -> tuple[Answer, str | None] | None:
        """Return an answer of GetRecords and the iterator of the next; None if this has expired."""
        client = self._aws.client("kinesis", retrying=False)  # the pace is ours
        with self._aws.reading("GetRecords", self._name):
            try:
                answer = client.get_records(
                    StreamARN=self._arn, ShardIterator=token, Limit=min(limit, _MOST)
                )
            except client.exceptions.ExpiredIteratorException:
                return None
        records = answer["Records"]
        following = answer.get("NextShardIterator")
        return Answer(
            records=tuple(record["Data"] for record in records),
            last=records[-1]["SequenceNumber"] if records else None,
            behind=answer.get("MillisBehindLatest") or 0,
            ended=not following,
        ), following
