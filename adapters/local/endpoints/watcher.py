"""Starts the supervisor of a local endpoint, and again when it dies.

A second process that is small, so that it is the last to be killed.

It is run as a file by an isolated Python, imports nothing of ours, and holds what must not go with
a supervisor: the lock, the listening socket, in whose queue connections wait meanwhile, and the
pipe that the model servers live by, so that the next supervisor takes them over.

    python -I -S watcher.py LOCK LISTEN LIFE_READ LIFE_WRITE UP DOWN ARGUMENT...

The first six are descriptors. UP: a pipe from a supervisor that runs already, DOWN: one to it; -1:
start one. The arguments are the supervisor's. It writes `u` when it serves and `e` when it ends
because it should; when it only ends, it has died.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

MODULE = "isthmus.adapters.local.supervisor"
FIRST_PAUSE, LONGEST_PAUSE = (
    0.05,
    30.0,
)  # seconds; doubles, and starts over after one that served for a while
GOOD = 5.0


def main(arguments: Sequence[str]) -> int:
    """Run the watcher of an endpoint: start its supervisor, and again whenever that dies.

    Return the exit code once the supervisor has ended by itself, or if it never came up.
    """
    lock, listen, life_read, life_write, up, down = map(int, arguments[:6])
    if life_read < 0:
        life_read, life_write = os.pipe()
    for descriptor in (lock, listen, life_read, life_write, up, down):
        if descriptor >= 0:
            os.set_inheritable(descriptor, False)
    keep = (lock, listen, life_read, life_write)
    served, pause = up >= 0, FIRST_PAUSE
    while True:
        if up < 0:
            up, down = _start(keep, arguments[6:], again=served)
        began = time.monotonic()
        while (word := os.read(up, 1)) == b"u":
            served = True
        os.close(up)
        os.close(down)
        up = down = -1
        _reap()
        if word == b"e" or not served:
            # what never came up would not come up again: whoever started it reads the log
            return 0 if word else 1
        pause = FIRST_PAUSE if time.monotonic() - began > GOOD else min(2 * pause, LONGEST_PAUSE)
        with suppress(OSError):  # a full disk
            print(
                f"isthmus: the supervisor has died; starting it again in {pause:g} s",
                file=sys.stderr,
                flush=True,
            )
        time.sleep(pause)


def _start(keep: Sequence[int], arguments: Sequence[str], *, again: bool) -> tuple[int, int]:
    """Start a supervisor process; return the descriptors of the pipes from it and to it.

    `keep` are the descriptors that it inherits. Nothing is written to the second pipe: when it
    closes, the supervisor knows that the watcher died.
    """
    from_it, its_up = os.pipe()
    its_down, to_it = os.pipe()
    if os.fork() == 0:
        descriptors = (*keep, its_up, its_down)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        command = [
            sys.executable,
            "-P",
            "-m",
            MODULE,
            *arguments,
            "--fds",
            ",".join(map(str, descriptors)),
        ]
        try:
            os.execv(sys.executable, [*command, *(["--again"] if again else [])])  # noqa: S606  no shell is wanted
        finally:
            os._exit(127)
    os.close(its_up)
    os.close(its_down)
    return from_it, to_it


def _reap() -> None:
    """Collect child processes that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
