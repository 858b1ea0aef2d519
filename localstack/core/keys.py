"""The keys of one stack, in a file that its user alone can read.

The stack tells where the file is, and nobody what is in it.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import stat
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from .home.home import Home

FILE = "keys.json"
_SIZE = 4096  # bytes; no file of ours is larger
_SECONDS = 10.0
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_direct = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # a proxy has no business between this machine and itself


class Pair(msgspec.Struct, frozen=True, tag_field="schema", tag=1):
    """The keys with which a cloud's SDKs sign.

    In a home they stay the same over restarts; who changes the layout raises the tag, its format.
    """

    access_key: str
    secret_key: str


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """All keys of a stack."""

    url: str  # whose they are: nobody is to be led to send them elsewhere
    control: str  # for the control routes
    pair: Pair


class _Health(msgspec.Struct):
    keys: str = ""  # the file


def make(url: str, home: Home | None) -> Keys:
    """Create the access keys of the stack at `url`; a data directory keeps its key pair.

    Raises:
        msgspec.DecodeError: The pair is damaged there.
        OSError: It cannot be read or written.
    """
    return Keys(url=url, control=secrets.token_urlsafe(32), pair=_pair(home))


def _pair(home: Home | None) -> Pair:
    """Return the key pair stored in a data directory, or a new one (None: no directory)."""
    if home is not None and (home.folder / FILE).exists():
        return msgspec.json.decode(home.read(FILE), type=Pair)
    pair = Pair(fresh("AKIA"), secrets.token_urlsafe(30))
    if home is not None:
        home.write(FILE, msgspec.json.encode(pair))
    return pair


def fresh(prefix: str) -> str:
    """Return a new random access key id with this prefix."""
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(16))


def write(folder: Path, keys: Keys) -> Path:
    """Write the stack's keys into a new private file, and return its path."""
    path = folder / FILE
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(keys))
    return path


def keys_of(url: str) -> Keys | None:
    """Return the access keys of the local stack at `url`.

    None: it is no stack of ours, another user's, or another machine's.
    """
    try:
        with _direct.open(f"{url.rstrip('/')}/_stack/health", timeout=_SECONDS) as answer:
            path = msgspec.json.decode(answer.read(), type=_Health).keys
        keys = msgspec.json.decode(_read_own_file(path), type=Keys) if path else None
    except (OSError, ValueError):
        return None
    return keys if keys is not None and _same_port(keys.url, url) else None


def _read_own_file(path: str) -> bytes:
    """Return the content of a file, which must belong to this user.

    Raises:
        OSError: The file does not exist, or belongs to another user.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.getuid():
            raise PermissionError(path)
        return os.read(descriptor, _SIZE)
    finally:
        os.close(descriptor)


def _same_port(left: str, right: str) -> bool:
    """Return whether two URLs lead to the same port of this machine."""
    return urlsplit(left).port == urlsplit(right).port and all(
        _is_here(urlsplit(url).hostname or "") for url in (left, right)
    )


def _is_here(host: str) -> bool:
    """Return whether a host name is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
