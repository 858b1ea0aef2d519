"""One process that serves a model: start it, see that it is ready, start it again when it dies, end it when it is no longer wanted."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL, Signals
from typing import BinaryIO

from ...endpoints.port import VariantSpec
from ...storage import Phase
from .endpoint_rows import registered_digest
from .exchange import Pool

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0  # seconds between restarts; doubles, and starts over after a minute of good health
HEALTHY = 60.0
READY_WITHIN = 120.0
PING_EVERY, HUNG = 5.0, 60.0  # a process that does not answer /ping for so long (SageMaker's limit of a prediction) is started again
LOG_LIMIT = 10_000_000  # bytes; the log before it is kept once


class ModelServer:
    def __init__(self, spec: VariantSpec, model: Path, log: Path) -> None:
        self.spec = spec
        self.pool = Pool(spec.name, spec.version)
        self.phase: Phase = "creating"
        self.failure: str | None = None
        self.restarts = 0
        self.pid = 0
        self._hung = False
        self._again = asyncio.Event()
        self._model = model
        self._log = log
        self._task = asyncio.get_running_loop().create_task(self._keep())

    def again(self) -> None:
        """Start a failed process now instead of after its pause: what was wrong may have been mended."""
        if self.phase == "failed":
            self.phase = "updating"
            self._again.set()

    async def end(self) -> None:
        """Requests under way are finished first (at most 10 s)."""
        self.pool.close("it is being removed")
        for _ in range(500):
            if not self.pool.under_way:
                break
            await asyncio.sleep(0.02)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            with self._log_file() as log:
                start = log.tell()
                self.failure = await self._run(log.fileno(), start)
            self.phase = "failed"
            self.pid = 0
            self.pool.close(self.failure.partition("\n")[0])
            pause = FIRST_PAUSE if time.monotonic() - began > HEALTHY else min(pause * 2, LONGEST_PAUSE)
            self._note(f"{self.failure.partition(chr(10))[0]}; starting again in {pause:.1f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), pause)
            self._again.clear()
            self.restarts += 1
            self.phase = "updating"

    async def _run(self, log: int, start: int) -> str:
        """Until the process ends, and why it did. Cancelling ends the process."""
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(1024)
            port: int = listening.getsockname()[1]
            command = ["-m", "isthmus.endpoints.server", "--model", str(self._model), "--fd", str(listening.fileno()), "--with-parent"]
            command += ["--digest", digest] if (digest := registered_digest(self._model)) else []
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, stdin=PIPE, stdout=log, stderr=log, pass_fds=[listening.fileno()]
            )
        # our copy of the socket is closed: when the process dies, connections to it fail at once instead of waiting in a queue
        self.pid = process.pid
        ready = asyncio.get_running_loop().create_task(_ping(port))
        ended = asyncio.get_running_loop().create_task(process.wait())
        watch: asyncio.Task[None] | None = None
        self._hung = False
        try:
            await asyncio.wait({ready, ended}, timeout=READY_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and not ended.done() and ready.exception() is None:
                self.pool.open(port)
                self.phase, self.failure = "ready", None
                watch = asyncio.get_running_loop().create_task(self._watch(process, port))
            elif not ended.done() and not ready.done():
                process.kill()
            code = await ended
        finally:
            ready.cancel()
            if watch is not None:
                watch.cancel()
            await _stop(process)
        return f"{self._why(code)}{_tail(self._log, start)}"

    async def _watch(self, process: Process, port: int) -> None:
        while True:
            await asyncio.sleep(PING_EVERY)
            try:
                await asyncio.wait_for(_ping(port), HUNG)
            except TimeoutError:
                self._hung = True
                process.kill()
                return
            except OSError:
                return  # it has ended, which _run sees

    def _why(self, code: int) -> str:
        spec = self.spec
        if self._hung:
            return f"{spec.name} ({spec.model}@{spec.version}), process {self.pid}, did not answer /ping for {HUNG:.0f} s and was killed"
        how = f"was killed by {Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        when = "" if self.phase == "ready" else " before it was ready"
        return f"{spec.name} ({spec.model}@{spec.version}), process {self.pid}, {how}{when}"

    def _log_file(self) -> BinaryIO:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if self._log.stat().st_size > LOG_LIMIT:
                self._log.replace(self._log.with_suffix(".log.1"))
        file = self._log.open("ab")
        file.seek(0, os.SEEK_END)
        return file

    def _note(self, text: str) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} isthmus: {text}\n")


async def _ping(port: int) -> None:
    """Return once the server answers. Its socket listens already, so one connection waits for it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /ping HTTP/1.1\r\nhost: variant\r\nconnection: close\r\n\r\n")
        line = await reader.readline()
        if b" 200 " not in line:
            raise ConnectionError(f"/ping answered {line!r}")
    finally:
        writer.close()


async def _stop(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 12)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.send_signal(SIGKILL)
            await process.wait()


def _tail(log: Path, start: int, *, lines: int = 5) -> str:
    """The last lines that this process wrote, each on a line of its own."""
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - 8192))
        written = file.read().decode("utf-8", "replace").strip().splitlines()
    return "".join(f"\n  {line}" for line in written[-lines:])
