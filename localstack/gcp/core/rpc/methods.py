"""The RPCs of Google's packages, read from their generated transports.

The packages ship no descriptors of services. A transport is made on a channel that only records
what it is asked for: path, kind of stream, classes of request and answer. The REST transports hold
the HTTP rules. Private names of google-cloud-* are used.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ..templates import pattern_of, shape_of, verb_of
from .apis import GoogleApi
from .late_packages import IMPORTING

_SHARED = {  # services that every API has beside its own
    "google.longrunning.Operations": (
        "google.longrunning.operations_pb2",
        "google.protobuf.empty_pb2",
    ),
    "google.iam.v1.IAMPolicy": ("google.iam.v1.iam_policy_pb2", "google.iam.v1.policy_pb2"),
    "google.cloud.location.Locations": ("google.cloud.location.locations_pb2", ""),
}
_ANSWERS = {  # of the mixins, where it is not <Method>Response
    "GetOperation": ("google.longrunning.operations_pb2", "Operation"),
    "WaitOperation": ("google.longrunning.operations_pb2", "Operation"),
    "CancelOperation": ("google.protobuf.empty_pb2", "Empty"),
    "DeleteOperation": ("google.protobuf.empty_pb2", "Empty"),
    "GetIamPolicy": ("google.iam.v1.policy_pb2", "Policy"),
    "SetIamPolicy": ("google.iam.v1.policy_pb2", "Policy"),
    "GetLocation": ("google.cloud.location.locations_pb2", "Location"),
}
# as the log and faults have them
SHARED_OPERATIONS = frozenset(
    {
        *(f"Operations.{verb}Operation" for verb in ("Get", "Wait", "Cancel", "Delete")),
        *("Operations.ListOperations", "Locations.GetLocation", "Locations.ListLocations"),
        *(f"IAMPolicy.{verb}" for verb in ("GetIamPolicy", "SetIamPolicy", "TestIamPermissions")),
    }
)


class RpcMethod(msgspec.Struct, frozen=True, kw_only=True):
    """One RPC."""

    name: str  # google.cloud.aiplatform.v1.EndpointService.GetEndpoint
    api: GoogleApi
    request: Any  # the raw protobuf class
    answer: Any
    client_streams: bool
    server_streams: bool

    @property
    def operation(self) -> str:
        """The RPC's name without its package: EndpointService.GetEndpoint."""
        return ".".join(self.name.rsplit(".", 2)[1:])


class HttpRule(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP form of an RPC (google.api.http)."""

    rpc: str
    method: str  # GET
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    body: str | None  # *, a field's name, or None
    segments: int | None  # of the path; None: any number
    verb: str  # predict of :predict


def package_of(path: str) -> str:
    """Return the protobuf package of a gRPC path."""
    return path.removeprefix("/").partition("/")[0].rpartition(".")[0]


def is_shared(service: str) -> bool:
    """Return whether a service is offered by every API (operations, locations, IAM)."""
    return service in _SHARED


def method_of(api: GoogleApi, service: str, name: str) -> RpcMethod | None:
    """Return the description of one RPC of an API, by its service and method name, or None.

    It imports the API's generated package, which may take seconds the first time.
    """
    with IMPORTING:
        return _service(api, service.rpartition(".")[2]).get(name)


@functools.cache
def shared_method(service: str, name: str, api: GoogleApi) -> RpcMethod | None:
    """Return the description of an RPC that every API offers (such as GetOperation), or None."""
    module = importlib.import_module(_SHARED[service][0])
    request = getattr(module, f"{name}Request", None)
    if request is None:
        return None
    holder, answer = _ANSWERS.get(name, (_SHARED[service][0], f"{name}Response"))
    return RpcMethod(
        name=f"{service}.{name}",
        api=api,
        request=request,
        answer=getattr(importlib.import_module(holder), answer),
        client_streams=False,
        server_streams=False,
    )


@functools.cache
def _service(api: GoogleApi, short: str) -> Mapping[str, RpcMethod]:
    """Return the RPCs of one of an API's services by name; an empty mapping if it is unknown.

    `short` is the service's name without its package.
    """
    module = _services(api).get(short)
    if module is None:
        return {}
    transport = _class(module, "grpc", "GrpcTransport")
    from .recording_channel import Recorder

    recorder = Recorder()
    instance = transport(channel=recorder)
    instance._logged_channel = recorder  # noqa: SLF001  the wrapper around it would ask for interceptors
    instance._stubs = {}  # noqa: SLF001  the constructor made some already, of which the recorder is to hear again
    recorder.methods.clear()
    for name, member in vars(transport).items():
        if isinstance(member, property) and not name.startswith("_"):
            getattr(instance, name)
    methods = {}
    for path, client_streams, server_streams, serialize, deserialize in recorder.methods:
        service, _, name = path.removeprefix("/").partition("/")
        if service != f"{api.package}.{short}":
            continue
        request = getattr(serialize, "__self__", None) or _iam_request(name)
        answer = (
            getattr(deserialize, "__self__", None)
            or importlib.import_module("google.protobuf.empty_pb2").Empty
        )
        methods[name] = RpcMethod(
            name=f"{service}.{name}",
            api=api,
            request=_raw(request),
            answer=_raw(answer),
            client_streams=client_streams,
            server_streams=server_streams,
        )
    return methods


def _iam_request(name: str) -> Any:
    """Return the request class of an RPC of google.iam.v1.IAMPolicy."""
    return getattr(importlib.import_module("google.iam.v1.iam_policy_pb2"), f"{name}Request")


def _raw(kind: Any) -> Any:
    """Return the protobuf class behind a class of proto-plus."""
    return kind.pb() if hasattr(kind, "pb") else kind


@functools.cache
def _services(api: GoogleApi) -> Mapping[str, str]:
    """Return the module path of each of an API's generated services, by the service's name."""
    package = importlib.import_module(f"{api.module}.services")
    names = {}
    for module in pkgutil.iter_modules(package.__path__):
        path = f"{package.__name__}.{module.name}"
        names[_class(path, "grpc", "GrpcTransport").__name__.removesuffix("GrpcTransport")] = path
    return names


def _class(module: str, transport: str, ending: str) -> Any:
    """Return the class in a generated transport module whose name has this ending."""
    part = importlib.import_module(f"{module}.transports.{transport}")
    return next(
        kind
        for name, kind in vars(part).items()
        if name.endswith(ending) and kind.__module__ == part.__name__
    )


@functools.cache
def http_rules(api: GoogleApi) -> tuple[HttpRule, ...]:
    """Return the HTTP bindings of an API's RPCs; none for an API that speaks gRPC only."""
    collected = []
    for short, module in _services(api).items():
        try:
            base = _class(module, "rest_base", "RestTransport")
        except ModuleNotFoundError:
            continue
        for name, member in vars(base).items():
            if not name.startswith("_Base") or not hasattr(member, "_get_http_options"):
                continue
            method = name.removeprefix("_Base")
            if _service(api, short).get(method) is None:  # a mixin: operations.py has the routes
                continue
            collected += [
                _rule(f"{api.package}.{short}.{method}", option)
                for option in member._get_http_options()  # noqa: SLF001
            ]
    return tuple(collected)


def _rule(rpc: str, option: Mapping[str, str]) -> HttpRule:
    """Return the HTTP binding of `rpc` that one option of a generated REST transport describes."""
    uri = option["uri"]
    pattern, names = pattern_of(uri)
    verb, segments = shape_of(uri)
    return HttpRule(
        rpc=rpc,
        method=option["method"].upper(),
        pattern=pattern,
        names=names,
        body=option.get("body"),
        segments=segments,
        verb=verb,
    )


@functools.cache
def _index(api: GoogleApi) -> Mapping[tuple[str, str, int | None], list[HttpRule]]:
    """Return an API's HTTP bindings by HTTP method, verb after the colon and number of segments."""
    index: dict[tuple[str, str, int | None], list[HttpRule]] = {}
    for rule in http_rules(api):
        index.setdefault((rule.method, rule.verb, rule.segments), []).append(rule)
    return index


def http_rule_for(
    api: GoogleApi, method: str, path: str
) -> tuple[RpcMethod, HttpRule, re.Match[str]] | None:
    """Return the RPC that an HTTP request calls, with its binding and path match, or None."""
    verb = verb_of(path)
    with IMPORTING:
        index = _index(api)
    for segments in (path.count("/"), None):
        for rule in index.get((method, verb, segments), ()):
            match = rule.pattern.fullmatch(path)
            if match is not None:
                short, _, name = rule.rpc.removeprefix(f"{api.package}.").partition(".")
                return _service(api, short)[name], rule, match
    return None


def methods_of_api(api: GoogleApi) -> tuple[RpcMethod, ...]:
    """Return every RPC of an API."""
    with IMPORTING:
        return tuple(method for short in _services(api) for method in _service(api, short).values())


def import_package(api: GoogleApi) -> None:
    """Import an API's generated package now, as that takes seconds on the first call."""
    if api.module:
        with IMPORTING:
            http_rules(api)
