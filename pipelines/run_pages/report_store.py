"""Store pages and pictures: `runs/<run>/report.html` and `reports/...` in the blob store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...core.user_state import FOLDER, make
from ...storage import BlobStore
from ..runs.document import local_path, runs_folder

if TYPE_CHECKING:
    from ...core.runtime.project import Project


def run_uri(blobs: BlobStore, run: str) -> str:
    """Return the URI of a training run's HTML page."""
    return f"{runs_folder(blobs.root)}/{run}/report.html"


def keep(project: Project, name: str, data: bytes) -> Path:
    """Store a report (HTML or PNG) in the blob store, and return a local path that opens it.

    On a cloud target that is a copy in the project's .isthmus/reports/.
    """
    blobs = project.target.blobs
    uri = f"{blobs.root.rstrip('/')}/reports/{name}"
    blobs.put(uri, data)
    path = local_path(uri)
    if path is None:
        path = make(project.folder / FOLDER / "reports") / name
        path.write_bytes(data)
    return path
