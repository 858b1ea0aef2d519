"""One process that serves a model.

It is started, seen to be ready, started again when it dies, and ended when it is no longer wanted.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL
from time import monotonic
from typing import BinaryIO

from ....endpoints.port import VariantSpec
from ....endpoints.revision import identity
from ....storage import Phase
from ..processes import start_time
from .backend import VariantProcess, ping
from .balancer import Balancer
from .child import ChildProcess, InheritedProcess, stop
from .rows import RunningServer, registered_digest
from .serving_code import code_of, environment, own_code

FIRST_PAUSE, LONGEST_PAUSE = (
    0.2,
    30.0,
)  # seconds between restarts; doubles while a process answers nobody and lives less than a minute
HEALTHY = 60.0
READY_WITHIN = 120.0
PING_EVERY, HUNG = (
    5.0,
    60.0,
)  # a process that has nothing to do and does not answer /ping for so long is started again


class ModelServer:
    """A variant's process, whichever it is now.

    `life`: the read end of a pipe whose other end the supervisor and its watcher hold; the process
    ends when both are gone. Without it the process ends with this one.

    `take_over`: a process that runs already. `changed` is called when another process runs than
    before.
    """

    def __init__(
        self,
        spec: VariantSpec,
        model: Path,
        log: Path,
        balancer: Balancer,
        *,
        life: int = PIPE,
        take_over: RunningServer | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.spec = spec
        self.backend = VariantProcess(balancer, hung=self._replace)
        balancer.add(self.backend)
        self.phase: Phase = "creating"
        self.failure: str | None = None
        self.restarts = 0
        self.pid = 0
        self.running: RunningServer | None = take_over
        self._balancer = balancer
        self._life = life
        self._changed = changed
        self._process: ChildProcess | InheritedProcess | None = None
        self._killed = ""  # why we killed it
        self._again = asyncio.Event()
        self._model = model
        self._log = log
        self._task = asyncio.get_running_loop().create_task(self._keep())

    @property
    def older(self) -> bool:
        """Whether the process runs older serving code than this supervisor."""
        return self.pid != 0 and code_of(self.pid) not in (own_code(), None)

    def again(self) -> None:
        """Start a failed model server process now, without waiting for its restart delay to end."""
        if self.phase == "failed":
            self.phase = "updating"
            self._again.set()

    async def end(self) -> None:
        """End the process after its request under way is answered, at the latest in 10 s."""
        self.backend.close("it is being removed", returns=False)
        for _ in range(500):
            if not self.backend.busy:
                break
            await asyncio.sleep(0.02)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._balancer.remove(self.backend)

    def _replace(self) -> None:
        """Kill a model server process that exceeds the time-out at one request; start another."""
        self._kill(f"worked at one request for {self._balancer.timeout:g} s and was killed")

    def _kill(self, why: str) -> None:
        """Kill the model server's process, and keep the reason for its failure message."""
        if self._process is not None:
            self._killed = why
            self._process.send(SIGKILL)

    async def _keep(self) -> None:
        """Keep a model server process running: start it again, after a delay, whenever it ends."""
        pause = 0.0
        while True:
            began = monotonic()
            try:
                with self._log_file() as log:
                    start = log.tell()
                    self.failure = await self._run(log.fileno(), start)
            except (
                OSError
            ) as error:  # no process or descriptor is left, or no space: perhaps after the pause
                self.failure = (
                    f"{self.spec.name} ({self.spec.model}@{self.spec.version}) was not started: "
                    f"{error}"
                )
            self.phase = "failed"
            self.pid = 0
            healthy = self.backend.answered or monotonic() - began > HEALTHY
            pause = FIRST_PAUSE if healthy or not pause else min(pause * 2, LONGEST_PAUSE)
            self.backend.close(
                self.failure.partition("\n")[0], returns=pause <= self._balancer.return_wait
            )
            self._note(f"{self.failure.partition(chr(10))[0]}; starting again in {pause:.1f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), pause)
            self._again.clear()
            self.restarts += 1
            self.phase = "updating"
            self.backend.returns = True

    async def _run(self, log: int, start: int) -> str:
        """Run the model server process until it ends; return text on why it ended.

        `log` is the file descriptor of its log, `start` the log's size. Cancelling ends the
        process.
        """
        self._killed = ""
        self.backend.answered = 0
        if self.running is not None and not self._process:
            process: ChildProcess | InheritedProcess = InheritedProcess(
                self.running.pid, self.running.started
            )
            port = self.running.port
        else:
            process, port = await self._start(log)
        self._process = process
        self.pid = process.pid
        ready = asyncio.get_running_loop().create_task(ping(port))
        ended = asyncio.get_running_loop().create_task(process.wait())
        watch: asyncio.Task[None] | None = None
        try:
            await asyncio.wait(
                {ready, ended}, timeout=READY_WITHIN, return_when=asyncio.FIRST_COMPLETED
            )
            if ready.done() and not ended.done() and ready.exception() is None:
                self.backend.open(port)
                self.phase, self.failure = "ready", None
                watch = asyncio.get_running_loop().create_task(self._watch(port))
            elif not ended.done() and not ready.done():
                self._kill(f"was not ready within {READY_WITHIN:.0f} s and was killed")
            how = await ended
        finally:
            ready.cancel()
            ended.cancel()
            if watch is not None:
                watch.cancel()
            await stop(process)
            self.running = None
            self._changed()
        return f"{self._why(how)}{_tail(self._log, start)}"

    async def _start(self, log: int) -> tuple[ChildProcess, int]:
        """Start a model server process on a free port; return the process and its port."""
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(1024)
            port: int = listening.getsockname()[1]
            command = [
                "-P",
                "-m",
                "isthmus.endpoints.server",
                "--model",
                str(self._model),
                "--fd",
                str(listening.fileno()),
                "--with-parent",
            ]
            command += ["--digest", digest] if (digest := registered_digest(self._model)) else []
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                stdin=self._life,
                stdout=log,
                stderr=log,
                pass_fds=[listening.fileno()],
                env=environment(),
            )
        # our copy of the socket is closed: when the process dies, connections to it fail at once
        # instead of waiting in a queue
        self.running = RunningServer(
            identity=identity(self.spec),
            pid=process.pid,
            started=start_time(process.pid) or "",
            port=port,
        )
        self._changed()
        return ChildProcess(process), port

    async def _watch(self, port: int) -> None:
        """Ping an idle model server process from time to time; kill it if it does not answer.

        How long it may work at a request is the balancer's to enforce.
        """
        while True:
            await asyncio.sleep(PING_EVERY)
            try:
                await asyncio.wait_for(ping(port), HUNG)
            except TimeoutError:
                if not self.backend.busy:
                    self._kill(f"did not answer /ping for {HUNG:.0f} s and was killed")
                    return
            except OSError:
                return  # it has ended, which _run sees

    def _why(self, how: str) -> str:
        """Return a sentence on how a process ended, and whether it had been ready before.

        `how` says it by exit code or signal.
        """
        spec = self.spec
        when = "" if self.phase == "ready" else " before it was ready"
        return (
            f"{spec.name} ({spec.model}@{spec.version}), process {self.pid}, "
            f"{self._killed or how}{when}"
        )

    def _log_file(self) -> BinaryIO:
        """Open the model server's log for appending."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        file = self._log.open("ab")
        file.seek(0, os.SEEK_END)
        return file

    def _note(self, text: str) -> None:
        """Append a line that is not the model's, with the time, to the model server's log."""
        with suppress(OSError), self._log.open("a", encoding="utf-8") as file:  # a full disk
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} isthmus: {text}\n")


def _tail(log: Path, start: int, *, lines: int = 5) -> str:
    """Return as text the last lines that a process has written to a log since `start`.

    `start` is a position in bytes.
    """
    with log.open("rb") as file:
        size = log.stat().st_size
        file.seek(max(start if start <= size else 0, size - 8192))  # it may have begun anew
        written = file.read().decode("utf-8", "replace").strip().splitlines()
    return "".join(f"\n  {line}" for line in written[-lines:])
