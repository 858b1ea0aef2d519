"""HTTP to a container on this machine from threads, over kept connections: http.client's."""

from __future__ import annotations

import http.client
import select
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec

Headers = tuple[tuple[str, str], ...]
CLOSED = "the container closed the connection before it had answered"
_MOST_KEPT = 256  # connections that are idle
_PART = 65_536  # bytes of a stream's part at most
_TARGET = "%/:?#[]@!$&'()*+,;=-._~"  # what a path has beside letters and digits
_CONTROL = dict.fromkeys((*range(9), *range(10, 32), 127), " ")


class NotReached(Exception):
    """The server was not reached: nobody listens, or the connection ended before an answer."""


class TimedOut(Exception):
    """The container did not answer in time."""


class Answer(msgspec.Struct, frozen=True):
    """An answer, with header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class _Lines:
    """The lines of an answer's head, of which it keeps the last."""

    def __init__(self, received: Any) -> None:
        self._received = received
        self.last = b""

    def readline(self, limit: int) -> bytes:
        """Return the next line of a response's head, at most `limit` bytes; b"" at the end."""
        self.last = self._received.readline(limit)
        return self.last

    def close(self) -> None:
        """Close the connection from which the response is read."""
        self._received.close()


class _Response(http.client.HTTPResponse):
    """An answer whose head is whole: http.client takes half of one for an empty answer."""

    fp: Any

    def begin(self) -> None:
        """Read a response's head; raise IncompleteRead if it is cut or malformed."""
        received = self.fp
        self.fp = lines = _Lines(received)
        try:
            super().begin()
        finally:
            if self.fp is lines:
                self.fp = received
        if lines.last not in (b"\r\n", b"\n") or self.msg.defects:
            raise http.client.IncompleteRead(lines.last)


class _Connection(http.client.HTTPConnection):
    """A connection that sends a request's head and its body together.

    http.client sends each by itself, and a waiting container wakes up for each.
    """

    response_class = _Response
    _unsent: list[bytes] | None = None  # the parts of a request that is being written

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, bytes]) -> None:
        """Send a request: its head and its body in one call of the system."""
        unsent: list[bytes] = []
        self._unsent = unsent
        try:
            self.putrequest(method, _target(path), skip_accept_encoding=True)
            self.putheader("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.putheader(name, value)
            self.endheaders(body)
        finally:
            self._unsent = None
        with suppress(BrokenPipeError, ConnectionResetError):  # perhaps it has answered already
            super().send(b"".join(unsent))

    def send(self, data: Any) -> None:
        """Send bytes, or keep them until the request that they belong to is whole."""
        if self._unsent is None:
            super().send(data)
        else:
            self._unsent.append(data)

    def is_dropped(self) -> bool:
        """Return whether the container has closed the connection while it was idle."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))


class Connections:
    """The pool of one container. It is safe for many threads.

    An idle connection that the container has closed is replaced before it is used; no request is
    repeated once it is sent, as a prediction must not run twice.
    """

    def __init__(self, port: int, *, timeout: float = 60.0) -> None:
        self._port = port
        self._timeout = timeout
        self._idle: list[_Connection] = []
        self._closed = False

    @property
    def port(self) -> int:
        """The port at which the container listens."""
        return self._port

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Headers = (),
        *,
        within: float | None = None,
    ) -> Answer:
        """Send an HTTP request to a container once, and return its response.

        Args:
            method: GET, POST ...
            path: The URL's path, with the query.
            body: The request's body.
            headers: The headers besides Host and Content-Length.
            within: Seconds for connecting and for each wait for more; None: the pool's.

        Raises:
            NotReached: The container gave no complete answer.
            TimedOut: The answer did not come in time.
        """
        seconds = self._timeout if within is None else within
        with self._errors(seconds):
            connection, response = self._send(method, path, body, headers, seconds)
            with _closed_on_failure(connection):
                answer = Answer(response.status, _read(response), response.read())
            self._keep(connection)
            return answer

    def stream(
        self, method: str, path: str, body: bytes, headers: Headers
    ) -> tuple[Answer, Iterator[bytes]]:
        """Send a request; return the response's status and headers, and its body in parts.

        The parts come as the container sends them.

        Raises:
            NotReached: The connection ends, also in the middle of it.
            TimedOut: Nothing comes in time.
        """
        with self._errors(self._timeout):
            connection, response = self._send(method, path, body, headers, self._timeout)
        return Answer(response.status, _read(response)), self._parts(connection, response)

    def _parts(
        self, connection: _Connection, response: http.client.HTTPResponse
    ) -> Iterator[bytes]:
        """Yield the parts of a response's body as they come."""
        with self._errors(self._timeout), _closed_on_failure(connection):
            while part := response.read1(_PART):
                yield part
            if response.length:  # of a body whose length was told
                raise http.client.IncompleteRead(b"", response.length)
        response.close()
        self._keep(connection)

    def _send(
        self, method: str, path: str, body: bytes, headers: Headers, seconds: float
    ) -> tuple[_Connection, http.client.HTTPResponse]:
        """Send a request; return its connection and its response, with the body still unread."""
        connection = self._connect(seconds)
        with _closed_on_failure(connection):
            try:
                connection.ask(method, path, body, _sent(headers))
            except TimeoutError as error:
                raise TimedOut(f"the request was not read within {seconds:g} seconds") from error
            response = connection.getresponse()
            require_final(response.status)
        return connection, response

    def _connect(self, seconds: float) -> _Connection:
        """Return an idle connection that is still open, else a new one."""
        if self._closed:
            raise NotReached("the stack has let go of the container")
        with suppress(IndexError):  # no idle connection is left
            while True:
                connection = self._idle.pop()
                if not connection.is_dropped():
                    if connection.sock.gettimeout() != seconds:
                        connection.sock.settimeout(seconds)
                    return connection
                connection.close()
        connection = _Connection("127.0.0.1", self._port, timeout=seconds)
        try:
            connection.connect()
        except OSError as error:
            raise NotReached(f"nothing listens on 127.0.0.1:{self._port}") from error
        return connection

    def _keep(self, connection: _Connection) -> None:
        """Keep a connection whose response was read to its end, unless the response closed it."""
        if connection.sock is None:
            return
        if self._closed or len(self._idle) >= _MOST_KEPT:
            connection.close()
        else:
            self._idle.append(connection)

    @contextmanager
    def _errors(self, seconds: float) -> Iterator[None]:
        """Translate http.client's errors into NotReached and TimedOut within the block."""
        try:
            yield
        except TimeoutError as error:
            raise TimedOut(f"no answer within {seconds:g} seconds") from error
        except (http.client.RemoteDisconnected, http.client.IncompleteRead) as error:
            raise NotReached(CLOSED) from error
        except (http.client.HTTPException, OSError) as error:
            raise NotReached(f"the connection to the container failed: {error}") from error

    def close(self) -> None:
        """Close the idle connections; no request can be sent from now on."""
        self._closed = True
        with suppress(IndexError):  # the last one is closed
            while True:
                self._idle.pop().close()


@contextmanager
def _closed_on_failure(connection: _Connection) -> Iterator[None]:
    """Close a connection if the block fails, also where its reader has gone."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


@lru_cache(maxsize=1024)
def _target(path: str) -> str:
    """Return a path with its query as a request's first line has it, percent-encoded."""
    return quote(path, safe=_TARGET)


def clean(value: str) -> str:
    """Return a header's value without control characters, which would end it or be refused."""
    return value.translate(_CONTROL)


def require_final(status: int) -> None:
    """Raise NotReached for a status that is not an answer, such as 101 Switching Protocols."""
    if status < 200:
        raise NotReached(f"the container answered {status}, after which nothing can be read")


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return a response's headers as text, names in lower case; the last of equal names wins."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _sent(headers: Headers) -> Mapping[str, bytes]:
    """Return headers in the encoding in which they are sent."""
    return {name: clean(value).encode("latin-1", "replace") for name, value in headers}


def _read(response: http.client.HTTPResponse) -> dict[str, str]:
    """Return a response's headers, names in lower case; the last of equal names wins."""
    return {name.lower(): value for name, value in response.headers.items()}
