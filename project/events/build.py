"""Values of the sections `entities:` and `events:` -> structs."""

from __future__ import annotations

from ..reading.report import ProblemReport, child
from ..sections.values import YamlValues, build_attribute
from ..specs.description import Attribute, Entity, Event


def build_entity(name: str, values: YamlValues) -> Entity:
    """Build the Entity struct from its section of project.yaml."""
    return Entity(name=name, **values)


def build_event(
    name: str,
    values: YamlValues,
    entities: dict[str, Entity],
    events: tuple[str, ...],
    report: ProblemReport,
) -> Event:
    """Build the Event struct from its section of project.yaml, and report mistakes.

    The entity or event that an attribute refers to follows from its name.
    """
    by_key = {entity.key: entity.name for entity in entities.values()}
    references = {f"{event}_id": event for event in events}
    key = f"events.{name}.attributes"
    attributes = tuple(
        build_attribute(
            attribute,
            about,
            child(key, attribute),
            report,
            entity=by_key.get(attribute),
            event=references.get(attribute),
        )
        for attribute, about in values["attributes"].items()
    )
    for attribute in attributes:
        _check_reference(attribute, name, entities, child(key, attribute.name), report)
    fields: YamlValues = values | {"attributes": attributes}
    return Event(name=name, **fields)


def _check_reference(
    attribute: Attribute, event: str, entities: dict[str, Entity], key: str, report: ProblemReport
) -> None:
    """Report an attribute whose type differs from that of the entity or event it refers to."""
    kind = attribute.type
    if attribute.entity is not None and kind != entities[attribute.entity].type:
        key_type = entities[attribute.entity].type
        report.add(
            child(key, "type"),
            f"it is the key of {attribute.entity}, whose type is {key_type}, not {kind}",
            f"write type: {key_type}",
        )
    if attribute.event is not None and kind != "string":
        report.add(
            child(key, "type"),
            f"it refers to {attribute.event}, and an event's id is a string, not {kind}",
            "write type: string",
        )
    if attribute.event == event:
        report.add(
            key,
            "it refers to its own event",
            f"event_id comes with every event: leave {attribute.name} out",
        )
    elif attribute.event is not None and attribute.entity is not None:
        report.add(
            key,
            f"it is the key of {attribute.entity} and refers to the event {attribute.event}",
            f"rename the key of entities.{attribute.entity}",
        )
