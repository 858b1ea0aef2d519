"""What one connection may cost a server of ours: uvicorn's HTTP/1.1, with limits, time-outs and
refusals in JSON.

A connection that waits (nothing asked yet, a head that is not whole, kept after an answer) is
closed when its place is needed, the oldest first. So idle or slow clients lock nobody out; what is
refused when every place is at work is told
503.
"""

from __future__ import annotations

import asyncio
import resource
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from . import peers
from .door import Refusal

STRANGER = (
    "isthmus.stranger"  # in a scope's extensions: what says why the connection's user may not come
)
# descriptors that are not connections of callers: files, sockets to the endpoint, those just
# accepted
_RESERVED = 64


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    url_bytes: int = 8_192
    head_bytes: int = 65_536
    head_seconds: float = 10  # from a connection's, or a request's, first byte
    body_seconds: float = 30
    write_seconds: float = 30  # for a client that does not read its answer
    connections: int = 1_000


def within_descriptors(limits: Limits) -> Limits:
    """With no more connections than this process may have descriptors for."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return limits
    return msgspec.structs.replace(
        limits, connections=max(8, min(limits.connections, allowed - _RESERVED))
    )


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Bounded(HttpToolsProtocol):
    """`Config(http=partial(Bounded, limits=..., waiting={}))`; `waiting`: the server's, in the
    order in which they began to wait.
    """

    def __init__(
        self, *arguments: Any, limits: Limits, waiting: dict[Bounded, None], **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self.limits = limits
        self.waiting = waiting
        self._head = 0  # bytes of the head that arrives
        self._in_head = True  # from the start, or the last message's end, to the head's end
        self._in_body = False
        self._refused: _Refused | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._strangers: dict[frozenset[int] | None, Refusal | None] = {}
        self._at_work: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        if len(self.connections) >= self.limits.connections and not self._make_room():
            transport.write(
                _answer(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "every connection is at work",
                    "try again, or start more --workers",
                )
            )
            transport.close()
            self.transport = transport
            return
        super().connection_made(transport)
        self.waiting[self] = None
        self._expect_within(self.limits.head_seconds)

    def _make_room(self) -> bool:
        oldest = next(iter(self.waiting), None)
        if oldest is None:
            return False
        del self.waiting[oldest]
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.pop(self, None)
        self._expect_nothing()
        self._readers_time(None)
        if self.flow is not None:  # not one that was refused a place
            super().connection_lost(exc)
        # uvicorn tells the last request that it read, which may wait behind the one at work
        if self._at_work is not None and not self._at_work.response_complete:
            self._at_work.disconnected = True
            self._at_work.message_event.set()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._at_work = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        before = self._head
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head and self._head == before:  # httptools gathers what is no whole header yet
            self._head += len(data)
            if self._head > self.limits.head_bytes + self.limits.url_bytes:
                self.refuse(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    f"the head is above {self.limits.head_bytes:,} bytes",
                )
        if self._deadline is None and (self._in_body or not self._under_way()):
            self._expect_within(
                self.limits.body_seconds if self._in_body else self.limits.head_seconds
            )

    # httptools' callbacks: what they raise ends as send_400_response
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        extensions: Any = {STRANGER: self._stranger}
        self.scope["extensions"] = extensions

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._head += len(url)
        if len(self.url) > self.limits.url_bytes:
            raise self._refusing(
                HTTPStatus.REQUEST_URI_TOO_LONG, f"the URL is above {self.limits.url_bytes:,} bytes"
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head += len(name) + len(value) + 4
        if self._head > self.limits.head_bytes + self.limits.url_bytes:
            raise self._refusing(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the head is above {self.limits.head_bytes:,} bytes",
            )
        # what is sent behind a body is no header: it would be read as one that the head has twice
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if (
            self.parser and self.parser.should_upgrade() and self.parser.get_method() == b"POST"
        ):  # httptools takes its body for another protocol
            raise self._refusing(
                HTTPStatus.BAD_REQUEST,
                "a request with a body may not ask to Upgrade: set your client to HTTP/1.1",
            )
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        self.waiting.pop(self, None)
        self._expect_nothing()

    def on_message_complete(self) -> None:
        self._in_head, self._in_body, self._head = True, False, 0
        self._expect_nothing()
        super().on_message_complete()
        self._wait()  # where it was answered before its body was whole

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def _stranger(self, users: frozenset[int] | None) -> Refusal | None:
        """Return why the user at the other end may not come.

        The kernel is asked once: a connection stays whose it is.
        """
        if users not in self._strangers:
            peer, local = (self.transport.get_extra_info(name) for name in ("peername", "sockname"))
            self._strangers[users] = peers.stranger(users, peer, local)
        return self._strangers[users]

    def _wait(self) -> None:
        if not (self.transport.is_closing() or self._under_way()):
            self.waiting[self] = (
                None  # also before its body is whole, where it was answered without
            )

    def _under_way(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def pause_writing(self) -> None:
        super().pause_writing()
        self._readers_time(self.loop.call_later(self.limits.write_seconds, self.transport.abort))

    def resume_writing(self) -> None:
        super().resume_writing()
        self._readers_time(None)

    def send_400_response(self, msg: str) -> None:
        refused = self._refused
        self.refuse(
            refused.status if refused else HTTPStatus.BAD_REQUEST,
            str(refused or f"this is not HTTP/1.1: {msg}"),
        )

    def refuse(self, status: int, message: str) -> None:
        """Answer at once and close: what follows on this connection cannot be understood, or is too
        much to read.

        Where an earlier request is not answered yet its answer is the last, as this one would be
        taken for it.
        """
        self._expect_nothing()
        if self.transport.is_closing():
            return
        if self._under_way() and not self._in_body:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if not (self._in_body and self.cycle.response_started):
            self.transport.write(_answer(status, message, None))
        self.transport.close()

    def _refusing(self, status: int, message: str) -> _Refused:
        self._refused = _Refused(status, message)
        return self._refused

    def _expect_within(self, seconds: float) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        what, seconds = (
            ("body", self.limits.body_seconds)
            if self._in_body
            else ("head", self.limits.head_seconds)
        )
        self.refuse(
            HTTPStatus.REQUEST_TIMEOUT, f"the request's {what} did not come within {seconds:g} s"
        )

    def _readers_time(self, timer: asyncio.TimerHandle | None) -> None:
        if self._unread is not None:
            self._unread.cancel()
        self._unread = timer


def _answer(status: int, message: str, remedy: str | None) -> bytes:
    body = msgspec.json.encode({"error": message, "remedy": remedy})
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: "
        f"application/json\r\ncontent-length: {len(body)}\r\n"
    )
    return head.encode() + b"connection: close\r\n\r\n" + body
