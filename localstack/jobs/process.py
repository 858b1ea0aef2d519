"""Run a command: take its lines as they come, and end it when it has to."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

import msgspec

from . import process_group

_TICK = 0.02


class ProcessEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a command."""

    code: int  # as a shell counts: 128 + signal
    why: Literal["itself", "stopped", "overdue", "reset"]


def run(
    command: list[str],
    *,
    env: dict[str, str],
    folder: Path,
    line: Callable[[str], None],
    tick: Callable[[], None],
    stop: threading.Event,
    reset: threading.Event,
    overdue: Callable[[], bool],
    grace: float,
    on_stop: Callable[[Callable[[], object]], None],
) -> ProcessEnd:
    """Run a job's command as a local process until it ends, and return how it ended.

    A command that is to stop, or is overdue, gets SIGTERM, and SIGKILL `grace` seconds later.

    Args:
        command: The command line.
        env: The environment variables of the command.
        folder: Its working directory.
        line: Gets each line of its output, in this thread.
        tick: Runs often, in this thread.
        stop: Set when the command is to stop.
        reset: Set when the stack is reset.
        overdue: Returns whether its time is over.
        grace: The seconds between SIGTERM and SIGKILL.
        on_stop: Keeps what the stack does at a reset or at its end; when it is killed itself, the
            command dies with it.

    Raises:
        OSError: It cannot be started.
    """
    process = process_group.start(command, folder=folder, env=env)
    on_stop(lambda: process_group.kill(process) if process.poll() is None else None)
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None  # noqa: S101  PIPE was asked for
    reader = threading.Thread(
        target=_read, args=(process.stdout, lines), daemon=True, name="job-output"
    )
    reader.start()
    why: Literal["itself", "stopped", "overdue", "reset"] = "itself"
    kill_at: float | None = None
    try:
        while process.poll() is None:
            if reset.is_set():
                why = "reset"
                break
            if kill_at is None and (stop.is_set() or overdue()):
                why = "stopped" if stop.is_set() else "overdue"
                kill_at = time.monotonic() + grace
                _signal(process, signal.SIGTERM)
            if kill_at is not None and time.monotonic() > kill_at:
                break
            _drain(lines, line, wait=_TICK)
            tick()
    finally:
        process_group.kill(
            process
        )  # what it left behind, too: a container's processes end with its first
        code = process.wait()
        assert process.stdin is not None  # noqa: S101  bound.start has a pipe
        process.stdin.close()
    reader.join(timeout=5)
    while _drain(lines, line, wait=0):
        pass
    return ProcessEnd(code=code if code >= 0 else 128 - code, why=why)


def _read(stream: IO[bytes], into: queue.SimpleQueue[str | None]) -> None:
    """Put each line of a process's output into a queue that another thread reads."""
    for raw in stream:
        into.put(raw.decode(errors="replace").rstrip("\r\n"))
    stream.close()


def _drain(lines: queue.SimpleQueue[str | None], line: Callable[[str], None], wait: float) -> bool:
    """Pass queued lines to `line`, waiting for the first at most `wait` seconds.

    It returns whether there was a line.
    """
    any_line = False
    with suppress(queue.Empty):
        item = lines.get(timeout=wait) if wait else lines.get_nowait()
        while True:
            if item is not None:
                any_line = True
                line(item)
            item = lines.get_nowait()
    return any_line


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a process's whole group, if it still runs."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
