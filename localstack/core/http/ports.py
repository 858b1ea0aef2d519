"""Ports for processes that are told theirs before they listen."""

from __future__ import annotations

import math
import os
import socket
import threading
import time

# Below the kernel's own: Linux gives callers and servers on port 0 those from 32768, macOS from
# 49152.
_FIRST, _BLOCKS, _SIZE = 20_000, 120, 100
_LISTENS = 60.0  # seconds in which who was told a port listens there


class _Ports:
    """The ports of one process, in blocks.

    It keeps the first port of a block bound as long as it lives, so that no other process takes the
    block.
    """

    def __init__(self) -> None:
        self._guards: list[socket.socket] = []
        self._told: dict[int, float] = {}  # port -> when it was told, of time.monotonic
        self._lock = threading.Lock()

    def free(self) -> int:
        """Return a free port that was not handed out recently."""
        with self._lock:
            while True:
                stale_before = time.monotonic() - _LISTENS
                for port, told_at in self._told.items():
                    if told_at < stale_before and (probe := _bound(port)) is not None:
                        probe.close()
                        self._told[port] = time.monotonic()
                        return port
                self._told |= dict.fromkeys(self._block(), -math.inf)

    def _block(self) -> range:
        """Reserve another block of ports for this process, and return it.

        Raises:
            OSError: All blocks are taken.
        """
        for number in range(_BLOCKS):
            first = _FIRST + (os.getpid() + number) % _BLOCKS * _SIZE
            if (guard := _bound(first)) is not None:
                self._guards.append(guard)
                return range(first + 1, first + _SIZE)
        raise OSError(f"no port from {_FIRST} to {_FIRST + _BLOCKS * _SIZE - 1} is free")

    def close(self) -> None:
        """Release all blocks of ports that this process has reserved."""
        for guard in self._guards:
            guard.close()


def _bound(port: int) -> socket.socket | None:
    """Bind a port of 127.0.0.1 and return the socket, or None if it is taken."""
    bound = socket.socket()
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        return None
    return bound


_ours = _Ports()


def _after_fork() -> None:
    """Drop the parent's blocks of ports in a forked process, which reserves its own."""
    global _ours  # noqa: PLW0603  one a process
    _ours.close()
    _ours = _Ports()


os.register_at_fork(after_in_child=_after_fork)


def free_port() -> int:
    """Return a free port of 127.0.0.1 for a process that will listen on it.

    The process may take seconds to listen. Until then neither the kernel nor another process that
    calls this function gives the port away.
    """
    return _ours.free()
