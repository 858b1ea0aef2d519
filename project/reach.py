"""How a metric's event reaches the unit that an endpoint assigns: by its own attribute, an exposure, or an event that it refers to."""

from __future__ import annotations

from .specs import Event, ProjectSpec

EXPOSURE_ID = "exposure_id"  # of an event: what the gateway showed


def reach(spec: ProjectSpec, event: str, unit: str) -> tuple[str, ...] | None:
    """The events from this one to one that has the attribute `unit`, or exposure_id; the shortest such chain. None: there is none."""
    chains: list[tuple[str, ...]] = [(event,)]
    seen = {event}
    while chains:
        chain = chains.pop(0)
        last = spec.events.get(chain[-1])
        if last is None:
            continue
        if ends(last, unit):
            return chain
        further = [a.event for a in last.attributes if a.event is not None and a.event not in seen]
        seen.update(further)
        chains += [(*chain, name) for name in further]
    return None


def ends(event: Event, unit: str) -> bool:
    return any(attribute.name in (unit, EXPOSURE_ID) for attribute in event.attributes)


def by_attribute(event: Event, unit: str) -> bool:
    """Whether the event names its unit itself: that goes before what was exposed."""
    return any(attribute.name == unit for attribute in event.attributes)
