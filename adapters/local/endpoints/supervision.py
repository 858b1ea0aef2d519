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
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ....core.durable import make_folder
from ....core.formats import decode, decoder
from ....errors import Invalid, OutcomeUnknown, Refused, Unavailable
from ..files import remove_tree, replacing
from ..processes import kill_now, members
from .rows import EndpointRow, Report, SupervisorAddress, endpoint_folder

if TYPE_CHECKING:
    from .client import Client

# connections that wait until they are taken up, also while the supervisor is started again
BACKLOG = 1024
PORTS = range(8801, 8900)  # looked through for a free one; else the system gives any
_FREED = 2.0  # seconds that a port is waited for, as whoever had it may be ending
_DYING = 60.0  # seconds that killed processes are waited for: a busy system lets them die late
_LOOKING = 10.0  # seconds in which a reader lets go of the lock

# ours to reap while this process lives; they outlive it
_started: list[subprocess.Popen[bytes]] = []


def alive(home: Path, name: str) -> bool:
    """Return whether an endpoint's supervisor runs: whether a process holds its lock.

    The kernel frees the lock when its holder dies, so a reused pid cannot mislead.
    """
    _reap()
    try:
        with (endpoint_folder(home, name) / "supervisor.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def address(home: Path, name: str) -> SupervisorAddress | None:
    """Return the port, pid and key of the endpoint's supervisor; None if it was never started."""
    path = endpoint_folder(home, name) / "supervisor.json"
    try:
        return decode(
            path.read_bytes(), SupervisorAddress, what=str(path), remedy=f"isthmus deploy {name}"
        )
    except FileNotFoundError:
        return None


def listen(preferred: int) -> socket.socket:
    """Return a listening socket on the port `preferred`, or on a free one if it is taken or 0.

    It waits a little for the port: a killed process frees its lock before its socket.
    """
    deadline = time.monotonic() + _FREED
    while preferred:
        if listening := _listening(preferred):
            return listening
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    for port in (*PORTS, 0):
        if listening := _listening(port):
            return listening
    raise Unavailable("no port of 127.0.0.1 is free")


def _listening(port: int) -> socket.socket | None:
    """Return a socket that listens on a port, or None if the port is taken."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        return None
    return listening


def start(
    home: Path, row: EndpointRow, arguments: Sequence[str], *, record: Callable[[int], None]
) -> bool:
    """Start an endpoint's watcher and supervisor unless they run; return whether they were started.

    The new processes inherit the lock and the socket from this one, so that no other process sees
    the lock free meanwhile. Model servers that earlier ones left are ended.

    Args:
        home: The target's home folder.
        row: The endpoint's row in the database.
        arguments: The supervisor's limits.
        record: Stores the port; it is called under the lock, before the processes start.
    """
    folder = endpoint_folder(home, row.name)
    make_folder(folder)
    with (
        (folder / "supervisor.lock").open("ab") as lock,
        (folder / "supervisor.log").open("ab") as log,
    ):
        if not _try_lock(lock.fileno()):
            return False
        kill_left_servers(home, row.name)
        with listen(row.port) as listening:
            port: int = listening.getsockname()[1]
            record(port)
            write_address(
                folder,
                SupervisorAddress(
                    port=port,
                    key=secrets.token_hex(16),
                    instance=row.instance,
                    home=str(home.resolve()),
                ),
            )
            fds = (lock.fileno(), listening.fileno(), -1, -1, -1, -1)
            process = start_watcher(
                fds,
                ["--home", str(home), "--name", row.name, *arguments],
                session=True,
                log=log.fileno(),
            )
        _started.append(process)
    return True


def kill_left_servers(home: Path, name: str) -> None:
    """Kill the model servers whose supervisor and watcher were both killed.

    Usually they end by themselves; one that hangs does not. If the home folder is a copy, the model
    servers of the original are left alone.
    """
    with suppress(Invalid, Refused):
        left = address(home, name)
        for server in left.servers if left is not None and left.home == str(home.resolve()) else ():
            kill_now(server.pid, server.started)


def write_address(folder: Path, address: SupervisorAddress) -> None:
    """Write the supervisor's port, pid and key to supervisor.json, readable by this user alone."""
    with replacing(folder / "supervisor.json") as file:
        os.fchmod(file.fileno(), 0o600)  # it holds the control routes' key
        file.write(msgspec.json.encode(address))


def start_watcher(
    fds: Sequence[int], arguments: Sequence[str], *, session: bool, log: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a watcher process, which restarts an endpoint's supervisor whenever that dies.

    Args:
        fds: The file descriptors that it inherits, in watcher.py's order.
        arguments: The supervisor's limits.
        session: Whether it is detached from the terminal, in a process group of its own.
        log: The file descriptor of its log; None: that of this process.
    """
    return subprocess.Popen(
        watcher_command(fds, arguments),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=session,
        pass_fds=[descriptor for descriptor in fds if descriptor >= 0],
    )


def watcher_command(fds: Sequence[int], arguments: Sequence[str]) -> list[str]:
    """Return the command line that starts a watcher."""
    script = Path(__file__).with_name("watcher.py")
    return [sys.executable, "-I", "-S", str(script), *map(str, fds), *arguments]


def _try_lock(descriptor: int) -> bool:
    """Take a file lock within some time; return False if another process holds it.

    A process that calls `alive` shares the lock for a moment, or for longer on a busy machine.
    """
    deadline = time.monotonic() + _LOOKING
    while not _locked(descriptor, fcntl.LOCK_EX):
        if not _locked(descriptor, fcntl.LOCK_SH) or time.monotonic() > deadline:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(0.002)
    return True


def _locked(descriptor: int, how: int) -> bool:
    """Take a file lock in the mode `how` without waiting; return whether that succeeded."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def send(to: SupervisorAddress | None, number: signal.Signals) -> None:
    """Send a signal to the supervisor process at an address, if there is one."""
    if to is not None and to.pid:
        with suppress(ProcessLookupError):
            os.kill(to.pid, number)


def send_command(client: Client, address: SupervisorAddress, verb: str) -> Report | None:
    """Send a supervisor a command: `replace` itself, or `renew` its model servers.

    Return its report of what runs, or None if its code is too old to know the command.
    """
    response = client.request(
        "POST",
        f"/_isthmus/{verb}",
        headers=(("x-isthmus-key", address.key),),
        what=f"asking the router to {verb}",
    )
    return decoder(Report).decode(response.body) if response.status == 200 else None


def ask(client: Client, address: SupervisorAddress, *, follow: bool, again: bool = False) -> Report:
    """Ask an endpoint's supervisor over HTTP for its report of what runs.

    With `follow` it reads its row first; with `again` failed variants start at once.

    Raises:
        Unavailable: It does not listen, or refuses.
        OutcomeUnknown: Its answer was lost.
    """
    method, path = (
        ("POST", "/_isthmus/again" if again else "/_isthmus/follow")
        if follow
        else ("GET", "/_isthmus/state")
    )
    response = client.request(
        method, path, headers=(("x-isthmus-key", address.key),), what="asking the router"
    )
    if response.status != 200:
        raise Unavailable(f"the router's control route answered {response.status}")
    return decoder(Report).decode(response.body)


def end(home: Path, name: str, *, within: float = 15.0) -> None:
    """End an endpoint's processes after its row was deleted, and remove their files.

    The supervisor is asked to end; its process group is killed after `within` seconds.
    """
    first = address(home, name)
    if first is not None and alive(home, name):
        from .client import Client

        client = Client(first.port, timeout=2)
        with suppress(Unavailable, OutcomeUnknown):  # it looks at its row twice a second anyway
            ask(client, first, follow=True)
        client.close()
        _wait(lambda: not alive(home, name), within)
        last = address(home, name) or first
        if alive(home, name) and (group := last.group or last.pid):
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            _wait(lambda: (members(group), alive(home, name)) == ([], False), _DYING)
    kill_left_servers(home, name)
    remove_tree(endpoint_folder(home, name))


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    """Poll until `condition` returns True or `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def last_words(home: Path, name: str, *, lines: int = 5) -> str:
    """Return the last lines of the supervisor's log as text for an error message, or ""."""
    with suppress(FileNotFoundError):
        text = (
            (endpoint_folder(home, name) / "supervisor.log")
            .read_bytes()[-8192:]
            .decode("utf-8", "replace")
        )
        return "".join(f"\n  {line}" for line in text.strip().splitlines()[-lines:])
    return ""


def _reap() -> None:
    """Collect supervisor processes that this process started and that have ended."""
    for process in list(_started):
        if process.poll() is not None:
            with suppress(ValueError):
                _started.remove(process)
