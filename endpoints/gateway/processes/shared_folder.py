"""The folder in which the processes of one gateway keep what they share.

In memory where there is such a file system; gone with the gateway.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_PREFIX, _STARTING, _ALIVE = "isthmus-gateway-", "isthmus-starting-", "alive"
_open: list[int] = []  # locked until this process ends, however it ends


def shared_folder() -> Path:
    """Create a private folder in which a gateway's processes share files, and return it.

    The process that created it removes it; those of killed gateways are removed here.
    """
    memory = Path("/dev/shm")  # noqa: S108  mkdtemp makes a name of its own in it
    above = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    _sweep(above)
    starting = Path(tempfile.mkdtemp(prefix=_STARTING, dir=above))
    lock = os.open(starting / _ALIVE, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    _open.append(lock)
    return starting.rename(
        above / starting.name.replace(_STARTING, _PREFIX)
    )  # from now on a sweep sees it, and that it is locked


def _sweep(above: Path) -> None:
    """Remove the shared folders, in the folder `above`, of gateways that were killed."""
    for folder in above.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or removed meanwhile
            if folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _ALIVE, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
