"""Requests and answers over HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from .errors import GcpError


class HttpRequest(msgspec.Struct, kw_only=True):
    """A request over HTTP."""

    method: str
    host: str  # without the port, in small letters
    path: str  # as it came: quoted
    query_lists: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in small letters
    body: bytes
    params: dict[str, str] = {}  # from the route's template, unquoted

    @property
    def query(self) -> dict[str, str]:
        """The query parameters by name; of a repeated one, the last value."""
        return {name: values[-1] for name, values in self.query_lists.items()}

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; an empty body is an empty object.

        Raises:
            GcpError: INVALID_ARGUMENT, the body is something else.
        """
        if not self.body:
            return {}
        try:
            value = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise GcpError(
                "INVALID_ARGUMENT", f"Invalid JSON payload received. {error}", reason="parseError"
            ) from error
        if not isinstance(value, dict):
            raise GcpError(
                "INVALID_ARGUMENT",
                "Invalid JSON payload received. The body is not an object.",
                reason="parseError",
            )
        return value


class HttpAnswer(msgspec.Struct, kw_only=True):
    """An answer over HTTP."""

    status: int = HTTPStatus.OK
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | Iterable[bytes] = b""  # parts: sent one by one, chunked
    error: str | None = None  # the status' name, when it is an error
