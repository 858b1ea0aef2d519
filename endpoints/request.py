"""What a caller sends to the gateway, checked: the unit, the candidates, the other keys and attributes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import Invalid
from ..project.names import did_you_mean
from ..project.specs import Endpoint, Entity, ProjectSpec


class RankRequest(msgspec.Struct, frozen=True, kw_only=True):
    unit: str
    entity: str  # of the candidates
    candidates: list[int | str]
    slots: int
    keys: dict[str, int | str]  # entity key -> value, without the candidates
    attributes: dict[str, Any]


class RequestShape(msgspec.Struct, frozen=True, kw_only=True):
    """What may be in a request; worked out once an endpoint."""

    endpoint: str
    unit: str
    entities: dict[str, Entity]  # by key
    attributes: frozenset[str]


def shape_of(spec: ProjectSpec, endpoint: Endpoint) -> RequestShape:
    exposure = spec.events[spec.objectives[endpoint.objective].exposure]
    entities = {entity.key: entity for entity in spec.entities.values()}
    attributes = {a.name for a in exposure.attributes} - set(entities)
    return RequestShape(endpoint=endpoint.name, unit=endpoint.unit, entities=entities, attributes=frozenset(attributes))


def parsed(request: Mapping[str, Any], shape: RequestShape) -> RankRequest:
    """Invalid says what is missing or wrong, and what would be right."""
    known = {shape.unit, "slots", *shape.entities, *shape.attributes}
    if unknown := [name for name in request if name not in known]:
        raise Invalid(
            f"{shape.endpoint}: a request has no {unknown[0]!r}",
            remedy=did_you_mean(unknown[0], known) or f"it has {', '.join(sorted(known))}",
        )
    unit = request.get(shape.unit)
    if isinstance(unit, bool) or not isinstance(unit, str | int) or unit == "":
        raise Invalid(f"{shape.endpoint}: {shape.unit} is missing or not a string", remedy="assignment and exposures go by it")
    lists = [key for key in shape.entities if isinstance(request.get(key), list | tuple)]
    if len(lists) != 1:
        keys = ", ".join(shape.entities)
        found = f"{' and '.join(lists)} are lists" if lists else "no key is a list"
        raise Invalid(f"{shape.endpoint}: {found}", remedy=f"exactly one of {keys} lists the candidates, for example [14, 27]")
    candidates = _candidates(list(request[lists[0]]), shape.entities[lists[0]], shape.endpoint)
    others: dict[str, int | str] = {}
    for key, entity in shape.entities.items():
        if key != lists[0] and key in request:
            _check_key(request[key], entity, shape.endpoint)
            others[key] = request[key]
    return RankRequest(
        unit=str(unit),
        entity=shape.entities[lists[0]].name,
        candidates=candidates,
        slots=_slots(request.get("slots"), len(candidates), shape.endpoint),
        keys=others,
        attributes={name: request[name] for name in shape.attributes if name in request},
    )


def _candidates(values: list[Any], entity: Entity, endpoint: str) -> list[int | str]:
    if not values:
        raise Invalid(f"{endpoint}: {entity.key} is empty: there is nothing to rank", remedy="list the candidates")
    for value in values:
        _check_key(value, entity, endpoint)
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise Invalid(f"{endpoint}: {entity.key} lists {twice!r} twice", remedy="list each candidate once")
    return values


def _check_key(value: object, entity: Entity, endpoint: str) -> None:
    expected = int if entity.type == "int" else str
    if not isinstance(value, expected) or isinstance(value, bool):
        raise Invalid(f"{endpoint}: {entity.key} {value!r} is not of type {entity.type}", remedy="send keys as project.yaml types them")


def _slots(slots: object, candidates: int, endpoint: str) -> int:
    if slots is None:
        return candidates
    if isinstance(slots, bool) or not isinstance(slots, int) or slots < 1:
        raise Invalid(f"{endpoint}: slots {slots!r} is not a number of places", remedy="give a whole number from 1, or leave it out")
    return min(slots, candidates)
