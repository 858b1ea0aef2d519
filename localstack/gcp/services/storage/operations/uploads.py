"""The method storage.objects.insert: in one piece, with metadata (multipart), or resumable."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpAnswer, HttpRequest
from ....core.registry import route
from ..content import Writer, checksums_in_header, write_content
from ..errors import invalid
from ..requests import base_of
from ..uploads import NewObject, ResumableUpload, Sessions

_UPLOAD = ("/upload/storage/v1/b/{bucket}/o", "/resumable/upload/storage/v1/b/{bucket}/o")


_UNIT = 256 << 10  # bytes: the parts of a resumable upload but the last are multiples of it


_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@route("storage.objects.insert", "POST", *_UPLOAD)
def insert(call: Call, request: HttpRequest) -> HttpAnswer | dict[str, Any]:
    """Store an object that is sent in one request, or begin a resumable upload."""
    kind = request.query.get("uploadType", "")
    if kind == "media":
        new = NewObject(call, request, {}, content_type=request.headers.get("content-type"))
        return new.finish(
            call,
            write_content(new.store.folder(call), [request.body]),
            checksums_in_header(request.headers.get("x-goog-hash", "")),
        )
    if kind == "multipart":
        body, content_type, data = _multipart(request)
        new = NewObject(call, request, body, content_type=content_type)
        return new.finish(
            call,
            write_content(new.store.folder(call), [data]),
            checksums_in_header(request.headers.get("x-goog-hash", "")),
        )
    if "upload_id" in request.query:
        answer: HttpAnswer | dict[str, Any] = resume(call, request)
        return answer
    if kind == "resumable":
        return begin(call, request, request.json(), request.headers.get("x-upload-content-type"))
    raise invalid(
        f"Invalid upload type: {kind!r}. It is media, multipart or resumable.", "uploadType"
    )


def _multipart(request: HttpRequest) -> tuple[dict[str, Any], str | None, memoryview]:
    """Parse a multipart upload: object metadata, content type, and bytes (not copied)."""
    boundary = re.search(r'boundary="?([^";]+)"?', request.headers.get("content-type", ""))
    if boundary is None:
        raise GcpError("INVALID_ARGUMENT", "Missing multipart boundary.", reason="badRequest")
    mark = b"--" + boundary[1].strip("'").encode()
    first = request.body.find(mark)
    second = request.body.find(b"\n" + mark, first + len(mark))
    last = request.body.rfind(b"\n" + mark + b"--")
    if first < 0 or second < 0 or last <= second:
        raise GcpError("INVALID_ARGUMENT", "Malformed multipart body.", reason="badRequest")
    _, text = _part(request.body, first + len(mark), second)
    headers, data = _part(request.body, second + 1 + len(mark), last)
    body = HttpRequest(
        method="", host="", path="", query_lists={}, headers={}, body=bytes(text)
    ).json()
    return body, headers.get("content-type"), data


def _part(body: bytes, start: int, end: int) -> tuple[dict[str, str], memoryview]:
    """Return the headers and the content of one part of a multipart body.

    The part lies between a boundary at `start` and the next at `end`; its content ends before the
    line break that belongs to the latter.
    """
    start = body.index(b"\n", start) + 1
    if body[end - 1 : end] == b"\r":
        end -= 1
    for blank in (b"\r\n\r\n", b"\n\n"):
        if (close := body.find(blank, start - 2, end)) >= 0:
            lines = body[start:close].decode("latin-1").splitlines()
            pairs = (line.partition(":") for line in lines if ":" in line)
            return {name.strip().lower(): value.strip() for name, _, value in pairs}, memoryview(
                body
            )[close + len(blank) : end]
    return {}, memoryview(body)[start:end]


def begin(
    call: Call, request: HttpRequest, body: Mapping[str, Any], content_type: str | None
) -> HttpAnswer:
    """Begin a resumable upload; answer with the URL of its session.

    `body` is the object's metadata, `content_type` the type of the bytes to come.
    """
    new = NewObject(call, request, body, content_type=content_type)
    upload_id = secrets.token_urlsafe(48)
    call.store(Sessions).open[upload_id] = ResumableUpload(new, Writer(new.store.folder(call)))
    query = f"uploadType=resumable&upload_id={upload_id}"
    url = f"{base_of(request)}/upload/storage/v1/b/{new.bucket_name}/o?{query}"
    return HttpAnswer(headers=(("Location", url), ("X-GUploader-UploadID", upload_id)))


@route("storage.objects.insert", "PUT", *_UPLOAD)
def resume(call: Call, request: HttpRequest) -> HttpAnswer | dict[str, Any]:
    """Store a part of a resumable upload, or answer a query of its progress."""
    session = _session(call, request)
    with session.lock:
        if session.done is not None:
            return session.done
        first, last, total = _content_range(request)
        writer = session.writer
        if first is not None and last is not None:
            if last - first + 1 != len(request.body):
                raise invalid(
                    "Invalid request. The number of bytes uploaded is required to be equal "
                    f"to {last - first + 1}."
                )
            if first > writer.size:
                return _incomplete(writer, status=503)
            data = memoryview(request.body)[writer.size - first :]
            if (total is None or last + 1 < total) and len(request.body) % _UNIT:
                raise invalid(
                    "Invalid request. According to the Content-Range header, the upload has "
                    f"parts that are no multiples of {_UNIT} bytes."
                )
            writer.write(data)
        if total is None or writer.size < total:
            return _incomplete(writer)
        if writer.size > total:
            raise invalid(f"Invalid request. There were {writer.size} bytes uploaded, of {total}.")
        try:
            session.done = session.new.finish(
                call, writer.finish(), checksums_in_header(request.headers.get("x-goog-hash", ""))
            )
        except GcpError:
            call.store(Sessions).open.pop(request.query["upload_id"], None)
            raise
        return session.done


@route("storage.objects.insert", "DELETE", *_UPLOAD)
def cancel(call: Call, request: HttpRequest) -> HttpAnswer:
    """Cancel a resumable upload."""
    session = _session(call, request)
    with session.lock:
        del call.store(Sessions).open[request.query["upload_id"]]
        if session.done is None:
            session.writer.discard()
    return HttpAnswer(status=499)


def _session(call: Call, request: HttpRequest) -> ResumableUpload:
    """Return the resumable upload that a request names; raise NOT_FOUND."""
    session = call.store(Sessions).open.get(request.query.get("upload_id", ""))
    if session is None:
        raise GcpError(
            "NOT_FOUND",
            "The upload was not found: it was cancelled, or it never was.",
            reason="notFound",
        )
    return session


def _incomplete(writer: Writer, *, status: int = 308) -> HttpAnswer:
    """Answer 308, or another status, with how many bytes of an upload have come."""
    headers = (("Range", f"bytes=0-{writer.size - 1}"),) if writer.size else ()
    return HttpAnswer(status=status, headers=headers)


def _content_range(request: HttpRequest) -> tuple[int | None, int | None, int | None]:
    """Parse a Content-Range header into first byte, last byte and total size, each or None.

    None means that the header does not say.
    """
    header = request.headers.get("content-range", "")
    if not header:  # everything at once
        return (0, len(request.body) - 1, len(request.body)) if request.body else (None, None, 0)
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        raise invalid(f"Failed to parse Content-Range header: {header}")
    first, last = (int(match[1]), int(match[2])) if match[1] else (None, None)
    return first, last, None if match[3] == "*" else int(match[3])
