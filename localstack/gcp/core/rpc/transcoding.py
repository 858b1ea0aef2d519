"""Convert between HTTP with JSON and protobuf messages, as google.api.http describes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import GcpError
from ..http_messages import HttpAnswer, HttpRequest
from ..templates import values_of
from .methods import HttpRule, RpcMethod

_SYSTEM = {
    "alt",
    "$alt",
    "key",
    "prettyPrint",
    "access_token",
    "quotaUser",
    "fields",
    "userIp",
    "callback",
    "oauth_token",
    "uploadType",
}
JSON = (("Content-Type", "application/json; charset=UTF-8"),)


def message_of(
    method: RpcMethod, rule: HttpRule, match: re.Match[str], request: HttpRequest
) -> Any:
    """Return the request message of an RPC that is called over HTTP, from path, query and body.

    Raises GcpError if the body or a parameter does not fit the message.
    """
    message = method.request()
    if rule.body == "*":
        _parse(request.json(), message)
    elif rule.body:
        _parse(request.json(), getattr(message, rule.body))
    query = {name: values for name, values in request.query_lists.items() if name not in _SYSTEM}
    if query:
        _parse(_nest(query, message.DESCRIPTOR), message)
    for name, value in values_of(match, rule.names).items():
        *above, last = name.split(".")
        owner = message
        for part in above:
            owner = getattr(owner, part)
        setattr(owner, last, value)
    return message


def answer_of(message: Any, request: HttpRequest) -> HttpAnswer:
    """Return an RPC's response message as an HTTP response in JSON."""
    from google.protobuf import json_format

    numbers = "enum-encoding=int" in request.query.get("$alt", "")
    text = json_format.MessageToJson(message, use_integers_for_enums=numbers, indent=None)
    return HttpAnswer(headers=JSON, body=text.encode())


def stream_of(messages: Any, request: HttpRequest) -> HttpAnswer:
    """Return a streaming RPC's messages as an HTTP response: one JSON array."""

    def parts() -> Any:
        separator = b"["
        for message in messages:
            yield separator + bytes(answer_of(message, request).body)  # type: ignore[arg-type]
            separator = b",\n"
        yield b"[]" if separator == b"[" else b"]"

    return HttpAnswer(headers=JSON, body=parts())


def error_answer(error: GcpError) -> HttpAnswer:
    """Return an error as an HTTP response in the JSON of Google's gateways.

    It has `errors` where the clients of BigQuery and Storage look for a reason.
    """
    body: dict[str, Any] = {"code": error.http, "message": error.message, "status": error.status}
    if error.reason is not None:
        body["errors"] = [
            {"message": error.message, "domain": "global", "reason": error.reason, **error.fields}
        ]
    if error.details:
        body["details"] = [_detail(detail) for detail in error.details]
    return HttpAnswer(
        status=error.http,
        headers=JSON,
        body=msgspec.json.encode({"error": body}),
        error=error.reason or error.status,
    )


def _detail(detail: Any) -> Any:
    """Return one of an error's details, a protobuf message, as a JSON value with its @type."""
    if isinstance(detail, Mapping):
        return detail
    from google.protobuf import json_format

    return {
        "@type": f"type.googleapis.com/{detail.DESCRIPTOR.full_name}",
        **json_format.MessageToDict(detail),
    }


def _parse(value: dict[str, Any], message: Any) -> None:
    """Fill a protobuf message from JSON, in place."""
    from google.protobuf import json_format

    try:
        json_format.ParseDict(value, message)
    except (json_format.ParseError, RecursionError) as error:
        raise GcpError(
            "INVALID_ARGUMENT", f"Invalid JSON payload received. {error}", reason="badRequest"
        ) from error


def _nest(query: Mapping[str, list[str]], descriptor: Any) -> dict[str, Any]:
    """Turn query parameters such as `a.b=1` into nested JSON for a message of this descriptor."""
    nested: dict[str, Any] = {}
    for name, values in query.items():
        *above, last = name.split(".")
        owner, kind = nested, descriptor
        for part in above:
            field = _field(kind, part, name)
            owner, kind = owner.setdefault(field.json_name, {}), field.message_type
            if not isinstance(owner, dict):
                raise _unbound(name)
        field = _field(kind, last, name)
        texts: list[Any] = (
            [{"true": True, "false": False}.get(value, value) for value in values]
            if field.type == field.TYPE_BOOL
            else values
        )
        owner[field.json_name] = texts if field.is_repeated else texts[-1]
    return nested


def _field(descriptor: Any, part: str, name: str) -> Any:
    """Return the descriptor of the field `part`, one step of the query parameter `name`.

    Raises GcpError if the message has no such field.
    """
    for field in descriptor.fields if descriptor is not None else ():
        if part in (field.json_name, field.name):
            return field
    raise _unbound(name)


def _unbound(name: str) -> GcpError:
    """Return the error for a query parameter that the message does not have."""
    return GcpError(
        "INVALID_ARGUMENT",
        f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter.',
    )
