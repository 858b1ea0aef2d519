"""Writes in a folder tree that are whole or absent.

A temporary file is written, synced and renamed, and its folder is synced.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ...core.durable import make_folder, sync_folder
from ...core.signals import lives

TEMPORARY = ".tmp-"  # prefix of what is not finished; no reader looks at it


def temporary_name() -> str:
    """Return a new temporary name, with this process's id in it.

    The id shows other processes whether the writer is still alive or left the file behind.
    """
    return f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex}"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` when the block ends without an error.

    After an error nothing of it is left.
    """
    make_folder(path.parent)
    temporary = path.parent / temporary_name()
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def remove_tree(folder: Path) -> None:
    """Remove a folder by first renaming it, so that readers see it vanish at once.

    It may be absent.
    """
    trash = folder.parent / temporary_name()
    try:
        folder.rename(trash)
    except FileNotFoundError:
        return
    sync_folder(folder.parent)
    for _ in range(2):  # a disk may fail once; what is still there then goes with the next sweep
        shutil.rmtree(trash, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove the temporary files in a folder whose writing processes no longer run."""
    if not folder.exists():
        return
    for entry in os.scandir(folder):
        if entry.name.startswith(TEMPORARY) and not _alive(entry.name):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(OSError):
                    os.unlink(entry.path)  # noqa: PTH108  a DirEntry


def _alive(name: str) -> bool:
    """Return whether the process whose id is in a temporary name still runs."""
    pid = name.removeprefix(TEMPORARY).partition("-")[0]
    return pid.isdigit() and lives(int(pid))
