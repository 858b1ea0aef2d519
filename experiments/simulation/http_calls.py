"""Requests to a gateway over connections that are kept, from one thread or several."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Self, cast, final
from urllib.parse import urlsplit

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

_PATIENCE = 60.0  # seconds for an answer
_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode


class HttpReply(NamedTuple):
    """An answer. `status` 0: nobody answered, and `body` says why."""

    status: int
    body: Any

    @property
    def fields(self) -> dict[str, Any]:
        """Return the members of a reply's body if it is a JSON object, else an empty dict."""
        body = self.body
        return cast("dict[str, Any]", body) if isinstance(body, dict) else {}

    @property
    def error(self) -> str:
        """Return the error message in a reply's body."""
        return str(self.fields.get("error", self.body))


@final
class HttpCalls:
    """Calls of a gateway, from `threads` threads at once. None is repeated.

    One thread sends in the order of the bodies, each once the one before is answered.
    """

    def __init__(self, url: str, *, threads: int = 1) -> None:
        self._threads = ThreadPoolExecutor(threads, "visitor")
        self._connections = urllib3.HTTPConnectionPool(
            urlsplit(url).hostname or "",
            urlsplit(url).port,
            timeout=_PATIENCE,
            maxsize=threads,
            retries=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        self._connections.close()

    def post(self, path: str, bodies: Iterable[object]) -> list[HttpReply]:
        """Send the JSON bodies to a path of the gateway; return the replies in their order."""
        return list(self._threads.map(partial(self._post, path), bodies))

    def _post(self, path: str, body: object) -> HttpReply:
        """Send one JSON body to a path of the gateway."""
        try:
            answer = self._connections.urlopen(
                "POST",
                path,
                body=_encode(body),
                headers={"Content-Type": "application/json"},
                redirect=False,
            )
            return HttpReply(answer.status, _decode(answer.data))
        except (OSError, HTTPError, msgspec.DecodeError) as error:
            return HttpReply(0, f"{type(error).__name__}: {error}")
