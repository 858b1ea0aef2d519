"""Whose process is at the other end of a loopback connection, where Linux says it."""

from __future__ import annotations

import os
from ipaddress import IPv4Address
from pathlib import Path

_NOBODY = 65534  # how Linux writes a user of another namespace


def is_other_user(peer: tuple[str, int] | None) -> bool:
    """Whether the client at this address is known to be another user's, and not root's."""
    owner = _owner(peer) if peer is not None else None
    return owner not in (None, os.getuid(), 0, _NOBODY)


def _owner(peer: tuple[str, int]) -> int | None:
    """The user of the socket at this address; None where it is not known."""
    try:
        address = f"{int.from_bytes(IPv4Address(peer[0]).packed, 'little'):08X}:{peer[1]:04X}"  # as a little-endian machine writes it
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    except (OSError, ValueError):
        return None
    return next((int(words[7]) for line in lines if (words := line.split())[1] == address), None)
