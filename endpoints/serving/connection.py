"""HTTP/1.1 of the model server and of the laptop's router: what a connection may send, how much,
and how long it may take.

What a request means is not here. A raw asyncio protocol over httptools, as these hops are paid by
every prediction. A connection answers in order; while it waits for an answer nothing more of it is
parsed, and beyond 64 KiB nothing more is read. A request that is refused for its size is answered
at once, and what its sender still sends is read and thrown away: who sends does not listen.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import httptools

from ..http import peers
from ..http.door import Refusal
from ..http.error_log import tell
from . import connections
from .connections import Connections, Request
from .repeated import Head, head_of

MOST_HEADERS = 65_536  # bytes, 431
MOST_URL = 8_192  # bytes, 414
HEADERS_WITHIN, BODY_WITHIN = 10.0, 60.0  # seconds, 408
# seconds; the caller's pool should be the first to close, as a close that meets a request loses it
IDLE = 3600.0
READ_WITHIN = 60.0  # seconds in which a caller takes some of its answer
_LINGER, _DISCARDED = 5.0, 100_000_000  # seconds and bytes of what is thrown away
# bytes that are parsed at once outside of a body: so many requests at most wait on a connection
_SLICE = 4096
_UNPARSED = 65_536  # bytes of what comes after a request, before reading stops
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Connection(asyncio.Protocol):
    def __init__(self, server: Connections) -> None:
        self.server = server
        self.transport: asyncio.Transport | None = None
        self.parser: Any = httptools.HttpRequestParser(self)
        self.deadline = math.inf
        self._request: Request | None = None  # that is being read
        self._waiting: deque[Request] = (
            deque()
        )  # read, to be answered after the one that is under way
        self._under_way: Request | None = None
        self._unparsed = b""
        self._in_head = False
        self._fed = 0  # bytes of this head, or of this body with what is between its chunks
        self._left = 0  # bytes of the body that are still to come, where its length was told
        self._unread = 0  # bytes of an answer; above 0 nothing is begun until the caller takes it
        self._paused = self._stepping = False
        self._deaf = False  # nothing that still comes on this connection is a request
        self._discarded = 0
        self._head: Head | None = None  # of the last request: one like it comes in, too, unparsed
        self._first = b""  # what came with the first byte of the request that is being read
        self._asked = False  # whose the connection is
        self._strange: Refusal | None = None
        self.descriptor = -1
        # nothing stands before the answer that is under way, so it may be written past the
        # transport
        self._direct = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream's transport
        self.descriptor = transport.get_extra_info("socket").fileno()
        if self.server.admit(self):
            self._rest()
        else:
            self._refuse(503, "Busy", f"{self.server.most:,} connections are open and none is idle")
            self._step()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's name
        with (
            self.server.lock
        ):  # the descriptor is closed after this, and may then be another connection's
            self.transport, under_way, self._under_way = None, self._under_way, None
        self.server.forget(self)
        self.server.bytes -= self._unread
        for request in (self._request, under_way, *self._waiting):
            if request is not None:
                self.server.bytes -= request.size
                request.body = (
                    b""  # it may wait for its prediction for long, and is counted no more
                )
        self._request = None
        self._waiting.clear()
        self._unparsed, self._unread = b"", 0

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._discarded += len(data)
            if self._discarded > _DISCARDED:
                self.abort()
            return
        self._unparsed = self._unparsed + data if self._unparsed else data
        self._step()
        if len(self._unparsed) > _UNPARSED and self.transport and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> None:
        """Who sends no more is gone, as half a close looks like a whole one.

        Half a request is answered, should somebody still listen.
        """
        if self._request is not None:
            self._refuse(400, "BadRequest", "the request ended before it was whole")
            self._step()

    def pause_writing(self) -> None:
        if self.transport is not None:
            self._unread = self.transport.get_write_buffer_size()
            self.server.bytes += self._unread
            self.deadline = self.server.loop.time() + READ_WITHIN

    def resume_writing(self) -> None:
        self.server.bytes -= self._unread
        self._unread = 0
        if not self._deaf:
            self._rest()
            self._step()

    def send(self, request: Request, status: int, body: bytes, extra: bytes) -> None:
        with self.server.lock:
            transport = self.transport
            lost = transport is None or request is not self._under_way
            self._under_way = self._under_way if lost else None
        if self.server.logged:
            self.server.log(request, 0 if lost else status)
        if transport is None or lost:
            return
        self.server.bytes -= request.size
        if request.unsent is None:
            request.keep = request.keep and not self.server.stopping
            start = answer_head(status, len(body), extra, keep=request.keep)
            transport.write(start if request.method == b"HEAD" else start + body)
        elif request.unsent:
            transport.write(request.unsent)
        if request.keep:
            self._rest()
            self._step()
        elif request.refused is None:
            self.end()
        else:
            self._deaf = True
            transport.write_eof()
            self.deadline = self.server.loop.time() + _LINGER
            self.server.idle[self] = None  # a new connection may take its place

    def write(self, request: Request, status: int, body: bytes, extra: bytes) -> None:
        with self.server.lock:
            if self._direct and request is self._under_way:
                request.keep = request.keep and not self.server.stopping
                answer = answer_head(status, len(body), extra, keep=request.keep) + body
                with suppress(OSError):  # it is full or broken: the loop sees to it
                    request.unsent = answer[os.write(self.descriptor, answer) :]

    def lend(self, request: Request) -> Head | None:
        """Nothing of it is read here until `take_back`.

        None: something is under way here, or the last request was of another kind.
        """
        transport, server = self.transport, self.server
        if (
            transport is None
            or transport.is_closing()
            or transport.get_write_buffer_size()
            or server.stopping
            or server.logged
        ):
            return None
        head = self._head
        if head is None or (head.method, head.path) != (request.method, request.path):
            return None
        if self._under_way or self._request or self._waiting or self._unparsed or self._deaf:
            return None
        transport.pause_reading()
        self.deadline = math.inf
        server.idle.pop(self, None)
        return head

    def take_back(self, data: bytes, unsent: bytes, *, keep: bool) -> None:
        if self.transport is None:
            return
        if unsent:
            self.transport.write(unsent)
        if not keep:
            self.end()
            return
        self.transport.resume_reading()
        self._rest()
        if data:
            self.data_received(data)

    def end(self) -> None:
        """When what was written has gone out."""
        self._deaf = True
        self.deadline = self.server.loop.time() + READ_WITHIN
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        self.server.forget(self)
        if self.transport is not None:
            self.transport.abort()

    def overdue(self) -> None:
        now = self.server.loop.time()
        if self._under_way is not None:
            self.deadline = math.inf
        elif (
            self._unread
            and self.transport is not None
            and (size := self.transport.get_write_buffer_size()) < self._unread
        ):
            self.server.bytes -= self._unread - size
            self._unread, self.deadline = size, now + READ_WITHIN
        elif self._unread or self._deaf:
            self.abort()
        elif self._request is not None:
            part, within = ("headers", HEADERS_WITHIN) if self._in_head else ("body", BODY_WITHIN)
            self._refuse(
                408, "RequestTimeout", f"the request's {part} did not come within {within:.0f} s"
            )
            self._step()
        else:
            self.end()

    def _stranger(self) -> Refusal | None:
        """Return why the user at the other end may not come.

        The kernel is asked once: a connection stays whose it is.
        """
        if not self._asked and self.transport is not None:
            peer, local = (self.transport.get_extra_info(name) for name in ("peername", "sockname"))
            self._asked, self._strange = True, peers.stranger(self.server.users, peer, local)
        return self._strange

    # httptools' callbacks
    def on_message_begin(self) -> None:
        if self._deaf:
            return
        self._request = Request(self)
        if self.server.logged:
            self._request.begun = self.server.loop.time()
        self._in_head, self._fed, self._left = True, 0, 0
        self.deadline = self.server.loop.time() + HEADERS_WITHIN

    def on_url(self, url: bytes) -> None:
        if (request := self._request) is not None:
            request.url += url
            if len(request.url) > MOST_URL:
                self._refuse(414, "UrlTooLong", f"the URL is above {MOST_URL:,} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if (request := self._request) is None or not self._in_head:
            return  # refused, or a trailer
        request.head += len(name) + len(value) + 4
        name = name.lower()
        if name in self.server.headers:
            if (
                name in request.headers
            ):  # whoever stands before this may go by the first, and we by the last
                self._refuse(400, "BadRequest", f"the request has {name.decode()} twice")
            request.headers[name] = value
        elif name == b"content-length":
            self._left = int(value) if value.isdigit() else 0  # llhttp refuses what is no number
        elif name == b"expect":
            request.expects = True
        elif name.endswith(b"connection"):
            request.keeps = True

    def on_headers_complete(self) -> None:
        if (request := self._request) is None:
            return
        self._in_head, self._fed = False, 0
        self.deadline = self.server.loop.time() + BODY_WITHIN
        request.method, request.path = self.parser.get_method(), request.url.partition(b"?")[0]
        request.refused = self.server.refusal(
            request.method, request.path, request.headers, self._stranger
        )
        if (
            request.refused is None
        ):  # else a new connection may take its place: nothing is to be done here
            self.server.idle.pop(self, None)
        if request.head > MOST_HEADERS:
            self._refuse_headers()
        elif self.parser.should_upgrade():  # httptools takes a body for another protocol
            self._refuse(
                400, "BadRequest", "this server upgrades to nothing: set your client to HTTP/1.1"
            )
        elif self._left and not self._takes(request, self._left):
            return
        elif (
            request.expects
            and request.refused is None
            and self.transport is not None
            and self._under_way is None
            and not self._waiting
        ):
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if (request := self._request) is not None and self._takes(request, len(body)):
            request.size += len(body)
            self.server.bytes += len(body)
            self._left = max(0, self._left - len(body))
            if (
                request.body
            ):  # no list of pieces: those of a byte each would take ten times what is counted
                request.body = (
                    bytearray(request.body) if isinstance(request.body, bytes) else request.body
                )
                request.body += body
            else:
                request.body = body

    def on_message_complete(self) -> None:
        if (request := self._request) is not None:
            # HTTP/1.0 is kept by llhttp where a header asks for it, and not by us
            request.keep = self.parser.should_keep_alive() and not (
                request.keeps and self.parser.get_http_version() != "1.1"
            )
            self._deaf = not request.keep
            self._waiting.append(request)
            self._head, self._first = head_of(request, self._first), b""
            self._request = None

    def _repeated_request(self, data: bytes) -> Request | None:
        """A whole request with the head of the one before."""
        server = self.server
        if self._head is None or (body := self._head.body(data)) is None:
            return None
        if len(body) > server.most_body or server.bytes + len(body) > connections.MOST_BODIES:
            return None  # to be refused
        server.bytes += len(body)
        request = self._head.again(self, body)
        request.begun = server.loop.time() if server.logged else 0.0
        return request

    def _takes(self, request: Request, size: int) -> bool:
        if (refusal := request.refused) is not None and (
            request.expects or request.size + size > _UNPARSED
        ):
            self._refuse(refusal.status, refusal.error, refusal.message)
        elif request.size + size > self.server.most_body:
            self._refuse(
                413, "RequestTooLarge", f"the request is above {self.server.most_body:,} bytes"
            )
        elif self.server.bytes + size > connections.MOST_BODIES:
            self._refuse(
                503,
                "Busy",
                f"the requests that are here have {connections.MOST_BODIES:,} bytes together",
            )
        else:
            return True
        return False

    def _refuse_headers(self) -> None:
        self._refuse(
            431, "HeadersTooLarge", f"the request's headers are above {MOST_HEADERS:,} bytes"
        )

    def _refuse(self, status: int, error: str, message: str) -> None:
        """In its turn; nothing more is read of this connection."""
        request = self._request or Request(self)
        self.server.bytes -= request.size
        request.size, request.body = 0, b""
        request.keep, request.refused = False, Refusal(status, error, message)
        self._waiting.append(request)
        self._request, self._deaf, self._unparsed = None, True, b""

    def _step(self) -> None:
        """Begin what can be begun: the next request that was read, else parse on."""
        if self._stepping:
            return  # an answer that came at once: the loop below goes on
        self._stepping = True
        try:
            while self._under_way is None and not self._unread and self.transport is not None:
                if self._waiting:
                    self._begin(self._waiting.popleft())
                elif self._unparsed and not self._deaf:
                    self._parse()
                else:
                    break
        finally:
            self._stepping = False
        if self._paused and self.transport is not None and not self._unparsed:
            self._paused = False
            self.transport.resume_reading()

    def _parse(self) -> None:
        step, data = max(_SLICE, self._left), self._unparsed
        if self._request is None:
            if (request := self._repeated_request(data)) is not None:
                self._waiting.append(request)
                self._unparsed = b""
                return
            self._first = data[:_SLICE]  # a longer head is parsed each time
        piece, self._unparsed = (data, b"") if len(data) <= step else (data[:step], data[step:])
        try:
            self.parser.feed_data(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if isinstance(error, httptools.HttpParserCallbackError):
                tell("reading a request failed", error)
            if not self._deaf:
                self._refuse(400, "BadRequest", f"not HTTP: {error}")
        if (request := self._request) is None:
            return
        self._fed += len(piece)
        if (
            self._in_head and self._fed > MOST_HEADERS + MOST_URL + 2 * _SLICE
        ):  # one that does not end is told by no callback
            self._refuse_headers()
        elif not self._in_head and self._fed > 8 * request.size + MOST_HEADERS:
            self._refuse(
                400, "BadRequest", "more is sent between the chunks of the body than in them"
            )

    def _begin(self, request: Request) -> None:
        assert self.transport is not None  # noqa: S101  for the type checker: _step looked
        self._direct = not self.server.logged and self.transport.get_write_buffer_size() == 0
        self._under_way = request
        self.deadline = math.inf
        self.server.idle.pop(self, None)
        if (refusal := request.refused) is None:
            self.server.handle(request)
        else:
            request.fail(refusal.status, refusal.error, refusal.message)

    def _rest(self) -> None:
        """Nothing is under way: wait for the rest of a request, or for the next one."""
        now = self.server.loop.time()
        if self._unread:
            return
        if self._request is not None:
            self.deadline = now + (HEADERS_WITHIN if self._in_head else BODY_WITHIN)
        elif self.server.stopping and not self._waiting and not self._unparsed:
            self.end()
        else:
            self.deadline = now + IDLE
            self.server.idle[self] = None


def answer_head(status: int, size: int, extra: bytes, *, keep: bool) -> bytes:
    return b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s%s\r\n" % (
        status,
        _REASONS.get(status, b"Unknown"),
        size,
        extra,
        b"" if keep else b"connection: close\r\n",
    )
