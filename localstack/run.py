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


class StackFailed(RuntimeError):
    """The process ended, or did not listen in time. The message ends with what it wrote."""


class Ready(msgspec.Struct, frozen=True):
    """What a stack writes when it listens."""

    url: str
    pid: int
    clock: str = "real"


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
    env: Mapping[str, str] | None = None,
) -> RunningStack:
    """Start the AWS stack on a free port (or on `port`) and wait until it listens. StackFailed with its log otherwise.

    `images`: container image -> the command that it is here. `handlers`: modules with handlers of your own. `env`: more variables for it.
    """
    folder = Path(mkdtemp(prefix="isthmus-stack-"))
    ready = folder / "ready.json"
    with (folder / "stack.log").open("wb") as log:
        process = subprocess.Popen(
            [*aws_command(images=images, clock=clock, port=port, ready=ready, handlers=handlers), "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, **(env or {})},
        )
    try:
        return RunningStack(wait_ready(ready, process, folder / "stack.log"), process, folder)
    except BaseException:
        with contextlib.suppress(OSError):
            process.kill()
        process.wait()
        raise


def aws_command(
    *, images: Mapping[str, str] | None = None, clock: str = "real", port: int = 0, ready: Path | None = None, handlers: Sequence[str] = ()
) -> list[str]:
    """The command line of the stack's process."""
    command = [sys.executable, "-m", f"{__package__}.aws", "--port", str(port), "--clock", clock]
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


def aws_environment(url: str, region: str = "us-east-1") -> dict[str, str]:
    """What to export so that an AWS SDK talks to the stack at `url` and to nothing else."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "offline",
        "AWS_SECRET_ACCESS_KEY": "offline",
        "AWS_DEFAULT_REGION": region,
    }
