"""What a gateway takes and gives, as an OpenAPI 3.1 document, from what project.yaml declares. Pure."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from ...project.specs import Attribute, Endpoint, Entity, ProjectSpec
from .answers import Health
from .gateway import Ranking
from .request import shape_of

_JSON_TYPES: dict[str, dict[str, Any]] = {
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "string": {"type": "string"},
    "timestamp": {"type": "string", "format": "date-time"},
}
_ERROR = {
    "type": "object",
    "required": ["error", "remedy"],
    "properties": {"error": {"type": "string"}, "remedy": {"type": ["string", "null"], "description": "what to do about it"}},
}
_REFUSALS = {
    "400": "the request is wrong",
    "401": "the token is missing",
    "403": "asked by a web page, or under an unknown Host",
    "404": "there is no such endpoint, or it is not deployed",
    "413": "more bytes or candidates than are taken",
    "415": "the body is not application/json",
    "429": "the target takes no more",
    "502": "the model failed",
    "503": "the endpoint, or the gateway, cannot take it now",
    "504": "the model did not answer in time",
}


def document(spec: ProjectSpec, names: tuple[str, ...], *, token: bool) -> dict[str, Any]:
    """Of the endpoints `names`. `token`: callers must send ISTHMUS_TOKEN's value."""
    _, components = msgspec.json.schema_components([Ranking, Health], ref_template="#/components/schemas/{name}")
    requests = {f"{_words(name)}Request": _request(spec, spec.endpoints[name], several=len(names) > 1) for name in names}
    references = [{"$ref": f"#/components/schemas/{name}"} for name in requests]
    secured: dict[str, Any] = {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}} if token else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"gateway of {spec.name}", "version": version("isthmus")},
        "paths": {
            "/rank": {
                "post": {
                    "summary": "Rank candidates for a unit.",
                    "operationId": "rank",
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": references[0] if len(references) == 1 else {"oneOf": references}}},
                    },
                    "responses": {"200": _answer("the items in their order", "Ranking")}
                    | {status: _answer(words, "Error") for status, words in _REFUSALS.items()},
                    **({"security": [{"bearer": []}]} if token else {}),
                }
            },
            "/health": {
                "get": {
                    "summary": "Whether the endpoints are there and their features can be read.",
                    "operationId": "health",
                    "responses": {"200": _answer("it is ready", "Health"), "503": _answer("it is not, and why", "Health")},
                }
            },
            "/ping": {
                "get": {"summary": "Whether the process lives.", "operationId": "ping", "responses": {"200": {"description": "it does"}}}
            },
            "/metrics": {
                "get": {
                    "summary": "Figures in Prometheus' text format.",
                    "operationId": "metrics",
                    "responses": {"200": {"description": "samples", "content": {"text/plain": {"schema": {"type": "string"}}}}},
                    **({"security": [{"bearer": []}]} if token else {}),
                }
            },
        },
        "components": {"schemas": {**components, "Error": _ERROR, **requests}, **secured},
    }


def _request(spec: ProjectSpec, endpoint: Endpoint, *, several: bool) -> dict[str, Any]:
    """One shape for each key that may list the candidates: exactly one does."""
    shape = shape_of(spec, endpoint)
    event = spec.events[spec.objectives[endpoint.objective].exposure]
    attributes = {a.name: _attribute(a) for a in event.attributes if a.name in shape.attributes}
    attributes |= {name: _of_request(a) for name, a in shape.of_request.items()}
    common: dict[str, Any] = {
        **attributes,
        shape.unit: {"type": ["string", "integer"], "description": "who is asked for: assignment and exposures go by it"},
        "slots": {"type": "integer", "minimum": 1, "description": "how many places there are; default: one for each candidate"},
    }
    if several:
        common["endpoint"] = {"const": endpoint.name}
    elif "endpoint" not in common:
        common["endpoint"] = {"const": endpoint.name, "description": "may be left out"}
    required = [shape.unit, *(["endpoint"] if several else [])]
    shapes = [
        {
            "title": f"rank {listed.name}s",
            "type": "object",
            "required": [*required, key],
            "additionalProperties": False,
            "properties": {
                **{other: _scalar(entity) for other, entity in shape.entities.items() if other != key},
                **common,
                key: {
                    "type": "array",
                    "items": _scalar(listed),
                    "minItems": 1,
                    "maxItems": shape.max_candidates,
                    "uniqueItems": True,
                    "description": "the candidates",
                },
            },
        }
        for key, listed in shape.entities.items()
        if key != shape.unit
    ]
    return shapes[0] if len(shapes) == 1 else {"oneOf": shapes}


def _scalar(entity: Entity) -> dict[str, Any]:
    return {**_JSON_TYPES[entity.type], **({"description": entity.description} if entity.description else {})}


def _attribute(attribute: Attribute) -> dict[str, Any]:
    return {**_JSON_TYPES[attribute.type], **({"description": attribute.description} if attribute.description else {})}


def _of_request(attribute: Attribute) -> dict[str, Any]:
    """Its bounds hold for a request, too."""
    bounds = {"minimum": attribute.min, "maximum": attribute.max, "enum": attribute.allowed and list(attribute.allowed)}
    return {**_attribute(attribute), **{name: bound for name, bound in bounds.items() if bound is not None}}


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}


def _words(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
