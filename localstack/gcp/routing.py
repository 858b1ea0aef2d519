"""Of which API a request over HTTP is, and who answers it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from . import table
from .asked import READS, Asked
from .registry import HttpRequest, routes_for, values_of

_PATHS = (  # of whom a request to the loopback address is, where its host does not say it
    (re.compile(r"/(upload/|download/|resumable/upload/)?storage/|/batch/storage/"), "storage"),
    (re.compile(r"/(upload/|resumable/upload/)?bigquery/"), "bigquery"),
    (re.compile(r"/v3/"), "resourcemanager"),
    (re.compile(r"/v2/"), "logging"),
    (re.compile(r"/v1/projects/[^/]+/databases/[^/]+/documents"), "firestore"),
    (re.compile(r"/v1/projects/[^/]+/databases"), "firestoreadmin"),
    (re.compile(r"/v1/projects/[^/]+/(topics|subscriptions|snapshots|schemas)\b|/v1/_deleted-topic_"), "pubsub"),
    (re.compile(r"/(v1|ui)/"), "aiplatform"),
    (re.compile(r"/(?!v\d)[a-z0-9][a-z0-9._-]{2,}/"), "storage"),  # XML: /bucket/object
)
_OF_SERVICE = {api.service: api for api in table.APIS}


@functools.lru_cache(maxsize=256)
def _api_of_host(host: str) -> table.Api | None:
    return next((api for api in table.APIS if host.endswith(api.hosts)), None)


def api_of(request: HttpRequest) -> table.Api | None:
    if (api := _api_of_host(request.host)) is not None:
        return api
    return _api_of_path(request.path)


@functools.lru_cache(maxsize=256)
def _api_of_path(path: str) -> table.Api | None:
    service = next((service for pattern, service in _PATHS if pattern.match(path)), None)
    return _OF_SERVICE[service] if service is not None else None


def route_of(api: table.Api, request: HttpRequest) -> tuple[Asked, Callable[..., Any]] | None:
    """What a request over HTTP asks for, and who answers it; its `params` are set. The API's handlers are loaded."""
    place = _place(api.service, request.method, request.path)
    if place is None:
        return None
    request.params = dict(place.params)
    asked = Asked(service=api.service, operation=place.operation, names=place.names, headers=request.headers, mutating=place.mutating)
    return asked, place.handler


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """A route, and what a path says in it."""

    operation: str
    handler: Callable[..., Any]
    params: Mapping[str, str]
    names: tuple[str, ...]
    mutating: bool


@functools.lru_cache(maxsize=256)  # programs ask for the same paths: a model's, a table's
def _place(service: str, method: str, path: str) -> _Place | None:
    api = _OF_SERVICE[service]
    for route, match in routes_for(method, path):
        if _serves(route, api):
            params = values_of(match, route.names)
            names = tuple(params.values())
            return _Place(
                operation=route.operation,
                handler=route.handler,
                params=params,
                names=(*names, *(name.rpartition("/")[2] for name in names if "/" in name)),
                mutating=method != "GET" and not READS.match(route.operation.partition(".")[2]),
            )
    return None


def _serves(route: Any, api: table.Api) -> bool:
    service = route.operation.partition(".")[0]
    return service == api.service or (service not in _OF_SERVICE and bool(api.module))
