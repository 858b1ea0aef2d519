"""What a stack's front gives its server."""

from __future__ import annotations

import msgspec


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    error: str | None = None  # the error code, when it is one


class Cut(Exception):
    """The connection is to be closed without an answer. The server (wsgi_server.py) knows how."""
