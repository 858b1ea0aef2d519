"""The way from an event to the unit that an experiment assigns.

It leads by the event's own attribute, by the exposure, or by an event that it refers to.
"""

from __future__ import annotations

from collections.abc import Mapping

from .description import Attribute, Event

EXPOSURE_ID = "exposure_id"


def path(event: str, unit: str, events: Mapping[str, Event]) -> tuple[str, ...] | None:
    """Return the shortest chain of attributes that joins an event to a unit, or None.

    An example is `("impression_id", "visitor_id")`. The last one is the unit's, or `exposure_id`.
    """
    waiting: list[tuple[str, tuple[str, ...]]] = [(event, ())]
    visited = {event}
    while waiting:
        name, steps = waiting.pop(0)
        attributes = events[name].attributes if name in events else ()
        ends = {attribute.name for attribute in attributes if _ends(attribute, unit)}
        if ends:
            return (*steps, unit if unit in ends else EXPOSURE_ID)
        for attribute in attributes:
            if attribute.event is not None and attribute.event not in visited:
                visited.add(attribute.event)
                waiting.append((attribute.event, (*steps, attribute.name)))
    return None


def to_exposure(event: str, events: Mapping[str, Event]) -> tuple[str, ...] | None:
    """Return the chain of attributes that joins an event to the exposure it followed, or None.

    An event that names the unit itself, but no exposure, has no such chain.
    """
    return path(event, "", events)


def steps(event: str, unit: str, events: Mapping[str, Event]) -> tuple[tuple[str, str], ...]:
    """Return the (event, attribute) pairs of the join from an event to a unit; empty without one.

    An example is `(("click", "impression_id"), ("impression", "visitor_id"))`.
    """
    followed: list[tuple[str, str]] = []
    for name in path(event, unit, events) or ():
        followed.append((event, name))
        event = next(
            (
                attribute.event
                for attribute in events[event].attributes
                if attribute.name == name and attribute.event
            ),
            event,
        )
    return tuple(followed)


def has_exposure(event: Event) -> bool:
    """Return whether an event holds the id of the gateway exposure that it followed.

    Such an event has the view `<event>_exposed`.
    """
    return any(map(_exposure, event.attributes))


def _ends(attribute: Attribute, unit: str) -> bool:
    """Return whether an attribute is the id of the unit or of an exposure, where joins end."""
    return _exposure(attribute) or (attribute.name == unit and attribute.type in ("int", "string"))


def _exposure(attribute: Attribute) -> bool:
    """Return whether an attribute is the id of a gateway exposure, not of a declared event."""
    return attribute.name == EXPOSURE_ID and attribute.type == "string" and attribute.event is None
