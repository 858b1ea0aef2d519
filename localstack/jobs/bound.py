"""A command whose life is bound to the stack's: it and what it started die with the stack, also after kill -9."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# The stack holds the other end of the pipe on fd 3. A watcher, no child of the command, reads it to its end and then ends the command:
# SIGTERM, and SIGKILL for the whole process group after a grace. The command takes the place of the shell: its pid, signals and exit
# code are its own.
_SCRIPT = """
exec 3<&0
grace="$1"; shift
( ( trap '' TERM
    cat <&3
    [ "$grace" = 0 ] || { kill -s TERM $$; sleep "$grace"; }
    kill -s KILL -- -$$ ) >/dev/null 2>&1 & )
exec "$@" 3<&- </dev/null
"""


def start(command: Sequence[str], *, folder: Path, env: Mapping[str, str], grace: int = 0) -> subprocess.Popen[bytes]:
    """Start the command, in a process group of its own, its output (both streams) on `stdout`. OSError where its folder is not there.

    Closing `stdin` asks it to end: SIGTERM, and SIGKILL for all of the group `grace` seconds later; with 0 seconds only SIGKILL.
    A command that does not exist ends with code 127, as in a shell.
    """
    return subprocess.Popen(
        ["sh", "-c", _SCRIPT, "sh", str(grace), *command],
        cwd=folder,
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
