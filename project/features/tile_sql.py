"""Write the SQL of a stream view: the rows that its definition means, in the neutral subset.

Pure. The consumer of the stream (feature_store/streams/) computes the same rows from single events.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

from ..specs.description import Entity
from ..specs.stream_views import StreamDefinition, StreamFeature
from .stream_build import tile_unit

_UNIT_NAMES = {86_400: "day", 3_600: "hour", 60: "minute", 1: "second"}


class TileTotal(msgspec.Struct, frozen=True):
    """A figure of a tile: a count of events, of values that are not null, or what they add up to.

    `function` is how the figures of several tiles make one.
    """

    event: str
    attribute: str | None  # None: of events
    function: Literal["count", "sum", "min", "max"]
    type: Literal["int64", "float64"]


def stream_view_sql(name: str, entity: Entity, definition: StreamDefinition) -> str:
    """Return the SELECT of a stream view: its key, both times and its features.

    It reads `events_<event>`, in which each event is exactly once. First it adds up each entity's
    tiles; then it gives an empty tile to each moment at which a tile leaves a window; then each
    feature is a window over both.
    """
    key = entity.key
    prefix = "tile"  # of columns on the way; no feature begins with it
    while any(own.startswith(prefix) for own in (key, *(f.name for f in definition.features))):
        prefix += "x"
    totals = {
        total: f"{prefix}_{number}"
        for number, total in enumerate(
            dict.fromkeys(t for f in definition.features for t in tile_totals(f)), start=1
        )
    }
    columns = "".join(f", {column}" for column in totals.values())
    summed = "".join(
        f", {'sum' if total.function == 'count' else total.function}({column}) AS {column}"
        for total, column in totals.items()
    )
    events = "\n  UNION ALL\n".join(
        f"  SELECT {key}, event_timestamp"
        + "".join(f", {_of_event(total, event)} AS {column}" for total, column in totals.items())
        + f"\n  FROM events_{event} WHERE {key} IS NOT NULL"
        for event in definition.events
    )
    empty = "".join(f", {_nothing(total)}" for total in totals)
    leaving = "".join(
        f"\n  UNION ALL\n  SELECT {key}, {prefix}_end + INTERVAL {_seconds(window)} SECOND{empty} "
        f"FROM {name}_tiles"
        for window in definition.windows
    )
    windows = {w: f"{prefix}_window_{n}" for n, w in enumerate(definition.windows, start=1)}
    features = "".join(
        f",\n       {_value(feature, totals, windows[feature.window])} AS {feature.name}"
        for feature in definition.features
    )
    frames = ",\n       ".join(
        f"{window} AS (PARTITION BY {key} ORDER BY {prefix}_moment RANGE BETWEEN INTERVAL "
        f"{_seconds(length - definition.every)} SECOND PRECEDING AND CURRENT ROW)"
        for length, window in windows.items()
    )
    return (
        f"-- Made from feature_views.{name} of project.yaml.\n"
        f"WITH {name}_events AS (\n{events}\n),\n"
        f"{name}_starts AS (\n"
        f"  SELECT {key}{columns}, {_unit_start(definition.every)} AS {prefix}_start\n"
        f"  FROM {name}_events\n),\n"
        f"{name}_tiles AS (\n"
        f"  SELECT {key}, {prefix}_end{summed}\n"
        f"  FROM (SELECT {key}{columns}, {_tile_end(definition.every, f'{prefix}_start')} "
        f"AS {prefix}_end\n        FROM {name}_starts) AS {name}_ends\n"
        f"  GROUP BY {key}, {prefix}_end\n),\n"
        f"{name}_moments AS (\n"
        f"  SELECT {key}, {prefix}_end AS {prefix}_moment{columns} FROM {name}_tiles{leaving}\n),\n"
        f"{name}_rows AS (\n"
        f"  SELECT {key}, {prefix}_moment{summed}\n"
        f"  FROM {name}_moments GROUP BY {key}, {prefix}_moment\n)\n"
        f"SELECT {key}, {prefix}_moment AS event_timestamp,\n"
        f"       {prefix}_moment + INTERVAL {_seconds(definition.delay)} SECOND AS "
        f"created_timestamp{features}\n"
        f"FROM {name}_rows\nWINDOW {frames}\n"
    )


def tile_totals(feature: StreamFeature) -> tuple[TileTotal, ...]:
    """Return the figures of tiles that a feature is made of; a mean has a sum and a count."""
    subject = (feature.event, feature.attribute)
    if feature.aggregate == "count":
        return (TileTotal(*subject, "count", "int64"),)
    if feature.aggregate == "mean":
        return (TileTotal(*subject, "sum", "float64"), TileTotal(*subject, "count", "int64"))
    return (TileTotal(*subject, feature.aggregate, feature.type),)


def _of_event(total: TileTotal, event: str) -> str:
    """Return SQL for what one event adds to a figure of its tile."""
    if total.event != event:
        return _nothing(total)
    if total.function == "count":
        if total.attribute is None:
            return "1"
        return f"CASE WHEN {total.attribute} IS NULL THEN 0 ELSE 1 END"
    kind = "DOUBLE" if total.type == "float64" else "BIGINT"
    return f"CAST({total.attribute} AS {kind})"


def _nothing(total: TileTotal) -> str:
    """Return SQL for a figure of a tile in which nothing happened."""
    if total.function == "count":
        return "0"
    return f"CAST(NULL AS {'DOUBLE' if total.type == 'float64' else 'BIGINT'})"


def _value(feature: StreamFeature, totals: dict[TileTotal, str], window: str) -> str:
    """Return SQL for a feature's value over its window of tiles."""
    over = [
        f"{'sum' if total.function == 'count' else total.function}({totals[total]}) OVER {window}"
        for total in tile_totals(feature)
    ]
    if feature.aggregate == "mean":
        return f"{over[0]} / nullif({over[1]}, 0)"
    if feature.aggregate == "sum":
        zero = "CAST(0 AS DOUBLE)" if feature.type == "float64" else "0"
        return f"coalesce({over[0]}, {zero})"
    return over[0]


def _unit_start(every: timedelta) -> str:
    """Return SQL for the start of the second, minute, hour or day that an event lies in."""
    return f"date_trunc('{_UNIT_NAMES[_seconds(tile_unit(every))]}', event_timestamp)"


def _tile_end(every: timedelta, start: str) -> str:
    """Return SQL for the end of the tile that begins with or before a whole unit of time.

    No engine adds a computed interval as the others do: each distance is written out.
    """
    unit, length = _seconds(tile_unit(every)), _seconds(every)
    if unit == length:
        return f"{start} + INTERVAL {length} SECOND"
    since = f"date_diff('millisecond', TIMESTAMP '1970-01-01 00:00:00', {start}) % {length * 1000}"
    cases = " ".join(
        f"WHEN {since} = {offset * 1000} THEN {start} + INTERVAL {length - offset} SECOND"
        for offset in range(0, length - unit, unit)
    )
    return f"CASE {cases} ELSE {start} + INTERVAL {unit} SECOND END"


def _seconds(length: timedelta) -> int:
    """Return a duration as whole seconds."""
    return int(length.total_seconds())
