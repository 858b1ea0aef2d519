"""A request whose head is that of the one before it, but for the body's length, is known without
being parsed. Pure.
"""

from __future__ import annotations

import re

import msgspec

from .connections import Connection, Request

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})\r\n", re.IGNORECASE)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Of a request that was let in and kept its connection."""

    start: bytes  # as it came, up to the digits of the body's length
    rest: bytes  # ... and after them
    method: bytes
    url: bytes
    path: bytes
    headers: dict[bytes, bytes]
    size: int  # of the head
    keeps: bool

    def body(self, data: bytes) -> bytes | None:
        """None: `data` is anything else than one whole request with this head."""
        if not data.startswith(self.start):
            return None
        first = len(self.start)
        last = data.find(b"\r", first, first + 16)
        digits, begin = data[first:last], last + len(self.rest)
        if (
            not digits.isdigit()
            or not data.startswith(self.rest, last)
            or len(data) - begin != int(digits)
        ):
            return None
        return data[begin:]

    def again(self, connection: Connection, body: bytes) -> Request:
        """The request, with another body."""
        request = Request(connection)
        request.method, request.url, request.path, request.headers = (
            self.method,
            self.url,
            self.path,
            self.headers,
        )
        request.head, request.keeps, request.keep = self.size, self.keeps, True
        request.body, request.size = body, len(body)
        return request


def head_of(request: Request, data: bytes) -> Head | None:
    """`data`: what came from the request's first byte on.

    None: it was refused or ends its connection, or its head came in parts.
    """
    end = data.find(b"\r\n\r\n") + 4
    length = _LENGTH.search(data, 0, end)
    if (
        length is None
        or int(length[1]) != request.size
        or request.refused is not None
        or request.expects
        or not request.keep
    ):
        return None
    return Head(
        start=data[: length.start(1)],
        rest=data[length.end(1) : end],
        method=request.method,
        url=request.url,
        path=request.path,
        headers=request.headers,
        size=request.head,
        keeps=request.keeps,
    )
