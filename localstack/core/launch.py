"""Start a stack as a process of its own, and stop it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Protocol, Self, cast

import msgspec

from .home.folders import OwnedFolder
from .images import anchored

CLOUDS = (
    "aws",
    "gcp",
)  # each a package beside this module: its __main__ serves, its `environment` says the rest
_PACKAGE = __name__.partition(".")[0]
_ENVIRONMENTS = {"aws": ".aws.core.environment", "gcp": ".gcp.environment"}
_STARTS = 180.0  # seconds that a start may take; it takes about two
# seconds that a clean end may take, before the process is killed: with a home it writes all that it
# holds
_ENDS = 60.0


class Cloud(Protocol):
    """The module `environment` of a cloud: all that this part of the stacks knows of it."""

    TITLE: str  # AWS
    PORT: int  # the default of `isthmus-stack up`
    ADDRESS: str  # the variable that leads to a stack: AWS_ENDPOINT_URL
    # the modules that a stack of this cloud imports and not every environment has
    NEEDS: tuple[str, ...]
    OPTIONS: frozenset[str]  # of `start`: those that not every cloud has
    SERVICES: str  # what it has, in a line

    def variables(self, url: str) -> dict[str, str]:
        """Return the environment variables with which the cloud's SDKs call the stack at `url`."""
        ...

    def proxy(self, url: str, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables for clients that ignore configured endpoints.

        They lead such clients to the stack at `url`. `environ` are the variables that are set.
        """
        ...

    def stray(self, name: str) -> bool:
        """Return whether an environment variable could lead an SDK to the real cloud."""
        ...

    def ways(self, url: str) -> tuple[tuple[str, dict[str, str]], ...]:
        """Return the ways to reach the stack at `url`: for each a heading and variables to set."""
        ...

    def summary(self, url: str) -> str:
        """Return a line for people about the stack at `url`."""
        ...


class StackFailed(RuntimeError):
    """The process ended, or did not listen in time. The message ends with what it wrote."""


class Ready(msgspec.Struct, frozen=True, tag_field="schema", tag=1):
    """The file that a stack writes when it listens.

    A later version may read it: who changes the layout raises the tag, its format.
    """

    url: str
    pid: int
    clock: str = "real"
    home: str | None = None  # the folder in which it keeps what it holds


class RunningStack:
    """A stack that this process started.

    It dies with this process, or at `stop()`. It is a context manager, too.
    """

    def __init__(
        self, cloud: str, ready: Ready, process: subprocess.Popen[bytes], owned: OwnedFolder
    ) -> None:
        self.cloud = cloud
        self.url = ready.url
        self.pid = ready.pid
        self.log = owned.folder / "stack.log"
        self._process = process
        self._owned = owned

    @property
    def env(self) -> dict[str, str]:
        """The environment variables with which every SDK of the cloud calls this stack."""
        return variables(self.cloud, self.url)

    def wait(self) -> int:
        """Wait until the stack's process ends, and return its exit code."""
        return self._process.wait()

    def stop(self) -> None:
        """Stop the stack's process. It may be called twice."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_ENDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._owned.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    cloud: str,
    *,
    images: Mapping[str, str] | None = None,
    clock: str = "real",
    port: int = 0,
    handlers: Sequence[str] = (),
    query_memory: str = "1GB",
    env: Mapping[str, str] | None = None,
    loud: bool = False,
    any_key: bool = False,
    moto_answers: bool = False,
    home: Path | None = None,
    allow_hosts: Sequence[str] = (),
) -> RunningStack:
    """Start the local stack of `cloud` as a child process, and wait until it listens.

    Args:
        cloud: aws or gcp.
        images: The local command that stands for each container image.
        clock: real, instant or manual.
        port: Where it listens; 0: on a free port.
        handlers: Modules with handlers of your own.
        query_memory: What one query may use, such as 256MB.
        env: More variables for its environment.
        loud: Whether it writes to our stderr instead of its log.
        any_key: Whether it takes any access key or token, and requests without one, of every user
            of this machine.
        moto_answers: Whether moto's made-up answer is given where the stack executes nothing;
            implies `any_key`.
        home: The folder in which it persists its state; None: nowhere.
        allow_hosts: Real hosts to which its proxy lets clients through.

    Raises:
        StackFailed: It did not start; the message ends with its log.
        ValueError: This cloud's stack does not have that option.
    """
    owned = OwnedFolder.temporary("isthmus-stack-")
    ready, log_file = owned.folder / "ready.json", owned.folder / "stack.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [
                *command(
                    cloud,
                    images=images,
                    clock=clock,
                    port=port,
                    ready=ready,
                    handlers=handlers,
                    query_memory=query_memory,
                    any_key=any_key,
                    moto_answers=moto_answers,
                    home=home,
                    allow_hosts=allow_hosts,
                ),
                "--until-stdin-closes",
            ],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=None if loud else log,
            env={**os.environ, **(env or {})},
        )
    try:
        return RunningStack(cloud, wait_ready(cloud, ready, process, log_file), process, owned)
    except BaseException:
        with contextlib.suppress(OSError):
            process.kill()
        process.wait()
        owned.remove()
        raise


def command(
    cloud: str,
    *,
    images: Mapping[str, str] | None = None,
    clock: str = "real",
    port: int = 0,
    ready: Path | None = None,
    handlers: Sequence[str] = (),
    query_memory: str = "1GB",
    any_key: bool = False,
    moto_answers: bool = False,
    home: Path | None = None,
    allow_hosts: Sequence[str] = (),
) -> list[str]:
    """Return the command line that starts the stack's process; the options are those of `start`."""
    for option, value in (("any_key", any_key), ("moto_answers", moto_answers), ("home", home)):
        if value and option not in environment_of(cloud).OPTIONS:
            raise ValueError(f"the {environment_of(cloud).TITLE} stack has no {option}")
    words = [
        sys.executable,
        # no module of the working folder stands for a library; handlers of your own may be there
        *([] if handlers else ["-P"]),
        "-m",
        f"{_PACKAGE}.{cloud}",
        "--port",
        str(port),
        "--clock",
        clock,
        "--query-memory",
        query_memory,
    ]
    for name, text in (images or {}).items():
        words += ["--image", f"{name}={anchored(text, Path.cwd())}"]
    for module in handlers:
        words += ["--handlers", module]
    words += [
        word for word, chosen in (("--open", any_key), ("--moto-answers", moto_answers)) if chosen
    ]
    for host in allow_hosts:
        words += ["--allow-host", host]
    for option, path in (("--home", home), ("--ready", ready)):
        words += [option, str(path)] if path is not None else []
    return words


def read_ready(ready: Path) -> Ready | None:
    """Return the stack that the file `ready` describes, running or not; None without one."""
    try:
        return msgspec.json.decode(ready.read_bytes(), type=Ready)
    except (OSError, ValueError):
        return None


def wait_ready(cloud: str, ready: Path, process: subprocess.Popen[bytes], log: Path) -> Ready:
    """Wait until a new stack writes its address into the file `ready`, and return it.

    `process` is the stack's, and `log` the file of its output, whose end the error quotes.

    Raises:
        StackFailed: The process ended first, or took too long.
    """
    deadline = time.monotonic() + _STARTS
    while time.monotonic() < deadline:
        ended = process.poll()
        with contextlib.suppress(FileNotFoundError):
            return msgspec.json.decode(ready.read_bytes(), type=Ready)
        if ended is not None:
            break
        time.sleep(0.02)
    written = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise StackFailed(f"the {environment_of(cloud).TITLE} stack did not start:\n{written}")


def environment_for(
    url: str, environ: Mapping[str, str] = os.environ, cloud: str = "aws"
) -> dict[str, str]:
    """Return the environment variables of a process whose SDKs use only the stack at `url`.

    It has no profiles, tokens, other endpoints or proxy.

    Args:
        url: The stack's URL.
        environ: The variables to begin with.
        cloud: aws or gcp.
    """
    own = environment_of(cloud)
    neutral = {name: value for name, value in environ.items() if not own.stray(name)}
    hosts = [
        part
        for part in (environ.get("NO_PROXY") or environ.get("no_proxy") or "").split(",")
        if part
    ]
    around = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost"]))
    return {
        **neutral,
        **own.variables(url),
        **own.proxy(url, environ),
        "NO_PROXY": around,
        "no_proxy": around,
    }


def variables(cloud: str, url: str) -> dict[str, str]:
    """Return the environment variables to export so that SDKs use only the stack at `url`."""
    return environment_of(cloud).variables(url)


def environment_of(cloud: str) -> Cloud:
    """Return the module with a cloud's environment variables and texts.

    Raises:
        ValueError: There is no stack for this cloud.
    """
    if cloud not in CLOUDS:
        raise ValueError(f"there is no stack for {cloud}; there is {', '.join(CLOUDS)}")
    return cast("Cloud", import_module(_ENVIRONMENTS[cloud], _PACKAGE))


start_aws = partial(start, "aws")
