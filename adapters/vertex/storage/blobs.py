"""BlobStore in Cloud Storage. A URI is the root's URI, `/` and the name, letter by letter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from ....errors import NotFound
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
from ..session import VertexSession, retry, session_of

# what another port keeps below the root, with its own rules for writing it
RESERVED = frozenset({"state"})
_TEMPORARY = ".isthmus-tmp-"


@final
class GcsBlobStore:
    """The BlobStore port over Cloud Storage."""

    def __init__(self, target: Target) -> None:
        self._session = session_of(target)
        self.root = self._session.root
        self._names = BlobNames(root=self.root, temporary=_TEMPORARY, reserved=RESERVED)

    def get(self, uri: str) -> bytes:
        """Return a blob's bytes by one download.

        Raises:
            NotFound: There is no such object.
            Invalid: The URI is not below `root`.
        """
        blob = self._blob(uri)
        with self._session.reading("storage.objects.get", uri):
            try:
                with translated(f"reading {uri}"):
                    data: bytes = blob.download_as_bytes(retry=retry())
            except NotFound as error:
                raise NotFound(f"there is nothing at {uri}") from error
        return data

    def put(self, uri: str, data: bytes) -> None:
        """Write a blob by one upload, which the SDK repeats if needed.

        Raises:
            Invalid: The URI is not below `root`.
        """
        blob = self._blob(uri)
        with self._session.mutating("storage.objects.insert", uri):
            blob.upload_from_string(data, content_type="application/octet-stream", retry=retry())

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """List the blobs whose URI begins with the prefix, which may end within a name."""
        _, below = listed_below(prefix, self._names)
        self._session.calls.reading("storage.objects.list", prefix)
        return self._list(below)

    def _list(self, below: str) -> Iterator[BlobInfo]:
        """Yield the blobs whose object name begins with `below`."""
        base = len(self._session.prefix) + 1
        with translated(f"listing {self.root}/{below}"):
            for blob in list_blobs(self._session, self._session.key(below)):
                name = blob.name[base:]
                if name.partition("/")[0] not in RESERVED:
                    yield BlobInfo(
                        uri=f"{self.root}/{name}",
                        size=blob.size,
                        modified=utc_milliseconds(blob.updated),
                    )

    def upload(self, folder: Path, prefix: str) -> None:
        """Upload a folder's files as blobs, several at a time, `manifest.json` last.

        Raises:
            NotFound: There is no such folder.
            Invalid: A name that no store takes; nothing was uploaded.
        """
        where = [
            (path, self._blob(uri)) for path, uri in upload_uris(Path(folder), prefix, self._names)
        ]
        last = [pair for pair in where if pair[0] == Path(folder) / LAST]
        with self._session.mutating("storage.objects.insert", prefix):
            side_by_side(_send, [pair for pair in where if pair not in last])
            side_by_side(_send, last)

    def download(self, prefix: str, folder: Path) -> None:
        """Download the blobs below a prefix into a folder, several at a time.

        Empty objects that the console makes for folders are left out. Raises NotFound if there is
        nothing.
        """
        base = prefix.rstrip("/") + "/"
        blobs = [
            blob for blob in self.list(base) if not blob.uri.endswith("/")
        ]  # the console makes "folders" of such
        if not blobs:
            raise NotFound(f"there is nothing below {prefix}")
        for blob in blobs:
            check_parts(blob.uri[len(base) :].split("/"), blob.uri, self._names)
        with self._session.reading("storage.objects.get", prefix):
            side_by_side(
                _fetch,
                [(self._blob(blob.uri), Path(folder) / blob.uri[len(base) :]) for blob in blobs],
            )

    def delete(self, uri: str) -> None:
        """Delete a blob, which may be absent."""
        blob = self._blob(uri)
        with self._session.mutating("storage.objects.delete", uri):
            _delete(blob)

    def _blob(self, uri: str) -> Any:
        """Return the Cloud Storage client's Blob for a blob's URI."""
        return self._session.blobs().blob(self._session.key(*parts_of(uri, self._names)))


def list_blobs(session: VertexSession, prefix: str) -> Iterator[Any]:
    """Yield the Cloud Storage client's Blobs below a prefix of names, in order."""
    bucket = session.blobs()
    blobs: Iterator[Any] = session.storage.list_blobs(
        bucket, prefix=prefix, fields="items(name,size,updated),nextPageToken", retry=retry()
    )
    return blobs


def delete_below(session: VertexSession, prefix: str) -> None:
    """Delete every object below a prefix of the project's root."""
    side_by_side(_delete, list(list_blobs(session, prefix)))


def _send(pair: tuple[Path, Any]) -> None:
    """Upload one file to a blob; `pair` holds both."""
    path, blob = pair
    blob.upload_from_filename(str(path), content_type="application/octet-stream", retry=retry())


def _fetch(pair: tuple[Any, Path]) -> None:
    """Download one blob to a file; `pair` holds both."""
    blob, goal = pair
    with arriving(goal, _TEMPORARY) as file:
        blob.download_to_file(file, retry=retry())


def _delete(blob: Any) -> None:
    """Delete one blob, which may be absent."""
    from google.api_core.exceptions import NotFound as Absent

    try:
        blob.delete(retry=retry())
    except Absent:
        return
