"""The router in front of an endpoint's variants: splits by weight, honours an explicit variant, forwards bytes.

A raw asyncio protocol over httptools, because this hop is paid by every request. Each connection of a client answers in order;
each process of a variant has a pool of kept connections. A request is never sent twice and never to another variant: both would
bend the split.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import httptools

from .exchange import Exchange, Pool, Pools, answer

TARGET = b"x-amzn-sagemaker-target-variant"
CONTROL = b"/_isthmus/"
DISCARDED = 67_108_864  # bytes of a request that is too large that are read before the connection is cut
_KEPT = frozenset({b"content-type", TARGET, b"x-isthmus-instance", b"x-isthmus-key"})

Control = Callable[[str, str], tuple[int, bytes]]  # method, what follows /_isthmus/ -> status, JSON


class Router:
    """The split and the pools. The supervisor sets both; a change holds from the next request on."""

    def __init__(
        self,
        *,
        instance: str,
        key: str,
        max_bytes: int,
        control: Control,
        log: Callable[[str, int, float], None],
        rng: Random | None = None,
    ) -> None:
        self.instance, self.key = instance.encode(), key.encode()
        self.max_bytes = max_bytes
        self.control = control
        self.log = log
        self.pools: dict[str, Pool | Pools] = {}
        self._rng = rng or Random()  # noqa: S311  a traffic split is no secret
        self._bounds: list[tuple[int, str]] = []

    def split(self, steps: Sequence[tuple[str, int]]) -> None:
        """Weights in hundredths of a percent, summing to 10,000."""
        total, bounds = 0, []
        for name, weight in steps:
            total += weight
            bounds.append((total, name))
        self._bounds = bounds

    def choose(self) -> str:
        """A variant by weight. The draw is exact: 10,000 equally likely places."""
        place = int(self._rng.random() * 10_000)
        for bound, name in self._bounds:
            if place < bound:
                return name
        return self._bounds[-1][1]

    def protocol(self) -> Client:
        return Client(self)


class Client(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.parser: Any = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.waiting: deque[_Request] = deque()
        self.busy = False
        self.request = _Request()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream's transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's name
        self.transport = None
        self.waiting.clear()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "BadRequest", "this endpoint upgrades to nothing")
        except httptools.HttpParserError as error:
            self._refuse(400, "BadRequest", f"not HTTP: {error}")

    # httptools' callbacks
    def on_message_begin(self) -> None:
        self.request = _Request()

    def on_url(self, url: bytes) -> None:
        self.request.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in _KEPT:
            self.request.headers[name] = value
        elif name == b"content-length" and int(value) > self.router.max_bytes:
            self.request.too_large = True
        elif name == b"expect":
            self.request.expects = True

    def on_headers_complete(self) -> None:
        self.request.method = self.parser.get_method()
        if self.request.too_large and self.request.expects:
            self._refuse(413, "RequestTooLarge", self._too_large())
        elif self.request.expects and self.transport and not self.busy:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        request = self.request
        request.size += len(body)
        if request.too_large or request.size > self.router.max_bytes:
            request.too_large = True  # read on, to be heard: a client that still sends does not listen
            request.body.clear()
            if request.size > DISCARDED:
                self._refuse(413, "RequestTooLarge", self._too_large())
        else:
            request.body.append(body)

    def on_message_complete(self) -> None:
        request = self.request
        request.keep = self.parser.should_keep_alive()
        request.begun = time.perf_counter()
        if self.busy:
            self.waiting.append(request)
            if len(self.waiting) == 8 and self.transport:  # a client that does not wait for its answers is made to
                self.transport.pause_reading()
        else:
            self._begin(request)

    def _too_large(self) -> str:
        return f"the request is above {self.router.max_bytes:,} bytes"

    def _begin(self, request: _Request) -> None:
        self.busy = True
        router, headers = self.router, request.headers
        if request.url.startswith(CONTROL):
            self._control(request)
        elif headers.get(b"x-isthmus-instance", router.instance) != router.instance:
            self._send(request, answer(421, "NotHere", "another endpoint listens here now", code="not-here"))
        elif request.too_large:
            self._send(request, answer(413, "RequestTooLarge", self._too_large()))
        elif request.url == b"/ping":
            self._send(request, answer(200, None, '{"status": "ready"}'))
        elif request.url != b"/invocations":
            self._send(request, answer(404, "NotFound", "there is /invocations (POST) and /ping"))
        elif request.method != b"POST":
            self._send(request, answer(405, "MethodNotAllowed", "POST to /invocations"))
        else:
            self._forward(request)

    def _control(self, request: _Request) -> None:
        if request.headers.get(b"x-isthmus-key") != self.router.key:
            self._send(request, answer(403, "Denied", "the control routes are the supervisor's"))
            return
        status, body = self.router.control(request.method.decode(), request.url[len(CONTROL) :].decode())
        self._send(request, answer(status, None, body.decode()))

    def _forward(self, request: _Request) -> None:
        router = self.router
        explicit = request.headers.get(TARGET)
        name = router.choose() if explicit is None else explicit.decode("latin-1")
        pool = router.pools.get(name)
        if pool is None:
            have = ", ".join(router.pools)
            self._send(request, answer(400, "NoVariant", f"there is no variant {name}; there is {have}", code="no-variant"))
            return

        def done(status: int, reply: bytes) -> None:
            router.log(name, status, time.perf_counter() - request.begun)
            self._send(request, reply)

        pool.send(Exchange(request.headers.get(b"content-type", b"application/json"), request.body, done))

    def _send(self, request: _Request, reply: bytes) -> None:
        self.busy = False
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if not request.keep:
            transport.write(reply.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
            transport.close()
            return
        transport.write(reply)
        if self.waiting:
            following = self.waiting.popleft()
            transport.resume_reading()
            self._begin(following)

    def _refuse(self, status: int, error: str, message: str) -> None:
        """Answer at once and close: what follows on this connection cannot be understood, or is too much to read."""
        if self.transport and not self.transport.is_closing():
            self.transport.write(answer(status, error, message).replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
            self.transport.close()


class _Request:
    __slots__ = ("begun", "body", "expects", "headers", "keep", "method", "size", "too_large", "url")

    def __init__(self) -> None:
        self.method = b""
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.body: list[bytes] = []
        self.size = 0
        self.begun = 0.0
        self.keep = True
        self.too_large = False
        self.expects = False
