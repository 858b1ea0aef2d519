"""The HTTP port: the control routes, Google's APIs, the account's tokens, and CONNECT.

ASGI has neither CONNECT nor a way to cut a connection as a fault, so this is a protocol of asyncio;
httptools parses every head.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools

from ....core.error_log import tell, tell_line
from ....core.http.answers import Cut
from ....core.http.peers import is_other_user
from ....core.http.tunnel import through
from ..http_messages import HttpAnswer, HttpRequest
from ..rpc.transcoding import error_answer
from . import door, heads
from .connections import Connections

if TYPE_CHECKING:
    from .front import Front

_HEADERS = 64 << 10  # bytes of a request's first line and headers
_TOO_LONG = f"a request's headers have at most {_HEADERS:,} bytes here"
_BODY = 1 << 30  # an upload in one request; the SDKs send larger objects in parts
_CONTROL = ThreadPoolExecutor(
    4, thread_name_prefix="control"
)  # whatever the handlers wait for, the stack is steered
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT.value, HTTPStatus.NOT_MODIFIED.value)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_LINE_BREAKS = re.compile(r"[\r\n\0]")  # in a header's value they would end it
_CHALLENGE = ("WWW-Authenticate", 'Bearer realm="https://accounts.google.com/"')
_STRANGER = "this stack belongs to another user of this machine"


class Connection(asyncio.Protocol):
    """The connection of one client. Its requests are answered one after the other."""

    def __init__(
        self,
        front: Front,
        loop: asyncio.AbstractEventLoop,
        connections: Connections,
        *,
        inside: bool = False,
    ) -> None:
        self._front = front
        self._loop = loop
        self._connections = connections
        self.heard = 0.0
        self._inside = inside  # the door has led here
        self._transport: Any = None
        self._waiting: deque[tuple[heads.RequestHead, bytes]] = deque()
        self.busy = False
        self._work: object = None  # held, or the garbage collector could take it
        self._writable = asyncio.Event()
        self._writable.set()
        self._own: bool | None = (
            None  # whether it is known to be this user's, once somebody has asked
        )
        self._parsing = False  # the parser has a part of a request
        self.in_head = False
        self._head: heads.RequestHead | None = (
            None  # of a request that needs no parsing, and whose body is coming
        )
        self._begin()

    def _begin(self) -> None:
        """Make a new parser for the connection's requests."""
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: dict[str, str] = {}
        self._read = 0
        self._read_unparsed = 0  # bytes of a head that is not whole yet, without its first part
        self._body: list[bytes] = []
        self._size = 0

    # The transport's.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register a new client connection; called by asyncio."""
        self._transport = transport
        self.heard = self._loop.time()
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Unregister a closed connection, and wake whoever waits to write to it."""
        self._connections.discard(self)
        self._writable.set()
        self._transport = None

    def pause_writing(self) -> None:
        """Make writers wait, as the client does not read; called by asyncio."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let writers go on; called by asyncio."""
        self._writable.set()

    def abort(self) -> None:
        """Close the connection at once, without an answer."""
        if self._transport is not None:
            self._transport.abort()

    def idle(self) -> bool:
        """Return whether no part of a request has come over the connection."""
        return not self._parsing and self._head is None

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, by the fast path if the request's head is a simple POST's."""
        if not self.in_head:  # whoever sends a byte now and then is no faster
            self.heard = self._loop.time()
        if self._parsing or not self._take_known_head(data):
            self._parse(data)

    def _take_known_head(self, data: bytes) -> bool:
        """Read a request by the fast path; return False if the full parser must read it."""
        if self._head is None:
            if (beginning := heads.read_head(data)) is None:
                return False
            self._head, data = beginning
        head = self._head
        self._body.append(data)
        self._size += len(data)
        if self._size >= head.size:
            body = b"".join(self._body)
            self._head, self._body, self._size = None, [], 0
            self._take(head, body[: head.size])
            if len(body) > head.size:
                self._parse(body[head.size :])
        return True

    def _parse(self, data: bytes) -> None:
        """Feed received bytes to the full HTTP parser; answer an error to what it cannot take."""
        was_in_head = self.in_head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._connect()
        except httptools.HttpParserError as error:
            self._refuse(400, f"not HTTP: {error}")
        if was_in_head and self.in_head:  # the parser holds a header until its end has come
            self._read_unparsed += len(data)
            if self._read_unparsed > _HEADERS:
                self._refuse(431, _TOO_LONG)

    # The parser's.

    def on_message_begin(self) -> None:
        """Begin a new request; called by the parser."""
        self._parsing = self.in_head = True
        self._read_unparsed = 0

    def on_url(self, target: bytes) -> None:
        """Append a part of the request's target; refuse one that is too long."""
        self._target += target
        self._read += len(target)
        if self._read > _HEADERS:
            self._refuse(431, _TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header; refuse a head that is too long."""
        self._read += len(name) + len(value)
        if self._read > _HEADERS:
            self._refuse(431, _TOO_LONG)
        self._headers[_small(name)] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Record that the head is complete; answer an Expect: 100-continue."""
        self.in_head = False
        if (
            self._headers.get("expect", "").lower() == "100-continue"
            and self._transport is not None
        ):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        """Store a part of the request's body; refuse one that is too large."""
        self._size += len(part)
        if self._size > _BODY:
            self._refuse(413, f"a request's body has at most {_BODY:,} bytes here")
            return
        self._body.append(part)

    def on_message_complete(self) -> None:
        """Hand the complete request over, and reset for the next one."""
        self._parsing = False
        if self._parser.should_upgrade():
            return
        target, headers, body = self._target, self._headers, b"".join(self._body)
        self._target, self._headers, self._body, self._size, self._read = b"", {}, [], 0, 0
        self._take(
            heads.head_of(
                self._parser.get_method().decode(),
                target,
                headers,
                keep=self._parser.should_keep_alive(),
            ),
            body,
        )

    # Answers.

    def _take(self, head: heads.RequestHead, body: bytes) -> None:
        """Queue a complete request for `_answer`, which answers in order."""
        if self._transport is None:
            return
        self._waiting.append((head, body))
        if not self.busy:
            self.busy = True
            self._work = self._loop.create_task(self._answer())
        elif len(self._waiting) > 8:
            self._transport.pause_reading()

    async def _answer(self) -> None:
        """Answer the queued requests in their order."""
        try:
            while self._waiting and self._transport is not None:
                head, body = self._waiting.popleft()
                self._transport.resume_reading()
                try:
                    answer = self._answered(head, body)
                    if not isinstance(answer, HttpAnswer):
                        answer = await answer
                except Cut:
                    self._transport.abort() if self._transport is not None else None
                    return
                if self._transport is not None:
                    if isinstance(answer.body, bytes):
                        self._write(head, answer, answer.body)
                    else:
                        await self._stream(head, answer, answer.body)
                if not self._writable.is_set():
                    await self._writable.wait()
                if not head.keep and self._transport is not None:
                    self._transport.close()
                    return
        except Exception as error:  # noqa: BLE001  our own mistake: the client sees a closed connection, not a hang
            tell("answering a request failed", error)
            if self._transport is not None:
                self._transport.abort()
        finally:
            self.busy = False
            self.heard = self._loop.time()

    def _answered(self, head: heads.RequestHead, body: bytes) -> HttpAnswer | Awaitable[HttpAnswer]:
        """Return the answer to a request, or an awaitable of it.

        Requests of web pages and of callers without a valid token are refused.
        """
        if not head.programs:
            text = (
                b"this is a local GCP stack for programs on this machine; it does not answer web "
                b"pages or other host names\n"
            )
            return HttpAnswer(status=403, headers=(("Content-Type", "text/plain"),), body=text)
        request = HttpRequest(
            method=head.method,
            host=head.host,
            path=head.path,
            query_lists=head.query_lists,
            headers=head.headers,
            body=body,
        )
        if request.path.startswith("/_stack/"):
            return self._loop.run_in_executor(_CONTROL, self._front.control, request, self._peer())
        if request.path == "/token" and request.method == "POST":
            return self._front.callers.token(request)
        refused = self._front.callers.refusal(
            request.headers.get("authorization", ""), self._is_own
        )
        if refused is not None:
            done = error_answer(refused)
            return HttpAnswer(
                status=done.status, headers=(*done.headers, _CHALLENGE), body=done.body
            )
        return self._front.http(request)

    def _is_own(self) -> bool:
        """Return whether the client is a process of the stack's own user; cached per connection."""
        if self._own is None:
            self._own = self._front.callers.is_own(self._peer(), self._port())
        return self._own

    def _peer(self) -> tuple[str, int] | None:
        """Return the client's host and port, or None."""
        address = (
            self._transport.get_extra_info("peername") if self._transport is not None else None
        )
        return address[:2] if address else None

    def _port(self) -> int:
        """Return the port at which the stack listens."""
        return int(self._front.stack.url.rpartition(":")[2])

    def _write(self, head: heads.RequestHead, answer: HttpAnswer, body: bytes) -> None:
        """Write a complete HTTP response to the client."""
        lines, counted = _head(answer.status, tuple(answer.headers), head.keep)
        if not counted and answer.status not in _WITHOUT_BODY:
            lines += b"Content-Length: %d\r\n" % len(body)
        self._transport.write(b"%b\r\n%b" % (lines, b"" if head.method == "HEAD" else body))

    async def _stream(
        self, head: heads.RequestHead, answer: HttpAnswer, parts: Iterable[bytes]
    ) -> None:
        """Write an HTTP response to the client in chunks, as its parts come."""
        lines, _ = _head(answer.status, tuple(answer.headers), head.keep)
        self._transport.write(lines + b"Transfer-Encoding: chunked\r\n\r\n")
        iterator, end = iter(parts), object()
        while (part := await asyncio.to_thread(next, iterator, end)) is not end:
            if self._transport is None:
                return
            if part:
                chunk: bytes = part  # type: ignore[assignment]
                self._transport.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                await self._writable.wait()
        if self._transport is not None:
            self._transport.write(b"0\r\n\r\n")

    def _refuse(self, status: int, words: str) -> None:
        """Answer a malformed request with an HTTP status and a text, and close the connection."""
        if self._transport is not None:
            body = f"{words}\n".encode()
            head = (
                f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: "
                "text/plain\r\nConnection: close\r\n"
            )
            self._transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            self._transport.close()
            self._transport = None

    def _connect(self) -> None:
        """Answer a CONNECT: open a tunnel to Google's or a permitted host, or refuse it."""
        host, _, port = self._target.decode("latin-1").lower().partition(":")
        if self._parser.get_method() != b"CONNECT" or self._inside or self._transport is None:
            self._refuse(400, "no upgrade of this connection is known here")
        elif not self._front.stack.any_key and is_other_user(self._peer(), self._port()):
            self._refuse(403, _STRANGER)
        elif host in self._front.stack.allow_hosts:
            self._leave(through, host, port)
        elif not door.is_google_host(host):
            tell_line("the door of the GCP stack let nobody through to a host", host)
            self._refuse(
                403,
                f"{host} is not a host of the offline GCP; isthmus-stack up gcp --allow-host "
                f"{host} lets it pass",
            )
        elif port not in ("443", ""):
            self._transport.abort()
        else:
            inside = partial(Connection, self._front, self._loop, self._connections, inside=True)
            self._leave(
                door.open_door,
                host,
                self._front,
                inside,
                self._front.callers.grpc_pipe(self._is_own()),
            )

    def _leave(self, to: Callable[..., Any], *arguments: object) -> None:
        """Hand the connection over to the coroutine function `to`, such as a tunnel."""
        transport, self._transport = self._transport, None
        self.abort = transport.abort  # type: ignore[method-assign]  # until the way is open it keeps its place
        task = self._loop.create_task(to(transport, *arguments))
        task.add_done_callback(self._left)

    def _left(self, done: asyncio.Task[None]) -> None:
        """Unregister a connection after the coroutine that took it over has ended (`done`)."""
        self._connections.discard(self)
        if not done.cancelled():
            done.exception()


@lru_cache(maxsize=512)
def _small(name: bytes) -> str:
    """Return an HTTP header's name as text in lower case, cached."""
    return name.decode("latin-1").lower()


@lru_cache(maxsize=256)
def _head(status: int, headers: tuple[tuple[str, str], ...], keep: bool) -> tuple[bytes, bool]:
    """Return the status line and headers of an HTTP response, and whether they state its length.

    `keep` is False if the connection is closed after the response.
    """
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Answer')}\r\n"]
    lines += [f"{name}: {_LINE_BREAKS.sub(' ', value)}\r\n" for name, value in headers]
    lines += [] if keep else ["Connection: close\r\n"]
    return _encoded("".join(lines)), any(name.lower() == "content-length" for name, _ in headers)


def _encoded(head: str) -> bytes:
    """Encode a response's head: as Latin-1 where that is possible, else as UTF-8."""
    try:
        return head.encode("latin-1")
    except UnicodeEncodeError:
        return head.encode()
