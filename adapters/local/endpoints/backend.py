"""One request forwarded to a variant, and the process that answers it: one kept connection, one
request at a time.

A model predicts one request at a time. What waits does so here, where it can still go to another
process: only the request that a process works at is lost with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

import httptools
import msgspec

from ....endpoints.http.error_log import tell
from ....endpoints.serving.connections import Failure, Request

AGAIN = 0.1  # seconds until a process that refused a connection is tried again


class Answer(msgspec.Struct, frozen=True, gc=False):
    """As `Request.reply` takes it."""

    status: int
    body: bytes  # JSON
    extra: bytes = b""  # lines of the head


def failure(status: int, error: str, message: str, *, code: str = "", extra: bytes = b"") -> Answer:
    """Of the router's own. `code` tells our client what happened."""
    line = b"x-isthmus-error: %s\r\n" % code.encode() if code else b""
    return Answer(status, msgspec.json.encode(Failure(error=error, message=message)), extra + line)


class Exchange:
    """`done` is called exactly once, unless the request is `gone` (nobody waits any more) before it
    was sent.
    """

    __slots__ = ("_answered", "begun", "request", "variant")

    def __init__(
        self, request: Request, variant: str, answered: Callable[[Exchange, Answer], None]
    ) -> None:
        self.request = request
        self.variant = variant
        self.begun = monotonic()
        self._answered = answered

    def done(self, answer: Answer) -> None:
        self._answered(self, answer)


class Queue(Protocol):
    """What a process hears requests from, and tells how it is: a variant's balancer."""

    variant: str
    extra: bytes  # lines of every answer's head
    max_answer: int  # bytes

    def ready(self, backend: Backend) -> None: ...

    def leave(self, backend: Backend) -> None: ...

    def went(self, backend: Backend) -> None: ...

    def failure(self, status: int, error: str, message: str, code: str) -> Answer: ...


class Backend:
    """One process of a variant.

    `open` it when the process is ready, `close` it when it is gone or about to go.
    """

    def __init__(self, balancer: Queue, *, hung: Callable[[], None] = lambda: None) -> None:
        self.balancer = balancer
        # called when the process works at one request for longer than the time-out
        self.hung = hung
        self.port: int | None = None  # None: no process is ready
        self.why = "it is starting"
        self.returns = True  # a process will be ready soon: requests may wait for it
        self.answered = 0  # by the process that is open now
        self.exchange: Exchange | None = None
        self.sent: float | None = None  # since when the process works at it
        self._connection: Upstream | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self.sent is not None

    def open(self, port: int) -> None:
        self.port, self.returns, self.answered = port, True, 0
        self._connect()

    def close(self, why: str, *, returns: bool) -> None:
        """No new requests from now on; the one under way gets what its process still says."""
        self.port, self.why, self.returns = None, why, returns
        if not self.busy and self._connection is not None:
            self._connection.close()
        self.balancer.went(self)

    def send(self, exchange: Exchange) -> bool:
        """False: the connection has just ended, and nothing was sent."""
        connection = self._connection
        if connection is None or connection.closing:
            return False
        self.exchange, self.sent = exchange, monotonic()
        connection.send(exchange)
        return True

    def finished(self, status: int, body: bytes, *, reusable: bool) -> None:
        exchange, self.exchange, self.sent = self.exchange, None, None
        self.answered += 1
        connection = self._connection
        if self.port is None or not reusable:
            if connection is not None:
                connection.close()  # lost() connects again
        else:
            self.balancer.ready(self)
        if exchange is not None:
            exchange.done(Answer(status, body, self.balancer.extra))

    def lost(self, connection: Upstream) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        exchange, self.exchange, self.sent = self.exchange, None, None
        self.balancer.leave(self)
        if exchange is not None:
            words = f"variant {self.balancer.variant} ended the connection before it answered"
            exchange.done(self.balancer.failure(502, "ConnectionLost", words, "lost"))
        if self.port is not None:
            self._connect()

    def refuse(self, message: str) -> None:
        """The process answers, but not what can be passed on."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.done(self.balancer.failure(502, "AnswerTooLarge", message, ""))
        if self._connection is not None:
            self._connection.close()

    def expire(self, now: float, timeout: float) -> None:
        if self.sent is None or now - self.sent < timeout:
            return
        exchange, self.exchange, self.sent = self.exchange, None, None
        if exchange is not None:
            words = f"variant {self.balancer.variant} did not answer within {timeout:g} s"
            exchange.done(self.balancer.failure(504, "Timeout", words, ""))
        self.hung()

    def _connect(self) -> None:
        if self._opening is None and self.port is not None:
            self._opening = asyncio.get_running_loop().create_task(self._open(self.port))

    async def _open(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: Upstream(self, self.balancer.max_answer), "127.0.0.1", port
            )
        except OSError:
            self._opening = None
            # it is dying, which its owner will say, or has no descriptor left
            loop.call_later(AGAIN, self._connect)
            return
        self._opening = None
        if self.port != port:
            connection.close()
            self._connect()
            return
        self._connection = connection
        self.balancer.ready(self)


class Upstream(asyncio.Protocol):
    """The kept connection to a variant's process."""

    def __init__(self, backend: Backend, max_answer: int) -> None:
        self.backend = backend
        self.transport: asyncio.Transport | None = None
        self.parser: Any = httptools.HttpResponseParser(self)
        self._max_answer = max_answer
        self._body: list[bytes] = []
        self._size = 0

    @property
    def closing(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream's transport

    def send(self, exchange: Exchange) -> None:
        request = exchange.request
        head = (
            b"POST /invocations HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: "
            b"%s\r\ncontent-length: %d\r\n\r\n"
            % (
                request.headers[b"content-type"],
                len(request.body),
            )
        )
        assert self.transport is not None  # noqa: S101  for the type checker: Backend.send looked
        self.transport.write(head + request.body)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if isinstance(error, httptools.HttpParserCallbackError):
                tell("reading a model server's answer failed", error)
            self.close()  # connection_lost answers the exchange

    def on_message_begin(self) -> None:
        self._body = []
        self._size = 0

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._max_answer:
            self._body = []
            self.backend.refuse(
                f"variant {self.backend.balancer.variant} answered more than "
                f"{self._max_answer:,} bytes"
            )
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._size > self._max_answer:
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        reusable: bool = self.parser.should_keep_alive()
        self.backend.finished(self.parser.get_status_code(), body, reusable=reusable)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's name
        self.backend.lost(self)
