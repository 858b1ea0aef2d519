"""The XML API: objects under /bucket/object, and uploads in parallel parts.

The SDK's transfer manager uses them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpAnswer, HttpRequest
from ....core.registry import route
from .. import acls, forms, media, signing
from ..content import Content, check_checksums, checksums_in_header, parts, write_content
from ..listing import ListQuery, page
from ..preconditions import NONE, number, of_xml
from ..records import Version, check_object_name
from ..representations import timestamp
from ..requests import key_of, store_of
from ..uploads import PartedUpload, Uploads, default_key, kms_version, new_version
from .uploads import begin

_OBJECT = "/{bucket}/{object=**}"
_SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_FIELDS = {
    "cacheControl": "cache-control",
    "contentDisposition": "content-disposition",
    "contentEncoding": "content-encoding",
    "contentLanguage": "content-language",
    "contentType": "content-type",
    "customTime": "x-goog-custom-time",
}
_JSON = frozenset(
    {"storage", "upload", "download", "resumable", "batch"}
)  # the JSON API's paths, which are no buckets
_CODES = {
    "notFound": "NoSuchKey",
    "conditionNotMet": "PreconditionFailed",
    "conflict": "BucketAlreadyOwnedByYou",
}


Handler = Callable[[Call, HttpRequest], HttpAnswer]


def xml(operation: str, method: str, template: str = _OBJECT) -> Callable[[Handler], Handler]:
    """Return a decorator that makes a function a handler of the XML API.

    `operation`, `method` and `template` say which requests it handles. Its errors are answered as
    XML.
    """

    def add(handler: Handler) -> Handler:
        def answered(call: Call, request: HttpRequest) -> HttpAnswer:
            if request.params["bucket"] in _JSON:
                raise GcpError(
                    "UNIMPLEMENTED",
                    f"{method} {request.path} is not supported by the offline GCP yet",
                    reason="notImplemented",
                )
            try:
                signing.verify(call, request)
                answer = handler(call, request)
            except GcpError as error:
                return _error_answer(error)
            return answer

        route(operation, method, template)(answered)
        return answered

    return add


@xml("storage.objects.get", "GET")
def get(call: Call, request: HttpRequest) -> HttpAnswer:
    """Answer a GET of an object in the XML API with its bytes."""
    version = _version(call, request)
    return HttpAnswer(status=304) if version is None else media.answer(version, request)


@xml("storage.objects.list", "GET", "/{bucket}")
def list_objects(call: Call, request: HttpRequest) -> HttpAnswer:
    """List a bucket's objects, as XML."""
    query, store = request.query, store_of(call)
    with store.lock:
        versions = {
            (v.name, v.generation): v for v in store.bucket(request.params["bucket"]).listed()
        }
    listing = page(
        versions,
        ListQuery(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            start=query.get("marker", ""),
        ),
    )
    items = [
        versions[entry.name, entry.generation] for entry in listing.entries if entry.generation
    ]
    listed = "".join(
        f"<Contents><Key>{escape(v.name)}</Key><Generation>{v.generation}</Generation><MetaGeneration>{v.metageneration}</MetaGeneration>"
        f'<LastModified>{timestamp(v.updated)}</LastModified><ETag>"{v.etag}"</ETag><Size>{v.content.size}</Size></Contents>'
        for v in items
    )
    prefixes = "".join(
        f"<CommonPrefixes><Prefix>{escape(prefix)}</Prefix></CommonPrefixes>"
        for prefix in listing.prefixes
    )
    return _xml(
        "ListBucketResult",
        listed + prefixes,
        Name=request.params["bucket"],
        IsTruncated=str(listing.token is not None).lower(),
    )


@xml("storage.objects.insert", "POST", "/{bucket}/")
def post_form(call: Call, request: HttpRequest) -> HttpAnswer:
    """Answer an HTML form upload: store the posted object."""
    return forms.post(call, request)


@xml("storage.objects.get", "HEAD")
def head(call: Call, request: HttpRequest) -> HttpAnswer:
    """Answer a HEAD of an object in the XML API with its headers."""
    version = _version(call, request)
    if version is None:
        return HttpAnswer(status=304)
    answer = media.answer(version, request)
    return HttpAnswer(
        status=answer.status,
        headers=[*answer.headers, ("Content-Length", str(version.content.size))],
    )


@xml("storage.objects.delete", "DELETE")
def delete(call: Call, request: HttpRequest) -> HttpAnswer:
    """Delete an object, or cancel a multipart upload of the XML API."""
    if "uploadId" in request.query:
        upload = _upload(call, request)
        del call.store(Uploads).open[request.query["uploadId"]]
        for content in upload.parts.values():
            content.remove()
    else:
        generation = number(request.query, "generation")
        store_of(call).delete(
            request.params["bucket"],
            request.params["object"],
            generation,
            of_xml(request.headers),
            call.clock.now(),
        )
    return HttpAnswer(status=204)


@xml("storage.objects.insert", "PUT")
def put(call: Call, request: HttpRequest) -> HttpAnswer:
    """Store an object, or one part of a multipart upload of the XML API."""
    content = write_content(store_of(call).folder(call), [request.body])
    try:
        _check(content, request.headers)
        if "uploadId" in request.query:
            return _put_part(call, request, content)
        return _answer(
            _finish(
                call, request.headers, (request.params["bucket"], request.params["object"]), content
            )
        )
    except BaseException:  # an interrupt must not leave the file, either
        content.remove()
        raise


@xml("storage.objects.insert", "POST")
def post(call: Call, request: HttpRequest) -> HttpAnswer:
    """Begin or complete a multipart upload of the XML API."""
    bucket, name = request.params["bucket"], request.params["object"]
    if "uploads" in request.query:
        store_of(call).bucket(bucket)
        check_object_name(name)
        upload_id = secrets.token_urlsafe(48)
        call.store(Uploads).open[upload_id] = PartedUpload(request.headers, bucket, name)
        return _xml("InitiateMultipartUploadResult", Bucket=bucket, Key=name, UploadId=upload_id)
    if request.headers.get("x-goog-resumable") == "start":
        begun = begin(call, request, {"name": name}, request.headers.get("content-type"))
        return HttpAnswer(status=201, headers=begun.headers)
    if "uploadId" not in request.query:
        raise GcpError(
            "INVALID_ARGUMENT",
            "POST of an object begins an upload: ?uploads, or x-goog-resumable: start",
            reason="InvalidArgument",
        )
    upload = _upload(call, request)
    with upload.lock:
        chosen = [upload.parts[number_] for number_ in _part_numbers(request.body, upload)]
        content = write_content(store_of(call).folder(call), _joined(chosen), composed=True)
        try:
            version = _finish(call, upload.headers, upload.place, content)
        except BaseException:  # an interrupt must not leave the file, either
            content.remove()
            raise
        version.components = len(chosen)
        del call.store(Uploads).open[request.query["uploadId"]]
        for part in upload.parts.values():
            part.remove()
    answer = _xml("CompleteMultipartUploadResult", Bucket=bucket, Key=name, ETag=version.etag)
    return HttpAnswer(
        headers=[*answer.headers, ("X-Goog-Hash", f"crc32c={content.crc32c}")], body=answer.body
    )


def _put_part(call: Call, request: HttpRequest, content: Content) -> HttpAnswer:
    """Store one part of a multipart upload of the XML API."""
    upload, part = _upload(call, request), number(request.query, "partNumber") or 0
    if not 1 <= part <= 10_000:
        raise GcpError(
            "INVALID_ARGUMENT",
            "Part number must be an integer between 1 and 10000, inclusive",
            reason="InvalidArgument",
        )
    with upload.lock:
        if part in upload.parts:
            upload.parts[part].remove()
        upload.parts[part] = content
    hashes = f"crc32c={content.crc32c},md5={content.md5}"
    return HttpAnswer(headers=(("ETag", f'"{content.md5}"'), ("X-Goog-Hash", hashes)))


def _part_numbers(body: bytes, upload: PartedUpload) -> list[int]:
    """Return the part numbers in the body of a request that completes a multipart upload."""
    try:
        elements = [
            element
            for element in ET.fromstring(body)  # noqa: S314
            if element.tag.rpartition("}")[2] == "Part"
        ]
        parts = [
            {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in element}
            for element in elements
        ]
        numbers = [int(part["PartNumber"]) for part in parts]
    except (ET.ParseError, KeyError, ValueError) as error:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"The XML that was provided was not well-formed: {error}",
            reason="MalformedXML",
        ) from error
    if numbers != sorted(set(numbers)) or not numbers:
        raise GcpError(
            "INVALID_ARGUMENT",
            "The list of parts was not in ascending order.",
            reason="InvalidPartOrder",
        )
    for part in parts:
        content = upload.parts.get(int(part["PartNumber"]))
        if content is None or part.get("ETag", "").strip('"') != content.md5:
            raise GcpError(
                "INVALID_ARGUMENT",
                f"Part {part['PartNumber']} was not found, or has another ETag.",
                reason="InvalidPart",
            )
    return numbers


def _joined(contents: list[Content]) -> Iterator[bytes]:
    """Yield the bytes of the contents, one after the other."""
    for content in contents:
        yield from parts(content)


def _finish(
    call: Call, headers: Mapping[str, str], place: tuple[str, str], content: Content
) -> Version:
    """Store content as the live version of an object, and return the version.

    `headers` are those of the request; `place` is the bucket and the object's name.
    """
    store, (bucket_name, name) = store_of(call), place
    check_object_name(name)
    fields: dict[str, Any] = {
        key: headers[header] for key, header in _FIELDS.items() if header in headers
    }
    metadata = {
        header.removeprefix("x-goog-meta-"): value
        for header, value in headers.items()
        if header.startswith("x-goog-meta-")
    }
    if metadata:
        fields["metadata"] = metadata
    with store.lock:
        bucket = store.bucket(bucket_name)
        version = new_version(
            call, bucket, name, content, fields=fields, in_class=headers.get("x-goog-storage-class")
        )
        version.key_sha256 = key_of(headers)
        version.kms_key = (
            None
            if version.key_sha256
            else kms_version(headers.get("x-goog-encryption-kms-key-name") or default_key(bucket))
        )
        if not bucket.uniform:
            version.acl = acls.of_new_object(bucket, None, None)
        store.put(version, of_xml(headers))
    return version


def _version(call: Call, request: HttpRequest) -> Version | None:
    """Return the object version that a read request names, or None to answer 304."""
    store, generation, conditions = (
        store_of(call),
        number(request.query, "generation"),
        of_xml(request.headers),
    )
    version = store.version(request.params["bucket"], request.params["object"], generation, NONE)
    return version if conditions.is_modified(version) else None


def _upload(call: Call, request: HttpRequest) -> PartedUpload:
    """Return the multipart upload that a request names; raise NOT_FOUND."""
    upload = call.store(Uploads).open.get(request.query["uploadId"])
    if upload is None or upload.place != (request.params["bucket"], request.params["object"]):
        raise GcpError("NOT_FOUND", "The requested upload was not found.", reason="NoSuchUpload")
    return upload


def _check(content: Content, headers: Mapping[str, str]) -> None:
    """Raise an error if a checksum in a request's headers differs from the content's."""
    checksums = checksums_in_header(headers.get("x-goog-hash", ""))
    if headers.get("content-md5"):
        checksums["md5Hash"] = headers["content-md5"]
    try:
        check_checksums(content, checksums)
    except GcpError as error:
        raise GcpError("INVALID_ARGUMENT", error.message, reason="BadDigest") from error


def _answer(version: Version) -> HttpAnswer:
    """Return the response to a request that has stored an object."""
    content = version.content
    hashes = f"crc32c={content.crc32c}" + (f",md5={content.md5}" if content.md5 else "")
    return HttpAnswer(
        headers=(
            ("ETag", f'"{version.etag}"'),
            ("X-Goog-Generation", str(version.generation)),
            ("X-Goog-Hash", hashes),
        )
    )


def _xml(root: str, more: str = "", **values: str) -> HttpAnswer:
    """Return an XML response: a root element, an element for each value, and `more` XML text."""
    inside = more + "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())
    body = f"<?xml version='1.0' encoding='UTF-8'?><{root} xmlns='{_SPACE}'>{inside}</{root}>"
    return HttpAnswer(
        headers=[("Content-Type", "application/xml; charset=UTF-8")], body=body.encode()
    )


def _error_answer(error: GcpError) -> HttpAnswer:
    """Return an error as an HTTP response in XML."""
    reason = error.reason or error.status
    code = _CODES.get(reason, reason[0].upper() + reason[1:])
    if reason == "notFound" and "bucket" in error.message:
        code = "NoSuchBucket"
    words = escape(error.message)
    body = (
        "<?xml version='1.0' "
        f"encoding='UTF-8'?><Error><Code>{code}</Code><Message>{words}</Message><Details>{words}</Details></Error>"
    )
    return HttpAnswer(
        status=error.http,
        headers=[("Content-Type", "application/xml; charset=UTF-8")],
        body=body.encode(),
        error=code,
    )
