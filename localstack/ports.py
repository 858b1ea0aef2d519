"""Ports for processes that are told theirs before they listen."""

from __future__ import annotations

import itertools
import os
import socket
from contextlib import suppress

_FIRST, _COUNT = 20_000, 12_000  # below the kernel's own: Linux gives callers and servers on port 0 those from 32768, macOS from 49152
_APART = 101  # between two processes that ask here

_numbers = itertools.count()


def free_port() -> int:
    """A port of 127.0.0.1 that the kernel gives nobody else until the process that is told of it listens there, seconds later.

    OSError: all are taken.
    """
    for number in itertools.islice(_numbers, _COUNT):
        port = _FIRST + (_APART * os.getpid() + number) % _COUNT
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no port from {_FIRST} to {_FIRST + _COUNT - 1} is free")
