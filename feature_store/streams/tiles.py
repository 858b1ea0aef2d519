"""Count a stream view's tiles from single events, and make its rows as time passes.

Pure: a state, and functions of it. The same rows follow from the view's SQL
(project/features/tile_sql.py). Times are whole numbers of tiles since 1970: a tile is named by its
end, and an event at a tile's very end is the next one's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import chain
from math import fsum
from typing import Any, final

import msgspec

from ...events.port import Row
from ...project.features.tile_sql import TileTotal, tile_totals
from ...project.specs.stream_views import StreamDefinition

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Key = int | str
Tile = list[Any]  # a figure for each total: a count, or a number or None
TileRow = tuple[int, Key, tuple[float | None, ...]]  # the moment, the entity, its features


@final
class EntityTiles:
    """The tiles of one entity by their ends, and each window's counts at the state's clock."""

    __slots__ = ("counts", "tiles")

    def __init__(self) -> None:
        self.tiles: dict[int, Tile] = {}
        self.counts: list[int] | None = None  # of `TileWindows.counted`; None: to be added up


@final
class TileState:
    """The state of a stream view's consumer: tiles, moments that are due, and figures."""

    __slots__ = ("clock", "corrected", "due", "entities", "events", "floor", "late", "leaving",
                 "moments", "put")  # fmt: skip

    def __init__(self) -> None:
        self.clock = 0  # rows up to this moment were made
        self.floor = 0  # events of tiles that end before come too late
        self.entities: dict[Key, EntityTiles] = {}
        self.due: dict[int, set[Key]] = {}  # entities by the moment of a row that was not made
        self.moments: list[int] = []  # a heap of the keys of `due`
        self.leaving: list[tuple[int, Key]] = []  # a heap: tiles that have left every window
        self.corrected: dict[Key, int] = {}  # the first tile of each that changed after its row
        self.events = 0
        self.late = 0
        self.put = 0


@final
class TileWindows:
    """The arithmetic of one stream view's definition. It holds no state."""

    def __init__(self, key: str, definition: StreamDefinition) -> None:
        self.key = key
        self.every = definition.every
        self.lateness = definition.lateness
        self.seconds = definition.every.total_seconds()
        self.windows = tuple(window // definition.every for window in definition.windows)
        self.longest = self.windows[-1]
        totals = tuple(dict.fromkeys(chain(*map(tile_totals, definition.features))))
        self.empty: Tile = [0 if _is_whole(total) else None for total in totals]
        # of an event: the place in the tile, how it is added, and the attribute that is
        self.additions = {
            event: tuple(
                (place, total.function, total.attribute, total.type == "float64")
                for place, total in enumerate(totals)
                if total.event == event
            )
            for event in definition.events
        }
        # whole numbers are added and taken away as tiles come and go: (place in a tile, window)
        self.counted: list[tuple[int, int]] = []
        self.features: list[tuple[str, int, int, int]] = []
        for feature in definition.features:
            window = feature.window // definition.every
            places = [totals.index(total) for total in tile_totals(feature)]
            if feature.aggregate in {"count", "sum"} and feature.type == "int64":
                self.features.append(("whole", self._counter(places[0], window), 0, window))
            elif feature.aggregate == "mean":
                counter = self._counter(places[1], window)
                self.features.append(("mean", places[0], counter, window))
            else:
                self.features.append((feature.aggregate, places[0], 0, window))

    def _counter(self, place: int, window: int) -> int:
        """Return the place of a running count of a window, which is made if there is none."""
        if (place, window) not in self.counted:
            self.counted.append((place, window))
        return self.counted.index((place, window))

    def index(self, moment: datetime) -> int:
        """Return the last end of a tile up to a moment."""
        return (moment - EPOCH) // self.every

    def moment(self, index: int) -> datetime:
        """Return the time of a tile's end."""
        return EPOCH + index * self.every

    def add(
        self, state: TileState, event: str, rows: Sequence[Row], *, watermark: datetime
    ) -> None:
        """Add events of one kind to their tiles; count those that came too late."""
        entities, key, seconds = state.entities, self.key, self.seconds
        clock, floor, late = state.clock, state.floor, 0
        additions = self.additions[event]
        counts_only = len(additions) == 1 and additions[0][2] is None
        only = additions[0][0]
        for row in rows:
            happened: Any = row["event_timestamp"]
            end = int(happened.timestamp() // seconds) + 1
            if happened < watermark or end < floor:
                late += 1
                continue
            name: Any = row[key]
            if name is None:
                continue
            entity = entities.get(name)
            if entity is None:
                entity = entities[name] = EntityTiles()
            tile = entity.tiles.get(end)
            if tile is None:
                tile = entity.tiles[end] = self.empty.copy()
                self._schedule(state, name, end)
            if end <= clock:
                state.corrected[name] = min(end, state.corrected.get(name, end))
            if counts_only:
                tile[only] += 1
            else:
                _add_values(tile, additions, row)
        state.events += len(rows)
        state.late += late

    def _schedule(self, state: TileState, name: Key, end: int) -> None:
        """Note the moments at which a tile ends and leaves each window."""
        due, clock = state.due, state.clock
        if end + self.longest <= clock:
            heappush(state.leaving, (end + self.longest, name))
        for window in (0, *self.windows):
            moment = end + window
            if moment > clock:
                names = due.get(moment)
                if names is None:
                    due[moment] = {name}
                    heappush(state.moments, moment)
                else:
                    names.add(name)

    def advance(self, state: TileState, *, watermark: datetime, now: datetime) -> list[TileRow]:
        """Move the clock, and return the rows of all moments that passed, the newest last.

        Rows that a late event corrected come first, for each moment from its tile's end on.
        """
        rows: list[TileRow] = []
        for name, first in state.corrected.items():
            entity = state.entities[name]
            entity.counts = None
            rows += (
                (moment, name, self._values(entity, moment, self._counts(entity, moment)))
                for moment in sorted(self._moments(entity, first, state.clock))
            )
        state.corrected.clear()
        until = self.index(now)
        entities, longest = state.entities, self.longest
        while state.moments and state.moments[0] <= until:
            moment = heappop(state.moments)
            for name in state.due.pop(moment):
                entity = entities[name]
                counts = self._moved_counts(entity, moment)
                rows.append((moment, name, self._values(entity, moment, counts)))
                if moment - longest in entity.tiles:
                    heappush(state.leaving, (moment, name))
        state.clock = max(state.clock, until)
        # a cold start moves the watermark without lateness; its stream may still correct tiles
        oldest = min(watermark, now - self.lateness)
        state.floor = max(state.floor, self.index(oldest) + 1)
        while state.leaving and state.leaving[0][0] <= min(state.clock, state.floor):
            moment, name = heappop(state.leaving)
            if (left := entities.get(name)) is not None:
                left.tiles.pop(moment - longest, None)
                if not left.tiles:
                    del entities[name]
        state.put += len({name for _, name, _ in rows})
        return rows

    def _moments(self, entity: EntityTiles, first: int, last: int) -> set[int]:
        """Return the moments of an entity's rows from one to another."""
        return {
            end + window
            for end in entity.tiles
            for window in (0, *self.windows)
            if first <= end + window <= last
        }

    def _moved_counts(self, entity: EntityTiles, moment: int) -> list[int]:
        """Return an entity's running counts, moved to its next moment."""
        counts, tiles = entity.counts, entity.tiles
        if counts is None:
            counts = entity.counts = self._counts(entity, moment)
            return counts
        entering = tiles.get(moment)
        for number, (place, window) in enumerate(self.counted):
            if entering is not None:
                counts[number] += entering[place] or 0
            leaving = tiles.get(moment - window)
            if leaving is not None:
                counts[number] -= leaving[place] or 0
        return counts

    def _counts(self, entity: EntityTiles, moment: int) -> list[int]:
        """Add up the running counts of an entity at a moment from its tiles."""
        return [
            sum(tile[place] or 0 for tile in _within(entity.tiles, moment, window))
            for place, window in self.counted
        ]

    def _values(
        self, entity: EntityTiles, moment: int, counts: list[int]
    ) -> tuple[float | None, ...]:
        """Return the features of an entity at a moment."""
        values: list[float | None] = []
        for kind, place, counter, window in self.features:
            if kind == "whole":
                values.append(counts[place])
                continue
            numbers = [
                tile[place]
                for tile in _within(entity.tiles, moment, window)
                if tile[place] is not None
            ]
            if kind == "sum":
                values.append(_added(numbers))
            elif not numbers:
                values.append(None)
            elif kind == "mean":
                values.append(_added(numbers) / counts[counter])
            else:
                values.append(min(numbers) if kind == "min" else max(numbers))
        return tuple(values)

    def encode(self, state: TileState) -> bytes:
        """Return a state as msgpack: figures, then each entity's tiles."""
        return msgspec.msgpack.encode(
            [
                [state.clock, state.floor, state.events, state.late, state.put],
                list(state.corrected.items()),
                [
                    [name, [[end, *tile] for end, tile in entity.tiles.items()]]
                    for name, entity in state.entities.items()
                ],
            ]
        )

    def decode(self, data: bytes) -> TileState:
        """Return the state that was encoded so. What is due follows from the tiles."""
        figures, corrected, entities = msgspec.msgpack.decode(data)
        state = TileState()
        state.clock, state.floor, state.events, state.late, state.put = figures
        state.corrected = dict(corrected)
        for name, tiles in entities:
            entity = state.entities[name] = EntityTiles()
            for end, *tile in tiles:
                entity.tiles[end] = tile
                self._schedule(state, name, end)
        return state


def _is_whole(total: TileTotal) -> bool:
    """Return whether an empty tile holds 0 for a total, and not nothing."""
    return total.function == "count"


def _added(numbers: Sequence[float]) -> float:
    """Return the sum of floats; one beyond their range is infinite, as in SQL."""
    try:
        return fsum(numbers)
    except (OverflowError, ValueError):  # too large, or infinities of both signs
        return sum(numbers)


def _add_values(
    tile: Tile, additions: Sequence[tuple[int, str, str | None, bool]], row: Row
) -> None:
    """Add what one event says to the figures of its tile; nulls add nothing."""
    for place, function, attribute, fraction in additions:
        if attribute is None:
            tile[place] += 1
            continue
        value: Any = row[attribute]
        if value is None:
            continue
        if function == "count":
            tile[place] += 1
            continue
        if fraction:
            value = float(value)
        total = tile[place]
        if total is None:
            tile[place] = value
        elif function == "sum":
            tile[place] = total + value
        elif function == "min":
            tile[place] = min(total, value)
        else:
            tile[place] = max(total, value)


def _within(tiles: dict[int, Tile], moment: int, window: int) -> Iterator[Tile]:
    """Yield the tiles that end within a window up to a moment."""
    if len(tiles) < window:
        for end, tile in tiles.items():
            if moment - window < end <= moment:
                yield tile
    else:
        for end in range(moment - window + 1, moment + 1):
            if end in tiles:
                yield tiles[end]
