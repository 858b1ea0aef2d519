"""How a local runner and its steps notice each other's death.

A runner that sets ISTHMUS_SUPERVISED holds the other end of the step's standard input: when that closes the runner is gone, and the step
stops, so that a resumed run does not meet it. The step writes the process group of its command to standard output, so that a runner
can end it when the step itself was killed.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

VARIABLE = "ISTHMUS_SUPERVISED"


class Supervisor:
    def __init__(self) -> None:
        self.channel: int | None = None
        self.group: int | None = None

    @classmethod
    def attach(cls) -> Supervisor:
        """Take over standard input and output if a runner supervises; otherwise do nothing."""
        supervisor = cls()
        if os.environ.pop(VARIABLE, None) is None:
            return supervisor
        lifeline = os.dup(0)
        supervisor.channel = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.close(nothing)
        threading.Thread(target=supervisor._watch, args=(lifeline,), daemon=True).start()
        return supervisor

    def started(self, group: int) -> None:
        self.group = group
        if self.channel is not None:
            with suppress(BrokenPipeError):
                os.write(self.channel, f"{group}\n".encode())

    def _watch(self, lifeline: int) -> None:
        while os.read(lifeline, 64):
            pass
        if self.group is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, signal.SIGKILL)
        os._exit(75)  # EX_TEMPFAIL: nothing here is worth finishing
