"""Stacks that outlive the command that started them.

They are started, found again and stopped; and it is told how one ended when nobody stopped it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from . import keys
from .home.folders import is_taken
from .launch import CLOUDS, Ready, StackFailed, command, read_ready, wait_ready

_PACKAGE = __name__.partition(".")[0]
_FORMER = "isthmus.localstack"  # this package's name when stacks were started by Isthmus 0.1.0
_STOPS = 10.0  # seconds that an end may take
_DIES = 10.0  # seconds from SIGKILL to the end: a busy machine may take its time
_ANSWERS = 10.0  # seconds that a stack which is busy gets to answer
_HEALTH = 5.0  # seconds that one answer may take
_LINES = 5  # of the log, in a Death
# seconds from a stack's last answer until it is gone, and from then until its watcher has written
# how it ended
_ENDS = 1.0

# The stack's parent: it waits, and writes how the stack ended unless that was well. It needs no
# more memory than a shell, so a kernel that is short of memory takes the stack and leaves it.
_WATCH = """
"$@" &
stack=$!
wait $stack
code=$?
[ $code = 0 ] || { echo "$stack $code $(date +%s)" > "$0.new" && mv "$0.new" "$0"; }
exit $code
"""


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a stack that nobody asked for."""

    # of its end where that was seen, else the last time that it is known to have been alive
    at: datetime
    code: (
        int | None
    )  # as a shell counts: 128 + signal; None: its watcher went with it, so nobody saw
    restarted: bool  # the machine was, since
    log: tuple[str, ...]  # the last lines
    home: Path | None  # where it kept what it held


class NoAnswer(StackFailed):
    """The stack runs and is too busy to answer, or was suspended. It still has its home."""


class _Health(msgspec.Struct):
    pid: int
    clock: str = "real"


def start_apart(
    cloud: str,
    *,
    ready: Path,
    log: Path,
    images: Mapping[str, str] | None = None,
    clock: str = "real",
    home: Path | None = None,
) -> Ready:
    """Start the local stack of `cloud` as a background process that outlives this one.

    If the stack that the file `ready` describes still lives, that one is returned, and none is
    started. The log of an earlier one is renamed to `<name>.previous.log`.

    Args:
        cloud: aws or gcp.
        ready: The file that says where the stack listens.
        log: The file of its output.
        images: The local command that stands for each container image.
        clock: The mode of its clock.
        home: The folder in which it persists its state.

    Raises:
        StackFailed: It did not start; the message ends with its log.
        NoAnswer: A stack lives, but does not answer.
    """
    if (already := answering(ready)) is not None:
        return already
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.unlink(missing_ok=True)
    _end_file(ready).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        log.replace(previous_log(log))
    with log.open("ab") as file:  # the watcher writes there, too
        process = subprocess.Popen(
            [
                "sh",
                "-c",
                _WATCH,
                str(_end_file(ready)),
                *command(cloud, images=images, clock=clock, ready=ready, home=home),
            ],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        listening = wait_ready(cloud, ready, process, log)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    process.returncode = 0  # it is not ours to wait for: no ResourceWarning when this object goes
    return listening


def running(ready: Path) -> Ready | None:
    """Return the running stack that the file `ready` describes, if it answers; else None."""
    stack = read_ready(ready)
    health = _health(stack.url) if stack is not None else None
    return stack if stack is not None and health is not None and health.pid == stack.pid else None


def running_at(url: str) -> Ready | None:
    """Return the running stack that answers at a URL; None where none does."""
    health = _health(url.rstrip("/"))
    return (
        None if health is None else Ready(url=url.rstrip("/"), pid=health.pid, clock=health.clock)
    )


def _health(url: str) -> _Health | None:
    """Return a stack's response to a health check, or None if it gives none."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"{url}/_stack/health", timeout=_HEALTH
        ) as answer:
            return msgspec.json.decode(answer.read(), type=_Health)
    except (OSError, ValueError, urllib.error.URLError):
        return None


def answering(ready: Path) -> Ready | None:
    """Return the stack that the file `ready` describes, waiting until it answers.

    None if its process has ended.

    Raises:
        NoAnswer: The stack's process lives, but does not answer.
    """
    deadline = time.monotonic() + _ANSWERS
    while (stack := _living(ready)) is not None:
        if running(ready) is not None:
            return stack
        if time.monotonic() > deadline:
            raise NoAnswer(f"the stack runs (pid {stack.pid}) and does not answer")
        time.sleep(0.02)
    return None


def death(ready: Path, log: Path) -> Death | None:
    """Return how the process of the stack that the file `ready` describes crashed.

    `log` is the file of its output. None: there is none, it runs, or it was stopped.
    """
    stack = read_ready(ready)
    if stack is None or running(ready) is not None:
        return None
    deadline = time.monotonic() + _ENDS
    while _living(ready) is not None:  # whoever is killed stops answering first
        if time.monotonic() > deadline:
            return None
        time.sleep(0.02)
    try:
        alive = ready.stat().st_mtime  # the stack touches the file as long as it lives
        restarted = _boot_time() > alive
        code, ended_at = (None, alive) if restarted else _exit_of(ready, stack) or (None, alive)
        ready.stat()
    except FileNotFoundError:  # a clean end, which was under way
        return None
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return Death(
        at=datetime.fromtimestamp(ended_at, UTC),
        code=code,
        restarted=restarted,
        log=tuple(lines[-_LINES:]),
        home=Path(stack.home) if stack.home else None,
    )


def stop_apart(ready: Path) -> bool:
    """Stop the background stack that the file `ready` describes, even if it does not answer.

    Return False when none runs.

    Raises:
        NoAnswer: It cannot be ended.
    """
    stack = _living(ready)
    if stack is None:
        ready.unlink(missing_ok=True)
        return False
    for number, seconds in ((signal.SIGTERM, _STOPS), (signal.SIGKILL, _DIES)):
        if _is_a_stack(stack.pid) or running(ready) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(stack.pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if _living(ready) is None:
                ready.unlink(missing_ok=True)
                return True
            time.sleep(0.02)
    raise NoAnswer(
        f"a stack still runs in {stack.home}; process {stack.pid}, of which {ready} tells, "
        "is another one or does not end"
    )


def stop_at(url: str) -> bool:
    """Stop the stack that answers at a URL; return False when none does.

    Raises:
        NoAnswer: The stack is not this user's, or does not end.
    """
    stack = running_at(url)
    if stack is None:
        return False
    if keys.keys_of(url) is None or not _is_a_stack(stack.pid):
        raise NoAnswer(f"what answers at {url} is no stack of this user on this machine")
    for number, seconds in ((signal.SIGTERM, _STOPS), (signal.SIGKILL, _DIES)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(stack.pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _is_a_stack(stack.pid):
                return True
            time.sleep(0.02)
    raise NoAnswer(f"process {stack.pid}, which listens at {url}, does not end")


def previous_log(log: Path) -> Path:
    """Return the path to which the log of the stack that ran before is renamed."""
    return log.with_suffix(f".previous{log.suffix}")


def _end_file(ready: Path) -> Path:
    """Return the path of the file that records how a stack's process ended."""
    return ready.with_suffix(".ended")


def _living(ready: Path) -> Ready | None:
    """Return the stack that the file `ready` describes, if its process lives; else None.

    A stack that lives has the lock on its data directory.
    """
    stack = read_ready(ready)
    if stack is None:
        return None
    lives = is_taken(Path(stack.home)) if stack.home else _is_a_stack(stack.pid)
    return (
        stack if lives else running(ready)
    )  # of a project that was moved meanwhile, the home is elsewhere


def _is_a_stack(pid: int) -> bool:
    """Return whether the process with this pid is a stack.

    It may be another process, which got the pid after the stack had ended.
    """
    try:
        if Path("/proc/self").exists():
            words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
        else:
            words = subprocess.run(
                ["ps", "-ww", "-o", "args=", "-p", str(pid)],
                capture_output=True,
                text=True,
                check=False,
            ).stdout.split()
    except OSError:
        return False
    return any(f"{package}.{cloud}" in words for package in (_PACKAGE, _FORMER) for cloud in CLOUDS)


def _exit_of(ready: Path, stack: Ready) -> tuple[int, float] | None:
    """Return the exit code and end time of a stack's process, as its watcher recorded them.

    The watcher's file lies beside `ready`. None: the watcher did not live to write it.
    """
    deadline = time.monotonic() + _ENDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            pid, code, ended_at = map(int, _end_file(ready).read_text().split())
            if pid == stack.pid:
                return code, float(ended_at)
        time.sleep(0.02)
    return None


def _boot_time() -> float:
    """Return the time at which this machine was booted; 0 where it does not say."""
    since = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if since is None else time.time() - time.clock_gettime(since)
