"""One request forwarded to a variant, and the pools of kept connections that it goes through."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import httptools
import msgspec

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


def answer(status: int, error: str | None, message: str, *, code: str = "", extra: bytes = b"") -> bytes:
    """A reply of the router's own. `error` None: the message is the body, JSON already. `code` tells our client what happened."""
    body = message.encode() if error is None else msgspec.json.encode({"error": error, "message": message})
    if code:
        extra += b"x-isthmus-error: %s\r\n" % code.encode()
    return rendered(status, b"application/json", body, extra)


def rendered(status: int, content_type: bytes, body: bytes, extra: bytes) -> bytes:
    return b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n%s\r\n%s" % (
        status,
        _REASONS.get(status, b"Unknown"),
        content_type,
        len(body),
        extra,
        body,
    )


class Exchange:
    """`done(status, reply)` is called exactly once."""

    __slots__ = ("body", "content_type", "done")

    def __init__(self, content_type: bytes, body: list[bytes], done: Callable[[int, bytes], None]) -> None:
        self.content_type = content_type
        self.body = body
        self.done = done


class Pool:
    """The connections to one running process of a variant. `close` it when the process is gone or about to go."""

    def __init__(self, variant: str, version: int) -> None:
        self.variant = variant
        self.extra = b"x-amzn-invoked-production-variant: %s\r\nx-isthmus-version: %d\r\n" % (variant.encode(), version)
        self.port: int | None = None  # None: no process is ready
        self.why = "it is starting"
        self.under_way = 0
        self._idle: list[Upstream] = []
        self._opening: set[asyncio.Task[None]] = set()

    def open(self, port: int) -> None:
        self.port = port

    def close(self, why: str) -> None:
        """New requests are answered 503 from now on; those under way get what their process still says."""
        self.port, self.why = None, why
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def send(self, exchange: Exchange) -> None:
        if self.port is None:
            exchange.done(503, self._failure(503, "Unavailable", f"variant {self.variant} cannot answer: {self.why}", "unavailable"))
            return
        self.under_way += 1
        if self._idle:
            self._idle.pop().send(exchange)
        else:
            task = asyncio.get_running_loop().create_task(self._connect(exchange, self.port))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _connect(self, exchange: Exchange, port: int) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(lambda: Upstream(self, port), "127.0.0.1", port)
        except OSError as error:
            self.under_way -= 1
            words = f"variant {self.variant} does not answer: {error}"
            exchange.done(503, self._failure(503, "Unavailable", words, "unavailable"))
            return
        connection.send(exchange)

    def _failure(self, status: int, error: str, message: str, code: str) -> bytes:
        return answer(status, error, message, code=code, extra=self.extra)

    def finished(self, connection: Upstream, exchange: Exchange, status: int, content_type: bytes, body: bytes) -> None:
        self.under_way -= 1
        if connection.port == self.port and connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        exchange.done(status, rendered(status, content_type, body, self.extra))

    def lost(self, connection: Upstream, exchange: Exchange | None) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        if exchange is not None:
            self.under_way -= 1
            words = f"variant {self.variant} ended the connection before it answered"
            exchange.done(502, self._failure(502, "ConnectionLost", words, "lost"))


class Pools:
    """Those of the processes of one variant. A request goes to where the fewest are under way, and in turn where that is the same."""

    def __init__(self, pools: Iterable[Pool]) -> None:
        self._pools = deque(pools)

    def send(self, exchange: Exchange) -> None:
        self._pools.rotate(-1)
        running = [pool for pool in self._pools if pool.port is not None]
        min(running or self._pools, key=_under_way).send(exchange)


def _under_way(pool: Pool) -> int:
    return pool.under_way


class Upstream(asyncio.Protocol):
    """One kept connection to a variant's process; one exchange at a time."""

    def __init__(self, pool: Pool, port: int) -> None:
        self.pool = pool
        self.port = port
        self.transport: asyncio.Transport | None = None
        self.parser: Any = httptools.HttpResponseParser(self)
        self.exchange: Exchange | None = None
        self.reusable = True
        self._type = b"application/json"
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream's transport

    def send(self, exchange: Exchange) -> None:
        self.exchange = exchange
        if self.transport is None or self.transport.is_closing():
            self.connection_lost(None)
            return
        body = exchange.body
        size = sum(map(len, body))
        head = b"POST /invocations HTTP/1.1\r\nhost: variant\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (
            exchange.content_type,
            size,
        )
        self.transport.writelines([head, *body])

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close()  # connection_lost answers the exchange

    def on_message_begin(self) -> None:
        self._body = []
        self._type = b"application/json"

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self._type = value

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        exchange, self.exchange = self.exchange, None
        self.reusable = self.parser.should_keep_alive()
        if exchange is not None:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self.pool.finished(self, exchange, self.parser.get_status_code(), self._type, body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's name
        exchange, self.exchange = self.exchange, None
        self.pool.lost(self, exchange)
