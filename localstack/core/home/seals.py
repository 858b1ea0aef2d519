"""Seals: what a stack of this user has written into a home is known again by a key.

A home holds pickles, and unpickling runs what they say. Whoever sends a folder can write anything
into it, but no seal. The key, which this user alone can read, is
`$XDG_STATE_HOME/isthmus/stack.key`, else `~/.local/state/isthmus/stack.key`, made when it is first
needed.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import stat
from functools import cache
from pathlib import Path

SIZE = 32  # bytes of a seal, and of the key


class NoKey(RuntimeError):
    """The key cannot be made or read. The message says why, and what to do."""


def seal(data: bytes) -> bytes:
    """Return this user's signature (HMAC) of some bytes.

    Raises:
        NoKey: The key cannot be made or read.
    """
    return hmac.digest(_key(file()), data, "sha256")


def holds(mark: bytes, data: bytes) -> bool:
    """Return whether `mark` is this user's signature of these bytes.

    Raises:
        NoKey: The key cannot be made or read.
    """
    return hmac.compare_digest(mark, seal(data))


def file() -> Path:
    """Return the path of this user's signing key, which may not exist yet.

    Raises:
        NoKey: This user has no home folder.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    if not Path(base).is_absolute():
        try:
            base = str(Path.home() / ".local" / "state")
        except RuntimeError as error:
            raise NoKey(
                f"this user has no home folder, where a key could be kept; {_ELSEWHERE}"
            ) from error
    return Path(base) / "isthmus" / "stack.key"


_ELSEWHERE = "set XDG_STATE_HOME to a folder of your own that stays"


@cache
def _key(path: Path) -> bytes:
    """Read this user's signing key, making it on first use."""
    try:
        if not path.exists():
            _make(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as opened:
            about = os.fstat(descriptor)
            key = opened.read(SIZE + 1)
    except OSError as error:
        raise NoKey(
            f"{path}, the key of this user's stacks, cannot be made or read: "
            f"{error.strerror or error}; {_ELSEWHERE}"
        ) from error
    if (
        about.st_uid != os.geteuid()
        or not stat.S_ISREG(about.st_mode)
        or about.st_mode & 0o077
        or len(key) != SIZE
    ):
        raise NoKey(
            f"{path} is not the key of this user's stacks: another user's, open to others, "
            f"or damaged; remove it, or {_ELSEWHERE}"
        )
    return key


def _make(path: Path) -> None:
    """Create this user's signing key; if two stacks do so at once, the first one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(secrets.token_bytes(SIZE))
        opened.flush()
        os.fsync(opened.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(new, path)
    new.unlink()
