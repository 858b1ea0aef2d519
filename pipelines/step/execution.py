"""Run a step's command or function once, within its time, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import FrameType

from ..runs.step_names import module_of
from .context import StepContext

_GRACE = 5.0  # seconds between SIGTERM and SIGKILL


class StepFailed(Exception):
    """An attempt that did not succeed; the text is the reason that a reader sees."""


class Cancelled(BaseException):
    """The step was told to stop (SIGTERM).

    It is not an Exception, so that a trainer's `except Exception` does not swallow it.
    """


class _OutOfTime(BaseException): ...


Process = subprocess.Popen[bytes]


def run_command(
    argv: list[str],
    *,
    folder: Path,
    timeout: timedelta,
    start: Callable[[Callable[[], Process]], Process],
) -> None:
    """Run a step's command in a process group of its own, which is killed at the end.

    `start` starts the process.

    Raises:
        StepFailed: it failed or took too long. The text has none of the log's words.
    """
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}  # a log is read while it is written
    try:
        process = start(
            lambda: subprocess.Popen(
                argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, process_group=0
            )
        )
    except OSError as error:
        raise StepFailed(f"cannot run {argv[0]}: {error.strerror}") from error
    ended, expired = threading.Event(), threading.Event()

    def expire() -> None:
        expired.set()
        kill_group(process.pid, signal.SIGTERM)
        if not ended.wait(_GRACE):
            kill_group(process.pid, signal.SIGKILL)

    timer = threading.Timer(timeout.total_seconds(), expire)
    timer.daemon = True
    timer.start()
    try:
        code = process.wait()
    except Cancelled:
        kill_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        raise
    finally:
        ended.set()
        timer.cancel()
        kill_group(process.pid, signal.SIGKILL)  # whatever it started and left
        process.wait()
    if expired.is_set():
        raise StepFailed(f"it did not end within {_in_words(timeout)}")
    if code:
        raise StepFailed(f"exit {code}" if code > 0 else f"killed by {signal.Signals(-code).name}")


def run_function(function: str, context: StepContext, *, timeout: timedelta) -> None:
    """Call a step's function in this process, with a time limit.

    Raises:
        StepFailed: it raised or took too long. The traceback was written to the log.
    """
    try:
        with _within(timeout):
            getattr(import_module(module_of(function)), function.partition(":")[2])(context)
    except _OutOfTime:
        raise StepFailed(f"it did not end within {_in_words(timeout)}") from None
    except (
        Exception,
        SystemExit,
        KeyboardInterrupt,
    ) as error:  # a user's code may raise anything; it becomes the step's reason
        from traceback import print_exc

        print_exc(file=sys.stdout)
        raise StepFailed(f"{type(error).__name__}: {error}") from error


def kill_group(group: int, number: int) -> None:
    """Send a signal to a process group, if it still runs."""
    with suppress(
        ProcessLookupError, PermissionError
    ):  # PermissionError: macOS, for a group of zombies
        os.killpg(group, number)


@contextmanager
def _within(timeout: timedelta) -> Iterator[None]:
    """Raise an error in the main thread if the block takes longer than `timeout`.

    Native code is interrupted when it returns to Python; the engine's own limit comes after that.
    """

    def alarm(_number: int, _frame: FrameType | None) -> None:
        raise _OutOfTime

    previous_handler = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, timeout.total_seconds())
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous_handler)


def _in_words(timeout: timedelta) -> str:
    """Return a time limit as text: `90 s`, `5 min`."""
    seconds = timeout.total_seconds()
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"
