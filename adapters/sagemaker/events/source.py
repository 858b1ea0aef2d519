"""EventSource over Kinesis: one process reads all shards of a stream by turns.

The place is the consumer's: the last sequence number of each shard. What only this process needs
(iterators, the list of shards) is kept in memory and made anew by the next.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import final

import msgspec

from ....errors import IsthmusError, NotFound, Throttled, Unavailable
from ....events.port import Column, EventBatch, Row
from ....target import Target
from ....times import epoch_milliseconds
from ..session import aws_of
from ..warehouse import catalogue
from . import places, stream_records
from .pace import Pace
from .shard_reads import Answer, ShardReads

_LISTED = 60.0  # seconds that the list of shards is trusted, unless one of them ends
_SOON = 1.0  # seconds after which the list is asked for again where no shard of it can be read
_COLUMNS = 60.0  # seconds after which a name that is no column makes us look for new columns again


class _StreamColumns(msgspec.Struct, kw_only=True):
    """The columns of a stream, as this process last read them."""

    columns: tuple[Column, ...]
    looked: float  # when the columns were read, on the machine's clock
    strange: frozenset[str] = frozenset()  # names in events that were no columns then


class _Reading(msgspec.Struct, kw_only=True):
    """A consumer's reading of a stream, as far as this process keeps it."""

    reads: ShardReads
    shards: Sequence[places.Shard] = ()
    listed: float | None = None  # when the shards were listed; None: they have to be
    turn: str = ""  # the shard that was read last
    behind: dict[str, tuple[int, float]] = {}  # by shard: milliseconds, and when that was told


class _Work(msgspec.Struct, kw_only=True):
    """One call of `read`: what it has to go by, and how far it is."""

    stream: str
    cached: _StreamColumns
    reading: _Reading
    place: places.Place
    limit: int
    events: list[Row] = []
    tried: set[str] = set()  # shards that were asked at least once
    refused: dict[str, IsthmusError] = {}  # the last answer of shards that refused


@final
class KinesisEventSource:
    """The EventSource port over Kinesis."""

    def __init__(self, target: Target) -> None:
        self._aws = aws_of(target)
        self._pace = Pace()
        self._columns_by_stream: dict[str, _StreamColumns] = {}
        self._readings: dict[tuple[str, str], _Reading] = {}

    def apply(self, stream: str, consumer: str, *, since: datetime) -> bytes:
        """Return the place from which a consumer reads; Kinesis keeps nothing of consumers.

        Raises:
            NotFound: There is no such stream.
        """
        self._look(stream)
        self._readings.pop((stream, consumer), None)
        created, _ = ShardReads(self._aws, stream).summary()
        return places.encode(places.Place(created=created, since=epoch_milliseconds(since)))

    def read(
        self, stream: str, consumer: str, *, after: bytes, limit: int, patience: timedelta
    ) -> EventBatch:
        """Read up to `limit` events of all shards after a place, each shard at least once.

        Raises:
            NotFound: There is no such stream.
            Throttled: A shard refused as long as there was patience; nothing is lost.
        """
        began = time.monotonic()
        cached = self._columns_by_stream.get(stream) or self._look(stream)
        reading = self._open(stream, consumer)
        place = places.decode(after, stream)
        if (
            place.created != reading.reads.created
        ):  # another stream of the same name: all of it is new
            place = places.Place(created=reading.reads.created, since=place.since)
        work = _Work(stream=stream, cached=cached, reading=reading, place=place, limit=limit)
        try:
            self._read(work, patience)
        except NotFound:
            self._forget(stream)
            raise
        return EventBatch(
            events=tuple(work.events),
            receipt=places.encode(place),
            behind=_behind(reading, place, began),
        )

    def commit(self, stream: str, consumer: str, receipt: bytes) -> None:
        """Do nothing: the place is the consumer's, and Kinesis drops no event that was read."""

    def remove(self, stream: str, consumer: str) -> None:
        """Forget what this process knows of a consumer of a stream; Kinesis knows nothing of it."""
        self._readings.pop((stream, consumer), None)

    def _look(self, stream: str) -> _StreamColumns:
        """Read the columns of a stream's table.

        Raises:
            NotFound: There is no such stream.
        """
        stored = catalogue.read(self._aws, stream)
        if stored is None or stored.document.stream_key is None:
            raise _no_stream(stream)
        cached = _StreamColumns(columns=stored.document.columns, looked=time.monotonic())
        self._columns_by_stream[stream] = cached
        return cached

    def _open(self, stream: str, consumer: str) -> _Reading:
        """Return what is cached of a consumer's reading; begin it where nothing is."""
        reading = self._readings.get((stream, consumer))
        if reading is None:
            reads = ShardReads(self._aws, stream)
            reads.summary()
            reading = self._readings[stream, consumer] = _Reading(reads=reads)
        return reading

    def _forget(self, stream: str) -> None:
        """Forget all that this process knows of a stream."""
        self._columns_by_stream.pop(stream, None)
        for key in [key for key in self._readings if key[0] == stream]:
            self._readings.pop(key, None)

    def _read(self, work: _Work, patience: timedelta) -> None:
        """Read shards by turns until there are events or patience is over; each at least once.

        Raises:
            Throttled, Unavailable: There are no events, and a shard could not be read.
        """
        deadline = time.monotonic() + patience.total_seconds()
        while True:
            self._round(work)
            if work.events:
                return
            current = places.readable(work.place, work.reading.shards)
            left = [shard for shard in current if shard not in work.tried]
            now = time.monotonic()
            if not left and now >= deadline:
                break
            wait = self._pace.wait(work.stream, left or current)
            time.sleep(wait if left else max(0.0, min(wait, deadline - now)))
        if work.refused:
            raise next(iter(work.refused.values()))

    def _round(self, work: _Work) -> None:
        """Read each shard that may be read now, as far as the limit of events goes."""
        self._list(work.reading, work.place)
        readable = places.readable(work.place, work.reading.shards)
        for shard in _by_turns(readable, work.reading.turn):
            if len(work.events) >= work.limit:
                return
            if self._pace.take(work.stream, shard):
                work.reading.turn = shard
                self._read_shard(work, shard)

    def _read_shard(self, work: _Work, shard: str) -> None:
        """Read a shard once: take its events, and move the place."""
        reads = work.reading.reads
        work.tried.add(shard)
        try:
            answer = reads.get(work.place, shard, work.limit - len(work.events))
        except (Throttled, Unavailable) as error:
            work.refused[shard] = error
            self._pace.note_refusal(work.stream, shard)
            return
        except NotFound:
            work.reading.listed = None
            if shard in {listed.name for listed in reads.shards()}:
                raise
            return  # the stream has trimmed it, with its last record
        work.refused.pop(shard, None)
        self._pace.note_answer(work.stream, shard, answer.size)
        work.events += self._rows(work.stream, work.cached, answer.records)
        _move(work.reading, work.place, shard, answer)

    def _list(self, reading: _Reading, place: places.Place) -> None:
        """List a stream's shards, unless the list is new enough."""
        age = None if reading.listed is None else time.monotonic() - reading.listed
        enough = _LISTED if places.readable(place, reading.shards) else _SOON
        if age is None or age > enough:
            reading.shards = reading.reads.shards()
            reading.listed = time.monotonic()
            places.forget_absent(place, reading.shards)

    def _rows(self, stream: str, cached: _StreamColumns, records: Sequence[bytes]) -> list[Row]:
        """Return the events in records. What does not fit the stream is left out, as by Firehose.

        Others may have put it there; `append` does not.
        """
        rows, strange = stream_records.events(cached.columns, records)
        if strange - cached.strange or (strange and time.monotonic() - cached.looked > _COLUMNS):
            newer = self._look(stream)  # a column may have been added since
            cached.columns, cached.looked = newer.columns, newer.looked
            rows, cached.strange = stream_records.events(cached.columns, records)
        return rows


def _by_turns(shards: list[str], last: str) -> list[str]:
    """Return shards in the order in which they are read: first those after the last one."""
    following = next((index for index, shard in enumerate(shards) if shard > last), 0)
    return shards[following:] + shards[:following]


def _move(reading: _Reading, place: places.Place, shard: str, answer: Answer) -> None:
    """Move a place on by what a shard answered."""
    reading.behind[shard] = (answer.behind, time.monotonic())
    if answer.last is not None:
        place.read[shard] = answer.last
    if answer.ended:
        place.ended.append(shard)
        place.read.pop(shard, None)
        reading.behind.pop(shard, None)
        reading.listed = None  # others go on from it


def _behind(reading: _Reading, place: places.Place, began: float) -> timedelta | None:
    """Return an upper bound of the age of the oldest event of a stream that is not read yet.

    It is the largest of what Kinesis said of each shard when it was last asked. To that of a shard
    that was last asked before `began`, the time since then is added.

    Args:
        reading: The shards, and what Kinesis said of them.
        place: The place up to which the stream is read.
        began: When the read that ends now began, on the monotonic clock.

    Returns:
        The age; None if a shard was never asked, or its children are not readable yet.
    """
    now = time.monotonic()
    ages: list[float] = []
    for shard in places.readable(place, reading.shards):
        if shard not in reading.behind:
            return None
        milliseconds, moment = reading.behind[shard]
        ages.append(milliseconds / 1000 + (now - moment if moment < began else 0.0))
    oldest = max(ages, default=0.0)
    if not oldest and (not ages or places.waiting(place, reading.shards)):
        return None
    return timedelta(seconds=oldest)


def _no_stream(stream: str) -> NotFound:
    """Return the error for a stream that does not exist."""
    return NotFound(
        f"there is no stream {stream}",
        remedy="`isthmus apply` makes the streams that the project needs",
    )
