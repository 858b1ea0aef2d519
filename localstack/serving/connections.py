"""HTTP to a container on this machine from threads, over kept connections: urllib3's."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)
from urllib3.util import SKIP_HEADER, Retry

Headers = tuple[tuple[str, str], ...]
CLOSED = "the container closed the connection before it had answered"
_NEVER = Retry(total=False)  # made once: urllib3 would make one for each call
_MOST_KEPT = 256  # connections that are idle
_PART = 65_536  # bytes of a stream's part at most
_AUTOMATIC = {"user-agent": SKIP_HEADER, "accept-encoding": SKIP_HEADER}
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


class _Connection(HTTPConnection):
    """A connection that sends a request's head and its body together.

    urllib3 sends each by itself, and a container that waits on its connection wakes up for each.
    """

    response_class = _Response
    _unsent: list[bytes] | None = None  # the parts of a request that is being written

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request: its head and its body in one call of the system."""
        unsent: list[bytes] = []
        self._unsent = unsent
        try:
            super().request(*args, **options)
        finally:
            self._unsent = None
        super().send(b"".join(unsent))

    def send(self, data: Any) -> None:
        """Send bytes, or hold them back until the rest of their request can be sent with them."""
        if self._unsent is None:
            super().send(data)
        else:
            self._unsent.append(data)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType]  # a protocol of mutable fields


class Connections:
    """The pool of one container. It is safe for many threads.

    An idle connection that the container has closed is replaced before it is used; no request is
    repeated once it is sent, as a prediction must not run twice.
    """

    def __init__(self, port: int, *, timeout: float = 60.0) -> None:
        self._port = port
        self._timeout = timeout
        self._pool = _Pool("127.0.0.1", port, maxsize=_MOST_KEPT, block=False, retries=_NEVER)

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
            response = self._send(method, path, body, headers, seconds, whole=True)
            return Answer(response.status, _read(response), response.data)

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
            response = self._send(method, path, body, headers, self._timeout, whole=False)
        return Answer(response.status, _read(response)), self._parts(response)

    def _parts(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """Yield the parts of a response's body as they arrive."""
        try:
            with self._errors(self._timeout):
                while part := response.read1(_PART, decode_content=False):
                    yield part
        finally:
            response.close()  # also where its reader has gone

    def _send(
        self, method: str, path: str, body: bytes, headers: Headers, seconds: float, *, whole: bool
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; return its response, read `whole` or with the body still to be read.

        `seconds` is the limit for connecting and for each wait.
        """
        response = self._pool.urlopen(
            method,
            path,
            body=body,
            headers={**_AUTOMATIC, **_sent(headers)},
            timeout=seconds,
            redirect=False,
            preload_content=whole,
            decode_content=False,
        )
        require_final(response.status)
        return response

    @contextmanager
    def _errors(self, seconds: float) -> Iterator[None]:
        """Translate urllib3's errors into NotReached and TimedOut within the block."""
        try:
            yield
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise NotReached(f"nothing listens on 127.0.0.1:{self._port}") from error
        except ReadTimeoutError as error:
            raise TimedOut(f"no answer within {seconds:g} seconds") from error
        except (HTTPError, OSError) as error:
            cause = error.args[-1] if isinstance(error, ProtocolError) else error
            if isinstance(cause, TimeoutError):
                raise TimedOut(f"the request was not read within {seconds:g} seconds") from error
            if isinstance(cause, http.client.RemoteDisconnected | http.client.IncompleteRead):
                raise NotReached(CLOSED) from error
            raise NotReached(f"the connection to the container failed: {cause}") from error

    def close(self) -> None:
        """Close all idle connections, and refuse further requests."""
        self._pool.close()


def clean(value: str) -> str:
    """Return a header's value without control characters, which HTTP does not allow."""
    return value.translate(_CONTROL)


def require_final(status: int) -> None:
    """Raise NotReached for a status that begins no answer, such as 101 Switching Protocols."""
    if status < 200:
        raise NotReached(f"the container answered {status}, after which nothing can be read")


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return a response's headers as text, names in lower case; the last of equal names wins."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _sent(headers: Headers) -> Mapping[str, str]:
    """Return headers with values encoded as urllib3 is to send them."""
    return {name: clean(value).encode("latin-1", "replace") for name, value in headers}  # type: ignore[misc]  # bytes pass as they are


def _read(response: urllib3.BaseHTTPResponse) -> dict[str, str]:
    """Return a response's headers, names in lower case; the last of equal names wins."""
    return {name.lower(): value for name, value in response.headers.items()}
