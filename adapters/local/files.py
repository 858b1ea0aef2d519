"""Whole-or-absent writes in a folder tree: temporary file, fsync, rename, fsync of the folder."""

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
    """Names the process, so that another one can tell a dead writer's leavings from a living one's
    work.
    """
    return f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex}"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it takes `path`'s place when the block ends well, and leaves nothing when it
    does not.
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
    """Gone for readers at once (one rename), then really gone. Absent is success."""
    trash = folder.parent / temporary_name()
    try:
        folder.rename(trash)
    except FileNotFoundError:
        return
    sync_folder(folder.parent)
    for _ in range(2):  # a disk may fail once; what is still there then goes with the next sweep
        shutil.rmtree(trash, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what writers that died left behind in this folder."""
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
    pid = name.removeprefix(TEMPORARY).partition("-")[0]
    return pid.isdigit() and lives(int(pid))
