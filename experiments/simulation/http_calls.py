"""Requests to a gateway from several threads, each with a connection that it keeps."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Self, cast, final
from urllib.parse import urlsplit

import msgspec

THREADS = 4
_PATIENCE = 60.0  # seconds for an answer
_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode


class Reply(NamedTuple):
    """An answer. `status` 0: nobody answered, and `body` says why."""

    status: int
    body: Any

    @property
    def fields(self) -> dict[str, Any]:
        """The body's members if it is a JSON object, else an empty dict."""
        body = self.body
        return cast("dict[str, Any]", body) if isinstance(body, dict) else {}

    @property
    def error(self) -> str:
        """The reply's error message."""
        return str(self.fields.get("error", self.body))


@final
class HttpCalls:
    """Calls of a gateway, from several threads at once."""

    def __init__(self, url: str) -> None:
        self._host, self._port = urlsplit(url).hostname or "", urlsplit(url).port
        self._threads = ThreadPoolExecutor(THREADS, "visitor")
        self._own = threading.local()
        self._every: list[http.client.HTTPConnection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        for connection in self._every:
            connection.close()

    def post(self, path: str, bodies: Iterable[object]) -> list[Reply]:
        """Send the bodies; return the replies in their order."""
        return list(self._threads.map(partial(self._post, path), bodies))

    def _post(self, path: str, body: object) -> Reply:
        """Send one body."""
        connection = self._connection()
        try:
            connection.request("POST", path, _encode(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return Reply(answer.status, _decode(answer.read()))
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            connection.close()  # the next request opens it again
            return Reply(0, f"{type(error).__name__}: {error}")

    def _connection(self) -> http.client.HTTPConnection:
        """Return this thread's connection."""
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection(
                self._host, self._port, timeout=_PATIENCE
            )
            self._every.append(connection)
        return connection
