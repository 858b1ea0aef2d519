"""Tell which user of this machine has the other end of a connection, by asking Linux.

A server of ours that wants no token is for its own user, for root, and for whom ISTHMUS_ALLOW_USER
names. Where the system cannot be asked (it is no Linux) everybody of this machine is answered, and
`kernel_tells` says so.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
import sys
from collections.abc import Mapping, MutableMapping
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ...errors import Invalid
from .door import TOKEN, Refusal, is_loopback

ALLOW_USER = "ISTHMUS_ALLOW_USER"
ANY = "*"
UNMAPPED = 65534  # how Linux shows a user that this namespace does not have: a container's
_SOCK_DIAG, _BY_FAMILY, _REQUEST = 4, 20, 1  # linux/netlink.h, linux/sock_diag.h
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_ANY_STATE, _ANY_COOKIE = 0xFFFFFFFF, b"\xff" * 8
_OWNER = (
    _HEADER.size + 64
)  # of user and inode in inet_diag_msg: behind states, addresses, expiry and queues

Address = tuple[str, int]


def allowed_users(environ: Mapping[str, str] = os.environ) -> frozenset[int] | None:
    """Return the ids of the Unix users whom ISTHMUS_ALLOW_USER admits; None admits all (`*`).

    The server's own user and root are always admitted.

    Raises:
        Invalid: It names somebody who is no user of this machine.
    """
    names = [name.strip() for name in environ.get(ALLOW_USER, "").split(",") if name.strip()]
    return None if ANY in names else frozenset(map(_user_id, names))


def _user_id(name: str) -> int:
    """Return the id (uid) of a Unix user by a name or a number; raise Invalid if there is none."""
    if name.isdecimal():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        remedy = f"{ALLOW_USER}=www-data, a number, several with commas between, or {ANY} for any"
        raise Invalid(f"{ALLOW_USER}: this machine has no user {name}", remedy=remedy) from None


def stranger(
    users: frozenset[int] | None, peer: Address | None, local: Address | None
) -> Refusal | None:
    """Return the error for a connection of a Unix user who is not allowed, or None.

    Ask once for each connection. Connections from other machines are allowed here: a server that
    can be reached from there requires a token, or has a proxy in front.

    Args:
        users: The ids of the users who are allowed, as `allowed_users` returns them.
        peer: The caller's address. None where the connection has none, as that of a Unix socket,
            which files' modes guard.
        local: The server's address.
    """
    if users is None or peer is None or local is None or not kernel_tells():
        return None
    try:
        user = _owner(peer, local)
    except (OSError, ValueError):  # no descriptor is left, or it is no address
        user = None
    if user is None and not is_loopback(peer[0]):
        return None
    if user in (os.getuid(), 0) or user in users:
        return None
    return Refusal(403, "Forbidden", _refusal_text(user))


def stranger_of(users: frozenset[int] | None, scope: MutableMapping[str, Any]) -> Refusal | None:
    """Return the error for an ASGI request of a Unix user who is not allowed, or None.

    A request whose server does not tell the caller's address on this machine is refused, too.
    """
    peer, local = scope.get("client"), scope.get("server")
    if users is None or local is None or local[1] is None or not kernel_tells():
        return None
    if peer is None or not is_loopback(peer[0]):
        words = (
            "the server tells no address of this machine for this connection, so whose it is "
            "cannot be told"
        )
        return Refusal(
            403, "Forbidden", f"{words}: set {TOKEN} where it runs, or {ALLOW_USER}={ANY}"
        )
    return stranger(users, tuple(peer), tuple(local))


def _refusal_text(user: int | None) -> str:
    """Return the message that refuses a Unix user of this machine, and says how to admit them."""
    if user is None:
        return "this connection was closed before it could be told whose it is"
    name = _user_name(user)
    whose = f"{name} (who may be a container's user)" if user == UNMAPPED else name
    words = (
        f"this server is {_user_name(os.getuid())}'s and answers no other user of this machine, "
        f"and this connection is of {whose}"
    )
    return f"{words}: set {ALLOW_USER}={name} where the server is started to let them in"


def _user_name(user: int) -> str:
    """Return a Unix user's name, or the number as text if there is no name."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


@cache
def kernel_tells() -> bool:
    """Return whether the operating system can tell which user owns a local connection.

    It is tried once, with a connection of this process.
    """
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as client,
        ):
            return _owner(client.getsockname(), server.getsockname()) == os.getuid()
    except OSError:
        return False


def _owner(peer: Address, local: Address) -> int | None:
    """Return the id of the Unix user who owns the other end of a local connection.

    None: there is none, or its process has closed it.

    Raises:
        OSError: The kernel cannot be asked.
        ValueError: It is no address.
    """
    try:
        user, inode = _owner_by_netlink(peer, local)
    except (AttributeError, OSError):  # no Linux, or a kernel without this question
        user, inode = _owner_by_proc(peer, local)
    return user if inode else None  # the kernel calls a closed socket root's


def _owner_by_netlink(peer: Address, local: Address) -> tuple[int, int]:
    """Return the user id and inode of a socket, by asking the Linux kernel over netlink.

    See NETLINK_SOCK_DIAG, sock_diag(7).
    """
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    sides = [socket.inet_pton(family, host).ljust(16, b"\0") for host in (peer[0], local[0])]
    query = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, _ANY_STATE)
    query += (
        struct.pack("!HH", peer[1], local[1])
        + sides[0]
        + sides[1]
        + struct.pack("=I", 0)
        + _ANY_COOKIE
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:  # type: ignore[attr-defined,unused-ignore]  # Linux alone has it
        kernel.settimeout(1)
        kernel.send(_HEADER.pack(_HEADER.size + len(query), _BY_FAMILY, _REQUEST, 1, 0) + query)
        answer = kernel.recv(4096)
    kind = _HEADER.unpack_from(answer)[1]
    if kind == _BY_FAMILY:
        user, inode = struct.unpack_from("=II", answer, _OWNER)
        return user, inode
    error = -struct.unpack_from("=i", answer, _HEADER.size)[0]
    if error == 2:  # ENOENT: there is no such socket
        return 0, 0
    raise OSError(error, os.strerror(error))


def _owner_by_proc(peer: Address, local: Address) -> tuple[int, int]:
    """Return the user id and inode of a socket, from /proc/net/tcp; zeros if it is not there."""
    path = Path("/proc/net/tcp6" if ":" in peer[0] else "/proc/net/tcp")
    ends = [_written(address) for address in (peer, local)]
    for line in path.read_text().splitlines()[1:]:
        words = line.split()
        if words[1:3] == ends:
            return int(words[7]), int(words[9])
    return 0, 0


def _written(address: Address) -> str:
    """Return an address in the form of /proc/net/tcp: IP and port in hexadecimal."""
    packed = ip_address(address[0]).packed
    words = [
        int.from_bytes(packed[start : start + 4], sys.byteorder)
        for start in range(0, len(packed), 4)
    ]
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"
