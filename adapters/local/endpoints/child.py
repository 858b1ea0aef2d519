"""A model server's process.

This supervisor started it, or took it over from a supervisor that has died.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import Process
from contextlib import suppress
from signal import SIGKILL, SIGTERM, Signals

from ..processes import alive

LOOK = 0.2  # seconds, where the system cannot tell by itself that a process has ended


class ChildProcess:
    """A process that is a child of this one."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

    @property
    def runs(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    def send(self, number: Signals) -> None:
        """Send the process a signal, if it still runs."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def wait(self) -> str:
        """Wait until the process ends; return in words how it ended, by exit code or signal."""
        code = await self._process.wait()
        return (
            f"was killed by {Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        )


class InheritedProcess:
    """A process that a supervisor before this one started.

    A process id alone may have been given to another, so its start is compared.
    """

    def __init__(self, pid: int, started: str) -> None:
        self.pid = pid
        self._started = started

    @property
    def runs(self) -> bool:
        """Whether the process still runs."""
        return alive(self.pid, self._started)

    def send(self, number: Signals) -> None:
        """Send the process a signal, if it still runs."""
        if self.runs:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> str:
        """Wait until the process ends; return a text that says that its exit code is unknown."""
        await self._wait_for_end()
        return "ended; how is not known, as the supervisor that started it has died"

    async def _wait_for_end(self) -> None:
        """Wait by a pidfd, else by polling, until a process that is not our child has ended."""
        descriptor = _descriptor(self.pid)
        try:
            if descriptor >= 0 and self.runs:
                loop, ended = asyncio.get_running_loop(), asyncio.Event()
                loop.add_reader(descriptor, ended.set)
                try:
                    await ended.wait()
                finally:
                    loop.remove_reader(descriptor)
            while self.runs:  # noqa: ASYNC110  no event tells of another's child on macOS
                await asyncio.sleep(LOOK)
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def _descriptor(pid: int) -> int:
    """Return a descriptor (pidfd) that becomes readable when the process ends; -1 if unsupported.

    macOS has none.
    """
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):
            return os.pidfd_open(pid)
    return -1


async def stop(process: ChildProcess | InheritedProcess, *, within: float = 12.0) -> None:
    """Ask a process to end, and kill it if it has not after `within` seconds."""
    if not process.runs:
        return
    process.send(SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), within)
    except TimeoutError:
        process.send(SIGKILL)
        await process.wait()
