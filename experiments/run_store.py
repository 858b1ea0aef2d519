"""What looks at a run showed: `experiments/<run>/results/<until>.json` in the blob store, the newest last."""

from __future__ import annotations

import msgspec

from ..formats import decode
from ..storage import BlobStore
from .run_figures import RunResults


def keep(blobs: BlobStore, seen: RunResults) -> None:
    blobs.put(f"{_folder(blobs, seen.run)}{seen.until:%Y%m%dT%H%M%S%f}.json", msgspec.json.encode(seen))


def newest(blobs: BlobStore, run: str) -> RunResults | None:
    """None: nobody has looked yet."""
    uris = [blob.uri for blob in blobs.list(_folder(blobs, run))]
    return decode(blobs.get(uris[-1]), RunResults, what=uris[-1]) if uris else None


def _folder(blobs: BlobStore, run: str) -> str:
    return f"{blobs.root.rstrip('/')}/experiments/{run}/results/"
