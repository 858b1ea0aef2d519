"""What all connections of a model server or a router share: how many there are, how much they hold,
and when they end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from ...core import logs
from ..http.door import Refusal

if TYPE_CHECKING:
    from .repeated import Head

MOST_BODIES = 100_000_000  # bytes of all requests and unread answers at once, 503
SWEEP = 1.0  # seconds between looks at what is overdue


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every answer that is not 200."""

    error: str  # the exception's type, or what is wrong with the request
    message: str
    line: str | None = None  # of the predictor's code


class Connection(Protocol):
    """What requests and all connections together know of one: connection.py's."""

    server: Connections
    transport: asyncio.Transport | None  # None: it has ended
    deadline: float  # the loop's time
    descriptor: int

    def send(self, request: Request, status: int, body: bytes, extra: bytes) -> None: ...

    def write(self, request: Request, status: int, body: bytes, extra: bytes) -> None: ...

    def lend(self, request: Request) -> Head | None: ...

    def take_back(self, data: bytes, unsent: bytes, *, keep: bool) -> None: ...

    def end(self) -> None: ...

    def abort(self) -> None: ...

    def overdue(self) -> None: ...


class Request:
    __slots__ = (
        "begun",
        "body",
        "connection",
        "expects",
        "head",
        "headers",
        "keep",
        "keeps",
        "method",
        "path",
        "refused",
        "size",
        "unsent",
        "url",
    )

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.method = self.url = self.path = b""  # the path: without the query
        self.headers: dict[bytes, bytes] = {}  # those that somebody reads here, in lower case
        self.body: bytes | bytearray = b""
        self.head = self.size = 0  # bytes
        self.keep = self.keeps = False  # what is decided; whether a header speaks of it
        self.expects = False
        self.refused: Refusal | None = None
        self.unsent: bytes | None = None  # of the answer that `write` began; None: it did not
        self.begun = 0.0  # the loop's time, where it will be logged

    @property
    def gone(self) -> bool:
        """Nobody waits for the answer any more."""
        return self.connection.transport is None

    def reply(self, status: int, body: bytes, extra: bytes = b"") -> None:
        """Once. In the loop's thread."""
        self.connection.send(self, status, body, extra)

    def write(self, status: int, body: bytes, extra: bytes = b"") -> None:
        """Before `reply`, from another thread than the loop's: what the socket takes goes out
        without waiting for the loop.
        """
        self.connection.write(self, status, body, extra)

    def fail(self, status: int, error: str, message: str) -> None:
        self.reply(status, msgspec.json.encode(Failure(error=error, message=message)))


class Connections:
    """All connections of a server, and what they share.

    `handle` answers a request, now or later, in the loop's thread.

    `refusal` judges method, path, headers and the connection's user before the body is read, the
    same at any time. `users`: of this machine who may come, as a door has them. `headers`: those
    that somebody reads, in lower case; a request that has one of them twice is refused. `most`:
    connections; `most_body`: bytes of one request.
    """

    def __init__(
        self,
        handle: Callable[[Request], None],
        *,
        refusal: Callable[
            [bytes, bytes, Mapping[bytes, bytes], Callable[[], Refusal | None]], Refusal | None
        ],
        users: frozenset[int] | None,
        headers: frozenset[bytes],
        most: int,
        most_body: int,
    ) -> None:
        self.handle = handle
        self.refusal = refusal
        self.users = users
        self.headers = headers
        self.most = most
        self.most_body = most_body
        self.open: set[Connection] = set()
        self.idle: dict[Connection, None] = {}  # that wait for their caller, the longest first
        self.bytes = 0
        self.stopping = False
        self.lock = (
            threading.Lock()
        )  # whoever writes outside of the loop's thread has it, and what changes who may write what
        self.logged = logs.listening("request")
        self.ended = asyncio.Event()  # set when it stops and no connection is left
        self.loop = asyncio.get_running_loop()
        self._sweep()

    def admit(self, connection: Connection) -> bool:
        """A new connection takes the place of the one that has been idle for longest: who only
        connects locks nobody out.
        """
        if len(self.open) >= self.most and self.idle:
            next(iter(self.idle)).abort()
        admitted = len(self.open) < self.most and not self.stopping
        self.open.add(connection)
        return admitted

    def stop(self) -> None:
        """Requests that are here are answered; then each connection ends."""
        with self.lock:
            self.stopping = True
        for connection in list(self.idle):
            connection.end()
        self.forget()

    def forget(self, connection: Connection | None = None) -> None:
        if connection is not None:
            self.open.discard(connection)
            self.idle.pop(connection, None)
        if self.stopping and not self.open:
            self.ended.set()

    def log(self, request: Request, status: int) -> None:
        """That it was answered; 0: the caller has gone before."""
        took = round(1_000 * (self.loop.time() - request.begun), 1) if request.begun else 0.0
        logs.emit(
            "request",
            method=request.method.decode("latin-1"),
            path=request.path.decode("latin-1"),
            status=status,
            ms=took,
        )

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in [connection for connection in self.open if connection.deadline <= now]:
            connection.overdue()
        self.loop.call_later(SWEEP, self._sweep)
