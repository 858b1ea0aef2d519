"""Limits of one connection to a server of ours: uvicorn's HTTP/1.1 with time-outs and refusals.

A connection answers in order. While an answer is under way nothing more of it is parsed, and beyond
64 KiB nothing more is read. A request that is refused is told so in its turn, in JSON; what its
sender still sends is read and thrown away, because a sender does not read before it has sent
everything.

A connection that waits (nothing asked yet, a head that is not whole, kept after an answer) is
closed when its place is needed, the oldest first. So idle or slow clients lock nobody out; what is
refused when every place is at work is told 503.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ...core import logs
from . import peers
from .door import Refusal

# keys of a scope's extensions
STRANGER = "isthmus.stranger"  # a function that says why the connection's user may not come
CALLER = "isthmus.caller"  # the Caller

# descriptors that are not connections of callers: files, sockets to the endpoint, those just
# accepted
_RESERVED = 64
_SLICE = 4_096  # bytes that are parsed at once outside of a body: they bound the requests that wait
_READ_AHEAD = 65_536  # bytes after the request that is answered, before reading stops
_LINGER = 5.0  # seconds for which a refused sender's bytes are thrown away
_DISCARDED = 100_000_000  # bytes of them
_TURNS = 4  # turns of the loop without an answer, after which a half-closed connection is closed


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes and times that a connection must keep to."""

    url_bytes: int = 8_192
    head_bytes: int = 65_536
    head_seconds: float = 10  # from a connection's, or a request's, first byte
    body_seconds: float = 30
    write_seconds: float = 30  # in which a client takes some of its answer
    idle_seconds: float | None = (
        # for a connection that has asked nothing yet, or nothing since; None: uvicorn's time-out
        # after an answer, and head_seconds before the first request
        None
    )
    connections: int = 1_000


def within_descriptors(limits: Limits) -> Limits:
    """Return the server's limits with at most as many connections as the process may open files."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return limits
    return msgspec.structs.replace(
        limits, connections=max(8, min(limits.connections, allowed - _RESERVED))
    )


def _gateway_body(refusal: Refusal) -> bytes:
    """Return the body of a refusal as JSON, as the gateway writes its errors."""
    remedy = "try again, or start more --workers" if refusal.status == 503 else None
    return msgspec.json.encode({"error": refusal.message, "remedy": remedy})


class Connections:
    """All connections of one server, and what they share."""

    def __init__(
        self, limits: Limits, *, refusal_body: Callable[[Refusal], bytes] = _gateway_body
    ) -> None:
        """Share `limits`; `refusal_body` writes the JSON that a refused caller is answered with."""
        self.limits = limits
        self.refusal_body = refusal_body
        self.open: set[Bounded] = set()
        self.waiting: dict[Bounded, None] = {}  # for their caller, the longest first
        self.bytes = 0  # of unread answers, and of those bodies that an application counts here
        self.stopping = False
        self.ended = asyncio.Event()  # it stops, and no connection is left

    def stop_keeping(self) -> None:
        """Close every connection of the server after its next answer."""
        self.stopping = True
        for connection in self.open:
            connection.end_with_answer()

    def stop(self) -> None:
        """Close each connection: those that wait now, the others once they are answered."""
        self.stop_keeping()
        for connection in list(self.open):
            connection.shutdown()
        if not self.open:
            self.ended.set()


class Caller:
    """The client at the other end of a connection, as an application knows it."""

    __slots__ = ("gone", "left")

    def __init__(self) -> None:
        self.gone = False  # it has closed its connection
        self.left: Callable[[], None] | None = None  # called when it does


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Bounded(HttpToolsProtocol):
    """One connection: `Config(http=partial(Bounded, shared=Connections(limits)))`."""

    def __init__(self, *arguments: Any, shared: Connections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.shared = shared
        if shared.limits.idle_seconds is not None:
            self.timeout_keep_alive = shared.limits.idle_seconds  # type: ignore[assignment]  # uvicorn's are whole seconds
        self._caller = Caller()
        self._unparsed = b""
        self._parsing = False
        self._messages = 0  # whose first, or last, byte came
        self._begun = False  # one of which the last byte did not
        self._head = 0  # bytes of the URL and the headers that arrive
        self._gathered = 0  # bytes since the last whole header
        self._left = 0  # bytes of the body that are still to come, where its length was told
        self._body = 0  # bytes of the body that came
        self._fed = 0  # the same with what is between its chunks
        self._in_head = True  # from the start, or the last message's end, to the head's end
        self._in_body = False
        self._raised: Refusal | None = None  # in a callback of the parser
        self._last_word: Refusal | None = None  # told after what is under way
        self._deaf = False  # nothing that still comes is a request
        self._lingers = False  # the last word was said: what comes is thrown away
        self._half_closed = False
        self._discarded = 0
        self._answers = 0
        self._unread = 0  # bytes of answers that the client has not taken
        self._held = False  # the next request is begun when it has
        self._deadline: asyncio.TimerHandle | None = None
        self._reader_due: asyncio.TimerHandle | None = None
        self._strangers: dict[frozenset[int] | None, Refusal | None] = {}
        self._at_work: RequestResponseCycle | None = None

    @property
    def limits(self) -> Limits:
        """Return the limits of size and time that the server sets on a connection."""
        return self.shared.limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Count a new connection; refuse it if the server is full."""
        super().connection_made(transport)
        full = len(self.shared.open) >= self.limits.connections and not self._make_room()
        self.shared.open.add(self)
        if full:
            self.refuse(503, "Busy", "every connection is at work")
            return
        self.shared.waiting[self] = None
        if self.limits.idle_seconds is None:
            self._expect_within(self.limits.head_seconds)
        else:
            self._idle_from_now()

    def _make_room(self) -> bool:
        """Close the connection that is idle for longest; return whether a new one fits now."""
        oldest = next(iter(self.shared.waiting), None)
        if oldest is not None:
            del self.shared.waiting[oldest]
            self.shared.open.discard(oldest)
            self.connections.discard(oldest)
            oldest.transport.abort()
        return len(self.shared.open) < self.limits.connections

    def _idle_from_now(self) -> None:
        """Start the timer that closes a connection on which no request comes."""
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Subtract a closed connection from the server's counts, and stop its timers."""
        self.shared.open.discard(self)
        self.shared.waiting.pop(self, None)
        self.shared.bytes -= self._unread
        self._unread, self._unparsed = 0, b""
        self._expect_nothing()
        self._expect_reader(None)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        # uvicorn tells the last request that it read, which may wait behind the one at work
        if self._at_work is not None and not self._at_work.response_complete:
            self._at_work.disconnected = True
            self._at_work.message_event.set()
        self._caller.gone = True
        if self._caller.left is not None:
            self._caller.left()
        if self.shared.stopping and not self.shared.open:
            self.shared.ended.set()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Record the request that is being answered, and start the task that answers it."""
        self._at_work = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent; stop reading while the last request is being answered."""
        if self._deaf:
            self._discarded += len(data)
            if self._discarded > _DISCARDED:
                self.transport.abort()
            return
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._unparsed = self._unparsed + data if self._unparsed else data
        self._parse()

    def _parse(self) -> None:
        """Parse received bytes up to the end of the next request."""
        if self._parsing:
            return
        self._parsing = True
        try:
            while self._unparsed and self._may_parse():
                size, data = max(_SLICE, self._left), self._unparsed
                piece, self._unparsed = (
                    (data, b"") if len(data) <= size else (data[:size], data[size:])
                )
                self._feed(piece)
        finally:
            self._parsing = False
        if self._deaf or self.transport.is_closing():
            return
        if len(self._unparsed) > _READ_AHEAD:
            self.flow.pause_reading()
        elif self.pipeline:
            self.flow.resume_reading()  # uvicorn has stopped it, and would not hear of a close
        if self._deadline is None and (
            self._in_body or (self._part_came() and not self._under_way())
        ):
            self._expect_within(
                self.limits.body_seconds if self._in_body else self.limits.head_seconds
            )

    def _may_parse(self) -> bool:
        """Return whether received bytes may be parsed now: no earlier answer must be awaited."""
        return (
            not (self._deaf or self._held or self.pipeline or self.transport.is_closing())
            and (self._in_body or not self._under_way())
        )  # fmt: skip

    def _feed(self, piece: bytes) -> None:
        """Hand received bytes to the parser, and check the limits on request headers."""
        previous = (self._head, self._messages)
        super().data_received(piece)
        if self._deaf or self.transport.is_closing():
            return
        # httptools gathers what is no whole header yet
        self._gathered = (
            self._gathered + len(piece) if previous == (self._head, self._messages) else 0
        )
        if self._in_head:
            most = self.limits.head_bytes + self.limits.url_bytes + 2 * _SLICE
            if self._head + self._gathered > most:
                self._refuse(self._too_long_a_head())
        elif self._in_body:
            self._fed += len(piece)
            if self._fed > 8 * self._body + self.limits.head_bytes:
                self.refuse(
                    400, "BadRequest", "more is sent between the chunks of the body than in them"
                )

    # httptools' callbacks: what they raise ends as send_400_response
    def on_message_begin(self) -> None:
        """Begin a new request: reset the counted bytes of headers and body."""
        super().on_message_begin()
        self._messages, self._begun = self._messages + 1, True
        self._head = self._left = self._body = self._fed = 0
        extensions: Any = {STRANGER: self._stranger, CALLER: self._caller}
        self.scope["extensions"] = extensions

    def on_url(self, url: bytes) -> None:
        """Refuse a URL that is too long."""
        super().on_url(url)
        self._head += len(url)
        if len(self.url) > self.limits.url_bytes:
            words = f"the URL is above {self.limits.url_bytes:,} bytes"
            raise self._refusing(Refusal(HTTPStatus.REQUEST_URI_TOO_LONG, "UrlTooLong", words))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Refuse request headers that are too long; ignore trailers after a body."""
        # what is sent behind a body is no header: it would be read as one that the head has twice
        if not self._in_head:
            return
        self._head += len(name) + len(value) + 4
        if self._head > self.limits.head_bytes + len(self.url):
            raise self._refusing(self._too_long_a_head())
        super().on_header(name, value)
        if name.lower() == b"content-length" and value.isdigit():
            self._left = int(value)

    def on_headers_complete(self) -> None:
        """Refuse a POST that asks for another protocol; begin to expect the body."""
        if (
            self.parser and self.parser.should_upgrade() and self.parser.get_method() == b"POST"
        ):  # httptools takes its body for another protocol
            words = "a request with a body may not ask to Upgrade: set your client to HTTP/1.1"
            raise self._refusing(Refusal(HTTPStatus.BAD_REQUEST, "BadRequest", words))
        super().on_headers_complete()
        outlet: Any = _Outlet(self)
        self.cycle.transport = outlet
        if self.shared.stopping:
            self.cycle.keep_alive = False
        self._in_head, self._in_body = False, True
        self.shared.waiting.pop(self, None)
        self._expect_nothing()

    def on_body(self, body: bytes) -> None:
        """Count the received bytes of a request's body."""
        self._body += len(body)
        self._left = max(0, self._left - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Record that a request has arrived whole, and stop its timer."""
        self._messages, self._begun = self._messages + 1, False
        self._in_head, self._in_body, self._head, self._left = True, False, 0, 0
        self._expect_nothing()
        super().on_message_complete()
        self._wait()  # where it was answered before its body was whole

    def on_response_complete(self) -> None:
        """Begin the next request when this answer has been written."""
        self._answers += 1
        if self._lingers:
            return
        if self.flow.write_paused and not self.transport.is_closing():
            self._held = True  # nothing is begun until the client takes this answer
            return
        self._begin_next()

    def _begin_next(self) -> None:
        """Begin the next request that was received, or wait for one."""
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._last_word is not None:
            if not self._under_way_at_all():
                self._say_last(self._last_word)
            return
        self._parse()
        self._wait()

    def _stranger(self, users: frozenset[int] | None) -> Refusal | None:
        """Return the refusal of the Unix user at the other end of the connection, or None.

        The kernel is asked once, as the user of a connection does not change.
        """
        if users not in self._strangers:
            peer, local = (self.transport.get_extra_info(name) for name in ("peername", "sockname"))
            self._strangers[users] = peers.stranger(users, peer, local)
        return self._strangers[users]

    def _wait(self) -> None:
        """Record the connection as idle, so that it may be closed to make room for a new one."""
        if not (self.transport.is_closing() or self._under_way()):
            self.shared.waiting[self] = (
                None  # also before its body is whole, where it was answered without
            )

    def _under_way(self) -> bool:
        """Return whether the last request that was parsed is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _under_way_at_all(self, *, without_half: bool = False) -> bool:
        """Return whether any request of the connection is not answered yet.

        With `without_half`, one whose body has not arrived whole does not count.
        """
        cycles = [cycle for cycle, _ in self.pipeline]
        if self._at_work is not None:
            cycles.append(self._at_work)
        return any(
            not (cycle.response_complete or cycle.disconnected)
            and not (without_half and self._in_body and cycle is self.cycle)
            for cycle in cycles
        )

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio takes it
        """Handle a client that sends no more: answer what is due, then close.

        Treat a half-closed connection as closed: asyncio cannot tell the two apart.
        """
        self._half_closed = True
        if self._lingers:
            return False
        self._end_half_closed(self._answers, _TURNS)
        return True

    def _end_half_closed(self, answers: int, turns: int) -> None:
        """Close a half-closed connection once it has all its answers.

        Args:
            answers: How many answers had been sent at the last look.
            turns: How many further turns of the event loop to wait for another answer.
        """
        if self.transport.is_closing():
            return
        if answers != self._answers:
            answers, turns = self._answers, _TURNS
        waits = self._unparsed or self._under_way_at_all(without_half=True)
        if not waits and not self._deaf and self._part_came():
            self.refuse(400, "BadRequest", "the request ended before it was whole")
        elif turns == 0 or not waits:
            self.transport.close()
        else:
            self.loop.call_soon(self._end_half_closed, answers, turns - 1)

    def _part_came(self) -> bool:
        """Return whether the first bytes of a further request have arrived."""
        return self._begun or self._gathered > 0

    def end_with_answer(self) -> None:
        """Close the connection after the answers that are being made."""
        for cycle in (self._at_work, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_started:
                cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close the connection, at once or after the answer that is under way."""
        if self._lingers:
            self.transport.close()
        elif not (self.shared.stopping and (self._part_came() or self._unparsed)):
            super().shutdown()

    def pause_writing(self) -> None:
        """Count the sent bytes that the client has not read, and limit its time to read on."""
        super().pause_writing()
        self._count_unread()
        self._expect_reader(self.loop.call_later(self.limits.write_seconds, self._look_at_reader))

    def resume_writing(self) -> None:
        """Continue to send, as the client reads again."""
        super().resume_writing()
        self._expect_reader(None)
        self.shared.bytes -= self._unread
        self._unread = 0
        if self._held:
            self._held = False
            self._begin_next()

    def _count_unread(self) -> bool:
        """Update the number of sent bytes that the client has not read; return whether it fell."""
        size = self.transport.get_write_buffer_size()
        less = size < self._unread
        self.shared.bytes += size - self._unread
        self._unread = size
        return less

    def _look_at_reader(self) -> None:
        """Abort the connection if its client has read nothing within the time limit."""
        if self._count_unread():
            self._expect_reader(
                self.loop.call_later(self.limits.write_seconds, self._look_at_reader)
            )
        else:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that the parser could not read by an error with the reason."""
        refusal, self._raised = self._raised, None
        self._refuse(
            refusal or Refusal(HTTPStatus.BAD_REQUEST, "BadRequest", f"this is not HTTP/1.1: {msg}")
        )

    def refuse(self, status: int, error: str, message: str) -> None:
        """Answer the request that arrives now by an error, and read no more of this connection.

        Bytes after such a request cannot be understood, or are too many to read.
        """
        self._refuse(Refusal(status, error, message))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer by an error after the answers that are still due, and read no more."""
        self._expect_nothing()
        if self._deaf or self.transport.is_closing():
            return
        self._deaf, self._unparsed = True, b""
        if self._in_body and not self._give_up_request():
            self._linger()  # it was answered already
            return
        if self._under_way_at_all():
            self._last_word = refusal
        else:
            self._say_last(refusal)

    def _give_up_request(self) -> bool:
        """Tell the application that the rest of a request's body will not arrive.

        Return whether it can still be answered.
        """
        cycle = self.cycle
        self.pipeline = type(self.pipeline)(pair for pair in self.pipeline if pair[0] is not cycle)
        answerable = not cycle.response_started
        cycle.disconnected = True
        cycle.message_event.set()
        return answerable

    def _say_last(self, refusal: Refusal) -> None:
        """Write an error as the connection's last answer, then wait for the client to close."""
        self._last_word = None
        logs.emit("request", method="", path="", status=int(refusal.status), ms=0.0)
        self.transport.write(_answer(refusal.status, self.shared.refusal_body(refusal)))
        self._linger()

    def _linger(self) -> None:
        """Discard what the client still sends, so that it reads the answer before the close."""
        if self._half_closed or self.transport.is_closing():
            self.transport.close()
            return
        self._deaf = self._lingers = True
        self._unparsed = b""
        self.pipeline.clear()
        self.transport.write_eof()
        self.flow.resume_reading()
        self._unset_keepalive_if_required()
        self._expect_nothing()
        self._deadline = self.loop.call_later(_LINGER, self.transport.abort)
        self.shared.waiting[self] = None

    def close_after_answer(self) -> None:
        """Close the connection after the answer that was just written."""
        if self._in_body and not self._lingers:
            self._linger()
        else:
            self.transport.close()

    def _refusing(self, refusal: Refusal) -> _Refused:
        """Store a refusal to be sent to the client; return the exception that stops the parser."""
        self._raised = refusal
        return _Refused(refusal)

    def _too_long_a_head(self) -> Refusal:
        """Return the refusal of a request whose headers are too long."""
        words = f"the head is above {self.limits.head_bytes:,} bytes"
        return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "HeadersTooLarge", words)

    def _expect_within(self, seconds: float) -> None:
        """Start the timer within which the rest of a request must arrive."""
        self._expect_nothing()
        self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _expect_nothing(self) -> None:
        """Cancel the timer within which the rest of a request must arrive."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        """Refuse a request that did not arrive whole within the time limit."""
        what, seconds = (
            ("body", self.limits.body_seconds)
            if self._in_body
            else ("head", self.limits.head_seconds)
        )
        words = f"the request's {what} did not come within {seconds:g} s"
        self.refuse(HTTPStatus.REQUEST_TIMEOUT, "RequestTimeout", words)

    def _expect_reader(self, timer: asyncio.TimerHandle | None) -> None:
        """Replace the timer that aborts the connection of a client that reads nothing."""
        if self._reader_due is not None:
            self._reader_due.cancel()
        self._reader_due = timer


class _Outlet:
    """A connection's transport as uvicorn's cycle of a request knows it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Bounded) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        """Write bytes of an answer to the client's connection."""
        self._connection.transport.write(data)

    def is_closing(self) -> bool:
        """Return whether the connection to the client is closing."""
        return self._connection.transport.is_closing()

    def close(self) -> None:
        """Close the client's connection after its last answer."""
        self._connection.close_after_answer()


def _answer(status: int, body: bytes) -> bytes:
    """Return the bytes of a whole HTTP response that closes its connection."""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: "
        f"application/json\r\ncontent-length: {len(body)}\r\n"
    )
    return head.encode() + b"connection: close\r\n\r\n" + body
