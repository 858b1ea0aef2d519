"""The consumer of a stream view: what the runner of streams calls, and what it puts online."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, final

import msgspec

from ...errors import Invalid
from ...events.consume.consumer import Consumer, Reaction, StreamInput
from ...events.port import Row
from ...events.tables.relations import raw_name, view_name
from ...project.reading.quantities import duration_text
from ..joins.view_history import ViewSource, entity_key
from ..port import OnlineViewSpec
from ..views.sources import online_spec, view_sources
from .tiles import TileRow, TileState, TileWindows

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...target import Target

_FORMAT = 1  # of the state's bytes: a state of another one is made anew


class PutRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a stream view, for the online store: of each entity the last one counts."""

    view: OnlineViewSpec
    tile: timedelta
    rows: Sequence[TileRow]

    def carry_out(self, target: Target, *, written_at: datetime) -> int:
        """Put each entity's newest row online, and return how many there were.

        Args:
            target: Where.
            written_at: A moment that grows with every call of the consumer's one writer.

        Raises:
            Invalid: A sum of whole numbers is beyond 64 bits.
        """
        import pyarrow as pa

        from ...events.tables.column_types import arrow_type

        newest = {key: (moment, values) for moment, key, values in self.rows}
        ends = [moment * (self.tile // timedelta(milliseconds=1)) for moment, _ in newest.values()]
        columns: dict[str, pa.Array[Any]] = {
            "entity_key": pa.array([entity_key(key) for key in newest], pa.string()),
            "feature_timestamp": pa.array(ends, pa.timestamp("ms")),
        }
        for place, feature in enumerate(self.view.features):
            numbers = [values[place] for _, values in newest.values()]
            try:
                columns[feature.name] = pa.array(numbers, arrow_type(feature.type))
            except OverflowError as error:
                raise _beyond_64_bits(self.view.name, feature.name) from error
        target.online.put(self.view, pa.table(columns), written_at=written_at)
        return len(newest)


def _beyond_64_bits(view: str, feature: str) -> Invalid:
    """Return the error for whole numbers whose sum no store and no warehouse can hold."""
    return Invalid(
        f"{view}: {feature} adds up to more than a whole number of 64 bits holds",
        remedy="give the attribute min and max in events: of project.yaml, or type: float; the "
        "worker goes on once the events have left the window",
    )


@final
class StreamViewConsumer:
    """A stream view as a kind of consumer: tiles, and rows that are put as they come to an end."""

    def __init__(self, source: ViewSource) -> None:
        view, definition = source.view, source.view.stream
        if definition is None:
            raise Invalid(
                f"{view.name} is not a stream view",
                remedy="a stream view has stream: and features: in project.yaml",
            )
        if view.ttl is None:
            raise Invalid(f"{view.name} has no ttl", remedy="write ttl: 1h in project.yaml")
        self.name = view.name
        self.kind = "stream view"
        self.summary = f"every {duration_text(definition.every)}"
        self.inputs = tuple(
            StreamInput(event=event, stream=raw_name(event), relation=view_name(event))
            for event in definition.events
        )
        self.lateness = definition.lateness
        # whoever is served has had an event so lately: an older row is beyond its ttl
        self.history = definition.windows[-1] + view.ttl + definition.lateness + definition.every
        meaning = msgspec.json.encode([_FORMAT, source.entity.key, definition], order="sorted")
        self.digest = hashlib.sha256(meaning).hexdigest()[:16]
        self.windows = TileWindows(source.entity.key, definition)
        self._tile = definition.every
        self._online = online_spec(source)

    def empty(self) -> TileState:
        """Return the state before any event."""
        return TileState()

    def apply(
        self, state: TileState, stream: StreamInput, events: Sequence[Row], *, watermark: datetime
    ) -> TileState:
        """Return the state after some events of one stream; the given one is changed."""
        self.windows.add(state, stream.event, events, watermark=watermark)
        return state

    def advance(
        self, state: TileState, *, watermark: datetime, now: datetime
    ) -> Reaction[TileState]:
        """Return the state at a later time, and the rows of the moments that have passed."""
        rows = self.windows.advance(state, watermark=watermark, now=now)
        if not rows:
            return Reaction(state=state)
        effect = PutRows(view=self._online, tile=self._tile, rows=rows)
        return Reaction(state=state, effects=(effect,))

    def figures(self, state: TileState) -> dict[str, int]:
        """Return the counts of events, late events and rows put since the state began."""
        return {"events": state.events, "late": state.late, "rows put": state.put}

    def encode(self, state: TileState) -> bytes:
        """Return a state as bytes, for a checkpoint; raise Invalid for one beyond 64 bits."""
        try:
            return self.windows.encode(state)
        except OverflowError as error:
            raise _beyond_64_bits(self.name, "a feature") from error

    def decode(self, data: bytes) -> TileState:
        """Return the state that was encoded as these bytes."""
        return self.windows.decode(data)


def stream_view_consumer(project: Project, view: str) -> Consumer[TileState]:
    """Return the consumer of a stream view of a project.

    Raises:
        NotFound: There is no such view.
        Invalid: It is not a stream view.
        ProjectError: A view's SQL is wrong.
    """
    return StreamViewConsumer(view_sources(project.description, [view])[0])


def stream_view_consumers(project: Project) -> Iterable[Consumer[TileState]]:
    """Return the consumers of all stream views of a project, in its order."""
    names = [name for name, view in project.spec.feature_views.items() if view.stream is not None]
    return [StreamViewConsumer(source) for source in view_sources(project.description, names)]
