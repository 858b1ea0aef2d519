"""Store artifacts, which are folders, and compare them by the digest of their tree.

The digest is of every path, size and content.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from ...core.formats import StoredDocument
from ...errors import Invalid, NotFound
from ...storage import BlobStore, below, located
from .document import StoredFolder, find, local_path, write


class File(msgspec.Struct, frozen=True):
    sha256: str
    size: int  # bytes


class Manifest(StoredDocument, frozen=True):
    """The document `<artifact>.manifest.json`, beside the artifact's folder.

    It is not within: a model folder may have a manifest of its own.
    """

    digest: str
    files: dict[str, File]


def digest_text(text: str | bytes) -> str:
    """Return the SHA-256 of text or bytes."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_of(folder: Path) -> Manifest:
    """Return a folder's manifest: the SHA-256 and size of every file, and a digest of these.

    Modification times and modes do not count.
    """
    files = {
        path.relative_to(folder).as_posix(): File(digest_file(path), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return Manifest(digest_text(msgspec.json.encode(files, order="sorted")), files)


def keep(blobs: BlobStore, folder: Path, uri: str) -> StoredFolder:
    """Publish a step's output folder as an artifact: upload it, and write its manifest.

    If the URI is a local file's, the folder is there already, and nothing is uploaded.
    """
    manifest = manifest_of(folder)
    if local_path(uri) is None:
        blobs.upload(folder, uri)
    write(blobs, f"{uri}.manifest.json", manifest)
    return StoredFolder(below(blobs.root, uri), manifest.digest)


def damage(blobs: BlobStore, artifact: StoredFolder) -> str | None:
    """Return text on how a stored artifact is damaged (missing, changed), or None.

    Local files are read again; elsewhere names and sizes are compared.
    """
    uri = located(blobs.root, artifact.uri)
    folder = local_path(uri)
    if folder is not None:
        if not folder.is_dir():
            return "missing"
        return (
            None
            if manifest_of(folder).digest == artifact.digest
            else "changed since it was written"
        )
    manifest = find(blobs, f"{uri}.manifest.json", Manifest)
    if manifest is None or manifest.digest != artifact.digest:
        return "missing"
    prefix = uri + "/"
    sizes = {info.uri.removeprefix(prefix): info.size for info in blobs.list(prefix)}
    return (
        None
        if sizes == {name: file.size for name, file in manifest.files.items()}
        else "changed since it was written"
    )


def fetch(blobs: BlobStore, artifact: StoredFolder, scratch: Path) -> Path:
    """Return a local folder with an artifact: itself if it is local, else a checked download.

    Downloads go below `scratch`.

    Raises:
        Invalid: it is not what was written.
    """
    uri = located(blobs.root, artifact.uri)
    folder = local_path(uri)
    if folder is None:
        blobs.download(uri, scratch)
        folder = scratch
    if not folder.is_dir() or manifest_of(folder).digest != artifact.digest:
        raise Invalid(
            f"{uri} is not what its step wrote",
            remedy="submit the pipeline again: the step that made it runs again",
        )
    return folder


def digest_uri(blobs: BlobStore, uri: str) -> str:
    """Return a digest of the file or folder at the URI of a step's input.

    On this machine it is the content's, elsewhere that of names, sizes and times.

    Raises:
        NotFound: There is nothing at the URI.
    """
    path = local_path(uri)
    if path is not None:
        if path.is_dir():
            return manifest_of(path).digest
        if path.is_file():
            return digest_file(path)
        raise NotFound(f"input {uri} does not exist")
    infos = [(info.uri, info.size, info.modified.isoformat()) for info in blobs.list(uri)]
    if not infos:
        raise NotFound(f"input {uri} does not exist")
    return digest_text(msgspec.json.encode(infos))


def fetch_uri(blobs: BlobStore, uri: str, scratch: Path) -> Path:
    """Return a local path with the step's input at a URI; downloads go below `scratch`.

    Raises:
        NotFound: there is nothing.
    """
    path = local_path(uri)
    if path is not None:
        if not path.exists():
            raise NotFound(f"input {uri} does not exist")
        return path
    blobs.download(uri, scratch)
    return scratch
