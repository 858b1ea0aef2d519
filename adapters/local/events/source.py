"""EventSource in SQLite: a consumer reads the spool, and what compaction kept of it, by number."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple, final

import msgspec

from ....errors import Invalid, NotFound
from ....events.port import EventBatch, Row
from ....target import Target
from ....times import epoch_milliseconds, from_epoch
from ...common.warehouse.tables import TableDocument
from ..errors import translated
from ..sqlite import Database
from ..warehouse import catalogue, spool
from ..warehouse.kept import drop_committed
from .log import absent

# seconds between two looks for new events: the first, and the longest
_PAUSE, _PAUSE_AT_MOST = 0.002, 0.02
# the events of a stream from a number on, wherever they lie
_EVENTS = (
    "SELECT sequence, rows FROM event_kept WHERE stream = ?1 AND sequence >= ?2 UNION ALL "
    "SELECT sequence, rows FROM event_spool WHERE stream = ?1 AND sequence >= ?2"
)
_NUMBERS = _EVENTS.replace("sequence, rows", "sequence")
_SECOND = timedelta(seconds=1)


class _Place(NamedTuple):
    """A place in a stream: everything before a number is read, and some of its events."""

    sequence: int
    taken: int  # how many of the events under that number are read

    def receipt(self) -> bytes:
        """Return the place as the bytes that a caller stores."""
        return f"{self.sequence}.{self.taken}".encode()


@final
class LocalEventSource:
    """The EventSource port over the spool."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._calls = target.calls
        self._database = Database(target, catalogue.SCHEMA + spool.SCHEMA)

    def apply(self, stream: str, consumer: str, *, since: datetime) -> bytes:
        """Make a consumer of a stream, and return the place from which it reads.

        A new one begins with the events that were stored at `since` or later; one that is there
        stays where it is.

        Raises:
            NotFound: There is no such stream.
        """
        with translated(f"reading {stream}"):
            _existing(self._database.connection, stream)
            place = _place_of(self._database.connection, stream, consumer)
        if place is not None:
            return place.receipt()
        with (
            self._calls.mutating("events.consume", f"{stream}/{consumer}"),
            self._database.transaction(f"making consumer {consumer} of {stream}") as db,
        ):
            _existing(db, stream)
            place = _place_of(db, stream, consumer)
            if place is None:
                place = _Place(_first_since(db, stream, epoch_milliseconds(since)), 0)
                db.execute(
                    "INSERT INTO event_consumers VALUES (?, ?, ?, ?)", (stream, consumer, *place)
                )
        return place.receipt()

    def read(
        self, stream: str, consumer: str, *, after: bytes, limit: int, patience: timedelta
    ) -> EventBatch:
        """Return up to `limit` events after a place; wait for the first as long as `patience`.

        Raises:
            NotFound: There is no such stream or consumer.
            Invalid: The place is none of this stream's.
        """
        self._calls.reading("events.read", f"{stream}/{consumer}")
        deadline, pause = time.monotonic() + patience / _SECOND, _PAUSE
        with translated(f"reading {stream}"):
            self._check(stream, consumer)
            place = _read_place(after)
            while not self._has_events(stream, place):
                self._check(stream, consumer)  # also of what is removed meanwhile
                left = deadline - time.monotonic()
                if left <= 0:
                    return EventBatch(events=(), receipt=place.receipt(), behind=timedelta(0))
                time.sleep(min(pause, left))
                pause = min(2 * pause, _PAUSE_AT_MOST)
            with _one_state(self._database.connection) as db:
                # with the rows, as the stream may just have gained columns
                events, place = _events(db, _existing(db, stream), place, limit)
                behind = _behind(db, stream, place, self._target.clock())
        return EventBatch(events=events, receipt=place.receipt(), behind=behind)

    def commit(self, stream: str, consumer: str, receipt: bytes) -> None:
        """Move a consumer's committed place, and delete what no consumer needs any more.

        A place that is behind the committed one changes nothing.
        """
        place = _read_place(receipt)
        with translated(f"reading {stream}"):
            committed = _place_of(self._database.connection, stream, consumer)
        if committed is None or committed >= place:
            return
        with (
            self._calls.mutating("events.commit", f"{stream}/{consumer}"),
            self._database.transaction(f"committing {stream}/{consumer}") as db,
        ):
            db.execute(
                "UPDATE event_consumers SET sequence = ?3, taken = ?4 WHERE stream = ?1 AND "
                "consumer = ?2 AND (sequence, taken) < (?3, ?4)",
                (stream, consumer, *place),
            )
            drop_committed(db, stream)

    def remove(self, stream: str, consumer: str) -> None:
        """Forget a consumer of a stream with its place; do nothing if there is none."""
        with translated(f"reading {stream}"):
            if _place_of(self._database.connection, stream, consumer) is None:
                return
        with (
            self._calls.mutating("events.forget", f"{stream}/{consumer}"),
            self._database.transaction(f"forgetting consumer {consumer} of {stream}") as db,
        ):
            db.execute(
                "DELETE FROM event_consumers WHERE stream = ? AND consumer = ?", (stream, consumer)
            )
            drop_committed(db, stream)

    def _check(self, stream: str, consumer: str) -> None:
        """Raise NotFound unless there is a stream of the name with such a consumer."""
        db = self._database.connection
        _existing(db, stream)
        if _place_of(db, stream, consumer) is None:
            raise NotFound(
                f"stream {stream} has no consumer {consumer}", remedy="`apply` of the port makes it"
            )

    def _has_events(self, stream: str, place: _Place) -> bool:
        """Return whether a stream has events after a place."""
        rows = self._database.connection.execute(f"{_NUMBERS} LIMIT 1", (stream, place.sequence))
        return rows.fetchone() is not None

    def close(self) -> None:
        """Close the database."""
        self._database.close()


@contextmanager
def _one_state(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Let all reads of the block see one state of the database."""
    db.execute("BEGIN")
    try:
        yield db
    finally:
        db.execute("COMMIT")


def _events(
    db: sqlite3.Connection, document: TableDocument, place: _Place, limit: int
) -> tuple[tuple[Row, ...], _Place]:
    """Return up to `limit` events of a stream after a place, and the place after them."""
    make = _row_maker(document)
    events: list[Row] = []
    # closed, as a half-read statement would go on to hold its state of the database
    with closing(
        db.execute(
            f"{_EVENTS} ORDER BY sequence LIMIT ?3",
            # a number stands for one event at least
            (document.name, place.sequence, limit),
        )
    ) as stored:
        for sequence, encoded in stored:
            rows = msgspec.msgpack.decode(encoded)
            begin = place.taken if sequence == place.sequence else 0
            some = rows[begin : begin + limit - len(events)]
            events += map(make, some)
            end = begin + len(some)
            place = _Place(sequence + 1, 0) if end >= len(rows) else _Place(sequence, end)
            if len(events) >= limit:
                break
    return tuple(events), place


def _behind(db: sqlite3.Connection, stream: str, place: _Place, now: datetime) -> timedelta | None:
    """Return the age of the first event after a place; zero without one, None if not known."""
    (first,) = db.execute(
        f"SELECT min(sequence) FROM ({_NUMBERS})", (stream, place.sequence)
    ).fetchone()
    if first is None:
        return timedelta(0)
    arrival = db.execute(
        "SELECT arrived FROM event_arrivals WHERE sequence = ?", (first,)
    ).fetchone()
    # of what an older version stored the moment is not known
    return None if arrival is None else max(timedelta(0), now - from_epoch(arrival[0]))


def _read_place(receipt: bytes) -> _Place:
    """Return the place that a receipt names; raise Invalid for bytes that are none."""
    sequence, _, taken = receipt.partition(b".")
    if not (sequence.isdigit() and taken.isdigit()):
        raise Invalid(
            f"{receipt!r} is no place in a stream of this target",
            remedy="begin where `apply` says, or with a receipt of an earlier batch",
        )
    return _Place(int(sequence), int(taken))


def _existing(db: sqlite3.Connection, stream: str) -> TableDocument:
    """Return the stored description of a stream's table; raise NotFound if there is no stream."""
    document = catalogue.read(db, stream)
    if document is None or document.stream_key is None:
        raise absent(stream)
    return document


def _place_of(db: sqlite3.Connection, stream: str, consumer: str) -> _Place | None:
    """Return a consumer's committed place, or None if there is no such consumer."""
    row = db.execute(
        "SELECT sequence, taken FROM event_consumers WHERE stream = ? AND consumer = ?",
        (stream, consumer),
    ).fetchone()
    return None if row is None else _Place(*row)


def _first_since(db: sqlite3.Connection, stream: str, since: int) -> int:
    """Return the number of the first events that were stored at `since` (ms) or later.

    Where there are none, it is the next number that the spool will give. Events whose arrival is
    not known count as later.
    """
    (first,) = db.execute(
        f"SELECT min(sequence) FROM ({_NUMBERS}) LEFT JOIN event_arrivals USING (sequence) "
        "WHERE arrived IS NULL OR arrived >= ?3",
        (stream, 0, since),
    ).fetchone()
    if first is not None:
        return int(first)
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event_spool'").fetchone()
    return 1 if row is None else int(row[0]) + 1


def _row_maker(document: TableDocument) -> Callable[[list[object]], Row]:
    """Return what makes an event, by column name, of its stored values.

    A column that the stream gained since it was stored is None in it.
    """
    names = [column.name for column in document.columns]
    times = [n for n, column in enumerate(document.columns) if column.type == "timestamp"]
    width = len(names)

    def make(values: list[object]) -> Row:
        values += [None] * (width - len(values))
        for n in times:
            if isinstance(moment := values[n], int):
                values[n] = from_epoch(moment)
        return dict(zip(names, values, strict=True))

    return make
