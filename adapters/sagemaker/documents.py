"""Small documents in S3 with compare-and-swap, linearizable per key: IfNoneMatch, IfMatch and a nonce.

A lost reply turns success into 412, as whoever repeats a conditional write meets its own effect. So the SDK does not repeat these, every
write carries a nonce of its own, and after any doubt the key is looked at: our nonce means that we have written. The nonce also makes the
ETag, which hashes the body, a token that never comes twice.

A deletion is a tombstone (an object without bytes) put under IfMatch, then removed: DeleteObject with IfMatch answers success when the key
is absent already, and two deleters would both believe that they were first.
"""

from __future__ import annotations

import base64
import time
import uuid
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from ...errors import Conflict, Invalid, IsthmusError, NotFound, OutcomeUnknown, Throttled, Unavailable
from ...formats import StoredDocument, decode
from ...storage import Versioned, check_document, check_key, state_conflict
from ...times import utc_milliseconds
from .errors import translated
from .session import Aws

_ATTEMPTS = 5
_PAUSE = 0.05  # seconds, doubled each time


class _Body(StoredDocument, frozen=True):
    nonce: str
    value: str  # base64


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    etag: str
    nonce: str
    tombstone: bool


class Documents:
    """The documents below one folder of the project's root."""

    def __init__(self, aws: Aws, folder: str) -> None:
        self._aws = aws
        self._folder = folder

    def get(self, key: str) -> Versioned | None:
        check_key(key)
        with self._aws.reading("GetObject", f"{self._folder}/{key}"):
            try:
                with translated(f"reading {key}"):
                    reply = self._aws.s3().get_object(Bucket=self._aws.bucket, Key=self._object(key))
                    body: bytes = reply["Body"].read()
            except NotFound:
                return None
        if not body:  # a tombstone whose deleter was cut
            return None
        written: datetime = reply["LastModified"]
        uri = f"s3://{self._aws.bucket}/{self._object(key)}"
        remedy = "somebody else wrote it: restore it"
        document = decode(body, _Body, what=uri, remedy=remedy)
        try:
            value = base64.b64decode(document.value)
        except ValueError as error:
            raise Invalid(f"{uri} is damaged: {error}", remedy=remedy) from error
        return Versioned(value=value, token=_bare(reply["ETag"]), written=utc_milliseconds(written))

    def put(self, key: str, value: bytes, *, expect: str | None) -> str:
        check_document(key, value)
        nonce = uuid.uuid4().hex
        body = msgspec.json.encode(_Body(nonce, base64.b64encode(value).decode()))
        with self._aws.mutating("PutObject", f"{self._folder}/{key}"):
            return self._write(key, body, nonce, expect)

    def delete(self, key: str, *, expect: str) -> None:
        check_key(key)
        with self._aws.mutating("DeleteObject", f"{self._folder}/{key}"):
            etag = self._write(key, b"", uuid.uuid4().hex, expect)
            with suppress(IsthmusError), translated(f"deleting {key}"):  # the tombstone says it already; a fresh document must stay
                self._aws.s3(retrying=False).delete_object(Bucket=self._aws.bucket, Key=self._object(key), IfMatch=etag)

    def keys(self, prefix: str) -> tuple[str, ...]:
        start = f"{self._object('')}{prefix}"
        base = len(self._object(""))
        names: list[str] = []
        with self._aws.reading("ListObjectsV2", f"{self._folder}/{prefix}"):
            for page in self._aws.s3().get_paginator("list_objects_v2").paginate(Bucket=self._aws.bucket, Prefix=start):
                names += [item["Key"][base:] for item in page.get("Contents", ()) if item["Size"]]
        return tuple(sorted(names))

    def _write(self, key: str, body: bytes, nonce: str, expect: str | None) -> str:
        """One conditional write and what follows from its answer. Conflict, or OutcomeUnknown when nobody can tell any more."""
        condition: dict[str, str] = {"IfNoneMatch": "*"} if expect is None else {"IfMatch": expect}
        unsure = False
        for attempt in range(_ATTEMPTS):
            try:
                with translated(f"writing {key}", effect=True):
                    reply = self._aws.s3(retrying=False).put_object(
                        Bucket=self._aws.bucket, Key=self._object(key), Body=body, Metadata={"nonce": nonce}, **condition
                    )
                return _bare(reply["ETag"])
            except (Conflict, NotFound, OutcomeUnknown, Throttled, Unavailable) as error:
                unsure = unsure or isinstance(error, OutcomeUnknown)
                seen = self._seen(key)
                if seen is not None and seen.nonce == nonce:
                    return seen.etag
                if seen is not None and seen.tombstone and expect is None:
                    condition = {"IfMatch": seen.etag}  # absent to everybody, not yet to S3
                elif not _still(seen, expect):
                    raise _lost(key, seen, expect, unsure=unsure) from error
                elif attempt == _ATTEMPTS - 1:
                    raise
                else:
                    condition = {"IfNoneMatch": "*"} if expect is None else condition
            time.sleep(_PAUSE * 2**attempt)  # as the SDK would between its own retries
        raise Unavailable(f"writing {key}: it kept changing between present and deleted", remedy="run this again")

    def _seen(self, key: str) -> _Seen | None:
        try:
            with translated(f"looking at {key}"):
                reply: dict[str, Any] = self._aws.s3().head_object(Bucket=self._aws.bucket, Key=self._object(key))
        except NotFound:
            return None
        return _Seen(etag=_bare(reply["ETag"]), nonce=reply.get("Metadata", {}).get("nonce", ""), tombstone=reply.get("ContentLength") == 0)

    def _object(self, key: str) -> str:
        return self._aws.key(self._folder, key)


def _bare(etag: str) -> str:
    return etag.strip('"')


def _still(seen: _Seen | None, expect: str | None) -> bool:
    """Whether the key is as the writer expects it: then the write may be sent again."""
    if seen is None or seen.tombstone:
        return expect is None
    return seen.etag == expect


def _lost(key: str, seen: _Seen | None, expect: str | None, *, unsure: bool) -> IsthmusError:
    if unsure:
        return OutcomeUnknown(f"state {key}: the reply was lost and the key has changed since", remedy="read it, then decide")
    return state_conflict(key, None if seen is None or seen.tombstone else seen.etag, expect)
