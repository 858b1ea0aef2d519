"""A blocking HTTP/1.1 client for this machine's own servers, with kept connections. http.client
spends longer on headers than a model does.

An exchange is sent once: what is lost after sending raises OutcomeUnknown, for the caller to
decide.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from time import monotonic
from typing import Any

import httptools

from ....errors import OutcomeUnknown, Unavailable

# seconds that an idle connection is used again; the other side closes it after an hour
KEPT = 240.0


class Response:
    """Header names in lower case. Also what httptools fills."""

    __slots__ = ("body", "complete", "headers", "keep", "parser", "status")

    def __init__(self) -> None:
        self.parser: Any = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.complete = False
        self.keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.keep = self.parser.should_keep_alive()
        self.complete = True


class Client:
    """Safe for many threads: each exchange takes a connection out of the pool."""

    def __init__(self, port: int, *, timeout: float = 60.0) -> None:
        self.port = port
        self._timeout = timeout
        self._idle: deque[tuple[socket.socket, float]] = deque()  # and since when

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        *,
        what: str,
    ) -> Response:
        """The whole answer, over a connection of the pool.

        Unavailable: nothing was sent. OutcomeUnknown: it was, the answer was lost.
        """
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-length: "
            f"{len(body)}\r\n{lines}\r\n"
        )
        connection = self._take(what)
        response = Response()
        try:
            connection.sendall(head.encode("latin-1") + body)
            while not response.complete:
                data = connection.recv(262_144)
                if not data:
                    raise OutcomeUnknown(f"{what}: the connection ended before the answer")  # noqa: TRY301  closed below, like the others
                response.parser.feed_data(data)
        except (OSError, httptools.HttpParserError) as error:
            connection.close()
            raise OutcomeUnknown(f"{what}: the answer was lost: {error}") from error
        except OutcomeUnknown:
            connection.close()
            raise
        if response.keep:
            self._idle.append((connection, monotonic()))
        else:
            connection.close()
        return response

    def _take(self, what: str) -> socket.socket:
        while True:
            try:
                idle, since = self._idle.pop()
            except IndexError:
                break
            if monotonic() - since < KEPT and not _readable(idle):
                return idle
            idle.close()  # readable while nothing was asked: the other side has closed it
        try:
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=self._timeout)
        except OSError as error:
            raise Unavailable(
                f"{what}: nothing listens on 127.0.0.1:{self.port} ({error})"
            ) from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[0].close()


def _readable(connection: socket.socket) -> bool:
    """poll, as select knows no descriptor above 1,023."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
