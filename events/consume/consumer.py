"""Define what a kind of consumer of streams is to the runner, which knows none of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from ..port import Row

if TYPE_CHECKING:
    from ...target import Target

State = TypeVar("State")


class StreamInput(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that a consumer reads, and the warehouse's relation of the same events."""

    event: str  # the event's name: click
    stream: str  # as the ports EventLog and EventSource call it: click_raw
    relation: str  # each event exactly once: events_click


def event_time(row: Row) -> datetime:
    """Return an event's own time."""
    moment = row["event_timestamp"]
    assert isinstance(moment, datetime)  # noqa: S101  the port says so
    return moment


class Effect(Protocol):
    """Something that a consumer does outside of itself. Done twice it is as if done once."""

    def carry_out(self, target: Target, *, written_at: datetime) -> int:
        """Do it on a target, and return the number of rows that were written.

        Args:
            target: Where.
            written_at: A moment that grows with every call of the consumer's one writer.
        """
        ...


class Reaction(msgspec.Struct, Generic[State], frozen=True, kw_only=True):
    """A consumer's next state, and what it does in the world before that state is stored."""

    state: State
    effects: tuple[Effect, ...] = ()


class Consumer(Protocol[State]):
    """A kind of consumer as pure functions of a state of its own.

    The runner drops events that come twice, so that `apply` sees each once. It calls `apply` for
    every batch and then `advance`. It may run both again from an earlier state after a crash.
    """

    name: str  # as the project calls it: item_live
    kind: str  # for people: stream view
    summary: str  # for people, how it works: every 1m
    inputs: tuple[StreamInput, ...]
    lateness: timedelta  # how late an event may come: the watermark stays so far behind
    history: timedelta  # how far back events matter to a consumer that begins without a state
    digest: str  # of the definition: a state of another definition is thrown away

    def empty(self) -> State:
        """Return the state before any event."""
        ...

    def apply(
        self, state: State, stream: StreamInput, events: Sequence[Row], *, watermark: datetime
    ) -> State:
        """Return the state after some events of one stream. It may change the given state.

        Events older than the watermark came too late: they are counted, and change nothing else.
        """
        ...

    def advance(self, state: State, *, watermark: datetime, now: datetime) -> Reaction[State]:
        """Return what follows from the passing of time: a state, and effects.

        Args:
            state: The state. It may be changed.
            watermark: No event older than this will come, but for those that are too late.
            now: The clock's time.
        """
        ...

    def figures(self, state: State) -> dict[str, int]:
        """Return counts for people, by short names such as `rows put`, since the state began."""
        ...

    def encode(self, state: State) -> bytes:
        """Return a state as bytes, for a checkpoint."""
        ...

    def decode(self, data: bytes) -> State:
        """Return the state that was encoded as these bytes."""
        ...
