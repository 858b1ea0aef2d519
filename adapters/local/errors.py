"""Errors of the operating system and of SQLite as Isthmus's, by a table each.

The most specific comes first.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import Busy, Denied, IsthmusError, LimitExceeded, Unavailable

FULL = "the disk is full"
_FULL_REMEDY = (
    "free some space and run this again: what was finished is kept, nothing half-written is visible"
)

_ERRNO: dict[int, tuple[type[IsthmusError], str, str]] = {
    errno.ENOSPC: (LimitExceeded, FULL, _FULL_REMEDY),
    errno.EDQUOT: (LimitExceeded, "the disk quota is used up", _FULL_REMEDY),
    errno.EFBIG: (
        LimitExceeded,
        "a file would exceed the size that the system allows",
        "raise the limit (ulimit -f)",
    ),
    errno.EACCES: (
        Denied,
        "the system denies access",
        "check the owner and the mode of the folder",
    ),
    errno.EPERM: (Denied, "the system denies access", "check the owner and the mode of the folder"),
    errno.EROFS: (
        Denied,
        "the file system is read-only",
        "move the project, or set `home` in profiles.yaml",
    ),
    errno.EMFILE: (Unavailable, "too many files are open", "raise the limit (ulimit -n)"),
}

_SQLITE: tuple[tuple[str, type[IsthmusError], str, str | None], ...] = (
    ("database or disk is full", LimitExceeded, FULL, _FULL_REMEDY),
    ("database is locked", Busy, "another process is writing to local.db", "try again in a moment"),
    (
        "readonly database",
        Denied,
        "local.db is read-only",
        "check the owner and the mode of the folder",
    ),
    (
        "malformed",
        Unavailable,
        "local.db is damaged",
        "restore it from a copy, or remove the folder and run `isthmus apply` again",
    ),
    (
        "not a database",
        Unavailable,
        "local.db is damaged",
        "restore it from a copy, or remove the folder and run `isthmus apply` again",
    ),
    (
        "unable to open database file",
        Unavailable,
        "local.db cannot be opened",
        "check the folder's owner and mode, and its disk",
    ),
    (
        "disk I/O error",
        Unavailable,
        "the disk refuses: it is full, or it fails",
        _FULL_REMEDY,
    ),  # what a full disk says of a file not yet mapped
)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Translate errors of files and SQLite in the block into Isthmus's own error classes.

    `what` says in the message what is being done.

    Other errors pass unchanged: they are bugs of Isthmus.
    """
    try:
        yield
    except OSError as error:
        translation = _ERRNO.get(error.errno or 0)
        if translation is None:
            raise Unavailable(f"{what}: {error}") from error
        kind, text, remedy = translation
        place = f" ({error.filename})" if error.filename else ""
        raise kind(f"{what}: {text}{place}", remedy=remedy) from error
    except sqlite3.DatabaseError as error:
        for words, kind, text, remedy_ in _SQLITE:
            if words in str(error):
                raise kind(f"{what}: {text}", remedy=remedy_) from error
        raise
