"""storage.objects.insert: in one piece, with metadata (multipart), or resumable in parts."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ...core.call import Call
from ...core.http_messages import HttpRequest
from . import acls
from .content import Content, Writer, check_checksums
from .field_types import OBJECT, checked
from .preconditions import Preconditions
from .records import Bucket, Version, check_object_name
from .representations import object_fields, storage_class
from .requests import conditions_of, key_of, object_answer, store_of


class NewObject:
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
        self.conditions: Preconditions = conditions_of(request)
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
        """Raise the error of a failed precondition before any byte of the object is read."""
        with self.store.lock:
            self.conditions.require(self.store.bucket(self.bucket_name).live(self.name))

    def finish(self, call: Call, content: Content, checksums: Mapping[str, str]) -> dict[str, Any]:
        """Store the uploaded content as the live version, and return the object's resource.

        `checksums` are those that the client sent. Raises GcpError if a checksum, a precondition or
        a retention refuses it; the bytes are then deleted.
        """
        try:
            check_checksums(content, self.told)
            check_checksums(content, checksums)
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
    """Return a new version of an object, not stored yet, with the bucket's defaults.

    `fields` are those that the client set; `in_class` is the storage class, by default the
    bucket's.
    """
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
    """Return a Cloud KMS key's name with a version, as objects name it; None without key."""
    return f"{key}/cryptoKeyVersions/1" if key and "/cryptoKeyVersions/" not in key else key


def default_key(bucket: Bucket) -> str | None:
    """Return the Cloud KMS key with which a bucket encrypts by default, or None."""
    return (bucket.fields.get("encryption") or {}).get("defaultKmsKeyName")


class ResumableUpload:
    def __init__(self, new: NewObject, writer: Writer) -> None:
        self.new = new
        self.writer = writer
        self.lock = threading.Lock()
        self.done: dict[str, Any] | None = None


class Sessions:
    """The resumable uploads that were begun."""

    def __init__(self) -> None:
        self.open: dict[str, ResumableUpload] = {}


class PartedUpload:
    """An upload whose parts arrive side by side."""

    def __init__(self, headers: Mapping[str, str], bucket: str, name: str) -> None:
        self.headers = headers
        self.place = bucket, name
        self.parts: dict[int, Content] = {}
        self.lock = threading.Lock()


class Uploads:
    def __init__(self) -> None:
        self.open: dict[str, PartedUpload] = {}
