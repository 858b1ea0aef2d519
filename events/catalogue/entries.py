"""Describe the events of the catalogue: their owners, their attributes, and who reads them."""

from __future__ import annotations

import msgspec

from ...errors import NotFound
from ...project.specs.description import Attribute, Event, ProjectSpec
from ...reports.results import Shown
from ..validation.values import number
from .readers import Versions, readers


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `events list`."""

    event: str
    owner: str
    attributes: int
    objectives: tuple[str, ...]
    description: str


class AttributeEntry(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: str
    required: bool
    rule: str  # bounds or allowed values, as `0 .. 79` or `random, bts`; else empty
    refers_to: str  # `event impression`, `entity item`; else empty
    description: str
    readers: tuple[str, ...]


class EventEntry(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """An event as `events show` prints it.

    event_id and event_timestamp come with every event and are not listed.
    """

    name: str
    owner: str
    description: str
    max_lateness_days: float
    attributes: tuple[AttributeEntry, ...]
    objectives: tuple[str, ...]
    referred_by: tuple[str, ...]  # `click.impression_id`
    readers: tuple[str, ...]

    def __str__(self) -> str:
        head = [self.name, self.owner, *(f"objective {name}" for name in self.objectives)]
        rows = [
            (
                a.name,
                a.type if a.required else f"{a.type}?",
                a.rule,
                a.refers_to and f"-> {a.refers_to}",
            )
            for a in self.attributes
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["   ".join(filter(None, head)), *filter(None, [self.description])]
        for attribute, row in zip(self.attributes, rows, strict=True):
            cells = "   ".join(
                f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True) if width
            )
            lines.append(f"  {cells}   {attribute.description}".rstrip())
            if attribute.readers:
                lines.append(f"      read by {', '.join(attribute.readers)}")
        if self.referred_by:
            lines.append(f"referred to by {', '.join(self.referred_by)}")
        return "\n".join(
            [*lines, f"late by {self.max_lateness_days:g} days at most; ? may be missing"]
        )


def catalogue(spec: ProjectSpec) -> tuple[Entry, ...]:
    """Return a summary of each event in project.yaml, as `events list` prints it."""
    return tuple(
        Entry(
            event=event.name,
            owner=event.owner,
            attributes=len(event.attributes),
            objectives=_objectives(spec, event.name),
            description=event.description,
        )
        for event in spec.events.values()
    )


def describe(spec: ProjectSpec, event: str, *, versions: Versions | None = None) -> EventEntry:
    """Return an event's full description: its owner, its attributes, and what reads them.

    `versions` are the registered model versions (`readers.versions_of`), by model.

    Raises:
        NotFound: there is no such event.
    """
    declared = spec.events.get(event)
    if declared is None:
        raise NotFound(
            f"there is no event {event}",
            remedy=f"project.yaml has {', '.join(spec.events) or 'no events'}",
        )
    return EventEntry(
        name=event,
        owner=declared.owner,
        description=declared.description,
        max_lateness_days=declared.max_lateness.total_seconds() / 86_400,
        attributes=tuple(_attribute(spec, declared, a, versions) for a in declared.attributes),
        objectives=_objectives(spec, event),
        referred_by=tuple(
            f"{other.name}.{a.name}"
            for other in spec.events.values()
            for a in other.attributes
            if a.event == event
        ),
        readers=readers(spec, event, versions=versions),
    )


def rule(attribute: Attribute) -> str:
    """Return an attribute's allowed values or bounds as text, such as `0 .. 100`."""
    if attribute.allowed is not None:
        return ", ".join(map(str, attribute.allowed))
    if attribute.min is None and attribute.max is None:
        return ""
    low, high = (
        "" if bound is None else number(float(bound)) for bound in (attribute.min, attribute.max)
    )
    return f"{low} .. {high}".strip()


def _attribute(
    spec: ProjectSpec, event: Event, attribute: Attribute, versions: Versions | None
) -> AttributeEntry:
    """Return the description of an event's attribute, as `events show` prints it."""
    refers = (
        f"event {attribute.event}"
        if attribute.event
        else f"entity {attribute.entity}"
        if attribute.entity
        else ""
    )
    return AttributeEntry(
        name=attribute.name,
        type=attribute.type,
        required=attribute.required,
        rule=rule(attribute),
        refers_to=refers,
        description=attribute.description,
        readers=readers(spec, event.name, attribute.name, versions=versions),
    )


def _objectives(spec: ProjectSpec, event: str) -> tuple[str, ...]:
    """Return the names of the objectives whose exposure or outcome is this event."""
    return tuple(
        name
        for name, objective in spec.objectives.items()
        if event in {objective.exposure, objective.outcome}
    )
