"""S3 as the stack's own services see it: bytes under s3:// URIs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from botocore.exceptions import ClientError


class ListedObject(msgspec.Struct, frozen=True):
    """An object in a listing."""

    uri: str
    size: int
    etag: str
    modified: datetime


class NoSuchBucket(Exception):
    """The bucket does not exist. The message is the bucket's name."""


def split(uri: str) -> tuple[str, str]:
    """Split s3://bucket/some/key into bucket and key.

    Raises:
        ValueError: The text is not such a URI.
    """
    for scheme in ("s3://", "s3a://", "s3n://"):
        if uri.startswith(scheme) and len(uri) > len(scheme):
            bucket, _, key = uri.removeprefix(scheme).partition("/")
            return bucket, key
    raise ValueError(f"'{uri}' is not an S3 URI")


def read(s3: Any, uri: str) -> bytes:
    """Return the bytes of the object at an s3:// URI."""
    bucket, key = split(uri)
    content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def write(s3: Any, uri: str, data: bytes) -> None:
    """Write an object at an s3:// URI.

    Raises:
        NoSuchBucket: The bucket does not exist.
    """
    bucket, key = split(uri)
    with _of_bucket(bucket):
        s3.put_object(Bucket=bucket, Key=key, Body=data)


def objects_below(s3: Any, prefix: str) -> Iterator[ListedObject]:
    """Yield every object below an s3:// prefix, in the order of the keys.

    Raises:
        NoSuchBucket: The bucket does not exist.
    """
    bucket, key = split(prefix)
    with _of_bucket(bucket):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
            for item in page.get("Contents", ()):
                yield ListedObject(
                    f"s3://{bucket}/{item['Key']}", item["Size"], item["ETag"], item["LastModified"]
                )


def erase(s3: Any, uris: Iterable[str]) -> None:
    """Delete the objects at these s3:// URIs."""
    for uri in uris:
        bucket, key = split(uri)
        s3.delete_object(Bucket=bucket, Key=key)


class _of_bucket:  # noqa: N801  a context manager, used as a word
    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if (
            isinstance(error, ClientError)
            and error.response.get("Error", {}).get("Code") == "NoSuchBucket"
        ):
            raise NoSuchBucket(self._bucket) from error
