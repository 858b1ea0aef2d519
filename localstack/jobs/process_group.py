"""A command whose life is bound to the stack's.

It and what it started die with the stack, also after kill -9.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_MARK = 5  # the place of a command's mark among its arguments
_ROUNDS = 5

# The stack holds the other end of the pipe on fd 3. A watcher, no child of the command, reads it to
# its end and then ends the command:
# SIGTERM, and SIGKILL for the whole process group after a grace. The command takes the place of the
# shell: its pid, signals and exit code are its own. What left the group (setsid) is known by a
# variable that the command's processes have, and the watcher has not; it goes first, since the
# group holds the watcher. Where there is no /proc, or a process emptied its environment, that one
# stays.
_SCRIPT = """
exec 3<&0
grace="$1"; bound="$2"; shift 2
( ( trap '' TERM
    cat <&3
    [ "$grace" = 0 ] || { kill -s TERM $$; sleep "$grace"; }
    for _ in 1 2 3 4 5; do
      pids="$(cd /proc && grep -lszx "ISTHMUS_BOUND=$bound" [0-9]*/environ | cut -d / -f 1)"
      [ -n "$pids" ] || break
      kill -s KILL $pids
    done
    kill -s KILL -- -$$ ) >/dev/null 2>&1 & )
export ISTHMUS_BOUND="$bound"
exec "$@" 3<&- </dev/null
"""


def start(
    command: Sequence[str], *, folder: Path, env: Mapping[str, str], grace: int = 0
) -> subprocess.Popen[bytes]:
    """Start a command as a process in a process group of its own.

    Its output (both streams) is on `stdout`. Closing `stdin` asks it to end: SIGTERM, and SIGKILL
    for all of the group `grace` seconds later; with 0 seconds only SIGKILL. A command that does not
    exist ends with code 127, as in a shell.

    Raises:
        OSError: Its folder does not exist.
    """
    return subprocess.Popen(
        ["sh", "-c", _SCRIPT, "sh", str(grace), secrets.token_hex(8), *command],
        cwd=folder,
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the command and all processes that it started.

    It does not matter whether the command itself has ended.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for _ in range(_ROUNDS):  # who is forked while one looks is met by the next look
        strays = list(_marked_processes(str(process.args[_MARK])))  # type: ignore[index]  # a list: see `start`
        if not strays:
            return
        for pid in strays:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _marked_processes(mark: str) -> Iterator[int]:
    """Yield the ids of running processes that have the text `mark` in their environment."""
    variable = f"ISTHMUS_BOUND={mark}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or is another user's
            if variable in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)
