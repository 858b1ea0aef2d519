"""The host's side of the supervisor: start it detached, see whether it lives, ask it, end it."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from ...errors import OutcomeUnknown, Unavailable
from ...formats import decode
from .endpoint_rows import Address, EndpointRow, Report, endpoint_folder
from .files import make_folder, remove_tree, replacing
from .http import Client

PORTS = range(8801, 8900)  # looked through for a free one; else the system gives any

_started: list[subprocess.Popen[bytes]] = []  # ours to reap while this process lives; they outlive it


def alive(home: Path, name: str) -> bool:
    """Somebody holds the supervisor's lock. The kernel frees it with its holder, so no pid can mislead."""
    _reap()
    try:
        with (endpoint_folder(home, name) / "supervisor.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def address(home: Path, name: str) -> Address | None:
    path = endpoint_folder(home, name) / "supervisor.json"
    try:
        return decode(path.read_bytes(), Address, what=str(path), remedy=f"isthmus deploy {name}")
    except FileNotFoundError:
        return None


def listen(preferred: int) -> socket.socket:
    """A listening socket on the preferred port (0: none), else on a free one."""
    for port in (*((preferred,) if preferred else ()), *PORTS, 0):
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen(1024)
        except OSError:
            listening.close()
            continue
        return listening
    raise Unavailable("no port of 127.0.0.1 is free")


def start(home: Path, row: EndpointRow, listening: socket.socket, *, max_bytes: int, record: Callable[[], None]) -> bool:
    """Start the supervisor unless one lives. It inherits lock and socket, so there is no moment in which it is neither there nor absent.

    `record` writes down where it listens, under the lock and before there is anything to find.
    """
    folder = endpoint_folder(home, row.name)
    make_folder(folder)
    with (folder / "supervisor.lock").open("ab") as lock, (folder / "supervisor.log").open("ab") as log:
        if not _locked(lock.fileno()):
            return False
        record()
        found = Address(port=listening.getsockname()[1], key=secrets.token_hex(16), instance=row.instance)
        with replacing(folder / "supervisor.json") as file:
            file.write(msgspec.json.encode(found))
        (folder / "supervisor.json").chmod(0o600)
        command = [sys.executable, "-m", "isthmus.adapters.local.supervisor", "--home", str(home), "--name", row.name]
        command += ["--lock-fd", str(lock.fileno()), "--listen-fd", str(listening.fileno()), "--max-bytes", str(max_bytes)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[lock.fileno(), listening.fileno()],
        )
        _started.append(process)
    return True


def _locked(descriptor: int) -> bool:
    for _ in range(20):  # a reader that asks `alive` holds it for a moment
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.002)
    return False


def ask(client: Client, found: Address, *, follow: bool, again: bool = False) -> Report:
    """What runs now; with `follow`, after it has read its row; with `again`, failed variants start at once. Unavailable, OutcomeUnknown."""
    method, path = ("POST", "/_isthmus/again" if again else "/_isthmus/follow") if follow else ("GET", "/_isthmus/state")
    response = client.request(method, path, headers=(("x-isthmus-key", found.key),), what="asking the router")
    if response.status != 200:
        raise Unavailable(f"the router's control route answered {response.status}")
    return msgspec.json.decode(response.body, type=Report)


def end(home: Path, name: str, *, within: float = 15.0) -> None:
    """After its row is gone: tell the supervisor, and kill its process group if it does not end. Then nothing of it is left."""
    found = address(home, name)
    if found is not None and alive(home, name):
        client = Client(found.port, timeout=2)
        with suppress(Unavailable, OutcomeUnknown):  # it looks at its row twice a second anyway
            ask(client, found, follow=True)
        client.close()
        deadline = time.monotonic() + within
        while alive(home, name) and time.monotonic() < deadline:
            time.sleep(0.02)
        if alive(home, name) and (pid := (address(home, name) or found).pid):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
    remove_tree(endpoint_folder(home, name))


def last_words(home: Path, name: str, *, lines: int = 5) -> str:
    with suppress(FileNotFoundError):
        text = (endpoint_folder(home, name) / "supervisor.log").read_bytes()[-8192:].decode("utf-8", "replace")
        return "".join(f"\n  {line}" for line in text.strip().splitlines()[-lines:])
    return ""


def _reap() -> None:
    for process in list(_started):
        if process.poll() is not None:
            with suppress(ValueError):
                _started.remove(process)
