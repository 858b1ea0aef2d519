"""The OpenAPI 3.1 document of a gateway, from the declarations of project.yaml.

Pure.

OpenFeature's paths are only named: their document is the protocol's own.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from ....project.specs.description import Attribute, Endpoint, Entity, Event, ProjectSpec
from ..rank.ranking_answer import Assigned, Ranking
from ..request.request import RequestShape, shape_of
from . import ofrep
from .answers import Health
from .track import MOST, Rejection

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
    "properties": {
        "error": {"type": "string"},
        "remedy": {"type": ["string", "null"], "description": "what to do about it"},
    },
}
_FLAG_ERROR = {
    "type": "object",
    "required": ["errorCode", "errorDetails"],
    "properties": {
        "key": {"type": "string"},
        "errorCode": {"type": "string"},
        "errorDetails": {"type": "string"},
    },
}
_OBJECT: dict[str, Any] = {"type": "object"}
_CONTEXT: dict[str, Any] = {
    "type": "object",
    "required": ["context"],
    "properties": {
        "context": {
            "type": "object",
            "required": [ofrep.KEY],
            "properties": {ofrep.KEY: {"type": ["string", "integer"]}},
        }
    },
}
_TRACKED = {
    "type": "object",
    "required": ["accepted", "rejected"],
    "properties": {
        "accepted": {"type": "integer"},
        "rejected": {"type": "array", "items": {"$ref": "#/components/schemas/Rejection"}},
    },
}
_REFUSALS = {
    "400": "the request is wrong",
    "401": "the token is missing",
    "403": "asked by a web page, or under an unknown Host",
    "404": "there is no such endpoint, or it is not deployed",
    "413": "more bytes or candidates than are taken",
    "415": "the body is not application/json",
    "429": "the target takes no more",
    "501": "the target cannot do it",
    "502": "the model failed",
    "503": "the endpoint, or the gateway, cannot take it now",
    "504": "the model did not answer in time",
}


def document(spec: ProjectSpec, names: tuple[str, ...], *, token: bool) -> dict[str, Any]:
    """Return the OpenAPI document of the API for these endpoints.

    With `token`, callers must send ISTHMUS_TOKEN.
    """
    _, components = msgspec.json.schema_components(
        [Ranking, Assigned, Health, Rejection], ref_template="#/components/schemas/{name}"
    )
    endpoints, several = [spec.endpoints[name] for name in names], len(names) > 1
    requests = {
        f"{_camel_case(endpoint.name)}Request": _request(spec, endpoint, several=several)
        for endpoint in endpoints
    }
    assigned = {
        f"{_camel_case(endpoint.name)}Assignment": _assignment(spec, endpoint, several=several)
        for endpoint in endpoints
    }
    tracked = {f"{_camel_case(name)}Event": _event(event) for name, event in spec.events.items()}
    own = {"Error": _ERROR, "FlagError": _FLAG_ERROR, "Tracked": _TRACKED}
    secured: dict[str, Any] = (
        {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}} if token else {}
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": f"gateway of {spec.name}", "version": version("isthmus")},
        "paths": {
            "/rank": _post(
                "rank",
                "Rank candidates for a unit.",
                _one_of(requests),
                _answer("the items in their order", "Ranking"),
                token,
            ),
            "/assign": _post(
                "assign",
                "The arms and parameters of a unit, for a product that ranks elsewhere.",
                _one_of(assigned),
                _answer("its arms and parameters", "Assigned"),
                token,
            ),
            "/track": _post(
                "track",
                "Store events of the catalogue.",
                {
                    "anyOf": [
                        _one_of(tracked),
                        {"type": "array", "items": _one_of(tracked), "maxItems": MOST},
                    ]
                },
                _answer("which of them were stored", "Tracked"),
                token,
            ),
            ofrep.PATH: _post(
                "flags",
                "OpenFeature's protocol: every parameter as a flag.",
                _CONTEXT,
                _json("flags", _OBJECT),
                token,
                error="FlagError",
            ),
            f"{ofrep.PATH}/{{key}}": {
                **_post(
                    "flag",
                    "OpenFeature's protocol: one parameter as a flag.",
                    _CONTEXT,
                    _json("a flag", _OBJECT),
                    token,
                    error="FlagError",
                ),
                "parameters": [
                    {"name": "key", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
            },
            "/health": {
                "get": {
                    "summary": "Whether the endpoints are there and their features can be read.",
                    "operationId": "health",
                    "responses": {
                        "200": _answer("it is ready", "Health"),
                        "503": _answer("it is not, and why", "Health"),
                    },
                }
            },
            "/ping": {
                "get": {
                    "summary": "Whether the process lives.",
                    "operationId": "ping",
                    "responses": {"200": {"description": "it does"}},
                }
            },
            "/metrics": {
                "get": {
                    "summary": "Figures in Prometheus' text format.",
                    "operationId": "metrics",
                    "responses": {
                        "200": {
                            "description": "samples",
                            "content": {"text/plain": {"schema": {"type": "string"}}},
                        }
                    },
                    **({"security": [{"bearer": []}]} if token else {}),
                }
            },
        },
        "components": {
            "schemas": {**components, **own, **requests, **assigned, **tracked},
            **secured,
        },
    }


def _post(
    name: str,
    summary: str,
    body: dict[str, Any],
    answer: dict[str, Any],
    token: bool,
    *,
    error: str = "Error",
) -> dict[str, Any]:
    """Return the OpenAPI description of a POST path.

    `name` is the operation's id; `body`, `answer` and `error` are the schemas of the request, the
    answer and an error. With `token`, callers must send a bearer token.
    """
    return {
        "post": {
            "summary": summary,
            "operationId": name,
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": {
                "200": answer,
                **{status: _answer(words, error) for status, words in _REFUSALS.items()},
            },
            **({"security": [{"bearer": []}]} if token else {}),
        }
    }


def _one_of(schemas: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI reference to a named schema, or `oneOf` if there are several."""
    references = [{"$ref": f"#/components/schemas/{name}"} for name in schemas]
    return references[0] if len(references) == 1 else {"oneOf": references}


def _assignment(spec: ProjectSpec, endpoint: Endpoint, *, several: bool) -> dict[str, Any]:
    """Return the JSON schema of a request to /assign.

    `several` says that it must name the endpoint, as more than one is served.
    """
    shape = shape_of(spec, endpoint)
    log = {"type": "boolean", "description": "false: nobody is logged as assigned"}
    properties = _common(shape, endpoint, several=several) | {"log": log}
    required = [shape.unit, *(["endpoint"] if several else [])]
    return {
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


def _event(event: Event) -> dict[str, Any]:
    """Return the JSON schema of an event that /track accepts."""
    own = {
        "event": {"const": event.name},
        "event_id": {
            "type": "string",
            "description": "two with one id count once; default: a new one",
        },
        "event_timestamp": {**_JSON_TYPES["timestamp"], "description": "default: now"},
    }
    required = ["event", *(attribute.name for attribute in event.attributes if attribute.required)]
    properties = {attribute.name: _nullable(attribute) for attribute in event.attributes}
    return {
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": properties | own,
    }


def _nullable(attribute: Attribute) -> dict[str, Any]:
    """Return an attribute's JSON schema; one that is not required may be null."""
    schema = _attribute(attribute)
    return schema if attribute.required else {**schema, "type": [schema["type"], "null"]}


def _request(spec: ProjectSpec, endpoint: Endpoint, *, several: bool) -> dict[str, Any]:
    """Return the JSON schema of a request to /rank, with one form for each key of candidates.

    `several` says that it must name the endpoint, as more than one is served.

    `endpoint` declares what a request has.
    """
    shape = shape_of(spec, endpoint)
    places = {
        "type": "integer",
        "minimum": 1,
        "description": "how many places there are; default: one for each candidate",
    }
    common = _common(shape, endpoint, several=several) | {"slots": places}
    required = [shape.unit, *(["endpoint"] if several else [])]
    shapes = [
        {
            "title": f"rank {listed.name}s",
            "type": "object",
            "required": [*required, key],
            "additionalProperties": False,
            "properties": {
                **common,
                **{
                    other: _scalar(entity)
                    for other, entity in shape.entities.items()
                    if other != key
                },  # the unit may be one
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


def _common(shape: RequestShape, endpoint: Endpoint, *, several: bool) -> dict[str, Any]:
    """Return the JSON schema properties that requests to /rank and /assign have in common.

    `several` says that they include the endpoint's name, as more than one is served.
    """
    common: dict[str, Any] = {
        **{name: _nullable(attribute) for name, attribute in shape.attributes.items()},
        **{name: _of_request(attribute) for name, attribute in shape.of_request.items()},
        shape.unit: {
            "type": ["string", "integer"],
            "description": "who is asked for: assignment and exposures go by it",
        },
    }
    if several:
        common["endpoint"] = {"const": endpoint.name}
    elif "endpoint" not in common:
        common["endpoint"] = {"const": endpoint.name, "description": "may be left out"}
    return common


def _scalar(entity: Entity) -> dict[str, Any]:
    """Return the JSON schema of an entity's key, such as an item id."""
    return {
        **_JSON_TYPES[entity.type],
        **({"description": entity.description} if entity.description else {}),
    }


def _attribute(attribute: Attribute) -> dict[str, Any]:
    """Return the JSON schema of an attribute."""
    return {
        **_JSON_TYPES[attribute.type],
        **({"description": attribute.description} if attribute.description else {}),
    }


def _of_request(attribute: Attribute) -> dict[str, Any]:
    """Return the JSON schema of an attribute that is in requests only, with its allowed values."""
    allowed = attribute.allowed and [*attribute.allowed, *([] if attribute.required else [None])]
    bounds = {"minimum": attribute.min, "maximum": attribute.max, "enum": allowed}
    return {
        **_nullable(attribute),
        **{name: bound for name, bound in bounds.items() if bound is not None},
    }


def _answer(description: str, schema: str) -> dict[str, Any]:
    """Return the OpenAPI description of an answer in JSON.

    `schema` names the component that describes it.
    """
    return _json(description, {"$ref": f"#/components/schemas/{schema}"})


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of an answer in JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _camel_case(name: str) -> str:
    """Return a snake_case name in CamelCase."""
    return "".join(word.capitalize() for word in name.split("_"))
