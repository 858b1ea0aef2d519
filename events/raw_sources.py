"""What was read, as it was read: kept beside the warehouse, once."""

from __future__ import annotations

import hashlib

import msgspec

from ..formats import StoredDocument
from ..project.specs import Event
from ..runtime import Project
from .read import Source


class RawSource(StoredDocument, frozen=True, kw_only=True):
    """`raw/<event>/<digest>/manifest.json`: where the kept bytes came from."""

    event: str
    source: str
    file: str


def keep_raw(project: Project, event: Event, source: Source) -> str:
    """The source's bytes below raw/<event>/<digest>/, once; the digest. The manifest goes last, so a half-kept source is kept again."""
    with source.raw.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    prefix = f"{project.target.blobs.root}/raw/{event.name}/{digest}"
    if any(blob.uri.endswith("/manifest.json") for blob in project.target.blobs.list(prefix)):
        return digest
    manifest = RawSource(event=event.name, source=source.name, file=source.raw.name)
    (source.raw.parent / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    project.target.blobs.upload(source.raw.parent, prefix)
    return digest
