"""An endpoint of the laptop under a service manager.

`isthmus endpoints service NAME` prints its systemd unit. `python -m isthmus.adapters.local.service
...` is what the unit runs: it stands by while the endpoint runs outside of it, and becomes its
watcher when nobody does any more, as after a restart of the machine.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import final

from ....core.durable import make_folder
from ....endpoints import hosting
from ....errors import Invalid
from ....target import Target
from ..home import database, home, prepare
from . import supervision
from .rows import SCHEMA, EndpointRow, SupervisorAddress, endpoint_folder, read
from .serving import arguments

_UNIT = """[Unit]
Description={description}

[Service]
ExecStart={command}
WorkingDirectory={folder}
Restart=on-failure
RestartSec=2

[Install]
WantedBy=default.target
"""


_PLAIN = re.compile(r"[\w./:=@+,-]+")
_IN_NO_PROGRAM = re.compile(r"[\"'\\\x00-\x1f\x7f]")


@final
class LocalEndpointService:
    """The optional port `target.extra("endpoint_service")`."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def unit(self, endpoint: str) -> str:
        """Return the text of a systemd user unit that keeps an endpoint running.

        Raises:
            NotFound: There is no such endpoint.
        """
        self._target.calls.reading("endpoints.service", endpoint)
        return _unit(self._target, endpoint)


def _unit(target: Target, endpoint: str) -> str:
    """Return the text of the systemd unit that keeps an endpoint running."""
    folder = home(target).resolve()
    connection = database(folder)
    try:
        prepare(connection, SCHEMA)
        if read(connection, endpoint) is None:
            raise hosting.not_found(endpoint)
    finally:
        connection.close()
    limits = arguments(
        target.profile.options,
        endpoint,
        max_bytes=hosting.rules_of(target, provider="this machine").max_bytes,
    )
    command = [
        sys.executable,
        "-P",
        "-m",
        "isthmus.adapters.local.service",
        "--home",
        str(folder),
        "--name",
        endpoint,
        *limits,
    ]
    return unit_of(
        f"Isthmus endpoint {endpoint} of {target.profile.project}", command, folder.parent
    )


def unit_of(description: str, command: Sequence[str], folder: Path) -> str:
    """Return the text of a systemd unit that runs a command in a folder.

    It is written as systemd.unit(5) and systemd.service(5) read it.

    Raises:
        Invalid: A path is one that no unit can name.
    """
    program, *arguments = command
    if _IN_NO_PROGRAM.search(program):
        text = (
            "systemd starts no program whose path has quotes, backslashes or control "
            f"characters: {program}"
        )
        raise Invalid(text, remedy="install Isthmus in an environment at another path")
    if "\n" in str(folder) or str(folder) != str(folder).strip():
        raise Invalid(f"systemd has no word for this folder: {str(folder)!r}", remedy="rename it")
    words = [
        _quoted(program),
        *(_quoted(argument.replace("$", "$$")) for argument in arguments),
    ]  # $ is no variable in the program's path
    return _UNIT.format(
        description=description, command=" ".join(words), folder=str(folder).replace("%", "%%")
    )


def _quoted(word: str) -> str:
    """Quote a word for a systemd unit, in which % has a meaning."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")
    return escaped if _PLAIN.fullmatch(word) else f'"{escaped}"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as an endpoint's systemd service: wait for the endpoint's lock, then become a watcher."""
    parser = argparse.ArgumentParser(prog="isthmus.adapters.local.service")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--name", required=True)
    options, limits = parser.parse_known_args(arguments)
    folder = endpoint_folder(options.home, options.name)
    row, lock = _read_row(options.home, options.name), -1
    while row is not None and not _same(lock, folder / "supervisor.lock"):
        make_folder(folder)
        lock = os.open(folder / "supervisor.lock", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        fcntl.flock(lock, fcntl.LOCK_EX)  # until whoever runs it has gone
        row = _read_row(options.home, options.name)
    if row is None:
        print(f"there is no endpoint {options.name} any more", file=sys.stderr)
        return 0
    supervision.kill_left_servers(options.home, options.name)
    listening = supervision.listen(row.port)
    address = SupervisorAddress(
        port=listening.getsockname()[1],
        key=secrets.token_hex(16),
        instance=row.instance,
        home=str(options.home.resolve()),
    )
    supervision.write_address(folder, address)
    for descriptor in (lock, listening.fileno()):
        os.set_inheritable(descriptor, True)
    fds = (lock, listening.fileno(), -1, -1, -1, -1)
    command = supervision.watcher_command(
        fds, ["--home", str(options.home), "--name", options.name, *limits]
    )
    os.execv(command[0], command)  # noqa: S606  no shell is wanted
    return 1  # for the linter: there is no coming back


def _same(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still the one at a path.

    It no longer is if the endpoint was deleted and created again under the same name.
    """
    try:
        return descriptor >= 0 and os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _read_row(folder: Path, name: str) -> EndpointRow | None:
    """Read an endpoint's row from the home folder's SQLite file, or return None."""
    connection = database(folder)
    try:
        prepare(connection, SCHEMA)
        return read(connection, name)
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
