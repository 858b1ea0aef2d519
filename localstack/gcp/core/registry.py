"""Handlers, what they are called with, and what they answer.

    @handles("google.cloud.aiplatform.v1.EndpointService.CreateEndpoint")
    def create_endpoint(call: Call, request: Any) -> Any: ...

    @route("storage.objects.get", "GET", "/storage/v1/b/{bucket}/o/{object}")
    def get_object(call: Call, request: HttpRequest) -> HttpAnswer: ...

The first answers an RPC, over gRPC and over REST alike, with raw protobuf messages; a server stream
returns an iterator, and a bidirectional one is called with one, too. The second is for APIs that
have no generated transports, and for the fast way of an RPC over HTTP. Handlers run in many threads
at once: a store guards itself. A handler that is a coroutine function runs in the loop, and must
not block it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from .templates import pattern_of, shape_of, verb_of


class Rpc(msgspec.Struct, frozen=True, kw_only=True):
    """An RPC and its handler."""

    name: str  # google.cloud.aiplatform.v1.EndpointService.GetEndpoint
    handler: Callable[..., Any]
    executes: bool  # False: it stores only (the coverage list says so)


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP route and its handler."""

    operation: str  # storage.objects.get, or EndpointService.Predict
    method: str
    template: str
    pattern: re.Pattern[str]
    names: tuple[str, ...]  # of the pattern's groups
    handler: Callable[..., Any]
    executes: bool


RPCS: dict[str, Rpc] = {}
ROUTES: list[Route] = []
_BY_SHAPE: dict[
    tuple[str, str, int | None], list[Route]
] = {}  # method, verb, number of segments (None: any)


def handles(
    *names: str, executes: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that registers a function as the handler of the RPCs of these names.

    `executes` is False for a handler that only stores its request; the coverage list says so.
    Raises ValueError if an RPC has a handler already.
    """

    def add(handler: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            if name in RPCS:
                raise ValueError(f"{name} has a handler already: {RPCS[name].handler!r}")
            RPCS[name] = Rpc(name=name, handler=handler, executes=executes)
        return handler

    return add


def route(
    operation: str, method: str, *templates: str, executes: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that registers a function as the handler of HTTP path templates.

    Templates look like /b/{bucket}/o/{object}, {name=projects/*/jobs/*} or {rest=**}. `executes` is
    False for a handler that only stores its request. Raises ValueError if a template has a handler
    for this method already.
    """

    def add(handler: Callable[..., Any]) -> Callable[..., Any]:
        for template in templates:
            if any(
                registered.method == method and registered.template == template
                for registered in ROUTES
            ):
                raise ValueError(f"{method} {template} has a handler already")
            pattern, names = pattern_of(template)
            added = Route(
                operation=operation,
                method=method,
                template=template,
                pattern=pattern,
                names=names,
                handler=handler,
                executes=executes,
            )
            ROUTES.append(added)
            _BY_SHAPE.setdefault((method, *shape_of(template)), []).append(added)
        return handler

    return add


def routes_for(method: str, path: str) -> Iterator[tuple[Route, re.Match[str]]]:
    """Yield the registered routes that match an HTTP method and path, each with its match."""
    for verb, segments in (
        (verb_of(path), path.count("/")),
        ("", path.count("/")),
        (verb_of(path), None),
        ("", None),
    ):
        for route_ in _BY_SHAPE.get((method, verb, segments), ()):
            match = route_.pattern.fullmatch(path)
            if match is not None:
                yield route_, match
