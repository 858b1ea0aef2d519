"""A stack that outlives the command that started it: started, met again, stopped; and how it ended when nobody stopped it."""

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
from functools import partial
from pathlib import Path

import msgspec

from .run import Ready, command, wait_ready

_STOPS = 10.0  # seconds that an end may take
_LINES = 5  # of the log, in a Death
_WATCHER = 1.0  # seconds that the watcher may take to write how the stack ended

# The stack's parent: it waits, and writes how the stack ended unless that was well. It needs no more memory than a shell, so a kernel
# that is short of memory takes the stack and leaves it.
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

    at: datetime  # of its end where that was seen, else the last time that it is known to have been alive
    code: int | None  # as a shell counts: 128 + signal; None: its watcher went with it, so nobody saw
    restarted: bool  # the machine was, since
    log: tuple[str, ...]  # the last lines
    home: Path | None  # where it kept what it held


class _Health(msgspec.Struct):
    pid: int


def start_apart(
    cloud: str, *, ready: Path, log: Path, images: Mapping[str, str] | None = None, clock: str = "real", home: Path | None = None
) -> Ready:
    """Start the stack of `cloud` as a process that outlives this one; `ready` says where it is. StackFailed with its log otherwise.

    The log of the one before stays beside `log`, as `<name>.previous.log`.
    """
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.unlink(missing_ok=True)
    _ended(ready).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        log.replace(previous(log))
    with log.open("ab") as file:  # the watcher writes there, too
        process = subprocess.Popen(
            ["sh", "-c", _WATCH, str(_ended(ready)), *command(cloud, images=images, clock=clock, ready=ready, home=home)],
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
    """The stack that `ready` tells of, if it still answers there and is the same process."""
    stack = _read(ready)
    if stack is None:
        return None
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{stack.url}/_stack/health", timeout=5) as answer:
            return stack if msgspec.json.decode(answer.read(), type=_Health).pid == stack.pid else None
    except (OSError, ValueError, urllib.error.URLError):
        return None


def death(ready: Path, log: Path) -> Death | None:
    """How the stack that `ready` tells of ended; None when there is none, when it runs, or when it was stopped."""
    stack = _read(ready)
    if stack is None or running(ready) is not None:
        return None
    alive = ready.stat().st_mtime  # the stack touches the file as long as it lives
    restarted = _booted() > alive
    code, at = (None, alive) if restarted else _seen(ready, stack) or (None, alive)
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return Death(
        at=datetime.fromtimestamp(at, UTC),
        code=code,
        restarted=restarted,
        log=tuple(lines[-_LINES:]),
        home=Path(stack.home) if stack.home else None,
    )


def stop_apart(ready: Path) -> bool:
    """End the stack that `ready` tells of. False when none runs."""
    stack = running(ready)
    if stack is not None:
        os.kill(stack.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOPS
        while running(ready) is not None:
            if time.monotonic() > deadline:
                os.kill(stack.pid, signal.SIGKILL)
                break
            time.sleep(0.02)
    ready.unlink(missing_ok=True)
    return stack is not None


def previous(log: Path) -> Path:
    """Where the log of the stack before is."""
    return log.with_suffix(f".previous{log.suffix}")


def _ended(ready: Path) -> Path:
    return ready.with_suffix(".ended")


def _read(ready: Path) -> Ready | None:
    try:
        return msgspec.json.decode(ready.read_bytes(), type=Ready)
    except (OSError, ValueError):
        return None


def _seen(ready: Path, stack: Ready) -> tuple[int, float] | None:
    """Code and time, as the watcher wrote them; None when it did not live to."""
    deadline = time.monotonic() + _WATCHER
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            pid, code, at = map(int, _ended(ready).read_text().split())
            if pid == stack.pid:
                return code, float(at)
        time.sleep(0.02)
    return None


def _booted() -> float:
    """When this machine was started; 0 where it does not say."""
    since = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if since is None else time.time() - time.clock_gettime(since)


start_aws_apart = partial(start_apart, "aws")
