"""A blocking client for this machine's own servers, with kept connections: urllib3's.

An exchange is sent once: what is lost after sending raises OutcomeUnknown, for the caller to
decide.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import Any

import msgspec
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.util import SKIP_HEADER

from ....errors import OutcomeUnknown, Unavailable

KEPT = (
    240.0  # seconds that an idle connection is used again; the other side closes it after an hour
)
_MOST_KEPT = 256  # connections that are idle
_HEADERS = {"user-agent": SKIP_HEADER, "accept-encoding": SKIP_HEADER}


class Response(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


class Client:
    """Safe for many threads: each exchange takes a connection out of the pool."""

    def __init__(self, port: int, *, timeout: float = 60.0) -> None:
        """`timeout`: seconds for connecting, and for each wait for more of an answer."""
        self.port = port
        self._pool = _Pool(
            "127.0.0.1", port, timeout=timeout, maxsize=_MOST_KEPT, block=False, retries=False
        )

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        *,
        what: str,
    ) -> Response:
        """Send an HTTP request to the local server, and return the whole answer.

        Args:
            method: GET, POST ...
            path: The path with the query.
            body: The request's body.
            headers: Headers in addition to Host and Content-Length.
            what: A clause on what the request is for, for error messages.

        Raises:
            Unavailable: Nothing was sent.
            OutcomeUnknown: It was, and the answer was lost.
        """
        try:
            answer = self._pool.urlopen(
                method,
                path,
                body=body,
                headers={**_HEADERS, **dict(headers)},
                redirect=False,
                decode_content=False,
            )
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise Unavailable(
                f"{what}: nothing listens on 127.0.0.1:{self.port} ({error})"
            ) from error
        except (HTTPError, OSError) as error:
            raise OutcomeUnknown(f"{what}: the answer was lost: {error}") from error
        lower = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status, lower, answer.data)

    def close(self) -> None:
        """Close the connections that are idle."""
        self._pool.close()


class _Pool(urllib3.HTTPConnectionPool):
    """A pool that gives up connections before their server does.

    A close that meets a request loses it.
    """

    def _put_conn(self, conn: Any) -> None:
        """Return a connection to the pool, and note the time."""
        if conn is not None:
            conn.idle_since = monotonic()
        super()._put_conn(conn)

    def _get_conn(self, timeout: float | None = None) -> Any:
        """Take a connection from the pool, reopened if it was idle for too long."""
        connection: Any = super()._get_conn(timeout)
        if getattr(connection, "idle_since", inf) < monotonic() - KEPT:
            connection.close()  # it is opened again with the next request
        return connection
