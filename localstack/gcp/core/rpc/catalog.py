"""The APIs of a stack: which one a request is for, and which handler answers it."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ..http_messages import HttpRequest
from ..registry import Route, routes_for
from ..templates import values_of
from . import methods
from .apis import GoogleApi
from .invocations import READS, Invocation
from .late_packages import IMPORTING
from .methods import RpcMethod


class Catalog:
    """The APIs of a stack.

    A service's handlers are imported at the first call of its API, as Google's packages take their
    time.
    """

    def __init__(self, apis: Sequence[GoogleApi], *, shared_handlers: Sequence[str]) -> None:
        """Make the catalog of the APIs that a stack serves.

        Args:
            apis: The stack's APIs. The first is meant where a request does not say which one is.
            shared_handlers: Modules with handlers of the services that every API offers.
        """
        self.apis = tuple(apis)
        self.by_service: Mapping[str, GoogleApi] = {api.service: api for api in apis}
        self._by_package = {api.package: api for api in apis}
        self._shared_handlers = tuple(shared_handlers)
        self._loaded: set[GoogleApi] = set()
        self.api_of = functools.lru_cache(maxsize=256)(self._find_api)
        self.api_of_resource = functools.lru_cache(maxsize=256)(self._find_api_of_resource)
        # programs ask for the same paths: a model's, a table's
        self._place = functools.lru_cache(maxsize=256)(self._find_place)

    @property
    def default(self) -> GoogleApi:
        """The API that is assumed where a request names none."""
        return self.apis[0]

    def load(self, api: GoogleApi) -> None:
        """Import an API's generated package and the modules with its handlers, once."""
        if api in self._loaded:
            return
        methods.import_package(api)
        with IMPORTING:
            for module in (*self._shared_handlers, *api.handlers):
                importlib.import_module(module)
            self._loaded.add(api)

    def is_loaded(self, api: GoogleApi) -> bool:
        """Return whether an API's package and its handlers are imported."""
        return api in self._loaded

    def load_all(self) -> None:
        """Import the generated packages and the handlers of all APIs."""
        for api in self.apis:
            self.load(api)

    def emulator_variables(self, url: str, grpc_address: str) -> dict[str, str]:
        """Return the SDKs' emulator variables for this stack's addresses, HTTP APIs first."""
        variables = {api.emulator: url for api in self.apis if api.emulator and not api.module}
        return variables | {
            api.emulator: grpc_address for api in self.apis if api.emulator and api.module
        }

    def api_of_path(self, path: str) -> GoogleApi | None:
        """Return the API of a gRPC path, or None for a service that several APIs offer."""
        return self._by_package.get(methods.package_of(path))

    def method_of(self, path: str, api: GoogleApi) -> RpcMethod | None:
        """Return the RPC that a gRPC path, /package.Service/Method, names, or None.

        It imports the API's generated package, which may take seconds the first time. `api` decides
        where several APIs offer the service.
        """
        service, _, name = path.removeprefix("/").partition("/")
        if methods.is_shared(service):
            return methods.shared_method(service, name, api)
        own = self.api_of_path(path)
        return methods.method_of(own, service, name) if own is not None and own.module else None

    def _find_api(self, host: str, path: str) -> GoogleApi | None:
        """Return the API that an HTTP request is for, by its host or its path, or None."""
        for api in self.apis:
            if host.endswith(api.hosts):
                return api
        for api in self.apis:
            if api.paths is not None and api.paths.match(path):
                return api
        for api in self.apis:
            if api.other_paths is not None and api.other_paths.match(path):
                return api
        return None

    def _find_api_of_resource(self, text: str) -> GoogleApi:
        """Return the API of the resource that a gRPC header names in `text`, or the default API."""
        for api in self.apis:
            if api.resources is not None and api.resources.search(text):
                return api
        return self.default

    def route_of(
        self, api: GoogleApi, request: HttpRequest
    ) -> tuple[Invocation, Callable[..., Any]] | None:
        """Match a REST request to a route; return its invocation and handler, or None.

        It also sets the request's `params` to the values of the path's variables.
        """
        place = self._place(api, request.method, request.path)
        if place is None:
            return None
        request.params = dict(place.params)
        return place.invocation, place.handler

    def _find_place(self, api: GoogleApi, method: str, path: str) -> _Place | None:
        """Return the route of an API for an HTTP method and path, with path variables, or None."""
        for route, match in routes_for(method, path):
            if self._serves(route, api):
                params = values_of(match, route.names)
                names = tuple(params.values())
                invocation = Invocation(
                    api=api,
                    operation=route.operation,
                    names=(*names, *(name.rpartition("/")[2] for name in names if "/" in name)),
                    mutating=method != "GET" and not READS.match(route.operation.partition(".")[2]),
                )
                return _Place(invocation=invocation, handler=route.handler, params=params)
        return None

    def _serves(self, route: Route, api: GoogleApi) -> bool:
        """Return whether a route belongs to an API, or to the services that every API offers."""
        service = route.operation.partition(".")[0]
        return service == api.service or (service not in self.by_service and bool(api.module))


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """A route, and the values of its template's variables in a path."""

    invocation: Invocation
    handler: Callable[..., Any]
    params: Mapping[str, str]
