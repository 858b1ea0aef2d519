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

import asyncio
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import msgspec

from ...core.clock import Clock
from ...core.faults import OF_THE_HANDLERS, Fault, Kind
from ...core.state import Stack

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

T = TypeVar("T")

# google.rpc.Code: its number, and the HTTP status that Google's gateways give it.
CODES: Mapping[str, tuple[int, int]] = {
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "DATA_LOSS": (15, 500),
    "UNAUTHENTICATED": (16, 401),
}


class GcpError(Exception):
    """An error as the service words it."""

    def __init__(
        self,
        status: str,
        message: str,
        *,
        reason: str | None = None,
        http: int | None = None,
        details: Sequence[Any] = (),
        **fields: Any,
    ) -> None:
        """Make an error.

        Args:
            status: A name of google.rpc.Code.
            message: The text for the caller.
            reason: The name that BigQuery and Storage give it, such as notFound.
            http: The HTTP status, where it is not the code's own.
            details: Messages, or dictionaries of JSON with an @type, that go with it.
            fields: More members of the one entry in `errors`, such as location and locationType.
        """
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.reason = reason
        self.details = details
        self.fields = fields  # more members of the one entry in `errors`: location, locationType
        self.code, usual = CODES[status]
        self.http = http or usual


class HttpRequest(msgspec.Struct, kw_only=True):
    """A request over HTTP."""

    method: str
    host: str  # without the port, in small letters
    path: str  # as it came: quoted
    query_lists: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in small letters
    body: bytes
    params: dict[str, str] = {}  # from the route's template, unquoted

    @property
    def query(self) -> dict[str, str]:
        """The last value of each query parameter."""
        return {name: values[-1] for name, values in self.query_lists.items()}

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; an empty body is an empty object.

        Raises:
            GcpError: INVALID_ARGUMENT, the body is something else.
        """
        if not self.body:
            return {}
        try:
            value = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise GcpError(
                "INVALID_ARGUMENT", f"Invalid JSON payload received. {error}", reason="parseError"
            ) from error
        if not isinstance(value, dict):
            raise GcpError(
                "INVALID_ARGUMENT",
                "Invalid JSON payload received. The body is not an object.",
                reason="parseError",
            )
        return value


class HttpAnswer(msgspec.Struct, kw_only=True):
    """An answer over HTTP."""

    status: int = HTTPStatus.OK
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | Iterable[bytes] = b""  # parts: sent one by one, chunked
    error: str | None = None  # the status' name, when it is an error


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
    """Return a decorator that makes a function the handler of these RPCs.

    `executes` is False for a handler that only stores what it is given; the coverage list says so.

    Raises:
        ValueError: An RPC has a handler already, whose work would silently be lost.
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
    """Return a decorator that makes a function the handler of an HTTP method and path templates.

    Templates: /b/{bucket}/o/{object}, {name=projects/*/jobs/*}, {rest=**}.

    Raises:
        ValueError: A template has a handler for this method already.
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


_VARIABLE = re.compile(r"\{([\w.]+)(?:=([^}]*))?\}")


def pattern_of(template: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Return a template of google.api.http as a pattern of paths, and its variables' names."""
    words, names, end = [], [], 0
    for variable in _VARIABLE.finditer(template):
        words.append(re.escape(template[end : variable.start()]))
        names.append(variable[1])
        words.append(f"({_segments(variable[2] or '*')})")
        end = variable.end()
    words.append(re.escape(template[end:]))
    return re.compile("".join(words)), tuple(names)


def _segments(pattern: str) -> str:
    return "/".join(
        {"*": "[^/:]+", "**": ".+"}.get(part) or re.escape(part) for part in pattern.split("/")
    )


def shape_of(template: str) -> tuple[str, int | None]:
    """Return a template's verb after the colon, and how many segments its paths have.

    The two tell most templates apart before any pattern is tried. A template with `**` has no fixed
    number of segments: None.
    """
    plain = _VARIABLE.sub(lambda variable: variable[2] or "*", template)
    return verb_of(plain), None if "**" in plain else plain.count("/")


def verb_of(path: str) -> str:
    """Return the verb of a path: predict of .../endpoints/7:predict."""
    return path.rpartition("/")[2].rpartition(":")[2] if ":" in path.rpartition("/")[2] else ""


def routes_for(method: str, path: str) -> Iterator[tuple[Route, re.Match[str]]]:
    """Yield the routes of a method whose template a path fits, with the path's match."""
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


def values_of(match: re.Match[str], names: Iterable[str]) -> dict[str, str]:
    """Return the unquoted values of a template's variables in a path, by name."""
    return {name: unquote(value) for name, value in zip(names, match.groups(), strict=True)}


_NEVER = threading.Event()


class Call:
    """The context of one call: the stack, its state, its clock.

    A timer or a thread may keep what `without_request` returns, and not the call itself.
    """

    __slots__ = ("_front", "clock", "ended", "headers", "operation", "service", "stack", "state")

    def __init__(
        self,
        front: Any,
        service: str,
        operation: str,
        headers: Mapping[str, str],
        ended: threading.Event | None = None,
    ) -> None:
        self._front = front
        self.service = service
        self.operation = operation
        self.headers = headers
        self.stack: Stack = front.stack
        self.clock: Clock = self.stack.clock
        self.state = self.stack.state
        self.ended = ended or _NEVER  # of a stream: the client has gone

    @property
    def images(self) -> Mapping[str, str]:
        """The commands that the user mapped to containers' images."""
        return self.stack.images

    @property
    def home(self) -> Path:
        """The folder of this stack's files."""
        return self.stack.home

    @property
    def query_memory(self) -> int:
        """How many bytes one query may use."""
        return self.stack.query_memory

    @property
    def url(self) -> str:
        """The stack's URL."""
        return self.stack.url

    @property
    def grpc_address(self) -> str:
        """The host and port at which the stack speaks gRPC."""
        address: str = self._front.grpc_address
        return address

    @property
    def env(self) -> dict[str, str]:
        """The variables with which a subprocess reaches this stack by Google's own SDKs."""
        variables: dict[str, str] = self._front.variables()
        return variables

    @property
    def stopping(self) -> threading.Event:
        """The event that a reset or a shutdown sets.

        Background work looks at it: `call.stopping.wait(1)` instead of sleeping.
        """
        event: threading.Event = self.state.stopping
        return event

    def store(self, kind: type[T]) -> T:
        """Return the stack's one instance of `kind`, made by `kind()`; a reset drops it."""
        instance: T = self.state.store((), kind)
        return instance

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in a handler's thread, for a handler that runs in the loop.

        All that reads or writes more than memory belongs there.
        """

        def work() -> T:
            with self.clock.request():
                return function(*arguments)

        return await asyncio.get_running_loop().run_in_executor(None, work)

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer to a request that this one carries, such as one part of a batch."""
        answer: HttpAnswer = self._front.inside(request)
        return answer

    def new_id(self) -> str:
        """Return 19 random digits, as Google numbers what has no name of its own."""
        return str(secrets.randbelow(8 * 10**18) + 10**18)

    def now_pb(self) -> Timestamp:
        """Return the time on the stack's clock as a protobuf message."""
        from google.protobuf.timestamp_pb2 import Timestamp

        moment = Timestamp()
        moment.FromDatetime(self.clock.now())
        return moment

    def fault(self, kind: Kind, name: str | None = None) -> Fault | None:
        """Take a fault that only a handler can act out; None if there is none to take.

        These are lost-deploy, eventual-consistency and duplicate.
        """
        if kind not in OF_THE_HANDLERS:
            raise ValueError(f"{kind} is the front's business")
        return self.stack.faults.take(
            (kind,), self.service, self.operation, (name,) if name else ()
        )

    def spawn(self, function: Callable[..., object], *arguments: object) -> threading.Thread:
        """Run background work of the stack in a thread.

        The work watches `stopping`; its errors are written to the stack's stderr.
        """
        thread: threading.Thread = self.state.spawn(function, *arguments)
        return thread

    def on_stop(self, function: Callable[[], object]) -> None:
        """Call `function` at the next reset or at shutdown, to kill subprocesses or close files."""
        self.state.on_stop(function)

    def without_request(self) -> Call:
        """Return the same context for what outlives the request."""
        call = Call(self._front, self.service, self.operation, {})
        call.state = self.state
        return call
