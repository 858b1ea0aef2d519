"""One connection of a client to the router: HTTP with limits. What is malformed or too much gets an answer in JSON, and then the end.

A raw asyncio protocol over httptools, because this hop is paid by every request. Each connection is answered in order, and is not read
faster than it takes its answers.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

import httptools

from ...endpoints.door import Refusal
from .exchange import Exchange, answer

if TYPE_CHECKING:
    from .router import Router

URL_BYTES, HEADER_BYTES = 8_192, 65_536
HEADER_TIME, BODY_TIME, WRITE_TIME = 10.0, 60.0, 60.0  # seconds: until the headers are whole, the body, and an answer is taken
IDLE_TIME = 300.0  # between requests
LINGER = 5.0  # a client that still sends does not listen: it is read on for so long
DISCARDED = 67_108_864  # and so many bytes
SLICE = 16_384  # bytes that are parsed at once: a bound on how many requests come out of them
WAITING = 8  # requests of one connection that wait for the one before
BUFFERED = 268_435_456  # bytes of large requests that are kept at once, of all connections
SMALL = 65_536  # bytes of a request that need not be counted
_KEPT = frozenset(
    {
        *(b"content-type", b"host", b"origin", b"sec-fetch-site"),
        *(b"x-amzn-sagemaker-target-variant", b"x-isthmus-instance", b"x-isthmus-key"),
    }
)
_BETWEEN, _HEAD, _BODY = range(3)  # which part of a request is read


class _Refused(Exception):
    """Raised inside the parser's callbacks: nothing more of this connection is read as HTTP."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error, self.message = status, error, message


class Request:
    __slots__ = ("body", "counted", "expects", "headers", "keep", "method", "path", "refusal", "size", "url")

    def __init__(self) -> None:
        self.method = b""
        self.url = b""
        self.path = b""
        self.headers: dict[bytes, bytes] = {}
        self.body: list[bytes] = []
        self.size = 0
        self.counted = 0  # of its bytes, in the router's sum
        self.keep = True
        self.expects = False
        self.refusal: Refusal | None = None  # the answer, once all of it has been read


class Client(asyncio.Protocol):
    """`since`: when what is going on began. `busy`: a request is being answered."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.parser: Any = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.since = monotonic()
        self.busy = False
        self._request = Request()
        self._reading = _BETWEEN
        self._raw = 0  # bytes of this part of the request
        self._waiting: deque[Request] = deque()
        self._unread: deque[bytes] = deque()
        self._paused = False  # reading
        self._full = False  # the client does not take its answers
        self._ended = False  # the client sends no more
        self._last: bytes | None = None  # the answer after which nothing comes
        self._discarding = False
        self._pumping = False
        self._answering: Request | None = None
        self._exchange: Exchange | None = None

    @property
    def idle(self) -> bool:
        return not self.busy and self._reading == _BETWEEN and not self._waiting and not self._unread

    # asyncio's callbacks
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream's transport
        if not self.router.admit(self):
            self._last = _closing(answer(503, "TooManyConnections", "this endpoint has as many connections as it can: try again"))
            self._end(self._last)
            if self not in self.router.turned_away:
                transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's name
        self.transport = None
        self.router.leave(self)
        for request in (*self._waiting, self._request, self._answering):
            if request is not None:
                self._release(request)
        self._waiting.clear()
        self._unread.clear()
        if self._exchange is not None:
            self._exchange.dropped = True  # unless a process has it already

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            self._raw += len(data)
            if self._raw > DISCARDED:
                self.abort()
        elif self._last is None:
            if self._unread or len(data) > SLICE:
                self._unread.extend(data[at : at + SLICE] for at in range(0, len(data), SLICE))
            else:
                self._feed(data)
            self._pump()

    def eof_received(self) -> bool:
        """True: the answers are still written."""
        self._ended = True
        if self._discarding:
            return False
        if self._reading != _BETWEEN and not self._unread:
            self._refuse(400, "BadRequest", "the request ended before it was whole")
        self._pump()
        return self.transport is not None and not self.transport.is_closing()

    def pause_writing(self) -> None:
        self._full = True
        self.since = monotonic()

    def resume_writing(self) -> None:
        self._full = False
        self.since = monotonic()
        self._pump()

    # httptools' callbacks
    def on_message_begin(self) -> None:
        self._request = Request()
        self._reading = _HEAD
        self._raw = 0
        self.since = monotonic()

    def on_url(self, url: bytes) -> None:
        self._request.url += url
        if len(self._request.url) > URL_BYTES:
            raise _Refused(414, "UrlTooLong", f"the URL is above {URL_BYTES:,} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading != _HEAD:
            return  # after the body
        request = self._request
        request.size += len(name) + len(value) + 4
        if request.size > HEADER_BYTES:
            raise _Refused(431, "HeadersTooLarge", f"the headers are above {HEADER_BYTES:,} bytes")
        name = name.lower()
        if name in _KEPT:
            if name in request.headers:  # whoever stands before this may go by the first, and we by the last
                raise _Refused(400, "BadRequest", f"the request has {name.decode()} twice")
            request.headers[name] = value
        elif name == b"content-length":
            self._length(value)
        elif name == b"expect":
            request.expects = True

    def _length(self, value: bytes) -> None:
        if not value.isdigit():
            raise _Refused(400, "BadRequest", "content-length is not a number")
        if len(value) > 18 or int(value) > self.router.max_bytes:
            self._request.refusal = self._too_large()

    def on_headers_complete(self) -> None:
        request = self._request
        self._reading, self._raw, request.size = _BODY, 0, 0
        request.method = self.parser.get_method()
        request.path = request.url.partition(b"?")[0]
        request.refusal = self.router.refusal(request.method, request.path, request.headers) or request.refusal
        if request.expects:
            if request.refusal is not None:
                raise _Refused(request.refusal.status, request.refusal.error, request.refusal.message)
            if self.transport and not self.busy and not self._waiting:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        request = self._request
        request.size += len(body)
        if request.refusal is None:
            if request.size <= SMALL or self._counted(request):
                request.body.append(body)
        elif request.size > DISCARDED:
            raise _Refused(request.refusal.status, request.refusal.error, request.refusal.message)

    def _counted(self, request: Request) -> bool:
        """Whether a large request may be kept; else it is read on, to be heard: a client that still sends does not listen."""
        router = self.router
        if request.size > router.max_bytes:
            request.refusal = self._too_large()
        elif router.buffered + request.size - request.counted > BUFFERED:
            request.refusal = Refusal(503, "Busy", "too many large requests at once: try again")
        else:
            router.buffered += request.size - request.counted
            request.counted = request.size
            return True
        self._release(request)
        return False

    def on_message_complete(self) -> None:
        self._request.keep = self.parser.should_keep_alive()
        self._reading = _BETWEEN
        self._waiting.append(self._request)
        self._request = Request()

    # what follows from them
    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            self._stopped(error.__context__)
        except httptools.HttpParserUpgrade:
            if self._waiting:
                self._waiting.pop()  # the request that asks for it
            self._refuse(400, "BadRequest", "this endpoint upgrades to nothing")
        except httptools.HttpParserError as error:
            self._refuse(400, "BadRequest", f"not HTTP: {error}")
        else:
            self._raw += len(data)
            if self._reading == _HEAD and self._raw > URL_BYTES + HEADER_BYTES:
                self._refuse(431, "HeadersTooLarge", f"the headers are above {HEADER_BYTES:,} bytes")
            elif self._reading == _BODY and self._raw > 16 * self._request.size + HEADER_BYTES:
                self._refuse(431, "HeadersTooLarge", "the chunks' own lines are longer than what is in them")

    def _stopped(self, cause: BaseException | None) -> None:
        if isinstance(cause, _Refused):
            self._refuse(cause.status, cause.error, cause.message)
            return
        traceback.print_exception(cause)
        sys.stderr.flush()
        self._refuse(500, "InternalError", "the router made a mistake, which is in its log")

    def _pump(self) -> None:
        """Answer what has been read, read on where there is room. A loop and not recursion: one packet may hold a thousand requests."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while not (self.busy or self._full or self.transport is None or self.transport.is_closing()):
                if self._waiting:
                    self._begin(self._waiting.popleft())
                elif self._last is not None:
                    self._end(self._last)
                    break
                elif self._unread:
                    self._feed(self._unread.popleft())
                elif self._ended:
                    self.transport.close()
                    break
                else:
                    break
        finally:
            self._pumping = False
        self._breathe()

    def _breathe(self) -> None:
        """Stop reading when enough is there, and go on when it is not."""
        transport = self.transport
        if transport is None or transport.is_closing() or self._discarding or self._ended:
            return
        pause = bool(self._unread) or len(self._waiting) >= WAITING or self._full
        if pause and not self._paused:
            transport.pause_reading()
        elif self._paused and not pause:
            transport.resume_reading()
        self._paused = pause

    def _begin(self, request: Request) -> None:
        self.busy = True
        self._answering = request
        if request.refusal is not None:
            self._send(answer(request.refusal.status, request.refusal.error, request.refusal.message))
            return
        exchange = self.router.answer(request, self._send)
        if self.busy and self._answering is request:  # else it was answered at once
            self._exchange = exchange

    def _send(self, reply: bytes) -> None:
        request = self._answering
        assert request is not None  # noqa: S101  for the type checker: busy says so
        self.busy, self._answering, self._exchange = False, None, None
        self._release(request)
        self.since = monotonic()
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if not request.keep:
            transport.write(_closing(reply))
            transport.close()
            return
        transport.write(reply)
        if not self._pumping:
            self._pump()

    def _refuse(self, status: int, error: str, message: str) -> None:
        """What follows on this connection cannot be understood, or is too much to read. Said after the answers to what came before."""
        self._release(self._request)
        self._reading = _BETWEEN
        self._unread.clear()
        self._last = _closing(answer(status, error, message))
        self._pump()

    def _end(self, reply: bytes) -> None:
        """Written, and then read on for a while: closing at once would take the answer from a client that still sends."""
        transport = self.transport
        if transport is None:
            return
        self._discarding, self._raw, self.since = True, 0, monotonic()
        transport.write(reply)
        if self._ended:
            transport.close()
            return
        transport.write_eof()
        if self._paused:
            self._paused = False
            transport.resume_reading()

    def expire(self, now: float) -> None:
        transport, waited = self.transport, now - self.since
        if transport is None:
            return
        if self._full:
            if waited > WRITE_TIME:
                self.abort()
        elif self._discarding:
            if waited > LINGER:
                self.abort()
        elif self.busy or self._waiting or self._unread or self._last is not None:
            return
        elif self._reading == _BETWEEN:
            if waited > IDLE_TIME:
                transport.close()
        elif waited > (HEADER_TIME if self._reading == _HEAD else BODY_TIME + HEADER_TIME):
            self._refuse(408, "RequestTimeout", "the request did not come whole in time")

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _release(self, request: Request) -> None:
        request.body = []
        self.router.buffered -= request.counted
        request.counted = 0

    def _too_large(self) -> Refusal:
        return Refusal(413, "RequestTooLarge", f"the request is above {self.router.max_bytes:,} bytes")


def _closing(reply: bytes) -> bytes:
    return reply.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
