"""Start a stack as a process of its own, and stop it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

import msgspec

_STARTS = 60.0  # seconds that a start may take; it takes about two


_STOPS = 10.0
# Variables that would lead an SDK somewhere else, or to somebody's real credentials.
STRAY = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_REGION")


class StackFailed(RuntimeError):
    """The process ended, or did not listen in time. The message ends with what it wrote."""


class Ready(msgspec.Struct, frozen=True):
    """What a stack writes when it listens."""

    url: str
    pid: int
    clock: str = "real"


class _Health(msgspec.Struct):
    pid: int


class RunningStack:
    """A stack that this process started. It dies with this process, or at `stop()`. A context manager too."""

    def __init__(self, ready: Ready, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.url = ready.url
        self.pid = ready.pid
        self.log = folder / "stack.log"
        self._process = process
        self._folder = folder

    @property
    def env(self) -> dict[str, str]:
        """The variables with which every AWS SDK talks to this stack."""
        return aws_environment(self.url)

    def wait(self) -> int:
        """Until the process ends by itself. Its exit code."""
        return self._process.wait()

    def stop(self) -> None:
        """End the process. It may be called twice."""
        import shutil

        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_aws(
    *,
    images: Mapping[str, str] | None = None,
    clock: str = "real",
    port: int = 0,
    handlers: Sequence[str] = (),
    query_memory: str = "1GB",
    env: Mapping[str, str] | None = None,
    loud: bool = False,
) -> RunningStack:
    """Start the AWS stack on a free port (or on `port`) and wait until it listens. StackFailed with its log otherwise.

    `images`: container image -> the command that it is here. `handlers`: modules with handlers of your own. `env`: more variables for it.
    `query_memory`: what one Athena query may use, such as 256MB. `loud`: its complaints go to our stderr instead of its log.
    """
    folder = Path(mkdtemp(prefix="isthmus-stack-"))
    ready = folder / "ready.json"
    with (folder / "stack.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *aws_command(images=images, clock=clock, port=port, ready=ready, handlers=handlers, query_memory=query_memory),
                "--until-stdin-closes",
            ],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=None if loud else log,
            env={**os.environ, **(env or {})},
        )
    try:
        return RunningStack(wait_ready(ready, process, folder / "stack.log"), process, folder)
    except BaseException:
        with contextlib.suppress(OSError):
            process.kill()
        process.wait()
        raise


def start_aws_apart(*, ready: Path, log: Path, images: Mapping[str, str] | None = None, clock: str = "real") -> Ready:
    """Start the AWS stack as a process that outlives this one; `ready` says where it is. StackFailed with its log otherwise."""
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.unlink(missing_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            aws_command(images=images, clock=clock, ready=ready), stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        found = wait_ready(ready, process, log)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = 0  # it is not ours to wait for: no ResourceWarning when this object goes
    return found


def running(ready: Path) -> Ready | None:
    """The stack that `ready` tells of, if it still answers there and is the same process."""
    import urllib.error
    import urllib.request

    try:
        found = msgspec.json.decode(ready.read_bytes(), type=Ready)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{found.url}/_stack/health", timeout=5) as answer:
            return found if msgspec.json.decode(answer.read(), type=_Health).pid == found.pid else None
    except (OSError, ValueError, urllib.error.URLError):
        return None


def stop_apart(ready: Path) -> bool:
    """End the stack that `ready` tells of. False when none runs."""
    import signal

    found = running(ready)
    if found is None:
        ready.unlink(missing_ok=True)
        return False
    os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOPS
    while running(ready) is not None:
        if time.monotonic() > deadline:
            os.kill(found.pid, signal.SIGKILL)
            break
        time.sleep(0.02)
    ready.unlink(missing_ok=True)
    return True


def aws_command(
    *,
    images: Mapping[str, str] | None = None,
    clock: str = "real",
    port: int = 0,
    ready: Path | None = None,
    handlers: Sequence[str] = (),
    query_memory: str = "1GB",
) -> list[str]:
    """The command line of the stack's process."""
    command = [sys.executable, "-m", f"{__package__}.aws", "--port", str(port), "--clock", clock, "--query-memory", query_memory]
    for name, text in (images or {}).items():
        command += ["--image", f"{name}={text}"]
    for module in handlers:
        command += ["--handlers", module]
    return [*command, "--ready", str(ready)] if ready is not None else command


def wait_ready(ready: Path, process: subprocess.Popen[bytes], log: Path) -> Ready:
    """Poll for the file that says where the stack listens. StackFailed when the process ends first."""
    deadline = time.monotonic() + _STARTS
    while time.monotonic() < deadline:
        ended = process.poll()
        with contextlib.suppress(FileNotFoundError):
            return msgspec.json.decode(ready.read_bytes(), type=Ready)
        if ended is not None:
            break
        time.sleep(0.02)
    written = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise StackFailed(f"the AWS stack did not start:\n{written}")


def environment_for(url: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`environ` for a process that is to talk to the stack at `url` alone: no profiles, tokens or other endpoints, and past any proxy."""
    kept = {name: value for name, value in environ.items() if name not in STRAY and not name.startswith("AWS_ENDPOINT_URL_")}
    here = [part for part in (environ.get("NO_PROXY") or environ.get("no_proxy") or "").split(",") if part]
    around = ",".join(dict.fromkeys([*here, "127.0.0.1", "localhost"]))
    return {**kept, **aws_environment(url), "NO_PROXY": around, "no_proxy": around}


def aws_environment(url: str, region: str = "us-east-1") -> dict[str, str]:
    """What to export so that an AWS SDK talks to the stack at `url` and to nothing else."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "offline",
        "AWS_SECRET_ACCESS_KEY": "offline",
        "AWS_DEFAULT_REGION": region,
    }
