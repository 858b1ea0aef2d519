"""Folders that know whether their owner lives: it holds a lock on them.

Temporary ones that nobody owns are swept.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Self

LOCK = "owner.lock"


class Taken(RuntimeError):
    """Another process owns the folder, or has just removed it."""


class OwnedFolder:
    """A folder that belongs to this process until `remove`, `leave` or the process's end."""

    def __init__(self, folder: Path) -> None:
        """Take a folder into this process's possession with a lock.

        Raises:
            Taken: It is another process's.
        """
        self.folder = folder
        self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / LOCK).stat()  # a sweep that came first has taken the folder away
        except OSError as error:
            self.leave()
            raise Taken(f"{folder} belongs to another process") from error

    @classmethod
    def temporary(cls, prefix: str) -> Self:
        """Create a temporary folder of this process, after removing those of dead processes.

        The names of all of them begin with `prefix`.
        """
        sweep(prefix)
        while True:
            try:
                return cls(Path(mkdtemp(prefix=prefix)))
            except (Taken, FileNotFoundError):  # swept by another process before it was locked
                continue

    def remove(self) -> None:
        """Remove the folder with all that is in it. It may be called twice."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.leave()

    def leave(self) -> None:
        """Release the lock on the folder, for the next owner."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def is_taken(folder: Path) -> bool:
    """Return whether a living process has the lock on a folder."""
    if not (folder / LOCK).exists():
        return False
    try:
        OwnedFolder(folder).leave()
    except Taken:
        return True
    return False


def remove_tree(folder: Path) -> None:
    """Remove a folder; files that vanish during this are no error.

    Raises:
        OSError: Something stays.
    """
    while folder.exists():
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)


def sweep(prefix: str) -> None:
    """Remove temporary folders, with names of this prefix, whose owning processes are dead.

    A folder that never had an owner's lock is let alone.
    """
    for lock in Path(gettempdir()).glob(f"{prefix}*/{LOCK}"):
        with contextlib.suppress(Taken, OSError):
            OwnedFolder(lock.parent).remove()
