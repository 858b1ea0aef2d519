"""BlobStore in the home folder.

A URI is the root's URI, `/` and the key, letter by letter: as in s3:// and gs://, nothing is
escaped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from ....core.durable import sync_folder
from ....core.user_state import ID
from ....errors import Invalid, NotFound
from ....storage import BlobInfo
from ....target import Target
from ....times import utc_milliseconds
from ...common.storage.blob_names import BlobNames, listed_below, parts_of, upload_uris
from ..errors import translated
from ..files import TEMPORARY, replacing
from ..home import COUNTERS, LOCAL, home

# what other adapter files keep in the same folder, with their own rules for writing it
_OTHERS = frozenset(
    {
        "warehouse",
        "lock",
        ID,
        *(f"{name}{end}" for name in (LOCAL, COUNTERS) for end in ("", "-wal", "-shm", "-journal")),
    }
)


@final
class LocalBlobStore:
    """The BlobStore port over files."""

    def __init__(self, target: Target) -> None:
        self._calls = target.calls
        self._home = home(target).absolute()
        self.root = self._home.as_uri()
        self._names = BlobNames(
            root=self.root, temporary=TEMPORARY, reserved=_OTHERS, target="the local target"
        )

    def get(self, uri: str) -> bytes:
        """Return the bytes of a blob's file.

        Raises:
            NotFound: There is no such file.
            Invalid: The URI is not below `root`.
        """
        self._calls.reading("blobs.get", uri)
        with translated(f"reading {uri}"):
            try:
                return self._path(uri).read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
                raise NotFound(f"there is nothing at {uri}") from error

    def put(self, uri: str, data: bytes) -> None:
        """Write a blob's file aside, sync it to disk, and rename it into place.

        Raises Invalid if the URI is below another blob or outside of `root`.
        """
        path = self._path(uri)
        with (
            self._calls.mutating("blobs.put", uri),
            translated(f"writing {uri}"),
            _only_below_folders(uri),
            replacing(path) as file,
        ):
            file.write(data)

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield the blobs whose URI begins with `prefix`, which may end within a name."""
        self._calls.reading("blobs.list", prefix)
        return self._list(*listed_below(prefix, self._names))

    def _list(self, folder: str, prefix: str) -> Iterator[BlobInfo]:
        """Yield the blobs below a folder, limited to names that begin with `prefix`."""
        with translated(f"listing {self.root}/{prefix}"):
            yield from self._below(folder, prefix)

    def _below(self, folder: str, prefix: str) -> Iterator[BlobInfo]:
        """Yield the blobs below a folder that begin with a prefix, in the order of their URIs."""
        try:
            entries = [
                (entry.name + "/" * entry.is_dir(), entry)
                for entry in os.scandir(self._home / folder)
            ]
        except (FileNotFoundError, NotADirectoryError):
            return
        base = f"{folder}/" if folder else ""
        # with its slash a folder sorts where its blobs' uris do
        for name, entry in sorted(entries, key=lambda pair: pair[0]):
            key = base + name
            if entry.name.startswith(TEMPORARY) or (not folder and entry.name in _OTHERS):
                continue
            if not (key.startswith(prefix) or prefix.startswith(key)):
                continue
            if name.endswith("/"):
                yield from self._below(base + entry.name, prefix)
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:  # deleted since the listing
                continue
            if key.startswith(prefix):
                modified = utc_milliseconds(datetime.fromtimestamp(status.st_mtime, UTC))
                yield BlobInfo(uri=f"{self.root}/{key}", size=status.st_size, modified=modified)

    def upload(self, folder: Path, prefix: str) -> None:
        """Upload a folder's files as blobs, each whole or absent, `manifest.json` last.

        Raises NotFound if there is no folder, Invalid (before anything is uploaded) for a name that
        not every store takes.
        """
        where = [
            (path, self._path(uri)) for path, uri in upload_uris(Path(folder), prefix, self._names)
        ]
        with (
            self._calls.mutating("blobs.upload", prefix),
            translated(f"uploading {folder}"),
            _only_below_folders(prefix),
        ):
            for path, goal in where:
                with path.open("rb") as source, replacing(goal) as file:
                    shutil.copyfileobj(source, file, 1 << 20)

    def download(self, prefix: str, folder: Path) -> None:
        """Download the blobs below a prefix, each whole or absent; other files in the folder stay.

        Raises:
            NotFound: There is nothing below the prefix.
        """
        self._calls.reading("blobs.download", prefix)
        base = prefix.rstrip("/") + "/"
        blobs = list(self.list(base))
        if not blobs:
            raise NotFound(f"there is nothing below {prefix}")
        with translated(f"downloading {prefix}"):
            for blob in blobs:
                with (
                    self._path(blob.uri).open("rb") as source,
                    replacing(Path(folder) / blob.uri[len(base) :]) as file,
                ):
                    shutil.copyfileobj(source, file, 1 << 20)

    def delete(self, uri: str) -> None:
        """Delete a blob, which may be absent; a folder is no blob and stays."""
        path = self._path(uri)
        with self._calls.mutating("blobs.delete", uri), translated(f"deleting {uri}"):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return
            sync_folder(path.parent)

    def _path(self, uri: str) -> Path:
        """Return the path of the file that holds the blob of a URI."""
        return self._home.joinpath(*parts_of(uri, self._names))


class _only_below_folders:  # noqa: N801  a context manager that reads as a phrase
    """A guard against blobs below another blob: S3 can hold `a` and `a/b`, a file system cannot."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
            raise Invalid(
                f"{self._uri}: a blob and blobs below it cannot both exist here ({error.filename})"
            ) from error
