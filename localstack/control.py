"""/_stack/...: how tests and the command line steer a stack. JSON in and out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qs

import msgspec

from .calls import Calls
from .faults import Fault
from .minutes import Minutes
from .state import Stack
from .wsgi import Answer

_encode = msgspec.json.Encoder().encode


class _Advance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    advance: float


class Steered(Protocol):
    """A cloud's front, as far as it is steered from outside."""

    stack: Stack
    calls: Calls
    routes: Mapping[str, Callable[[], object]]  # what this cloud has of its own: "GET policy" -> its answer

    def reset(self) -> None: ...
    def forget_calls(self) -> None: ...
    def add_minutes(self, scripted: Minutes, /) -> None: ...  # ValueError: of no endpoint or variant that is there


def answer(front: Steered, environ: dict[str, Any]) -> Answer:
    """What a WSGI application was asked."""
    route = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO'].removeprefix('/_stack/')}"
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return steer(front, route, body, {key: values[-1] for key, values in parse_qs(environ.get("QUERY_STRING", "")).items()})


def steer(front: Steered, route: str, body: bytes, query: dict[str, str]) -> Answer:
    """`route`: the method and what follows /_stack/, such as `GET health`."""
    try:
        return _json(200, _effect(front, route, body, query))
    except KeyError:
        return _json(404, {"error": f"there is no {route}"})
    except (msgspec.DecodeError, ValueError) as error:
        return _json(400, {"error": str(error)})


def _effect(front: Steered, route: str, body: bytes, query: dict[str, str]) -> object:  # noqa: C901, PLR0911  a table of routes
    stack = front.stack
    match route:
        case "GET health":
            return {
                "status": "ok",
                "url": stack.url,
                "pid": os.getpid(),
                "clock": stack.clock.mode,
                "moto_answers": stack.moto_answers,
                "now": stack.clock.now(),
                "images": dict(stack.images),
            }
        case "POST reset":
            front.reset()
            return {}
        case "GET clock":
            return {"now": stack.clock.now(), "mode": stack.clock.mode}
        case "POST clock":
            seconds = msgspec.json.decode(body, type=_Advance).advance
            return {"now": stack.clock.advance(seconds), "mode": stack.clock.mode}
        case "GET faults":
            return stack.faults.list()
        case "POST faults":
            return stack.faults.add(msgspec.json.decode(body, type=Fault))
        case "DELETE faults":
            stack.faults.clear(int(query["id"]) if "id" in query else None)
            return {}
        case "GET calls":
            return front.calls.list()
        case "DELETE calls":
            front.forget_calls()
            return {}
        case "POST minutes":
            front.add_minutes(msgspec.json.decode(body, type=Minutes))
            return {}
    return front.routes[route]()


def _json(status: int, value: object) -> Answer:
    return Answer(status, (("Content-Type", "application/json"),), _encode(value))
