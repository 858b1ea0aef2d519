"""Stop a step when its local runner has died.

A runner that sets ISTHMUS_SUPERVISED holds the other end of the step's standard input: when that
closes the runner is gone, and the step and its command stop, so that a resumed run does not meet
them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress

VARIABLE = "ISTHMUS_SUPERVISED"


class Supervisor:
    def __init__(self) -> None:
        self._group: int | None = None
        self._starting = threading.Lock()

    @classmethod
    def attach(cls) -> Supervisor:
        """Return a supervisor that ends the step when the local runner that started it dies.

        It watches standard input, which that runner holds open; without such a runner it does
        nothing.
        """
        supervisor = cls()
        if os.environ.pop(VARIABLE, None) is None:
            return supervisor
        lifeline = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        threading.Thread(target=supervisor._watch, args=(lifeline,), daemon=True).start()
        return supervisor

    def start(self, command: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Start a command, which `command` puts into its own process group, and return its process.

        The process group is recorded before the step can be ended, so that no process is left
        behind.
        """
        with self._starting:
            process = command()
            self._group = process.pid
        return process

    def _watch(self, lifeline: int) -> None:
        """Wait until the local runner has died, then kill the step's processes and end.

        `lifeline` is a file descriptor that closes when it dies.
        """
        while os.read(lifeline, 64):
            pass
        with self._starting:
            if self._group is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._group, signal.SIGKILL)
            os._exit(75)  # EX_TEMPFAIL: nothing here is worth finishing
