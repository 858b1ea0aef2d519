"""BlobStore in S3. A URI is the root's URI, `/` and the key, letter by letter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from ....errors import Invalid, NotFound
from ....storage import BlobInfo
from ....target import Target
from ....times import utc_milliseconds
from ...common.storage.blob_names import (
    LAST,
    BlobNames,
    check_parts,
    listed_below,
    parts_of,
    upload_uris,
)
from ...common.storage.transfers import arriving, side_by_side
from ..errors import translated
from ..session import aws_of

# what other files of this adapter keep below the root, with their own rules for writing it
RESERVED = frozenset({"warehouse", "state", "online", "scratch", "rejected"})
_TEMPORARY = ".isthmus-tmp-"
_LARGE = 32 << 20  # bytes; above, boto3 sends the parts side by side


@final
class S3BlobStore:
    """The BlobStore port over S3."""

    def __init__(self, target: Target) -> None:
        self._aws = aws_of(target)
        self.root = self._aws.root
        self._names = BlobNames(root=self.root, temporary=_TEMPORARY, reserved=RESERVED)

    def get(self, uri: str) -> bytes:
        """Return a blob's bytes by one GetObject.

        Raises:
            NotFound: There is no such object.
            Invalid: The URI is not below `root`.
        """
        key = self._key(uri)
        with self._aws.reading("GetObject", uri):
            try:
                with translated(f"reading {uri}"):
                    data: bytes = (
                        self._aws.s3().get_object(Bucket=self._aws.bucket, Key=key)["Body"].read()
                    )
            except NotFound as error:
                raise NotFound(f"there is nothing at {uri}") from error
        return data

    def put(self, uri: str, data: bytes) -> None:
        """Write a blob by one PutObject, which the SDK repeats if needed.

        Raises:
            Invalid: The URI is not below `root`.
        """
        key = self._key(uri)
        with self._aws.mutating("PutObject", uri):
            self._aws.s3().put_object(Bucket=self._aws.bucket, Key=key, Body=data)

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """List the blobs whose URI begins with the prefix, which may end within a name."""
        _, below = listed_below(prefix, self._names)
        self._aws.calls.reading("ListObjectsV2", prefix)
        return self._list(below)

    def _list(self, below: str) -> Iterator[BlobInfo]:
        """Yield the blobs whose S3 key begins with `below`."""
        base = len(self._aws.prefix) + 1
        with translated(f"listing {self.root}/{below}"):
            for page in (
                self._aws.s3()
                .get_paginator("list_objects_v2")
                .paginate(Bucket=self._aws.bucket, Prefix=self._aws.key(below))
            ):
                for item in page.get("Contents", ()):
                    key: str = item["Key"][base:]
                    if key.partition("/")[0] not in RESERVED:
                        yield BlobInfo(
                            uri=f"{self.root}/{key}",
                            size=item["Size"],
                            modified=utc_milliseconds(item["LastModified"]),
                        )

    def upload(self, folder: Path, prefix: str) -> None:
        """Upload a folder's files as blobs, several at a time, `manifest.json` last.

        Raises:
            NotFound: There is no such folder.
            Invalid: A name that no store takes; nothing was uploaded.
        """
        where = [
            (path, self._key(uri)) for path, uri in upload_uris(Path(folder), prefix, self._names)
        ]
        last = [pair for pair in where if pair[0] == Path(folder) / LAST]
        with self._aws.mutating("PutObject", prefix):
            side_by_side(self._send, [pair for pair in where if pair not in last])
            side_by_side(self._send, last)

    def _send(self, pair: tuple[Path, str]) -> None:
        """Upload one file to a blob URI; `pair` holds both."""
        path, key = pair
        with path.open("rb") as file:
            if path.stat().st_size < _LARGE:
                self._aws.s3().put_object(Bucket=self._aws.bucket, Key=key, Body=file.read())
            else:
                self._aws.s3().upload_fileobj(file, self._aws.bucket, key)

    def download(self, prefix: str, folder: Path) -> None:
        """Download the blobs below a prefix into a folder, several at a time.

        Empty objects that S3's console makes for folders are left out. Raises NotFound if there is
        nothing.
        """
        base = prefix.rstrip("/") + "/"
        blobs = [
            blob for blob in self.list(base) if not blob.uri.endswith("/")
        ]  # S3's console makes "folders" of such
        if not blobs:
            raise NotFound(f"there is nothing below {prefix}")
        for blob in blobs:
            check_parts(blob.uri[len(base) :].split("/"), blob.uri, self._names)
        with self._aws.reading("GetObject", prefix):
            side_by_side(
                self._fetch, [(blob, Path(folder) / blob.uri[len(base) :]) for blob in blobs]
            )

    def _fetch(self, pair: tuple[BlobInfo, Path]) -> None:
        """Download one blob to a file; `pair` holds both."""
        blob, goal = pair
        with arriving(goal, _TEMPORARY) as file:
            if blob.size < _LARGE:
                file.write(
                    self._aws.s3()
                    .get_object(Bucket=self._aws.bucket, Key=self._key(blob.uri))["Body"]
                    .read()
                )
            else:
                self._aws.s3().download_fileobj(self._aws.bucket, self._key(blob.uri), file)

    def delete(self, uri: str) -> None:
        """Delete a blob by one DeleteObject, which also succeeds if it is absent."""
        key = self._key(uri)
        with self._aws.mutating("DeleteObject", uri):
            self._aws.s3().delete_object(Bucket=self._aws.bucket, Key=key)

    def _key(self, uri: str) -> str:
        """Return the S3 object key of a blob's URI."""
        return self._aws.key(*parts_of(uri, self._names))


def delete_below(aws: Any, prefix: str) -> None:
    """Delete every object below a prefix of the project's root, 1,000 a call."""
    s3 = aws.s3()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=aws.bucket, Prefix=prefix):
        keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
        if keys:
            reply = s3.delete_objects(Bucket=aws.bucket, Delete={"Objects": keys, "Quiet": True})
            for failed in reply.get("Errors", ()):
                raise Invalid(
                    f"deleting s3://{aws.bucket}/{failed['Key']}: "
                    f"{failed.get('Message', failed.get('Code'))}"
                )
