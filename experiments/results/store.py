"""What looks at a run showed:

`experiments/<run>/results/<until>.json` in the blob store, the newest last.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from ...core.formats import decode
from ...storage import BlobStore
from .results import Results


def keep(blobs: BlobStore, seen: Results) -> None:
    blobs.put(f"{_folder(blobs, seen.run)}{name_of(seen.until)}.json", msgspec.json.encode(seen))


def name_of(until: datetime) -> str:
    return f"{until:%Y%m%dT%H%M%S%f}"


def newest(blobs: BlobStore, run: str) -> Results | None:
    """None: nobody has looked yet."""
    names = result_names(blobs, run)
    return read(blobs, run, names[-1]) if names else None


def result_names(blobs: BlobStore, run: str) -> tuple[str, ...]:
    """Names of what was stored, the newest last: until when it counts."""
    return tuple(
        blob.uri.rpartition("/")[2].removesuffix(".json")
        for blob in blobs.list(_folder(blobs, run))
    )


def read(blobs: BlobStore, run: str, name: str) -> Results:
    uri = f"{_folder(blobs, run)}{name}.json"
    return decode(blobs.get(uri), Results, what=uri)


def _folder(blobs: BlobStore, run: str) -> str:
    return f"{blobs.root.rstrip('/')}/experiments/{run}/results/"
