"""One order for every request, however it came: faults, the handler, the log."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from .. import control
from ..calls import Calls
from ..faults import OF_THE_WIRE, Fault, Faults, Kind
from ..minutes import Minutes
from ..state import Stack, State
from ..wsgi import Answer, Cut
from . import handler_modules, table
from .callers import Callers
from .environment import PROJECT, STACK, Environment
from .keys import Keys
from .policy import Used
from .registry import RPCS, Call, GcpError, HttpAnswer, HttpRequest, routes_for, values_of
from .transcoding import JSON, answer_of, message_of, refusal, stream_of

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
_READS = re.compile(
    r"((Batch)?Get|List|Search|Query|Fetch|Predict|RawPredict|ServerStreamingPredict|StreamRawPredict|Explain|Pull|Wait|Read|Test|Streaming)"
)
_OF_SERVICE = {api.service: api for api in table.APIS}


class Asked(msgspec.Struct, kw_only=True):
    """What the log and the faults know of a call."""

    service: str
    operation: str
    names: tuple[str, ...]
    headers: Mapping[str, str]
    mutating: bool


class Front:
    """One per stack. Its handlers run in many threads."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.calls = Calls()
        self.grpc_address = ""
        self.used = Used()
        self.routes: Mapping[str, Callable[[], object]] = {
            "GET environment": self.environment,
            "GET coverage": self._coverage,
            "GET policy": self.used.policy,
        }
        self._keys: Keys | None = None
        self._callers: Callers | None = None

    # What process.serve and control ask for.

    def begin(self) -> None:
        """The stack knows its URL."""
        self._keys = Keys(self.stack.home / "keys", f"{self.stack.url}/token")
        self._callers = Callers(self.stack, self._keys.account_key)

    def close(self) -> None:
        self.stack.state.stop()
        self.stack.clock.close()

    def services(self) -> frozenset[str]:
        from .coverage import FAMILIES

        return frozenset(FAMILIES)

    def operations(self, service: str | None) -> frozenset[str]:
        from .coverage import coverage

        return frozenset(covered.operation for covered in coverage(service)) | table.MIXED_IN

    def reset(self) -> None:
        """As if the stack had just been started; the faults and the log are gone too."""
        old, self.stack.state = self.stack.state, State()
        old.stop()
        self.stack.clock.reset()
        self.stack.faults.clear()
        self.forget_calls()

    def forget_calls(self) -> None:
        self.calls.clear()
        self.used.clear()

    def add_minutes(self, scripted: Minutes) -> None:
        """Traffic that nobody sent. ValueError: no such endpoint or DeployedModel."""
        with handler_modules.IMPORTING:
            from .endpoints.scripted import add

        add(Call(self, "aiplatform", "minutes", {}), scripted)

    @property
    def keys(self) -> Keys:
        if self._keys is None:
            raise RuntimeError("the stack does not listen yet")
        return self._keys

    @property
    def callers(self) -> Callers:
        if self._callers is None:
            raise RuntimeError("the stack does not listen yet")
        return self._callers

    def environment(self) -> Environment:
        door = {
            STACK: self.stack.url,
            "HTTPS_PROXY": self.stack.url,
            "https_proxy": self.stack.url,
            "REQUESTS_CA_BUNDLE": str(self.keys.bundle),
            "SSL_CERT_FILE": str(self.keys.bundle),
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(self.keys.bundle),
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.keys.account),
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        emulators = {
            STACK: self.stack.url,
            "STORAGE_EMULATOR_HOST": self.stack.url,
            "BIGQUERY_EMULATOR_HOST": self.stack.url,
            "PUBSUB_EMULATOR_HOST": self.grpc_address,
            "FIRESTORE_EMULATOR_HOST": self.grpc_address,
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }
        return Environment(door=door, emulators=emulators, grpc_address=self.grpc_address)

    def variables(self) -> dict[str, str]:
        return self.environment().door

    def _coverage(self) -> object:
        from .coverage import coverage

        return coverage()

    # HTTP.

    def control(self, request: HttpRequest, peer: tuple[str, int] | None) -> HttpAnswer:
        """/_stack/... `peer`: the address of who asks."""
        route = f"{request.method} {request.path.removeprefix('/_stack/')}"
        refused = control.refusal(self.stack, route, request.headers.get("authorization", ""), peer)
        done: Answer = refused or control.steer(self, route, request.body, request.query)
        return HttpAnswer(status=done.status, headers=done.headers, body=done.body)

    async def http(self, request: HttpRequest) -> HttpAnswer:
        """Answer what is one of Google's APIs. Cut where the connection is to be closed."""
        try:
            return await self._http(request)
        except GcpError as error:
            return refusal(error)

    async def _http(self, request: HttpRequest) -> HttpAnswer:
        api = _api_of(request)
        if api is None:
            raise GcpError("NOT_FOUND", f"The requested URL {request.path} was not found on this server.")
        if not handler_modules.loaded(api.package):
            await asyncio.to_thread(self._load, api)
        if (routed := _routed(api, request)) is not None:
            asked, handler = routed
            return _http_answer(await self.answer(asked, handler, request))
        return await asyncio.to_thread(self._transcoded, api, request)

    def inside(self, request: HttpRequest) -> HttpAnswer:
        """Answer a request that another one carries, in this thread: it meets its own faults, and is in the log. Cut."""
        api = _api_of(request)
        routed = None if api is None else _routed(api, request)
        if routed is None:
            return refusal(GcpError("NOT_FOUND", f"{request.method} {request.path} cannot be a part of a batch", reason="notFound"))
        asked, handler = routed
        try:
            return _http_answer(self.answer_here(asked, handler, request))
        except GcpError as error:
            return refusal(error)

    def _transcoded(self, api: table.Api, request: HttpRequest) -> HttpAnswer:
        routed = table.rule_for(api, request.method, request.path) if api.module else None
        if routed is None:
            name = f"{request.method} {request.path}"
            asked = Asked(service=api.service, operation=name, names=(), headers=request.headers, mutating=False)
            return _http_answer(self.answer_here(asked, _not_there(name), request))
        method, rule, match = routed
        message = message_of(method, rule, match, request)
        result = self.answer_here(asked_of(method, message, request.headers), handler_of(method), message)
        return stream_of(result, request) if method.server_streams else answer_of(result, request)

    @staticmethod
    def _load(api: table.Api) -> None:
        table.load(api)
        handler_modules.load("google.longrunning")
        handler_modules.load(api.package)

    # Faults, the effect, the log.

    async def answer(self, asked: Asked, handler: Callable[..., Any], request: Any) -> Any:
        """A handler's result: in the loop where it is a coroutine function, else in a thread. GcpError, Cut."""
        if not _in_loop(handler):
            return await asyncio.get_running_loop().run_in_executor(None, self.answer_here, asked, handler, request)
        with self._logged(asked) as meeting:
            if meeting.seconds:
                await asyncio.sleep(meeting.seconds)
            meeting.refuse()
            self.used.note(asked.service, asked.operation, request)
            result = await handler(Call(self, asked.service, asked.operation, asked.headers), request)
            meeting.end(result)
            return result

    def answer_here(self, asked: Asked, handler: Callable[..., Any], request: Any, call: Call | None = None) -> Any:
        """A handler's result, in this thread. GcpError, Cut."""
        with self._logged(asked) as meeting:
            if meeting.seconds:
                self.stack.state.stopping.wait(meeting.seconds)
            meeting.refuse()
            self.used.note(asked.service, asked.operation, request)
            call = call or Call(self, asked.service, asked.operation, asked.headers)
            with self.stack.clock.request():
                result = handler(call, request)
                if inspect.iscoroutine(result):
                    result = asyncio.run(result)
            meeting.end(result)
            return result

    @contextmanager
    def _logged(self, asked: Asked) -> Iterator[_Meeting]:
        meeting = _Meeting(self.stack.faults, asked)
        status, error = 0, None
        try:
            yield meeting
            status = meeting.status
        except GcpError as refused:
            status, error = refused.http, refused.reason or refused.status
            raise
        except Cut:
            status = 0
            raise
        except Exception as mistake:
            status, error = 500, "INTERNAL"
            sys.stderr.write(f"the handler of {asked.service}:{asked.operation} failed\n")
            traceback.print_exc()
            text = f"the GCP stack failed at {asked.service}:{asked.operation}: {type(mistake).__name__}: {mistake}"
            raise GcpError("UNIMPLEMENTED", text, reason="notImplemented") from mistake  # which no SDK tries again
        finally:
            self.calls.add(
                at=self.stack.clock.now(),
                service=asked.service,
                operation=asked.operation,
                names=asked.names,
                status=status,
                error=error,
                fault=meeting.kind,
                mutating=asked.mutating,
            )


class _Meeting:
    """The faults that a call meets."""

    def __init__(self, rules: Faults, asked: Asked) -> None:
        self._faults: dict[Kind, Fault] = {}
        for kind in OF_THE_WIRE if rules else ():
            fault = rules.take((kind,), asked.service, asked.operation, asked.names)
            if fault is not None:
                self._faults[kind] = fault
        self._service = asked.service
        self.status = 200

    @property
    def kind(self) -> str | None:
        return next(reversed(self._faults), None)

    @property
    def seconds(self) -> float:
        return self._faults["latency"].seconds if "latency" in self._faults else 0.0

    def refuse(self) -> None:
        """Before the effect."""
        if not self._faults:
            return
        if "throttle" in self._faults:
            raise _throttled(self._service)
        if "error" in self._faults:
            raise _error(self._faults["error"])
        if "cut-before" in self._faults:
            raise Cut

    def end(self, result: Any) -> None:
        """After it."""
        if isinstance(result, HttpAnswer):
            self.status = result.status
        if "cut-after" in self._faults:
            raise Cut


def _throttled(service: str) -> GcpError:
    if service == "bigquery":
        return GcpError("PERMISSION_DENIED", "Exceeded rate limits: a fault that was asked for", reason="rateLimitExceeded")
    return GcpError("RESOURCE_EXHAUSTED", "Quota exceeded: a fault that was asked for", reason="rateLimitExceeded")


def _error(fault: Fault) -> GcpError:
    return GcpError(fault.code or "INTERNAL", "a fault that was asked for", reason="backendError", http=fault.status)


def handler_of(method: table.Method) -> Callable[..., Any]:
    """Its handler; for what nobody answers, one that says so."""
    rpc = RPCS.get(method.name)
    return rpc.handler if rpc is not None else _not_there(method.name)


def _not_there(name: str) -> Callable[..., Any]:
    def refuse(call: Call, request: Any) -> Any:  # noqa: ARG001  a handler's
        raise GcpError("UNIMPLEMENTED", f"{name} is not supported by the offline GCP yet", reason="notImplemented")

    return refuse


def asked_of(method: table.Method, message: Any, headers: Mapping[str, str]) -> Asked:
    operation, mutating = _operation(method.name)
    return Asked(service=method.api.service, operation=operation, names=_names(message), headers=headers, mutating=mutating)


@functools.cache
def _operation(rpc: str) -> tuple[str, bool]:
    """EndpointService.GetEndpoint of an RPC's whole name, and whether it changes anything."""
    service, name = rpc.rsplit(".", 2)[1:]
    return f"{service}.{name}", not _READS.match(name)


def _names(message: Any) -> tuple[str, ...]:
    """The names and ids at the top of a request and of the resource in it, whole and by their last part."""
    names = []
    for field, below in _named_fields(message.DESCRIPTOR) if message is not None else ():
        value = getattr(message, field)
        if name := value.name if below else value:
            names.append(name)
    return tuple(dict.fromkeys([*names, *(name.rpartition("/")[2] for name in names if "/" in name)]))


@functools.cache
def _named_fields(descriptor: Any) -> tuple[tuple[str, bool], ...]:
    """The fields of a message that name something, in their order: texts, and (True) resources with a name."""
    fields = []
    for field in sorted(descriptor.fields, key=lambda field: field.number):
        if field.is_repeated:
            continue
        if field.type == field.TYPE_STRING:
            fields.append((field.name, False))
        elif field.type == field.TYPE_MESSAGE:
            name = field.message_type.fields_by_name.get("name")
            if name is not None and name.type == name.TYPE_STRING and not name.is_repeated:
                fields.append((field.name, True))
    return tuple(fields)


_in_loop = functools.cache(inspect.iscoroutinefunction)  # asked at every call


@functools.lru_cache(maxsize=256)
def _api_of_host(host: str) -> table.Api | None:
    return next((api for api in table.APIS if host.endswith(api.hosts)), None)


def _api_of(request: HttpRequest) -> table.Api | None:
    if (api := _api_of_host(request.host)) is not None:
        return api
    return _api_of_path(request.path)


@functools.lru_cache(maxsize=256)
def _api_of_path(path: str) -> table.Api | None:
    service = next((service for pattern, service in _PATHS if pattern.match(path)), None)
    return _OF_SERVICE[service] if service is not None else None


def _routed(api: table.Api, request: HttpRequest) -> tuple[Asked, Callable[..., Any]] | None:
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
                mutating=method != "GET" and not _READS.match(route.operation.partition(".")[2]),
            )
    return None


def _serves(route: Any, api: table.Api) -> bool:
    service = route.operation.partition(".")[0]
    return service == api.service or (service not in _OF_SERVICE and bool(api.module))


def _http_answer(result: Any) -> HttpAnswer:
    if isinstance(result, HttpAnswer):
        return result
    if result is None:
        return HttpAnswer(status=204)
    return HttpAnswer(headers=JSON, body=msgspec.json.encode(result))
