"""Checks of a gateway's requests: the unit, candidates, other keys and attributes. Pure.

Each check takes time in the size of the request, and no message repeats more of it than a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from ....errors import Invalid
from ....events.validation.values import BadValueError, convert, out_of_bounds, shown
from ....project.reading.names import did_you_mean
from ....project.specs.description import Attribute, Endpoint, Entity, ProjectSpec

LONGEST_KEY = 1024  # bytes of UTF-8; every online store takes it
_LONGEST_NAME = 100  # characters of a name that is compared with those that there are
_SCALARS = (str, int, float, date, Decimal)  # a datetime is a date


class RankRequest(msgspec.Struct, frozen=True, kw_only=True):
    unit: str
    entity: str  # of the candidates
    candidates: list[int | str]
    slots: int  # may be more than there are candidates
    keys: dict[str, int | str]  # entity key -> value, without the candidates
    attributes: dict[str, Any]
    context: dict[
        str, Any
    ]  # the attributes, and those of the request alone: experiments target by them


class RequestShape(msgspec.Struct, frozen=True, kw_only=True):
    """The names and types that a request may have; computed once for each endpoint."""

    endpoint: str
    unit: str
    entities: dict[str, Entity]  # by key
    attributes: dict[str, Attribute]
    of_request: dict[str, Attribute] = {}  # attributes that no model reads
    max_candidates: int


def shape_of(spec: ProjectSpec, endpoint: Endpoint) -> RequestShape:
    """Return the fields that a request to an endpoint may have, with their types."""
    exposure = spec.events[spec.objectives[endpoint.objective].exposure]
    entities = {entity.key: entity for entity in spec.entities.values()}
    return RequestShape(
        endpoint=endpoint.name,
        unit=endpoint.unit,
        entities=entities,
        attributes={a.name: a for a in exposure.attributes if a.name not in entities},
        of_request={a.name: a for a in endpoint.attributes},
        max_candidates=endpoint.max_candidates,
    )


def parsed(request: Mapping[str, Any], shape: RequestShape) -> RankRequest:
    """Return a ranking request, checked against the endpoint's declaration and typed.

    Raises Invalid, which says what is missing or wrong, and what would be right.
    """
    for name in request:
        if name not in shape.entities and name != "slots" and not _is_known(name, shape):
            raise _unknown(name, shape, "slots", *shape.entities)
    unit = unit_of(request.get(shape.unit), shape)
    lists = [key for key in shape.entities if isinstance(request.get(key), list | tuple)]
    if len(lists) != 1:
        keys = ", ".join(shape.entities)
        problem = f"{' and '.join(lists)} are lists" if lists else "no key is a list"
        raise Invalid(
            f"{shape.endpoint}: {problem}",
            remedy=f"exactly one of {keys} lists the candidates, for example [14, 27]",
        )
    candidates = _candidates(request[lists[0]], shape.entities[lists[0]], shape)
    others: dict[str, int | str] = {}
    for key, entity in shape.entities.items():
        if key != lists[0] and key in request:
            _check_key(request[key], entity, shape.endpoint)
            others[key] = request[key]
    attributes = _attributes(request, shape)
    return RankRequest(
        unit=unit,
        entity=shape.entities[lists[0]].name,
        candidates=candidates,
        slots=_slots(request.get("slots"), len(candidates), shape.endpoint),
        keys=others,
        attributes=attributes,
        context=attributes | _of_request(request, shape) if shape.of_request else attributes,
    )


def asked_of(request: Mapping[str, Any], shape: RequestShape) -> tuple[str, dict[str, Any]]:
    """Return the unit and the attributes of a request that lists no candidates, such as /assign.

    `shape` has the fields that a request may have.
    """
    for name in request:
        if not _is_known(name, shape):
            raise _unknown(name, shape)
    return unit_of(request.get(shape.unit), shape), context_of(request, shape)


def unit_of(unit: object, shape: RequestShape) -> str:
    """Return a unit's id as text, as experiments hash it; raise Invalid if it is none.

    `shape` has the fields that a request may have.
    """
    if isinstance(unit, bool) or not isinstance(unit, str | int) or unit == "":
        raise Invalid(
            f"{shape.endpoint}: {shape.unit} is missing or not a string",
            remedy="assignment and exposures go by it",
        )
    _check_size(unit, shape.unit, shape.endpoint)
    return str(unit)


def context_of(request: Mapping[str, Any], shape: RequestShape) -> dict[str, Any]:
    """Return the attributes of a request that project.yaml declares, checked and typed.

    Other fields are ignored. Raises Invalid for a wrong value.
    """
    return _attributes(request, shape) | _of_request(request, shape)


def _attributes(request: Mapping[str, Any], shape: RequestShape) -> dict[str, Any]:
    """Return a request's values of the attributes that models read, converted to their types."""
    return {
        name: _attribute(request[name], attribute, shape.endpoint)
        for name, attribute in shape.attributes.items()
        if name in request
    }


def _of_request(request: Mapping[str, Any], shape: RequestShape) -> dict[str, Any]:
    """Return a request's attributes that no model reads, checked against their bounds.

    Other attributes are checked when the event that has them is emitted; these are in no event.
    """
    values = {}
    for name, attribute in shape.of_request.items():
        if name in request:
            values[name] = _attribute(request[name], attribute, shape.endpoint)
            if values[name] is not None and (fault := out_of_bounds(values[name], attribute)):
                raise Invalid(
                    f"{shape.endpoint}: {name} {fault}",
                    remedy="send what project.yaml allows, or leave it out",
                )
    return values


def _is_known(name: object, shape: RequestShape) -> bool:
    """Return whether a request may have a field of this name, by the request's shape."""
    return name == shape.unit or name in shape.attributes or name in shape.of_request


def _unknown(name: object, shape: RequestShape, *others: str) -> Invalid:
    """Return the error for a field that a request cannot have.

    `others` are names that it may have besides the unit and the attributes.
    """
    names = {shape.unit, *others, *shape.attributes, *shape.of_request}
    near = (
        did_you_mean(name, names) if isinstance(name, str) and len(name) <= _LONGEST_NAME else None
    )
    return Invalid(
        f"{shape.endpoint}: a request has no {_quoted(name)}",
        remedy=near or f"it has {', '.join(sorted(names))}",
    )


def _candidates(
    values: list[Any] | tuple[Any, ...], entity: Entity, shape: RequestShape
) -> list[int | str]:
    """Return a request's candidates, checked: not empty, of the key's type, no duplicates."""
    if not values:
        raise Invalid(
            f"{shape.endpoint}: {entity.key} is empty: there is nothing to rank",
            remedy="list the candidates",
        )
    if len(values) > shape.max_candidates:
        raise Invalid(
            f"{shape.endpoint}: {len(values):,} candidates are more than the "
            f"{shape.max_candidates:,} of a request",
            remedy="send the best of a first choice, or set max_candidates of the endpoint",
        )
    if not _are_keys(values, entity):
        for value in values:
            _check_key(value, entity, shape.endpoint)
    if len(set(values)) < len(values):
        earlier: set[int | str] = set()
        twice = next(value for value in values if value in earlier or earlier.add(value))  # type: ignore[func-returns-value]  # None: it is new
        raise Invalid(
            f"{shape.endpoint}: {entity.key} lists {_quoted(twice)} twice",
            remedy="list each candidate once",
        )
    return list(values)


def _are_keys(values: Sequence[Any], entity: Entity) -> bool:
    """Return whether all candidates are certainly valid keys; False means: check each one.

    False does not mean that one is invalid: then each must be checked.
    """
    if entity.type == "int":
        return set(map(type, values)) == {int} and min(values) >= -(2**63) and max(values) < 2**63
    return (
        set(map(type, values)) == {str}
        and all(map(str.isascii, values))
        and max(map(len, values)) <= LONGEST_KEY
    )


def _check_key(value: object, entity: Entity, endpoint: str) -> None:
    """Raise Invalid if a key is not of its entity's type."""
    expected = int if entity.type == "int" else str
    if not isinstance(value, expected) or isinstance(value, bool):
        raise Invalid(
            f"{endpoint}: {entity.key} {_quoted(value)} is not of type {entity.type}",
            remedy="send keys as project.yaml types them",
        )
    _check_size(value, entity.key, endpoint)


def _check_size(value: object, name: str, endpoint: str) -> None:
    """Raise Invalid unless a key fits 64 bits, or is Unicode text that is not too long."""
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise Invalid(
                f"{endpoint}: {name} does not fit 64 bits",
                remedy="send keys as project.yaml types them",
            )
        return
    if isinstance(value, str) and not (value.isascii() and len(value) <= LONGEST_KEY):
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise Invalid(
                f"{endpoint}: {name} {_quoted(value)} is not Unicode text",
                remedy="half a surrogate pair is no character",
            ) from None
        if size > LONGEST_KEY:
            raise Invalid(
                f"{endpoint}: {name} has {size:,} bytes, more than the {LONGEST_KEY:,} of a key",
                remedy="send the key, not what it stands for",
            )


def _attribute(value: object, attribute: Attribute, endpoint: str) -> object:
    """Convert a value to the type that the model was trained on; a timestamp is in UTC."""
    kind = f"{endpoint}: {attribute.name}"
    remedy = f"project.yaml declares it as {attribute.type}"
    if value is None:
        if attribute.required:
            raise Invalid(f"{kind} is null", remedy=f"{remedy}: give a value, or leave it out")
        return None
    if isinstance(value, list | tuple):
        raise Invalid(
            f"{kind} is a list, and one value holds for the whole request",
            remedy="what differs from candidate to candidate is a feature of their entity, which "
            "the gateway reads itself: put it into a feature view, or a table that a view reads "
            "(project.yaml, features/)",
        )
    if not isinstance(value, _SCALARS):
        raise Invalid(f"{kind} {_quoted(value)} is not of type {attribute.type}", remedy=remedy)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Invalid(f"{kind} does not fit 64 bits", remedy=remedy)
    try:
        converted = convert(value, attribute)
    except BadValueError as error:
        raise Invalid(f"{kind} {error}", remedy=remedy) from None
    return converted.replace(tzinfo=UTC) if isinstance(converted, datetime) else converted


def _slots(slots: object, candidates: int, endpoint: str) -> int:
    """Return how many items a request wants shown; by default as many as there are candidates."""
    if slots is None:
        return candidates
    if isinstance(slots, bool) or not isinstance(slots, int) or slots < 1:
        raise Invalid(
            f"{endpoint}: slots {_quoted(slots)} is not a number of places",
            remedy="give a whole number from 1, or leave it out",
        )
    return slots


def _quoted(value: object) -> str:
    """Return a value as short text for an error message.

    It also works for values whose repr fails: deeply nested lists, and ints of thousands of digits.
    """
    if isinstance(value, str):
        return repr(value) if len(value) <= _LONGEST_NAME else f"{value[:_LONGEST_NAME]!r}..."
    if isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return shown(value)
    return "null" if value is None else f"a {type(value).__name__}"
