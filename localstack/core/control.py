"""The control routes /_stack/..., by which tests and commands steer a stack.

JSON goes in and out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from .faults import Fault, check
from .fronts import StackFront
from .http.answers import WsgiAnswer
from .http.peers import is_other_user
from .keys import FILE
from .minutes import Minutes
from .state import Stack

_encode = msgspec.json.Encoder().encode
_OPEN = frozenset({"GET health", "GET environment"})  # who it is, and in which files its keys are


class _Advance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    advance: float


# made here, as two threads that are the first to decode one kind end the process (msgspec 0.22)
_advance = msgspec.json.Decoder(_Advance).decode
_fault = msgspec.json.Decoder(Fault).decode
_minutes = msgspec.json.Decoder(Minutes).decode


def answer(front: StackFront, environ: dict[str, Any]) -> WsgiAnswer:
    """Return the HTTP response to a request for the stack's control routes (/_stack/)."""
    route = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO'].removeprefix('/_stack/')}"
    if (refused := refusal_of(front.stack, route, environ)) is not None:
        return refused
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return steer(
        front,
        route,
        body,
        {key: values[-1] for key, values in parse_qs(environ.get("QUERY_STRING", "")).items()},
    )


def refusal_of(stack: Stack, route: str, environ: Mapping[str, Any]) -> WsgiAnswer | None:
    """Return the error response if a WSGI request may not use a control route, or None."""
    return refusal(
        stack,
        route,
        environ.get("HTTP_AUTHORIZATION", ""),
        (environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])),
    )


def refusal(
    stack: Stack, route: str, authorization: str, peer: tuple[str, int] | None
) -> WsgiAnswer | None:
    """Return the error response if a caller may not use a control route, or None.

    `authorization` is the request's header, which must have the stack's own secret. `peer` is the
    caller's address: its process may not be another user's.
    """
    if route in _OPEN:
        return None
    if stack.keys is None or not compare_digest(
        authorization.encode(errors="replace"), f"Bearer {stack.keys.control}".encode()
    ):
        return _json(
            403,
            {
                "error": "this needs the stack's secret, as Authorization: Bearer; it is `control` "
                f"in {stack.home / FILE}"
            },
        )
    if is_other_user(peer, urlsplit(stack.url).port or 0):
        return _json(403, {"error": "this stack belongs to another user of this machine"})
    return None


def steer(front: StackFront, route: str, body: bytes, query: dict[str, str]) -> WsgiAnswer:
    """Execute a request to the stack's control routes, and return the HTTP response.

    Args:
        front: The stack's front.
        route: The method and what follows /_stack/, such as `GET health`.
        body: JSON.
        query: The query's parameters.
    """
    try:
        return _json(200, _effect(front, route, body, query))
    except KeyError:
        return _json(404, {"error": f"there is no {route}"})
    except (msgspec.DecodeError, ValueError) as error:
        return _json(400, {"error": str(error)})


def _effect(front: StackFront, route: str, body: bytes, query: dict[str, str]) -> object:  # noqa: C901, PLR0911  a table of routes
    """Execute a control route (reset, clock, faults ...), and return its result.

    `body` is JSON, and `query` are the query's parameters.

    Raises:
        KeyError: There is no such route.
    """
    stack = front.stack
    match route:
        case "GET health":
            return {
                "status": "ok",
                "url": stack.url,
                "pid": os.getpid(),
                "clock": stack.clock.mode,
                "moto_answers": stack.moto_answers,
                "any_key": stack.any_key,
                "keys": str(stack.home / FILE),
                "now": stack.clock.now(),
                "images": dict(stack.images),
            }
        case "POST reset":
            front.reset()
            return {}
        case "GET clock":
            return {"now": stack.clock.now(), "mode": stack.clock.mode}
        case "POST clock":
            seconds = _advance(body).advance
            return {"now": stack.clock.advance(seconds), "mode": stack.clock.mode}
        case "GET faults":
            return stack.faults.list()
        case "POST faults":
            fault = _fault(body)
            check(fault, front)
            return stack.faults.add(fault)
        case "DELETE faults":
            stack.faults.clear(int(query["id"]) if "id" in query else None)
            return {}
        case "GET calls":
            return front.calls.list()
        case "DELETE calls":
            front.forget_calls()
            return {}
        case "POST minutes":
            front.add_minutes(_minutes(body))
            return {}
    return front.routes[route]()


def _json(status: int, value: object) -> WsgiAnswer:
    """Return an HTTP response with a value as JSON."""
    return WsgiAnswer(status, (("Content-Type", "application/json"),), _encode(value))
