"""Documents in S3: IfNoneMatch, IfMatch, and the nonce in an object's metadata."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, final

from ....errors import NotFound
from ....target import Target
from ....times import utc_milliseconds
from ...common.storage.documents import Documents, ObjectHead, StoredObject, Words
from ..errors import translated
from ..session import AwsSession, aws_of

_WORDS = Words(read="GetObject", write="PutObject", remove="DeleteObject", list="ListObjectsV2")


def state(target: Target) -> Documents:
    """Return a target's StateStore, small documents in S3 with compare-and-swap.

    It needs no second service and no second permission.
    """
    return documents(aws_of(target), "state")


def documents(aws: AwsSession, folder: str) -> Documents:
    """Return a compare-and-swap store of small documents in S3, below a folder of the project."""
    return Documents(_S3Objects(aws, folder), aws, _WORDS, folder)


@final
class _S3Objects:
    """The objects below a folder, for `Documents`."""

    def __init__(self, aws: AwsSession, folder: str) -> None:
        self._aws = aws
        self._folder = folder

    def read(self, key: str) -> StoredObject | None:
        """Return an S3 object with its bytes, or None; its ETag is the token."""
        try:
            with translated(f"reading {key}"):
                reply = self._aws.s3().get_object(**self._object(key))
                body: bytes = reply["Body"].read()
        except NotFound:
            return None
        written: datetime = reply["LastModified"]
        return StoredObject(
            body=body, token=_bare(reply["ETag"]), written_at=utc_milliseconds(written)
        )

    def look(self, key: str) -> ObjectHead | None:
        """Return an object's token and write marker (nonce), or None if it is absent."""
        try:
            with translated(f"looking at {key}"):
                reply: dict[str, Any] = self._aws.s3().head_object(**self._object(key))
        except NotFound:
            return None
        return ObjectHead(
            token=_bare(reply["ETag"]),
            nonce=reply.get("Metadata", {}).get("nonce", ""),
            tombstone=reply.get("ContentLength") == 0,
        )

    def write(self, key: str, body: bytes, *, nonce: str, expect: str | None) -> str:
        """Write an S3 object if its ETag is still `expect`, and return the new ETag.

        `nonce` is stored with it, to recognize this write.
        """
        condition: dict[str, str] = {"IfNoneMatch": "*"} if expect is None else {"IfMatch": expect}
        with translated(f"writing {key}", effect=True):
            reply = self._aws.s3(retrying=False).put_object(
                **self._object(key), Body=body, Metadata={"nonce": nonce}, **condition
            )
        return _bare(reply["ETag"])

    def remove(self, key: str, token: str) -> None:
        """Delete an S3 object if its ETag is still `token`."""
        with translated(f"deleting {key}"):
            self._aws.s3(retrying=False).delete_object(**self._object(key), IfMatch=token)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys of documents that begin with a prefix."""
        start = self._aws.key(self._folder, "")
        for page in (
            self._aws.s3()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self._aws.bucket, Prefix=start + prefix)
        ):
            yield from (
                item["Key"][len(start) :] for item in page.get("Contents", ()) if item["Size"]
            )

    def uri(self, key: str) -> str:
        """Return the s3:// URI of a document."""
        return f"s3://{self._aws.bucket}/{self._aws.key(self._folder, key)}"

    def _object(self, key: str) -> dict[str, str]:
        """Return the Bucket and Key arguments of boto3 for a document."""
        return {"Bucket": self._aws.bucket, "Key": self._aws.key(self._folder, key)}


def _bare(etag: str) -> str:
    """Return an ETag without its quotes."""
    return etag.strip('"')
