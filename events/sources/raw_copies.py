"""Keep what was read, as it was read, once: beside the warehouse."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from ...core.formats import StoredDocument
from ...core.runtime.project import Project
from ...project.specs.description import Event
from .source import Source


class RawSource(StoredDocument, frozen=True, kw_only=True):
    """The origin of kept bytes: the document `raw/<event>/<digest>/manifest.json`."""

    event: str
    source: str
    file: str  # or `files`, the folder that holds several


def keep_raw(project: Project, event: Event, source: Source) -> str:
    """Copy a source's original bytes into the blob store; return their digest.

    They go to raw/<event>/<digest>/. The manifest is written last, so that an incomplete copy is
    made again.
    """
    digest = _digest(source.raw)[:32]
    prefix = f"{project.target.blobs.root}/raw/{event.name}/{digest}"
    if any(blob.uri.endswith("/manifest.json") for blob in project.target.blobs.list(prefix)):
        return digest
    manifest = RawSource(event=event.name, source=source.name, file=source.raw.name)
    (source.raw.parent / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    project.target.blobs.upload(source.raw.parent, prefix)
    return digest


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's file names and digests, in hexadecimal."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    listed = [(name, _digest(path / name)) for name in files]
    return hashlib.sha256(msgspec.json.encode(listed)).hexdigest()
