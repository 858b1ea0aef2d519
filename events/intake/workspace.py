"""Give an ingest a folder for its copies, and say when the disk under it is full."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...core.user_state import FOLDER, make
from ...errors import LimitExceeded


@contextmanager
def full_disk_as_error(folder: Path) -> Iterator[None]:
    """Raise LimitExceeded, instead of the system's error, if the disk gets full in the block.

    Some events of several may be stored already.
    """
    try:
        yield
    except OSError as error:  # Arrow's, and what sql.bounded makes of DuckDB's
        if error.errno in {errno.ENOSPC, errno.EDQUOT} or "No space left" in str(error):
            raise LimitExceeded(
                f"the disk of {folder.parent} is full: a batch waits there while it is judged",
                remedy="free some space and run this again: it goes on where it was",
            ) from error
        raise


@contextmanager
def workspace(root: Path) -> Iterator[Path]:
    """Create a temporary folder for one ingest; also remove folders of killed ingests.

    A lock in each folder shows whether its ingest still runs.
    """
    base = make(root / FOLDER / "tmp")
    for leftover in base.glob("ingest-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="ingest-", dir=base) as folder:
        yield Path(folder)
