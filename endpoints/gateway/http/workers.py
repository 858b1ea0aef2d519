"""Several processes that serve one gateway on one socket.

They are started, started again when one dies, and ended together.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, final

import msgspec

from ....core.signals import calling
from ...http.server import FINISHING, say
from ..processes.shared_folder import shared_folder
from .server import NOT_OPENED, GatewaySettings, Worker
from .service import CLOSING

_SERVER = f"{__package__}.server"
_SHORT_LIFE, _LONGEST_PAUSE = (
    5.0,
    30.0,
)  # seconds: who lives no longer is started again later and later


def serve(settings: GatewaySettings, listening: socket.socket, count: int) -> int:
    """Run `count` workers until SIGTERM or SIGINT; a second signal kills them.

    Returns the exit code: 0 when every worker finished the requests that it had begun.
    """
    folder = shared_folder()
    try:
        return _Workers(settings, listening, folder, count).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@final
class _Slot:
    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.began = 0.0
        self.starts = 0
        self.pause = 0.0
        self.due: float | None = None  # when it is started again


@final
class _Workers:
    def __init__(
        self, settings: GatewaySettings, listening: socket.socket, folder: Path, count: int
    ) -> None:
        self._settings, self._listening, self._folder = settings, listening, folder
        self._slots = [_Slot() for _ in range(count)]
        self._events: SimpleQueue[tuple[str, int]] = (
            SimpleQueue()
        )  # a signal's number, or the slot whose process ended
        self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Start the workers and supervise them until a signal; return the exit code."""
        with calling(
            (signal.SIGINT, signal.SIGTERM), lambda number: self._events.put(("signal", number))
        ):
            try:
                for number in range(len(self._slots)):
                    self._start(number)
                while self._until_an_event():
                    pass
            finally:
                self._kill()
        return self._code

    def _start(self, number: int) -> None:
        """Start a worker process under this number."""
        slot = self._slots[number]
        worker = Worker(
            settings=self._settings,
            folder=str(self._folder),
            slot=number,
            fd=self._listening.fileno(),
            warm_first=slot.starts > 0,
        )
        slot.began, slot.due = time.monotonic(), None
        slot.process = subprocess.Popen(
            [sys.executable, "-P", "-m", _SERVER, msgspec.json.encode(worker).decode()],
            stdin=subprocess.PIPE,  # its end tells a worker that nobody is left to end it
            pass_fds=[self._listening.fileno()],
            # Ctrl-C is the supervisor's to pass on: a worker would take both for a second signal
            process_group=0,
        )
        slot.starts += 1
        threading.Thread(target=self._wait, args=(number, slot.process), daemon=True).start()

    def _start_again(self, number: int, slot: _Slot) -> None:
        """Start a worker again; plan another attempt if the machine has no room for a process."""
        try:
            self._start(number)
        except OSError as error:  # no memory, too many processes: the others serve on
            slot.due = time.monotonic() + _LONGEST_PAUSE
            say(
                f"worker {number + 1} cannot be started: {error.strerror or error}; again in "
                f"{_LONGEST_PAUSE:.0f} s"
            )

    def _wait(self, number: int, process: subprocess.Popen[bytes]) -> None:
        """Wait in a thread until a worker's process ends, and report that to the supervisor."""
        process.wait()
        self._events.put(("ended", number))

    def _until_an_event(self) -> bool:
        """Handle the next signal or the next end of a worker; return False once all have ended."""
        due = [slot.due for slot in self._slots if slot.due is not None]
        try:
            kind, number = self._events.get(
                timeout=max(0, min(due) - time.monotonic()) if due else None
            )
        except Empty:
            for index, slot in enumerate(self._slots):
                if slot.due is not None and slot.due <= time.monotonic():
                    self._start_again(index, slot)
            return True
        if kind == "signal":
            return self._stop(number)
        slot, process = self._slots[number], self._slots[number].process
        slot.process = None
        code = process.returncode if process else 0
        if self._stopping:
            if code not in (0, -signal.SIGTERM):  # by SIGTERM ends who serves nothing yet
                self._code = 1
            return any(other.process for other in self._slots)
        return self._on_end(number, slot, code)

    def _on_end(self, number: int, slot: _Slot, code: int) -> bool:
        """Plan the restart of a worker that ended with `code`; return False to stop the server.

        `slot` is the worker's state, `number` its number.
        """
        if (
            code == NOT_OPENED and slot.starts == 1
        ):  # it would end the same way again; it has said why
            self._code = 1
            return False
        lived = time.monotonic() - slot.began
        slot.pause = 0 if lived > _SHORT_LIFE else min(_LONGEST_PAUSE, 2 * slot.pause or 0.5)
        slot.due = time.monotonic() + slot.pause
        how = (
            f"was ended by {signal.Signals(-code).name}"
            if code < 0
            else f"ended with exit code {code}"
        )
        say(f"worker {number + 1} {how} after {lived:.0f} s; another is started")
        return True

    def _stop(self, number: int) -> bool:
        """Stop the workers by SIGTERM; on a second signal set the exit code, and return False.

        `number` is the signal's. Returns whether workers still run.
        """
        running = [slot.process for slot in self._slots if slot.process]
        if self._stopping:
            say("stopped at once: what was answered and not delivered is lost")
            self._code = 128 + number
            return False
        say(f"stopping {len(running)} workers")
        self._stopping = True
        for slot in self._slots:
            slot.due = None
        for process in running:
            process.terminate()
        alarm: Any = threading.Timer(
            FINISHING + CLOSING.total_seconds() + 10,
            self._events.put,
            (("signal", signal.SIGKILL),),
        )
        alarm.daemon = True
        alarm.start()
        return bool(running)

    def _kill(self) -> None:
        """Kill every worker that still runs."""
        for slot in self._slots:
            if slot.process:
                slot.process.kill()
                slot.process.wait()
