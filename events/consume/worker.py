"""Read streams for one consumer: lease, state, read, apply, advance, effects, checkpoint, commit.

A worker may be killed anywhere. What was not checkpointed is read again, and what was done in the
world for it is done again, with the same values.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar, final

import msgspec

from ...core import logs
from ...errors import Refused
from ...times import Clock, utc_milliseconds
from ..port import EventBatch, Row
from . import checkpoint as stored_state
from .checkpoint import StreamState
from .cold_start import PAGE, past_events
from .consumer import Consumer, Effect, State, StreamInput, event_time
from .holding import Holding
from .lag import Lag, is_hopeless
from .recent_ids import FAR, RecentIds
from .retries import insist
from .watermark import BEGINNING, Progress, advanced, after_read

if TYPE_CHECKING:
    from ...target import Target

EVERY = timedelta(seconds=60)  # between checkpoints,
MOST_EVENTS = 100_000  # or so many events
BATCH = 10_000  # events of one read
_PATIENCE = timedelta(milliseconds=250)  # how long a read waits, where nothing came before it
_MARGIN = timedelta(minutes=5)  # of a cold start: how far before its end the stream is read
_OVERLAP = 8  # checkpoints within which the events of that margin have come again
_TELL = timedelta(seconds=5)  # between two reports

Answer = TypeVar("Answer")


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker is getting on."""

    consumer: str
    events: int  # since its state began
    rate: float  # events a second since the last report
    behind: timedelta | None  # the age of the oldest event that is not read; None: not known
    checkpoint: int
    figures: Mapping[str, int]  # the kind's: late, rows put


@final
class Worker(Generic[State]):
    """One worker of one consumer; `run` works until it is stopped."""

    def __init__(
        self,
        target: Target,
        consumer: Consumer[State],
        *,
        now: Clock,
        tell: Callable[[WorkerReport], None] = lambda _report: None,
        max_behind: timedelta | None = None,
        every: timedelta = EVERY,
    ) -> None:
        """Prepare a worker; nothing is read or written.

        Args:
            target: Whose streams and stores it uses. Leases go by its clock.
            consumer: What is done with the events.
            now: The clock of the events' own times.
            tell: Called with a report every few seconds, and at the end.
            max_behind: Give up where the worker stays further behind than this.
            every: The time between checkpoints.
        """
        self._target, self._consumer = target, consumer
        self._now, self._tell = now, tell
        self._max_behind, self._every = max_behind, every
        self._holding = Holding(target.state, consumer.name, clock=target.clock)
        self._receipts: dict[str, bytes] = {}
        self._recent = {source.stream: RecentIds() for source in consumer.inputs}
        self._progress = Progress()
        self._behind: dict[str, timedelta | None] = {}
        self._state = consumer.empty()
        self._events = self._unsaved = self._told_events = 0
        self._saved = self._told = target.clock()
        self._lag = Lag()

    def run(self, stop: threading.Event, *, duration: timedelta | None = None) -> WorkerReport:
        """Work until `stop` is set, somebody asks by the document, or the duration is over.

        The batch under way is finished, and a last checkpoint is written.

        Raises:
            Busy: Another worker reads for this consumer.
            Conflict: Another worker took over, as this one's lease had run out.
            Refused: The stream does not keep what is needed, or it is too far behind.
        """
        clock = self._target.clock
        ends = None if duration is None else clock() + duration
        self._holding.take()
        try:
            self._begin()
            idle = False
            while not (self._holding.keep() or stop.is_set() or (ends and clock() >= ends)):
                idle = self._round(stop, _PATIENCE if idle else timedelta()) == 0
                if self._is_due():
                    self._save()
                self._report(stop)
            self._save()
        finally:
            self._holding.give_back()
        report = self._report(None)
        assert report is not None  # noqa: S101  it is made where nothing is asked
        return report

    def _begin(self) -> None:
        """Load the last checkpoint, or count from the warehouse where there is none."""
        document, consumer = self._holding.document, self._consumer
        if not document.state or document.definition != consumer.digest:
            self._start_cold()
            return
        self._require_kept(document.checkpointed)
        loaded = self._ask(
            lambda: stored_state.read_state(self._target.blobs, consumer.name, document)
        )
        since = (document.checkpointed or self._target.clock()) - _MARGIN
        for source in consumer.inputs:  # it is there, unless somebody removed it
            self._place(source, since)
        self._receipts = dict(loaded.receipts)
        self._recent = {
            source.stream: RecentIds(loaded.recent.get(source.stream)) for source in consumer.inputs
        }
        self._progress, self._events = loaded.progress, loaded.events
        self._state = consumer.decode(loaded.state)
        self._told_events = self._events

    def _require_kept(self, checkpointed: datetime | None) -> None:
        """Raise Refused if the streams do not go back to the last checkpoint any more."""
        capability = self._target.capabilities.get("events.replay")
        limit = capability.value if capability is not None else None
        if checkpointed is None or not isinstance(limit, timedelta):
            return
        needed = self._target.clock() - checkpointed
        if needed >= limit:
            raise Refused(
                f"{self._consumer.name} needs {_hours(needed)} of the stream and it keeps "
                f"{_hours(limit)}",
                remedy=f"isthmus stream rebuild {self._consumer.name}; the next run then counts "
                "from the warehouse",
            )

    def _start_cold(self) -> None:
        """Count from the warehouse up to now, and place the reader in the streams a bit before.

        What was read from both counts once, by the ids.
        """
        consumer, target = self._consumer, self._target
        delay = (
            target.capabilities["events.delay"].value
            if ("events.delay" in target.capabilities)
            else None
        )
        visible = delay if isinstance(delay, timedelta) else timedelta()
        begun = utc_milliseconds(target.clock()) - visible - _MARGIN
        for source in consumer.inputs:
            self._ask(partial(target.event_source.remove, source.stream, consumer.name))
            self._receipts[source.stream] = self._place(source, begun)
        now = utc_milliseconds(self._now())
        complete = now - visible  # all events that arrived before are in the warehouse
        settled = max(complete - consumer.lateness, BEGINNING)
        watermark = BEGINNING
        for page in past_events(
            target.warehouse,
            consumer.inputs,
            since=now - consumer.history,
            until=now,
            page=PAGE,
            ask=self._ask,
        ):
            self._holding.keep()
            for number, source in enumerate(consumer.inputs):
                events = [row for _, place, row in page if place == number]
                self._take(source, events, watermark, longer=_OVERLAP)
            last = page[-1][0]
            watermark = max(watermark, min(last, settled))
            self._advance(watermark, now=last)
            for recent in self._recent.values():
                recent.forget(watermark=min(watermark, settled - _MARGIN), checkpoint=FAR)
        self._progress = advanced(
            Progress(newest={source.stream: complete for source in consumer.inputs}),
            [source.stream for source in consumer.inputs],
            lateness=consumer.lateness,
        )
        self._advance(self._progress.watermark, now=now)
        self._save()

    def _round(self, stop: threading.Event, patience: timedelta) -> int:
        """Read each stream once, apply what is new, and do what follows; return the events read."""
        consumer, count = self._consumer, 0
        watermark = self._progress.watermark
        for source in consumer.inputs:
            moment = utc_milliseconds(self._now())
            batch = self._read(stop, source, patience / len(consumer.inputs))
            if batch is None:
                continue
            newest = max((event_time(row) for row in batch.events), default=None)
            self._take(source, batch.events, watermark)
            self._progress = after_read(
                self._progress, source.stream, newest=newest, behind=batch.behind, moment=moment
            )
            self._receipts[source.stream] = batch.receipt
            self._behind[source.stream] = batch.behind
            count += len(batch.events)
        streams = [source.stream for source in consumer.inputs]
        self._progress = advanced(self._progress, streams, lateness=consumer.lateness)
        self._advance(self._progress.watermark, now=utc_milliseconds(self._now()))
        return count

    def _read(
        self, stop: threading.Event, source: StreamInput, patience: timedelta
    ) -> EventBatch | None:
        """Return a batch of a stream; None where somebody asked to stop before it was read."""
        source_port, after = self._target.event_source, self._receipts[source.stream]

        def read() -> EventBatch | None:
            if stop.is_set():
                return None
            return source_port.read(
                source.stream, self._consumer.name, after=after, limit=BATCH, patience=patience
            )

        return self._ask(read)

    def _place(self, source: StreamInput, since: datetime) -> bytes:
        """Place the reader in a stream, unless it has a place there, and return the place."""
        return self._ask(
            lambda: self._target.event_source.apply(source.stream, self._consumer.name, since=since)
        )

    def _ask(self, act: Callable[[], Answer]) -> Answer:
        """Return what a call to the provider returns, asking again for a minute under the lease.

        Raises:
            Throttled, Unavailable, OutcomeUnknown: The provider still refuses after a minute.
            Conflict: Another worker has taken the lease meanwhile.
        """
        return insist(act, clock=self._target.clock, meanwhile=self._holding.keep)

    def _take(
        self, source: StreamInput, events: Sequence[Row], watermark: datetime, *, longer: int = 0
    ) -> None:
        """Apply those events of a stream that were not applied before.

        Their ids are remembered for two checkpoints and `longer` more, at least.
        """
        recent, number = self._recent[source.stream], self._holding.document.number + longer
        fresh = [
            row
            for row in events
            if recent.add(str(row["event_id"]), event_time(row), checkpoint=number)
        ]
        if fresh:
            self._state = self._consumer.apply(self._state, source, fresh, watermark=watermark)
            self._events += len(fresh)
            self._unsaved += len(fresh)

    def _advance(self, watermark: datetime, *, now: datetime) -> None:
        """Let the kind do what follows from the passing of time."""
        reaction = self._consumer.advance(self._state, watermark=watermark, now=now)
        self._state = reaction.state
        for effect in reaction.effects:
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        """Do something in the world under the lease."""
        self._ask(
            lambda: effect.carry_out(self._target, written_at=self._holding.next_written_at())
        )

    def _is_due(self) -> bool:
        """Return whether it is time for a checkpoint."""
        waited = self._target.clock() - self._saved
        return waited >= self._every or self._unsaved >= MOST_EVENTS

    def _save(self) -> None:
        """Write a checkpoint, then tell the streams what need not come again."""
        consumer, document = self._consumer, self._holding.document
        number = document.number + 1
        for recent in self._recent.values():
            recent.forget(watermark=self._progress.watermark, checkpoint=number)
        state = StreamState(
            receipts=self._receipts,
            recent={stream: recent.stored() for stream, recent in self._recent.items()},
            progress=self._progress,
            events=self._events,
            state=consumer.encode(self._state),
        )
        blobs = self._target.blobs
        name, digest = self._ask(
            lambda: stored_state.write_state(blobs, consumer.name, number, state)
        )
        behind = self._behind_all()
        self._holding.write(
            number=number,
            state=name,
            digest=digest,
            definition=consumer.digest,
            checkpointed=utc_milliseconds(self._target.clock()),
            events=self._events,
            behind=None if behind is None else behind.total_seconds(),
            figures=consumer.figures(self._state),
        )
        self._saved, self._unsaved = self._target.clock(), 0
        for source in consumer.inputs:
            receipt = self._receipts[source.stream]
            self._ask(
                partial(self._target.event_source.commit, source.stream, consumer.name, receipt)
            )
        self._ask(lambda: stored_state.remove_older_states(blobs, consumer.name, number))

    def _behind_all(self) -> timedelta | None:
        """Return how far the worker is behind in the stream in which it is most; None: unknown."""
        values = [self._behind.get(source.stream) for source in self._consumer.inputs]
        ages = [value for value in values if value is not None]
        return max(ages) if ages and len(ages) == len(values) else None

    def _report(self, stop: threading.Event | None) -> WorkerReport | None:
        """Tell how the worker is getting on, every few seconds; None where it is not time yet.

        Raises:
            Refused: It is further behind than it may be, and does not catch up.
        """
        now = self._target.clock()
        behind = self._behind_all()
        if stop is not None and now - self._told < _TELL:
            return None
        seconds = max((now - self._told).total_seconds(), 0.001)
        report = WorkerReport(
            consumer=self._consumer.name,
            events=self._events,
            rate=(self._events - self._told_events) / seconds,
            behind=behind,
            checkpoint=self._holding.document.number,
            figures=self._consumer.figures(self._state),
        )
        self._told, self._told_events = now, self._events
        self._tell(report)
        logs.emit(
            "stream",
            consumer=report.consumer,
            events=report.events,
            rate=round(report.rate, 1),
            behind=None if behind is None else behind.total_seconds(),
            checkpoint=report.checkpoint,
        )
        if stop is not None and self._max_behind is not None:
            self._lag, is_over = is_hopeless(self._lag, behind, self._max_behind, now)
            if is_over:
                self._save()
                raise Refused(
                    f"{self._consumer.name} is {behind} behind, more than --max-behind, and does "
                    "not catch up",
                    remedy="give the worker a machine of its own, or more time",
                )
        return report


def _hours(duration: timedelta) -> str:
    """Return a duration for people, in whole hours or minutes."""
    minutes = round(duration.total_seconds() / 60)
    return f"{minutes // 60} h" if minutes >= 60 else f"{minutes} min"
