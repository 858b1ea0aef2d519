"""The gateway as an ASGI application.

POST /rank, /assign, /track and OpenFeature's flags; GET /health, /ping, /metrics, /openapi.json.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, final

import msgspec

from ...http.asgi_limits import STRANGER
from ...http.door import OPEN_PATHS, TOKEN, AccessRules, Refusal, ambiguous, is_loopback, refusal
from ...http.error_log import tell
from ...http.peers import stranger_of
from ...http.server import say
from . import ofrep
from .answers import HttpAnswer, failure
from .calls import Calls
from .service import Service

MAX_BYTES = 1_048_576  # of a body: a thousand candidates are a few tens of thousands
MOST_BODIES = 67_108_864  # bytes of all bodies at once; more are told 503
# bytes of a body that is too large that are read before the connection is cut: who still sends does
# not listen
DISCARDED = 67_108_864
THREADS = 16  # rankings at once; they mostly wait for the endpoint
WAITING = 256  # rankings that wait for a thread; more are told 503
_LOOK = 5.0  # seconds for which /health waits for the endpoint
_LONGEST_PAUSE = 30.0  # seconds between tries to warm up
_POSTS: dict[str, Callable[[Calls, bytes], HttpAnswer]] = {
    "/rank": Calls.rank,
    "/assign": Calls.assign,
    "/track": Calls.track,
}
_METHODS = dict.fromkeys([*_POSTS, ofrep.PATH, f"{ofrep.PATH}/{{key}}"], "POST") | dict.fromkeys(
    ["/health", "/ping", "/metrics", "/openapi.json"], "GET"
)
_ALIVE = b'{"status":"alive"}'
_JSON, _TEXT = b"application/json", b"text/plain; version=0.0.4; charset=utf-8"

_Result = TypeVar("_Result")
AsgiScope = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _TooLarge(Exception): ...


class _Full(Exception): ...


class _Gone(Exception): ...


@final
class Application:
    """The ASGI application of a gateway.

    `make` opens the service: at the server's start, or with the first request where the server
    announces no start.
    """

    def __init__(
        self,
        make: Callable[[], Service],
        request_door: AccessRules,
        *,
        listening: bool = True,
        tells: bool = True,
    ) -> None:
        """Prepare the application without opening the service.

        `listening`: its maker knows the address and asked for a token beyond loopback; else each
        request's address is checked.

        `tells`: print on stderr how warming up ended.
        """
        self._make = make
        self._door = request_door
        self._listening = listening
        self._tells = tells
        self._service: Service | None = None
        self._opening = asyncio.Lock()
        self._rankings = ThreadPoolExecutor(THREADS, "rank")
        self._looks = ThreadPoolExecutor(3, "look")  # to warm up, for /health, for /metrics
        self._bodies = 0  # bytes
        self._under_way: set[Future[Any]] = set()
        self._inside = 0  # rankings that run or wait
        self._keeping: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._looking: asyncio.Future[Any] | None = None
        self._looked = 0.0
        self.lost = 0  # rows of what is logged, once it is closed

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def open(self) -> Service:
        """Return the service of all gateways; the first call creates it and warms it up."""
        async with self._opening:
            service = self._service
            if service is None:
                service = await self._in_thread(self._looks, self._make)
                self._service = service
                self._keeping = asyncio.create_task(self._keep(service))
        return service

    async def warmed(self) -> None:
        """Wait until the first attempt to warm up the service has ended."""
        await self.open()
        await self._tried.wait()

    async def close(self) -> None:
        """Stop serving: write the waiting log rows, and end the threads."""
        if self._keeping is not None:
            self._keeping.cancel()
        if self._service is not None:
            self.lost = await asyncio.to_thread(self._service.close)  # not behind looks that hang
        for pool in (self._rankings, self._looks):
            pool.shutdown(wait=False, cancel_futures=True)

    @property
    def still_running(self) -> bool:
        """Return whether a thread still runs after `close`, so that the process would hang.

        Python waits for it before it ends.
        """
        return any(not work.done() for work in self._under_way)

    def _in_thread(
        self, pool: ThreadPoolExecutor, function: Callable[..., _Result], *arguments: Any
    ) -> asyncio.Future[_Result]:
        """Run a blocking function in a thread pool; return its result as an asyncio future.

        Until it ends it counts as under way.
        """
        work = pool.submit(function, *arguments)
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)
        return asyncio.wrap_future(work)

    async def _lifespan(self, receive: AsgiReceive, send: Send) -> None:
        """Answer ASGI's lifespan protocol: open the service at startup, close it at shutdown."""
        await receive()
        try:
            await self.open()
        except Exception as error:  # noqa: BLE001  whatever it is, the server must be told, or it serves nothing for ever
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _keep(self, service: Service) -> None:
        """Warm up until that succeeds; then publish this process's metrics each second."""
        pause, due, warm = 1.0, 0.0, False
        while True:
            if not warm and time.monotonic() >= due:
                began = time.monotonic()
                try:
                    warm = await self._in_thread(self._looks, service.warm)
                except Exception:  # noqa: BLE001  a mistake of ours must not end the watch: /health says it is not ready
                    traceback.print_exc()
                due, pause = time.monotonic() + pause, min(2 * pause, _LONGEST_PAUSE)
                if self._tells:
                    _tell(service, time.monotonic() - began)
                self._tried.set()
            await asyncio.sleep(1)
            service.publish()

    async def _http(self, scope: AsgiScope, receive: AsgiReceive, send: Send) -> None:
        """Answer one HTTP request, and count its status and time."""
        began = time.perf_counter()
        service = self._service or await self.open()
        path = scope["path"]
        try:
            answer, kind = await self._answer(service, scope, receive)
        except _Gone:
            return
        except Exception as error:  # noqa: BLE001  whoever asked must hear, in the words of this API
            tell("a request failed by a mistake in Isthmus", error)
            answer, kind = (
                failure(
                    500,
                    f"a mistake in Isthmus: {type(error).__name__}; its traceback is in the "
                    "gateway's log",
                ),
                _JSON,
            )
        headers = [(b"content-type", kind)]
        if answer.status != 304:  # its length would be that of a 200 (RFC 9110, 8.6)
            headers.append((b"content-length", str(len(answer.body)).encode()))
        if answer.etag:
            headers.append((b"etag", answer.etag.encode()))
        if answer.status == 503:
            headers.append((b"retry-after", b"1"))
        elif answer.status == 405:
            headers.append((b"allow", str(_method(path)).encode()))
        elif answer.status == 413:
            headers.append((b"connection", b"close"))
        if _method(path) == "POST" or answer.status not in (200, 503):  # not the probes
            service.counters.answered(
                answer.endpoint, answer.variant, answer.status, time.perf_counter() - began
            )
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(
        self, service: Service, scope: AsgiScope, receive: AsgiReceive
    ) -> tuple[HttpAnswer, bytes]:
        """Return the response to a request, and its content type."""
        path, headers = scope["path"], dict(scope["headers"])
        answer = self._refusal(scope, headers)
        if answer is None and _method(path) == "POST":
            answer = await self._post(service, receive, headers, path)
        if answer is not None:
            return ofrep.as_error(answer) if _is_flag(
                path
            ) and answer.status >= 400 else answer, _JSON
        if path == "/metrics":
            text = await self._in_thread(self._looks, service.metrics)
            return HttpAnswer(status=200, body=text.encode()), _TEXT
        if path == "/health":
            return await self._health(service), _JSON
        return HttpAnswer(
            status=200,
            body=_ALIVE if path == "/ping" else service.openapi(token=self._door.token is not None),
        ), _JSON

    def _refusal(self, scope: AsgiScope, headers: Mapping[bytes, bytes]) -> HttpAnswer | None:
        """Return the error for a request that is refused before its body is read; None to go on."""
        path = scope["path"].encode()
        refused = ambiguous(scope["headers"]) or refusal(
            self._door, scope["method"].encode(), path, headers, partial(self._stranger, scope)
        )
        if refused is not None:
            return failure(refused.status, refused.message)
        if not (self._listening or self._door.token or path in OPEN_PATHS or _at_loopback(scope)):
            return failure(
                403, f"other machines reach this address: set {TOKEN} where the server runs"
            )
        method = _method(scope["path"])
        if method is None:
            return failure(
                404,
                "there is " + ", ".join(f"{method} {path}" for path, method in _METHODS.items()),
            )
        return failure(405, f"it takes {method}") if scope["method"] != method else None

    def _stranger(self, scope: AsgiScope) -> Refusal | None:
        """Return the error for a local caller whose Unix user is not allowed, or None.

        Isthmus's own server checks a connection once; behind another ASGI server each request is
        checked here.
        """
        if STRANGER in scope.get("extensions", {}):
            refused: Refusal | None = scope["extensions"][STRANGER](self._door.users)
            return refused
        return None if self._listening else stranger_of(self._door.users, scope)

    async def _post(
        self, service: Service, receive: AsgiReceive, headers: Mapping[bytes, bytes], path: str
    ) -> HttpAnswer:
        """Read a request's body and answer it; refuse the request when too many wait already."""
        parts: list[bytes] = []
        try:
            await self._receive_body(receive, headers, parts)
            if self._inside >= THREADS + WAITING:
                return failure(
                    503, f"{WAITING} requests wait already", "try again, or start more --workers"
                )
            self._inside += 1
            try:
                return await self._in_thread(
                    self._rankings, _dispatch, service.calls, path, b"".join(parts), headers
                )
            finally:
                self._inside -= 1
        except _TooLarge:
            return failure(
                413,
                f"the body is above {MAX_BYTES:,} bytes",
                "rank fewer candidates, or track fewer events, a request",
            )
        except _Full:
            return failure(
                503,
                f"the requests that are here have {MOST_BODIES:,} bytes",
                "try again, or start more --workers",
            )
        finally:
            self._bodies -= sum(map(len, parts))

    async def _receive_body(
        self, receive: AsgiReceive, headers: Mapping[bytes, bytes], parts: list[bytes]
    ) -> None:
        """Receive a request's body into the list `parts`, counting its bytes in `_bodies`."""
        if b"expect" in headers and int(headers.get(b"content-length", b"0")) > MAX_BYTES:
            raise _TooLarge  # it asks before it sends
        size, more = 0, True
        while more and size <= DISCARDED:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size <= MAX_BYTES:
                parts.append(part)
                self._bodies += len(part)
            if self._bodies > MOST_BODIES:
                raise _Full
        if size > MAX_BYTES:
            raise _TooLarge

    async def _health(self, service: Service) -> HttpAnswer:
        """Return the /health response, from one check a second at most for all probes together.

        Many probes must not cause much work.
        """
        if self._looking is None and time.monotonic() - self._looked >= 1:
            self._looking = self._in_thread(self._looks, service.health)
            self._looking.add_done_callback(self._note_look)
        problem = None
        if self._looking is not None:
            try:
                await asyncio.wait_for(asyncio.shield(self._looking), _LOOK)
            except TimeoutError:
                problem = f"the endpoint, or its features, did not answer within {_LOOK:g} s"
        health = service.as_it_was()
        if problem is not None:
            health = msgspec.structs.replace(health, ready=False, problem=problem)
        return HttpAnswer(status=200 if health.ready else 503, body=msgspec.json.encode(health))

    def _note_look(self, _future: object) -> None:
        """Record that a health check has ended, so that the next one starts a second later."""
        self._looking, self._looked = None, time.monotonic()


def _method(path: str) -> str | None:
    """Return the only HTTP method of an API path, or None for an unknown path."""
    return "POST" if _is_flag(path) else _METHODS.get(path)


def _is_flag(path: str) -> bool:
    """Return whether a path is of OpenFeature's protocol: for one feature flag or for all."""
    return path == ofrep.PATH or (
        path.startswith(f"{ofrep.PATH}/") and len(path) > len(ofrep.PATH) + 1
    )


def _dispatch(calls: Calls, path: str, body: bytes, headers: Mapping[bytes, bytes]) -> HttpAnswer:
    """Answer an API call by its path, such as /rank, from the request's body and headers."""
    if path == ofrep.PATH:
        return calls.flags(body, headers.get(b"if-none-match", b"").decode("latin-1"))
    return (
        calls.flag(path[len(ofrep.PATH) + 1 :], body)
        if _is_flag(path)
        else _POSTS[path](calls, body)
    )


def _tell(service: Service, seconds: float) -> None:
    """Print how long each endpoint took to warm up, or why it is not ready, to stderr."""
    for name, readiness in service.as_it_was().endpoints.items():
        state = (
            f"ready after {seconds:.1f} s" if readiness.ready else f"not ready: {readiness.problem}"
        )
        say("\n".join([f"{name}: {state}", *(f"  {line}" for line in readiness.warm_up)]))


def _at_loopback(scope: AsgiScope) -> bool:
    """Return whether the connection's address can be reached from this machine alone.

    A Unix socket has no address, and counts as one.
    """
    server = scope.get("server")
    return server is None or server[1] is None or is_loopback(server[0])
