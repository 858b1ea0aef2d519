"""storage.objects.insert: in one piece, with metadata (multipart), or resumable in parts."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Mapping
from typing import Any

from ...core.registry import Call, GcpError, HttpAnswer, HttpRequest, route
from . import acls
from .content import Content, Writer, check, told_by_header, write_content
from .field_types import OBJECT, checked
from .preconditions import Conditions, invalid
from .records import Bucket, Version, check_object_name
from .representations import object_fields, storage_class
from .requests import base_of, conditions_of, key_of, object_answer, store_of

_UPLOAD = ("/upload/storage/v1/b/{bucket}/o", "/resumable/upload/storage/v1/b/{bucket}/o")
_UNIT = 256 << 10  # bytes: the parts of a resumable upload but the last are multiples of it
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class New:
    """An object that is being uploaded: what its request says of it."""

    def __init__(
        self, call: Call, request: HttpRequest, body: Mapping[str, Any], *, content_type: str | None
    ) -> None:
        query = request.query
        self.request = request
        self.store = store_of(call)
        self.bucket_name = request.params["bucket"]
        self.name = query.get("name") or str(body.get("name") or "")
        check_object_name(self.name)
        self.conditions: Conditions = conditions_of(request)
        self.key = key_of(request.headers)
        self.kms_key = query.get("kmsKeyName") or body.get("kmsKeyName")
        self.told = checked(dict(body), OBJECT)
        self.fields = object_fields(body)
        if content_type and "contentType" not in self.fields:
            self.fields["contentType"] = content_type
        if query.get("contentEncoding"):
            self.fields["contentEncoding"] = query["contentEncoding"]
        self.begin()

    def begin(self) -> None:
        """Raise for what can be refused before any byte is read."""
        with self.store.lock:
            self.conditions.require(self.store.bucket(self.bucket_name).live(self.name))

    def finish(self, call: Call, content: Content, checksums: Mapping[str, str]) -> dict[str, Any]:
        """Make the object the live version.

        Raises:
            GcpError: A checksum, a precondition or a retention refuses it; the bytes are deleted.
        """
        try:
            check(content, self.told)
            check(content, checksums)
            with self.store.lock:
                bucket = self.store.bucket(self.bucket_name)
                version = new_version(
                    call,
                    bucket,
                    self.name,
                    content,
                    fields=self.fields,
                    in_class=self.told.get("storageClass"),
                )
                version.key_sha256 = self.key
                version.kms_key = (
                    None if self.key else kms_version(self.kms_key or default_key(bucket))
                )
                if not bucket.uniform:
                    version.acl = acls.of_new_object(
                        bucket, self.request.query.get("predefinedAcl"), self.told.get("acl")
                    )
                self.store.put(version, self.conditions)
                return object_answer(bucket, version, self.request)
        except BaseException:  # an interrupt must not leave the file, either
            content.remove()
            raise


def new_version(
    call: Call,
    bucket: Bucket,
    name: str,
    content: Content,
    *,
    fields: dict[str, Any],
    in_class: str | None = None,
) -> Version:
    """Return a version with what a bucket gives to all its new objects, not yet in the bucket."""
    now = call.clock.now()
    if bucket.fields.get("defaultEventBasedHold"):
        fields = {"eventBasedHold": True} | fields
    return Version(
        bucket=bucket.name,
        name=name,
        generation=0,
        content=content,
        created=now,
        updated=now,
        class_changed=now,
        fields=fields,
        storage_class=storage_class(in_class or bucket.fields["storageClass"]),
    )


def kms_version(key: str | None) -> str | None:
    """Return a key as objects name it: with its version."""
    return f"{key}/cryptoKeyVersions/1" if key and "/cryptoKeyVersions/" not in key else key


def default_key(bucket: Bucket) -> str | None:
    return (bucket.fields.get("encryption") or {}).get("defaultKmsKeyName")


@route("storage.objects.insert", "POST", *_UPLOAD)
def insert(call: Call, request: HttpRequest) -> HttpAnswer | dict[str, Any]:
    kind = request.query.get("uploadType", "")
    if kind == "media":
        new = New(call, request, {}, content_type=request.headers.get("content-type"))
        return new.finish(
            call,
            write_content(new.store.folder(call), [request.body]),
            told_by_header(request.headers.get("x-goog-hash", "")),
        )
    if kind == "multipart":
        body, content_type, data = _multipart(request)
        new = New(call, request, body, content_type=content_type)
        return new.finish(
            call,
            write_content(new.store.folder(call), [data]),
            told_by_header(request.headers.get("x-goog-hash", "")),
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
    """Return the JSON, the bytes' type, and the bytes, which are not copied."""
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
    """Return the headers and the content of one part.

    It ends before the line break that belongs to the next boundary.
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


class _Resumable:
    def __init__(self, new: New, writer: Writer) -> None:
        self.new = new
        self.writer = writer
        self.lock = threading.Lock()
        self.done: dict[str, Any] | None = None


class Sessions:
    """The resumable uploads that were begun."""

    def __init__(self) -> None:
        self.open: dict[str, _Resumable] = {}


def begin(
    call: Call, request: HttpRequest, body: Mapping[str, Any], content_type: str | None
) -> HttpAnswer:
    """Begin a resumable upload: answer where its parts are sent."""
    new = New(call, request, body, content_type=content_type)
    upload_id = secrets.token_urlsafe(48)
    call.store(Sessions).open[upload_id] = _Resumable(new, Writer(new.store.folder(call)))
    query = f"uploadType=resumable&upload_id={upload_id}"
    url = f"{base_of(request)}/upload/storage/v1/b/{new.bucket_name}/o?{query}"
    return HttpAnswer(headers=(("Location", url), ("X-GUploader-UploadID", upload_id)))


@route("storage.objects.insert", "PUT", *_UPLOAD)
def resume(call: Call, request: HttpRequest) -> HttpAnswer | dict[str, Any]:
    """Take a part of a resumable upload, or answer `bytes */N`, which asks how far it is."""
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
                call, writer.finish(), told_by_header(request.headers.get("x-goog-hash", ""))
            )
        except GcpError:
            call.store(Sessions).open.pop(request.query["upload_id"], None)
            raise
        return session.done


@route("storage.objects.insert", "DELETE", *_UPLOAD)
def cancel(call: Call, request: HttpRequest) -> HttpAnswer:
    session = _session(call, request)
    with session.lock:
        del call.store(Sessions).open[request.query["upload_id"]]
        if session.done is None:
            session.writer.discard()
    return HttpAnswer(status=499)


def _session(call: Call, request: HttpRequest) -> _Resumable:
    session = call.store(Sessions).open.get(request.query.get("upload_id", ""))
    if session is None:
        raise GcpError(
            "NOT_FOUND",
            "The upload was not found: it was cancelled, or it never was.",
            reason="notFound",
        )
    return session


def _incomplete(writer: Writer, *, status: int = 308) -> HttpAnswer:
    headers = (("Range", f"bytes=0-{writer.size - 1}"),) if writer.size else ()
    return HttpAnswer(status=status, headers=headers)


def _content_range(request: HttpRequest) -> tuple[int | None, int | None, int | None]:
    """Return the first and the last byte of this part, and how many there are in all.

    None: the header does not say.
    """
    header = request.headers.get("content-range", "")
    if not header:  # everything at once
        return (0, len(request.body) - 1, len(request.body)) if request.body else (None, None, 0)
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        raise invalid(f"Failed to parse Content-Range header: {header}")
    first, last = (int(match[1]), int(match[2])) if match[1] else (None, None)
    return first, last, None if match[3] == "*" else int(match[3])
