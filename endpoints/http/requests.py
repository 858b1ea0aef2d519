"""Requests that an ASGI application reads whole and answers at once or later.

The model server and the laptop's router share it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any

import msgspec

from ...core import logs
from .asgi_limits import CALLER, STRANGER, Caller, Connections, Limits
from .door import Refusal
from .error_log import tell

MOST_BODIES = 100_000_000  # bytes of all requests and unread answers at once, 503
_SMALL = 65_536  # bytes of a refused request's body, which do not end its connection

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every answer that is not 200."""

    error: str  # the exception's type, or what is wrong with the request
    message: str
    line: str | None = None  # of the predictor's code


class JsonAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer of JSON."""

    status: int
    body: bytes
    headers: Headers = ()
    close: bool = False  # the connection ends with it


def failure(
    status: int, error: str, message: str, *, headers: Headers = (), close: bool = False
) -> JsonAnswer:
    """Return an error response as JSON.

    `error` is a short name of the kind of error; `close` ends the connection.
    """
    body = msgspec.json.encode(Failure(error=error, message=message))
    return JsonAnswer(status, body, headers, close)


class Request:
    """A request that waits for its answer. All but its attributes belongs to the loop's thread."""

    __slots__ = ("_answer", "body", "caller", "headers", "method", "path", "size")

    def __init__(
        self,
        caller: Caller,
        method: bytes = b"",
        path: bytes = b"",
        headers: Mapping[bytes, bytes] | None = None,
    ) -> None:
        self.caller = caller
        self.method = method
        self.path = path  # without the query
        self.headers: Mapping[bytes, bytes] = headers or {}  # by name in lower case
        self.body: bytes | bytearray = b""
        self.size = 0  # bytes of the body that are counted
        self._answer: asyncio.Future[JsonAnswer | None] = asyncio.get_running_loop().create_future()

    @property
    def gone(self) -> bool:
        """Return whether the client has closed the connection."""
        return self.caller.gone

    def reply(self, answer: JsonAnswer) -> None:
        """Send the response to the client, once; it is dropped if the client has gone."""
        if not self._answer.done():
            self._answer.set_result(answer)

    def fail(self, status: int, error: str, message: str, *, close: bool = False) -> None:
        """Send an error response to the client; with `close` end its connection afterwards."""
        self.reply(failure(status, error, message, close=close))

    def give_up(self) -> None:
        """Drop the body of a request whose client has gone, as it may be queued for long."""
        self.body = b""
        if not self._answer.done():
            self._answer.set_result(None)

    async def answered(self) -> JsonAnswer | None:
        """Wait for the response; return None if the client has gone."""
        return await self._answer


class Gone(Exception):
    """The caller has closed its connection, or what it sends is refused."""


class Application:
    """The ASGI application. It asks for a connection of ours (asgi_limits.py)."""

    def __init__(
        self,
        handle: Callable[[Request], None],
        *,
        refusal: Callable[
            [bytes, bytes, Mapping[bytes, bytes], Callable[[], Refusal | None]], Refusal | None
        ],
        users: frozenset[int] | None,
        deciding: frozenset[bytes],
        most_body: int,
        limits: Limits,
    ) -> None:
        """Make the application.

        Args:
            handle: Answers a request, now or later, by its `reply`.
            refusal: Judges method, path, headers and the connection's user before the body is read.
            users: Those of this machine who may come, as a door has them.
            deciding: Headers in lower case; a request that has one of them twice is refused.
            most_body: Bytes of one request's body.
            limits: What a connection may cost.
        """
        self.connections = Connections(limits, refusal_body=_refusal_body)
        self._handle = handle
        self._refusal = refusal
        self._users = users
        self._deciding = deciding
        self._most_body = most_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        raw_path: bytes = scope["raw_path"]
        request = Request(
            scope["extensions"][CALLER], scope["method"].encode(), raw_path, dict(scope["headers"])
        )
        try:
            answer = await self._answer(request, scope, receive)
        except Gone:
            answer = None
        except Exception as error:  # noqa: BLE001  whatever it is, the caller must hear
            tell("a request failed by a mistake in Isthmus", error)
            answer = failure(500, type(error).__name__, "a mistake in Isthmus", close=True)
        finally:
            request.caller.left = None
            self._release(request)
        gone = answer is None or request.gone
        if logs.listening("request"):
            logs.emit(
                "request",
                method=scope["method"],
                path=raw_path.decode("latin-1"),
                status=0 if gone or answer is None else answer.status,
                ms=round(1_000 * (loop.time() - began), 1),
            )
        if answer is not None and not gone:
            await _send(send, answer)

    async def _answer(self, request: Request, scope: Scope, receive: Receive) -> JsonAnswer | None:
        """Return the response to a request, or None if the client has gone."""
        refused = self._refused(request, scope)
        if refused is not None:
            return refused
        request.caller.left = partial(self._give_up, request)
        refused = await self._read_body(request, receive)
        if refused is not None:
            return refused
        self._handle(request)
        return await request.answered()

    def _refused(self, request: Request, scope: Scope) -> JsonAnswer | None:
        """Return the error that refuses a request by its headers, or None."""
        headers = request.headers
        length = int(headers.get(b"content-length", b"0"))
        if len(scope["headers"]) != len(headers) and (twice := self._twice(scope["headers"])):
            words = f"the request has {twice.decode()} twice"
            return failure(400, "BadRequest", words, close=True)
        if b"upgrade" in headers and b"upgrade" in headers.get(b"connection", b"").lower():
            words = "this server upgrades to nothing: set your client to HTTP/1.1"
            return failure(400, "BadRequest", words, close=True)
        stranger = partial(scope["extensions"][STRANGER], self._users)
        refusal = self._refusal(request.method, request.path, headers, stranger)
        if refusal is not None:
            # a sender of much does not listen, and one that asks first sends nothing
            close = b"expect" in headers or b"transfer-encoding" in headers or length > _SMALL
            return failure(refusal.status, refusal.error, refusal.message, close=close)
        return self._too_much(0, length)

    def _twice(self, headers: list[tuple[bytes, bytes]]) -> bytes | None:
        """Return the name of a header that came twice but must come once; None if there is none."""
        names = [name for name, _ in headers]
        return next((name for name in self._deciding if names.count(name) > 1), None)

    def _too_much(self, size: int, more: int) -> JsonAnswer | None:
        """Return the error for a body above the limits of bytes; None if it is within them.

        `size` is the body's so far, `more` what has come now. One limit is for a request, one for
        all requests that are held.
        """
        if size + more > self._most_body:
            words = f"the request is above {self._most_body:,} bytes"
            return failure(413, "RequestTooLarge", words, close=True)
        if more and self.connections.bytes + more > MOST_BODIES:
            words = f"the requests that are here have {MOST_BODIES:,} bytes together"
            return failure(503, "Busy", words, close=True)
        return None

    async def _read_body(self, request: Request, receive: Receive) -> JsonAnswer | None:
        """Receive the request's body; return the error if it is too large, or None."""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            part = message["body"]
            if part:
                refused = self._too_much(request.size, len(part))
                if refused is not None:
                    return refused
                request.size += len(part)
                self.connections.bytes += len(part)
                if not request.body:
                    request.body = part
                else:
                    # no list of pieces: those of a byte each would take ten times what is counted
                    if isinstance(request.body, bytes):
                        request.body = bytearray(request.body)
                    request.body += part
            if not message["more_body"]:
                return None

    def _give_up(self, request: Request) -> None:
        """Stop work on a request whose client went away."""
        self._release(request)
        request.give_up()

    def _release(self, request: Request) -> None:
        """Subtract a request's body from the number of bytes that all requests hold."""
        self.connections.bytes -= request.size
        request.size = 0


def _refusal_body(refusal: Refusal) -> bytes:
    """Return a refusal as a JSON body, as the model server writes its errors."""
    return msgspec.json.encode(Failure(error=refusal.error, message=refusal.message))


async def _send(send: Send, answer: JsonAnswer) -> None:
    """Send a response to the client by ASGI's messages."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
    if answer.close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
