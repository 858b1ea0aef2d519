"""Folders that outlive a power cut.

A name is on the disk only once the folder that has it was synced.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Sync a folder to disk (fsync): a crash then undoes no file made, renamed or removed in it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, *, mode: int = 0o777) -> None:
    """Create a folder and its missing parents, each synced to disk, so that a crash keeps them.

    `mode` is that of the last folder. A folder that exists already is not synced again.
    """
    missing = []
    current = folder
    while not current.exists():
        missing.append(current)
        current = current.parent
    for path in reversed(missing):
        path.mkdir(mode=mode if path == folder else 0o777, exist_ok=True)
        sync_folder(path.parent)
