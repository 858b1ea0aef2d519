"""/_stack/...: how tests and the command line steer a stack. JSON in and out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from ..faults import Fault
from . import coverage
from .wire import Answer

if TYPE_CHECKING:
    from .front import Front

_encode = msgspec.json.Encoder().encode


class _Advance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    advance: float


class Control:
    def __init__(self, front: Front) -> None:
        self._front = front

    def answer(self, environ: dict[str, Any]) -> Answer:
        route = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO'].removeprefix('/_stack/')}"
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        query = {key: values[-1] for key, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        try:
            return _json(200, self._do(route, body, query))
        except KeyError:
            return _json(404, {"error": f"there is no {route}"})
        except (msgspec.DecodeError, ValueError) as error:
            return _json(400, {"error": str(error)})

    def _do(self, route: str, body: bytes, query: dict[str, str]) -> object:  # noqa: C901, PLR0911  a table of routes
        front, stack = self._front, self._front.stack
        match route:
            case "GET health":
                return {
                    "status": "ok",
                    "url": stack.url,
                    "pid": os.getpid(),
                    "clock": stack.clock.mode,
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
            case "GET policy":
                return front.used.policy()
            case "GET coverage":
                return coverage.coverage()
            case "GET calls":
                return front.calls.list()
            case "DELETE calls":
                front.calls.clear()
                front.used.clear()
                return {}
        raise KeyError(route)


def _json(status: int, value: object) -> Answer:
    return Answer(status, (("Content-Type", "application/json"),), _encode(value))
