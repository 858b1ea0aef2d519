"""HTTP to a container on this machine, over kept connections. http.client spends longer on headers than a small model does."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import httptools


class NotReached(Exception):
    """Nobody listens, or the connection ended before an answer."""


class TimedOut(Exception):
    """The container did not answer in time."""


class Answer:
    """Header names in lower case. httptools fills it."""

    __slots__ = ("begun", "body", "complete", "headers", "keep", "parser", "parts", "status")

    def __init__(self) -> None:
        self.parser: Any = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.body = b""
        self.begun = False  # status and headers are there
        self.complete = False
        self.keep = False

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.begun = self.status >= 200  # 100 Continue is not the answer

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[_small(name)] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        self.keep = self.parser.should_keep_alive()
        self.body = b"".join(self.parts)
        self.complete = self.begun


class Connections:
    """The pool of one container; safe for many threads: an exchange takes a connection out."""

    def __init__(self, port: int, *, timeout: float = 60.0) -> None:
        self.port = port
        self._timeout = timeout
        self._idle: deque[socket.socket] = deque()

    def ask(self, method: str, path: str, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()) -> Answer:
        """One exchange, sent once. NotReached or TimedOut when there is no whole answer."""
        answer = Answer()
        for _ in self._exchange(answer, head(self.port, method, path, len(body), headers) + body):
            pass
        return answer

    def stream(self, method: str, path: str, body: bytes, headers: tuple[tuple[str, str], ...]) -> tuple[Answer, Iterator[bytes]]:
        """The answer's status and headers, and the parts of its body as they come. NotReached, TimedOut: also in the middle of it."""
        answer = Answer()
        exchange = self._exchange(answer, head(self.port, method, path, len(body), headers) + body)
        while not answer.begun:
            next(exchange, None)
        return answer, self._parts(answer, exchange)

    @staticmethod
    def _parts(answer: Answer, exchange: Iterator[None]) -> Iterator[bytes]:
        while True:
            parts, answer.parts = answer.parts, []
            yield from parts
            if answer.complete:
                return
            next(exchange, None)

    def _exchange(self, answer: Answer, request: bytes) -> Iterator[None]:
        """Send and read until the answer is complete; a step whenever something has come."""
        connection = self._take()
        try:
            connection.sendall(request)
            while not answer.complete:
                data = connection.recv(262_144)
                if data:
                    answer.parser.feed_data(data)
                elif answer.headers and "content-length" not in answer.headers and "transfer-encoding" not in answer.headers:
                    answer.on_message_complete()  # HTTP/1.0: the body ends with the connection
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
        except (OSError, httptools.HttpParserError) as error:
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


def head(port: int, method: str, path: str, size: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    """A request's line and headers, for a body of `size` bytes."""
    return b"%bcontent-length: %d\r\n\r\n" % (_lead(port, method, path, headers), size)


@lru_cache(maxsize=256)  # a model is asked with the same ones again and again
def _lead(port: int, method: str, path: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = "".join(f"{name}: {_clean(value)}\r\n" for name, value in headers)
    return f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{lines}".encode("latin-1", "replace")


@lru_cache(maxsize=512)
def _small(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _clean(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")
