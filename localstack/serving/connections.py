"""HTTP to a container on this machine, over kept connections.

http.client spends longer on headers than a small model does.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import httptools
import msgspec

_LONGEST = 2048  # bytes of an answer's head that is remembered


class NotReached(Exception):
    """The server was not reached: nobody listens, or the connection ended before an answer."""


class TimedOut(Exception):
    """The container did not answer in time."""


class Answer:
    """An answer, with header names in lower case.

    `keep` says whether the connection is kept.
    """

    __slots__ = ("body", "headers", "keep", "status")

    def __init__(
        self,
        status: int = 0,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        keep: bool = False,
    ) -> None:
        self.status = status
        self.headers: Mapping[str, str] = headers if headers is not None else {}
        self.body = body
        self.keep = keep


class Reading(Answer):
    """An answer that is on its way: httptools fills it."""

    __slots__ = ("_lines", "begun", "complete", "parser", "parts")

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        super().__init__(headers=self._lines)
        self.parser: Any = httptools.HttpResponseParser(self)
        self.parts: list[bytes] = []
        self.begun = False  # status and headers are there
        self.complete = False

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body ends with the connection: HTTP/1.0, of which the headers have come."""
        return (
            bool(self.headers) and not {"content-length", "transfer-encoding"} & self.headers.keys()
        )

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.begun = self.status >= 200  # 100 Continue is not the answer

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines[_lower_case(name)] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        self.keep = self.parser.should_keep_alive()
        self.body = b"".join(self.parts)
        self.complete = self.begun


class Connections:
    """The pool of one container.

    It is safe for many threads: an exchange takes a connection out.
    """

    def __init__(self, port: int, *, timeout: float = 60.0) -> None:
        self.port = port
        self._timeout = timeout
        self._idle: deque[socket.socket] = deque()

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
    ) -> Answer:
        """Send a request once, and return its answer.

        Raises:
            NotReached: There is no whole answer.
            TimedOut: There is none in time.
        """
        answer = Reading()
        for _ in self._exchange(answer, head(self.port, method, path, len(body), headers) + body):
            pass
        return answer

    def stream(
        self, method: str, path: str, body: bytes, headers: tuple[tuple[str, str], ...]
    ) -> tuple[Answer, Iterator[bytes]]:
        """Return the answer's status and headers, and the parts of its body as they come.

        Raises:
            NotReached: The connection ends, also in the middle of it.
            TimedOut: Nothing comes in time.
        """
        answer = Reading()
        exchange = self._exchange(answer, head(self.port, method, path, len(body), headers) + body)
        while not answer.begun:
            next(exchange, None)
        return answer, self._parts(answer, exchange)

    @staticmethod
    def _parts(answer: Reading, exchange: Iterator[None]) -> Iterator[bytes]:
        """Yield the parts of a body as they come."""
        while True:
            parts, answer.parts = answer.parts, []
            yield from parts
            if answer.complete:
                return
            next(exchange, None)

    def _exchange(self, answer: Reading, request: bytes) -> Iterator[None]:
        """Send and read until the answer is complete; a step whenever something has come."""
        connection = self._take()
        try:
            connection.sendall(request)
            while not answer.complete:
                data = connection.recv(262_144)
                if data:
                    answer.parser.feed_data(data)
                elif answer.ends_with_connection:
                    answer.on_message_complete()
                    answer.keep = False
                else:
                    raise NotReached("the container closed the connection before it had answered")  # noqa: TRY301  closed below, as the others
                if not answer.complete:
                    yield
        except GeneratorExit:  # who reads has gone
            connection.close()
            raise
        except TimeoutError as error:
            connection.close()
            raise TimedOut(f"no answer within {self._timeout:g} seconds") from error
        except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            connection.close()
            raise NotReached(f"the connection to the container failed: {error}") from error
        except NotReached:
            connection.close()
            raise
        if answer.keep:
            self._idle.append(connection)
        else:
            connection.close()

    def _take(self) -> socket.socket:
        """Return an idle connection, or a new one."""
        while True:
            try:
                idle = self._idle.pop()
            except IndexError:
                break
            if not select.select([idle], [], [], 0)[0]:
                return idle
            idle.close()  # readable while nothing was asked: the container has closed it
        try:
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=self._timeout)
        except OSError as error:
            raise NotReached(f"nothing listens on 127.0.0.1:{self.port}") from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def head(
    port: int, method: str, path: str, size: int, headers: tuple[tuple[str, str], ...]
) -> bytes:
    """Return a request's line and headers, for a body of `size` bytes."""
    return b"%bcontent-length: %d\r\n\r\n" % (_lead(port, method, path, headers), size)


@lru_cache(maxsize=256)  # a model is asked with the same ones again and again
def _lead(port: int, method: str, path: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Return a request's line and headers without its length."""
    lines = "".join(f"{name}: {_clean(value)}\r\n" for name, value in headers)
    return f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{lines}".encode(
        "latin-1", "replace"
    )


@lru_cache(maxsize=512)
def _lower_case(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _clean(value: str) -> str:
    """Return a header's value without line ends."""
    return value.replace("\r", " ").replace("\n", " ")


def whole_answer(data: bytes) -> Answer | None:
    """Return the answer that came in one piece. None: it has to be parsed."""
    end = data.find(b"\r\n\r\n") + 4
    head = _answer_head(data[:end]) if 4 <= end <= _LONGEST else None
    if head is None or len(data) - end != head.size:
        return None
    return Answer(head.status, head.headers, data[end:], keep=head.keep)


class _Head(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    size: int  # of the body, in bytes
    keep: bool


@lru_cache(
    maxsize=64
)  # a model's answers have the same few heads, but for a date that changes each second
def _answer_head(head: bytes) -> _Head | None:
    """Return what a head says; None if the body does not end after so many bytes."""
    answer = Reading()
    try:
        answer.parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    size = answer.headers.get("content-length", "")
    if (
        not answer.begun
        or not size.isdecimal()
        or "transfer-encoding" in answer.headers
        or answer.status in (204, 304)
    ):
        return None
    return _Head(answer.status, answer.headers, int(size), answer.parser.should_keep_alive())
