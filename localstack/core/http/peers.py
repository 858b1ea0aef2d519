"""Find whose process is at the other end of a loopback connection, where Linux says it."""

from __future__ import annotations

import os
import socket
import struct
import threading
from ipaddress import IPv4Address
from pathlib import Path

_NOBODY = 65534  # how Linux writes a user of another namespace
_HOST = "127.0.0.1"  # where a stack listens
_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _REQUEST = 4, 20, 1  # linux/netlink.h, linux/sock_diag.h
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_PATIENCE = struct.pack("@ll", 1, 0)  # timeval: a second
_ANY = 0xFFFFFFFF  # state; cookie
_OWNER = (
    _HEADER.size + 4 + 48 + 8 + 4
)  # user and inode in inet_diag_msg: after the family, the addresses, expires and the two queues


def is_other_user(peer: tuple[str, int] | None, port: int) -> bool:
    """Return whether a local client's process belongs to another user, and not to root.

    `peer` is its address, `port` the one of ours to which it is connected.
    """
    owner = _owner(peer, port) if peer is not None else None
    return owner not in (None, os.getuid(), 0, _NOBODY)


def is_own(peer: tuple[str, int], port: int) -> bool:
    """Return whether a local client's process belongs to this user or root.

    `peer` is its address, `port` the one of ours to which it is connected. It is False where the
    owner is unknown.
    """
    return _owner(peer, port) in (os.getuid(), 0)


def _owner(peer: tuple[str, int], port: int) -> int | None:
    """Return the user id that owns a local client's socket, or None if unknown.

    `peer` is its address, `port` the one of ours to which it is connected. The kernel is asked for
    this one socket, as reading its list of all takes 5 ms. A socket that its process has closed has
    no owner, though the kernel says root.
    """
    try:
        user, inode = _ask_kernel(peer, port)
    except (
        AttributeError,
        OSError,
        ValueError,
    ):  # no Linux, no such module in the kernel, or another address than we listen at
        user, inode = _look_up(peer)
    return user if inode else None


def _ask_kernel(peer: tuple[str, int], port: int) -> tuple[int, int]:
    """Return user id and inode of a socket by NETLINK_SOCK_DIAG, sock_diag(7).

    Raises:
        OSError: The kernel does not support this query.
        ValueError: There is no such socket.
    """
    addresses = struct.pack(
        "!HH4s12x4s12x", peer[1], port, socket.inet_aton(peer[0]), socket.inet_aton(_HOST)
    )
    query = (
        struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, _ANY)
        + addresses
        + struct.pack("=III", 0, _ANY, _ANY)
    )
    answer = _KERNEL.ask(_SOCK_DIAG_BY_FAMILY, query)
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        raise ValueError("there is no such socket")
    user, inode = struct.unpack_from("=II", answer, _OWNER)
    return user, inode


class _Kernel:
    """NETLINK_SOCK_DIAG over one socket, which is opened when it is first needed.

    Opening one takes longer than a question.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._number = 0
        self._lock = threading.Lock()

    def ask(self, kind: int, query: bytes) -> bytes:
        """Send a netlink query, and return the kernel's answering message.

        Raises:
            OSError: The kernel does not answer.
        """
        with self._lock:
            kernel = self._socket or self._opened()
            self._number = number = (self._number + 1) & 0xFFFFFFFF
            try:
                kernel.send(
                    _HEADER.pack(_HEADER.size + len(query), kind, _REQUEST, number, 0) + query
                )
                while (
                    _HEADER.unpack_from(answer := kernel.recv(4096))[3] != number
                ):  # of a question that was given up
                    pass
            except OSError:
                self._socket = None
                kernel.close()
                raise
            return answer

    def _opened(self) -> socket.socket:
        """Return the netlink socket for queries about connections, opened on first use."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE
        )  # Python's own would ask poll() before each call
        return self._socket


_KERNEL = _Kernel()


def _look_up(peer: tuple[str, int]) -> tuple[int, int]:
    """Return user id and inode of a socket from the list of all sockets in /proc.

    The inode is 0 where it is not in the list.
    """
    try:
        # as a little-endian machine writes it
        address = f"{int.from_bytes(IPv4Address(peer[0]).packed, 'little'):08X}:{peer[1]:04X}"
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    except (OSError, ValueError):
        return _NOBODY, 0
    owners = (
        (int(words[7]), int(words[9])) for line in lines if (words := line.split())[1] == address
    )
    return next(
        (owner for owner in owners if owner[1]), (_NOBODY, 0)
    )  # without an inode: an earlier connection from this address
