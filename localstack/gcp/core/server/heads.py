"""The heads of requests, each parsed once for equal bytes.

A program sends the same head again and again, and parsing it takes longer than the rest of a small
prediction's way.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import parse_qs

import httptools
import msgspec

from . import door

END = b"\r\n\r\n"
_LONGEST = 4096  # bytes; longer ones are seldom sent twice
_BODY = 1 << 16  # bytes; what is larger takes its time anyway
_ELSEWHERE = {
    "transfer-encoding",
    "expect",
    "upgrade",
}  # what says that more follows than a body of a known size
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "host.docker.internal", "")


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    """A request's first line and headers."""

    method: str
    host: str  # without the port, in small letters
    path: str  # as it came: quoted
    query_lists: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in small letters
    keep: bool  # the connection, after the answer
    programs: bool  # not of a web page in somebody's browser: this server runs commands
    size: int = 0  # of the body, in bytes, where it is known beforehand


def head_of(
    method: str, target: bytes, headers: Mapping[str, str], *, keep: bool, size: int = 0
) -> RequestHead:
    """Return an HTTP request's head, built from its parsed parts.

    `keep` is whether the connection stays open afterwards; `size` is the length of the body.
    """
    path, query_lists = _path_and_query(target)
    host = _without_port(headers.get("host", ""))
    return RequestHead(
        method=method,
        host=host,
        path=path,
        query_lists=query_lists,
        headers=headers,
        keep=keep,
        programs=_is_ours(host) and "origin" not in headers and "sec-fetch-site" not in headers,
        size=size,
    )


@lru_cache(maxsize=256)  # programs ask for the same ones again and again
def _path_and_query(target: bytes) -> tuple[str, Mapping[str, list[str]]]:
    """Split an HTTP request's target into its path and its query parameters."""
    url = httptools.parse_url(target) if target.startswith(b"/") or b"://" in target else None
    path = (url.path if url is not None else target).decode("latin-1")
    query = url.query.decode("latin-1") if url is not None and url.query else ""
    return path, parse_qs(query, keep_blank_values=True) if query else {}


@lru_cache(maxsize=256)
def _without_port(host: str) -> str:
    """Return a Host header without its port, in small letters."""
    name, _, port = host.lower().rpartition(":")
    return name if port.isdigit() else host.lower()


@lru_cache(maxsize=256)
def _is_ours(host: str) -> bool:
    """Return whether a Host header names this stack: loopback or a host of Google's."""
    return host in _LOOPBACK or host.endswith(".localhost") or door.is_google_host(host)


def read_head(data: bytes) -> tuple[RequestHead, bytes] | None:
    """Parse the head of a POST at the start of `data`; return it with the bytes after it.

    It returns None if the head is incomplete or says no body size: the full parser then reads the
    request.
    """
    end = data.find(END)
    if end < 0 or end > _LONGEST or not data.startswith(b"POST "):
        return None
    head = _read(data[: end + 4])
    return None if head is None else (head, data[end + 4 :])


@lru_cache(maxsize=256)
def _read(head: bytes) -> RequestHead | None:
    """Parse the bytes of an HTTP request's head; return None if it needs the full parser."""
    reader = _Reader()
    parser = httptools.HttpRequestParser(reader)
    try:
        parser.feed_data(head)
        size = reader.headers.get("content-length", "")
        if (
            not (reader.complete and size.isdecimal() and int(size) <= _BODY)
            or _ELSEWHERE & reader.headers.keys()
        ):
            return None
        return head_of(
            "POST", reader.target, reader.headers, keep=parser.should_keep_alive(), size=int(size)
        )
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None


class _Reader:
    """The callbacks of httptools' parser."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[str, str] = {}
        self.complete = False

    def on_url(self, target: bytes) -> None:
        """Append a part of the request's target; called by the parser."""
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header; called by the parser."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Record that the head is complete; called by the parser."""
        self.complete = True
