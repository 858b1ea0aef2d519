"""The answers that a stack's front gives its server."""

from __future__ import annotations

import msgspec


class WsgiAnswer(msgspec.Struct, frozen=True):
    """An answer of HTTP."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    error: str | None = None  # the error code, when it is one


class Cut(Exception):
    """An answer that is none: the connection is to be closed.

    The server (wsgi_server.py) knows how.
    """
