"""Which API a request over HTTP is for, and which handler answers it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..http_messages import HttpRequest
from ..registry import routes_for
from ..templates import values_of
from . import methods as table
from .invocations import READS, Asked

_PATHS = (  # of whom a request to the loopback address is, where its host does not say it
    (re.compile(r"/(upload/|download/|resumable/upload/)?storage/|/batch/storage/"), "storage"),
    (re.compile(r"/(upload/|resumable/upload/)?bigquery/"), "bigquery"),
    (re.compile(r"/v3/"), "resourcemanager"),
    (re.compile(r"/v2/"), "logging"),
    (re.compile(r"/v1/projects/[^/]+/databases/[^/]+/documents"), "firestore"),
    (re.compile(r"/v1/projects/[^/]+/databases"), "firestoreadmin"),
    (
        re.compile(
            r"/v1/projects/[^/]+/(topics|subscriptions|snapshots|schemas)\b|/v1/_deleted-topic_"
        ),
        "pubsub",
    ),
    (re.compile(r"/(v1|ui)/"), "aiplatform"),
    (re.compile(r"/(?!v\d)[a-z0-9][a-z0-9._-]{2,}/"), "storage"),  # XML: /bucket/object
)
_OF_SERVICE = {api.service: api for api in table.APIS}


@functools.lru_cache(maxsize=256)
def api_of(host: str, path: str) -> table.Api | None:
    if (api := next((api for api in table.APIS if host.endswith(api.hosts)), None)) is not None:
        return api
    service = next((service for pattern, service in _PATHS if pattern.match(path)), None)
    return _OF_SERVICE[service] if service is not None else None


def route_of(api: table.Api, request: HttpRequest) -> tuple[Asked, Callable[..., Any]] | None:
    """Return what a request over HTTP asks for, and its handler; None if nothing serves it.

    The request's `params` are set. The API's handlers are loaded.
    """
    place = _place(api.service, request.method, request.path)
    if place is None:
        return None
    request.params = dict(place.params)
    return place.asked, place.handler


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """A route, and the values of its template's variables in a path."""

    asked: Asked
    handler: Callable[..., Any]
    params: Mapping[str, str]


@functools.lru_cache(maxsize=256)  # programs ask for the same paths: a model's, a table's
def _place(service: str, method: str, path: str) -> _Place | None:
    api = _OF_SERVICE[service]
    for route, match in routes_for(method, path):
        if _serves(route, api):
            params = values_of(match, route.names)
            names = tuple(params.values())
            invocation = Asked(
                service=service,
                operation=route.operation,
                names=(*names, *(name.rpartition("/")[2] for name in names if "/" in name)),
                mutating=method != "GET" and not READS.match(route.operation.partition(".")[2]),
            )
            return _Place(asked=invocation, handler=route.handler, params=params)
    return None


def _serves(route: Any, api: table.Api) -> bool:
    """Return whether a route belongs to an API: its own, or one that every API with RPCs offers."""
    service = route.operation.partition(".")[0]
    return service == api.service or (service not in _OF_SERVICE and bool(api.module))
