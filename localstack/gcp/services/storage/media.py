"""An object's bytes as an answer: whole or a range, as stored or without their gzip."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...core.errors import GcpError
from ...core.http_messages import HttpAnswer, HttpRequest
from ...core.rpc.transcoding import error_answer
from .content import decompressed, parts
from .records import Version
from .requests import check_key, key_of

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110: what the name of a header may be
_SMALL = 4 << 20  # bytes that are answered at once; more are sent in parts


def answer(version: Version, request: HttpRequest) -> HttpAnswer:
    """Return an HTTP response with an object's bytes: whole, or the requested range."""
    check_key(version, key_of(request.headers))
    headers = list(_headers(version))
    size = version.content.size
    expand = version.fields.get("contentEncoding") == "gzip" and "gzip" not in request.headers.get(
        "accept-encoding", ""
    )
    if expand:  # whole, whatever range was asked for, as Google does
        return HttpAnswer(
            headers=[*headers, ("Warning", "214 UploadServer gunzipped")],
            body=decompressed(version.content),
        )
    if encoding := version.fields.get("contentEncoding"):
        headers.append(("Content-Encoding", str(encoding)))
    span = _span(request.headers.get("range", ""), size)
    if span is None:
        return HttpAnswer(headers=headers, body=_body(version, 0, size))
    start, stop = span
    if start >= size:
        return _unsatisfiable(request.headers["range"], size)
    headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
    return HttpAnswer(status=206, headers=headers, body=_body(version, start, stop))


def _body(version: Version, start: int, stop: int) -> bytes | Iterable[bytes]:
    """Return an object's bytes from `start` to before `stop`: whole if few, else in parts."""
    data = parts(version.content, start, stop)
    return b"".join(data) if stop - start <= _SMALL else data


def _headers(version: Version) -> Iterable[tuple[str, str]]:
    """Yield the response headers that describe an object."""
    content, fields = version.content, version.fields
    yield "Content-Type", str(fields.get("contentType") or "application/octet-stream")
    yield "ETag", version.etag
    yield "X-Goog-Generation", str(version.generation)
    yield "X-Goog-Metageneration", str(version.metageneration)
    yield "X-Goog-Storage-Class", version.storage_class
    yield "X-Goog-Hash", f"crc32c={content.crc32c}" + (f",md5={content.md5}" if content.md5 else "")
    yield "X-Goog-Stored-Content-Encoding", str(fields.get("contentEncoding") or "identity")
    yield "X-Goog-Stored-Content-Length", str(content.size)
    yield "Accept-Ranges", "bytes"
    yield "Last-Modified", version.updated.strftime("%a, %d %b %Y %H:%M:%S GMT")
    named = {
        "cacheControl": "Cache-Control",
        "contentDisposition": "Content-Disposition",
        "contentLanguage": "Content-Language",
    }
    for key, header in named.items():
        if fields.get(key):
            yield header, str(fields[key])
    for key, value in (fields.get("metadata") or {}).items():
        if str(value).isascii() and _TOKEN.fullmatch(key):
            yield f"X-Goog-Meta-{key}", str(value)


def _span(header: str, size: int) -> tuple[int, int] | None:
    """Parse a Range header for an object of `size` bytes into first byte and exclusive end.

    None means the whole object.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or not any(match.groups()):
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size
    if match[2] and int(match[2]) < int(match[1]):
        return None
    return int(match[1]), min(size, int(match[2]) + 1) if match[2] else size


def _unsatisfiable(header: str, size: int) -> HttpAnswer:
    """Return the response 416 to a Range header that lies outside of an object of `size` bytes."""
    text = f"The requested range cannot be satisfied: {header} of {size} bytes."
    answer = error_answer(
        GcpError("OUT_OF_RANGE", text, reason="requestedRangeNotSatisfiable", http=416)
    )
    return HttpAnswer(
        status=416,
        headers=[*answer.headers, ("Content-Range", f"bytes */{size}")],
        body=answer.body,
        error=answer.error,
    )
