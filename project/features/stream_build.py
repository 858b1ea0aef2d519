"""Values of a stream view in project.yaml -> its definition, with every mistake told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import get_args

import msgspec

from ..reading.names import did_you_mean
from ..reading.quantities import duration_text
from ..reading.report import ProblemReport, child
from ..sections.references import check_declared
from ..sections.values import YamlValues
from ..specs.description import Entity, Event
from ..specs.stream_views import Aggregate, StreamDefinition, StreamFeature

# (a unit, the next larger one): a tile is a part of the larger one in whole units
_UNITS = (
    (timedelta(days=1), timedelta(days=1)),
    (timedelta(hours=1), timedelta(days=1)),
    (timedelta(minutes=1), timedelta(hours=1)),
    (timedelta(seconds=1), timedelta(minutes=1)),
)


class CountedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """The events that a stream view may count, the names of all events, and its entity."""

    events: Mapping[str, Event]
    declared: tuple[str, ...]
    entity: Entity | None  # None: not declared, or wrong, which is told elsewhere


MOST_TILES = 10_000  # of a window: one entity's tiles are kept in memory
_AGGREGATES: tuple[Aggregate, ...] = get_args(Aggregate)


def tile_unit(every: timedelta) -> timedelta:
    """Return the largest of day, hour, minute and second that a tile's length is a multiple of."""
    return next(unit for unit, _ in _UNITS if not every % unit)


def build_stream(
    values: YamlValues, key: str, counted: CountedEvents, report: ProblemReport
) -> StreamDefinition | None:
    """Build a stream view's definition, and report mistakes; None if it cannot be built.

    Args:
        values: The view's values: `stream`, `features` and more.
        key: The view's path in project.yaml.
        counted: The events of the project and the entity of the view.
        report: Takes the mistakes.
    """
    for present, absent, remedy in (
        (
            "stream",
            "features",
            "write features: {item_shown_10m: {count: impression, window: 10m}}",
        ),
        ("features", "stream", "write stream: {every: 1m}"),
    ):
        if present in values and absent not in values:
            report.add(key, f"it has {present} and no {absent}", remedy)
    if "ttl" not in values:
        report.add(
            key,
            "ttl is missing: a stream view's online rows are served no longer than that",
            "write ttl: 1h, or as long as a model may use the last row of an entity",
        )
    stream, features = values.get("stream", {}), values.get("features", {})
    every: timedelta | None = stream.get("every")
    if every is None:
        return None
    unit = tile_unit(every)
    whole = next(larger for smaller, larger in _UNITS if smaller == unit)
    if every > whole or whole % every:
        report.add(
            child(key, "stream.every"),
            f"{duration_text(every)} does not divide a minute, an hour or a day",
            "write one that does, such as 10s, 1m, 5m, 1h or 1d",
        )
    built = [
        _feature(name, about, child(key, f"features.{name}"), counted, report)
        for name, about in features.items()
    ]
    for name, about in features.items():
        _check_window(about.get("window"), every, child(key, f"features.{name}.window"), report)
    entity = counted.entity
    if entity is not None and entity.key in features:
        report.add(
            child(key, f"features.{entity.key}"),
            f"{entity.key} is the key of {entity.name}",
            "give the feature another name",
        )
    sound = [feature for feature in built if feature is not None]
    if not sound or not report.sound(key):
        return None
    return StreamDefinition(
        every=every,
        lateness=stream.get("lateness", timedelta(minutes=5)),
        delay=stream.get("delay", timedelta(minutes=1)),
        features=tuple(sound),
    )


def _feature(
    name: str, about: YamlValues, key: str, counted: CountedEvents, report: ProblemReport
) -> StreamFeature | None:
    """Build one feature, and report what is wrong with it; None if it is wrong."""
    words: list[Aggregate] = [word for word in _AGGREGATES if word in about]
    if len(words) != 1:
        report.add(
            key,
            f"it has {' and '.join(words) or 'none'} of {', '.join(_AGGREGATES)}",
            "write one of them: {count: impression, window: 10m}",
        )
        return None
    word = words[0]
    event_name, attribute = (about[word], None) if word == "count" else about[word]
    place = child(key, word)
    names = counted.declared
    if not check_declared(event_name, names, place, report, noun="an event", has="events are"):
        return None
    event, entity = counted.events.get(event_name), counted.entity
    if event is None or entity is None or "window" not in about:
        return None
    types = {attr.name: attr.type for attr in event.attributes}
    if entity.key not in types:
        report.add(
            place,
            f"{event_name} has no {entity.key}, the key of {entity.name}",
            f"count an event that has it, or add {entity.key} to the attributes of {event_name}",
        )
        return None
    if attribute is not None and types.get(attribute) not in ("int", "float"):
        actual_type = types.get(attribute)
        numeric = [name for name, kind in types.items() if kind in ("int", "float")]
        report.add(
            place,
            f"{event_name}.{attribute} is of type {actual_type}, not a number"
            if actual_type
            else f"{attribute} is not an attribute of {event_name}",
            did_you_mean(attribute, numeric, has=f"numbers of {event_name} are"),
        )
        return None
    whole = word == "count" or (word != "mean" and types.get(attribute or "") == "int")
    return StreamFeature(
        name=name,
        aggregate=word,
        event=event_name,
        attribute=attribute,
        window=about["window"],
        type="int64" if whole else "float64",
    )


def _check_window(
    window: timedelta | None, every: timedelta, key: str, report: ProblemReport
) -> None:
    """Report a window that is not a whole number of tiles, or of too many."""
    if window is None:
        return
    tiles, rest = divmod(window, every)
    length, tile = duration_text(window), duration_text(every)
    if rest:
        near = duration_text(max(round(window / every), 1) * every)
        report.add(key, f"window {length} is not a multiple of every ({tile})", f"write {near}")
    elif tiles > MOST_TILES:
        report.add(
            key,
            f"window {length} has {tiles:,} tiles of {tile}; {MOST_TILES:,} at most",
            "write a longer every, or compute long windows in a view with SQL",
        )
