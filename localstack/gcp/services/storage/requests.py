"""Requests as all handlers of Storage read them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from ...core.call import Call
from ...core.environment import ACCOUNT
from ...core.http_messages import HttpRequest
from .errors import bad_key
from .preconditions import Preconditions, parse_conditions
from .records import Bucket, Store, Version
from .representations import bucket_resource, object_resource


def store_of(call: Call) -> Store:
    """Return the stack's Cloud Storage state: its buckets and objects."""
    return call.store(Store)


def base_of(request: HttpRequest) -> str:
    """Return the base URL by which this caller reaches the stack, for links in responses."""
    host = request.headers.get("host", "storage.googleapis.com")
    return f"https://{host}" if request.host.endswith(".googleapis.com") else f"http://{host}"


def flag(query: Mapping[str, str], name: str) -> bool:
    """Return whether a query parameter is true."""
    return query.get(name, "").lower() == "true"


def full(request: HttpRequest) -> bool:
    """Return whether a request asks for ACLs and owners (projection=full)."""
    return request.query.get("projection", "").lower() == "full"


def conditions_of(request: HttpRequest, *, source: bool = False) -> Preconditions:
    """Parse a request's preconditions, or with `source` those of a copy's source."""
    return parse_conditions(request.query, None if source else request.headers, source=source)


def object_answer(
    bucket: Bucket, version: Version, request: HttpRequest, *, acl: bool | None = None
) -> dict[str, Any]:
    """Return an object's resource in the form that a request asks for, with its ACL if `acl`.

    None leaves the ACL to the request's projection.
    """
    return object_resource(
        version, bucket, base_of(request), full=full(request) if acl is None else acl, owner=ACCOUNT
    )


def bucket_answer(bucket: Bucket, request: HttpRequest) -> dict[str, Any]:
    """Return a bucket's resource as this request asks for it."""
    return bucket_resource(bucket, base_of(request), full=full(request))


def key_of(headers: Mapping[str, str], *, source: bool = False) -> str | None:
    """Return the SHA-256 (base64) of a request's customer-supplied key, or None without key.

    With `source` it is the key of a copy's source. Raises GcpError if the key is not valid.
    """
    start = "x-goog-copy-source-encryption" if source else "x-goog-encryption"
    if f"{start}-key" not in headers:
        return None
    try:
        key = base64.b64decode(headers[f"{start}-key"], validate=True)
    except binascii.Error:
        key = b""
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    if len(key) != 32 or headers.get(f"{start}-algorithm") != "AES256":
        raise bad_key(
            "customerEncryptionKeyFormatIsInvalid",
            "Missing an encryption key, or it is not base64 encoded.",
        )
    if headers.get(f"{start}-key-sha256", digest) != digest:
        raise bad_key(
            "customerEncryptionKeySha256IsInvalid",
            "The SHA256 hash of the encryption key does not match it.",
        )
    return digest


def check_key(version: Version, key: str | None) -> None:
    """Raise an error unless an object was stored with the customer's key `key`, or None.

    `key` is its SHA-256. Call this before bytes are read.
    """
    if version.key_sha256 is None and key is not None:
        raise bad_key(
            "resourceNotEncryptedWithCustomerEncryptionKey",
            "The target object is not encrypted by a customer-supplied key.",
        )
    if version.key_sha256 is not None and key is None:
        text = "The target object is encrypted by a customer-supplied encryption key."
        raise bad_key("resourceIsEncryptedWithCustomerEncryptionKey", text)
    if version.key_sha256 != key:
        raise bad_key(
            "customerEncryptionKeyIsIncorrect", "The provided encryption key is incorrect."
        )
