"""Stream views: features that are counted in tiles of time, in SQL and by a stream's consumer."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

Aggregate = Literal["count", "sum", "mean", "min", "max"]


class StreamFeature(msgspec.Struct, frozen=True, kw_only=True):
    """`{count: impression, window: 10m}` or `{mean: stay.seconds, window: 1h}`.

    A count of nothing and a sum of nothing are 0; a mean, min or max of nothing is null.
    """

    name: str
    aggregate: Aggregate
    event: str
    attribute: str | None  # of the event: its values are aggregated, but for nulls; None: a count
    window: timedelta  # a whole number of tiles
    type: Literal["int64", "float64"]


class StreamDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """The windows of a stream view, counted in tiles that are `every` long.

    Tiles begin at midnight UTC. At the end of an entity's tile in which one of the view's events
    fell, and again when that tile leaves each window, the entity has a row: each feature over the
    events from the moment's window before it up to the moment, which is not included.
    """

    every: timedelta
    lateness: timedelta  # events up to so old correct what is served
    delay: timedelta  # a row counts as known so long after its moment
    features: tuple[StreamFeature, ...]

    @property
    def windows(self) -> tuple[timedelta, ...]:
        """The lengths of the features' windows, each once, the shortest first."""
        return tuple(sorted({feature.window for feature in self.features}))

    @property
    def events(self) -> tuple[str, ...]:
        """The names of the events that the view counts, each once."""
        return tuple(dict.fromkeys(feature.event for feature in self.features))
