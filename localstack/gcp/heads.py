"""What a request's head says, read once for equal bytes: a program sends the same head again and again, and reading it takes longer than
the rest of a small prediction's way.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import httptools
import msgspec

END = b"\r\n\r\n"
_LONGEST = 4096  # bytes; longer ones are seldom sent twice
_BODY = 1 << 16  # bytes; what is larger takes its time anyway
_ELSEWHERE = {"transfer-encoding", "expect", "upgrade"}  # what says that more follows than a body of a known size


class Head(msgspec.Struct, frozen=True):
    """Of a POST whose body has a known size."""

    target: bytes
    headers: Mapping[str, str]  # names in small letters
    size: int  # of the body, in bytes
    keep: bool  # the connection, after the answer


def beginning(data: bytes) -> tuple[Head, bytes] | None:
    """The head that some bytes begin with, and the bytes behind it. None: it has to be parsed."""
    end = data.find(END)
    if end < 0 or end > _LONGEST or not data.startswith(b"POST "):
        return None
    head = _read(data[: end + 4])
    return None if head is None else (head, data[end + 4 :])


@lru_cache(maxsize=256)
def _read(head: bytes) -> Head | None:
    reader = _Reader()
    parser = httptools.HttpRequestParser(reader)
    try:
        parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    size = reader.headers.get("content-length", "")
    if not (reader.complete and size.isdecimal() and int(size) <= _BODY) or _ELSEWHERE & reader.headers.keys():
        return None
    return Head(reader.target, reader.headers, int(size), parser.should_keep_alive())


class _Reader:
    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[str, str] = {}
        self.complete = False

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.complete = True
