"""The results that looks at a run showed, in the blob store.

One document a look, `experiments/<run>/results/<until>.json`, the newest last.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from ...core.formats import decode
from ...storage import BlobStore
from .results import Results


def keep(blobs: BlobStore, results: Results) -> None:
    """Store the results of an experiment that were computed at one time."""
    blobs.put(
        f"{_folder(blobs, results.run)}{name_of(results.until)}.json", msgspec.json.encode(results)
    )


def name_of(until: datetime) -> str:
    """Return the name under which results are stored, from their time."""
    return f"{until:%Y%m%dT%H%M%S%f}"


def newest(blobs: BlobStore, run: str) -> Results | None:
    """Return a run's newest stored results, or None if there are none."""
    names = result_names(blobs, run)
    return read(blobs, run, names[-1]) if names else None


def result_names(blobs: BlobStore, run: str) -> tuple[str, ...]:
    """Return the names of a run's stored results, the newest last."""
    return tuple(
        blob.uri.rpartition("/")[2].removesuffix(".json")
        for blob in blobs.list(_folder(blobs, run))
    )


def read(blobs: BlobStore, run: str, name: str) -> Results:
    """Return a run's stored results by their name."""
    uri = f"{_folder(blobs, run)}{name}.json"
    return decode(blobs.get(uri), Results, what=uri)


def _folder(blobs: BlobStore, run: str) -> str:
    """Return the URI of the folder of a run's stored results."""
    return f"{blobs.root.rstrip('/')}/experiments/{run}/results/"
