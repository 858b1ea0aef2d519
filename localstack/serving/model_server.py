"""One model server: a process, its connections, its log, its end.

What it is promised and asked is its cloud's `Contract`.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

import msgspec

from ..core.http.ports import free_port
from ..core.state import State
from ..jobs import container as containers
from ..jobs import process_group
from .connections import Answer, Connections, NotReached, TimedOut

# seconds that requests under way get, as SageMaker's own limit; more where they were given more
_DRAIN = 60.0
_GRACE = 10  # between SIGTERM and SIGKILL
_AGAIN = 1.0  # seconds between two starts of a process that does not come up


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """The promises of a cloud to a model's container, and what it asks of it.

    {model} and {port} stand for where the model lies and is served.
    """

    mount: str  # where the container's files are
    model: str  # the model's folder, below `mount`
    health: str  # the path that answers GET with 200 once the model can be asked
    predict: str  # the path that predictions are POSTed to
    arguments: tuple[str, ...] = ()  # added to the container's command
    variables: Mapping[str, str] = {}


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The command of one model's container.

    {model} and {port} are replaced in `command`.
    """

    image: str
    command: Sequence[str]
    variables: Mapping[str, str] = {}  # the model's own, as they are: they win over the contract's
    stack: Mapping[str, str] = {}  # how it reaches the stack


class Log(Protocol):
    """The place where a container's output goes."""

    @property
    def last(self) -> Iterable[str]:
        """The last lines of the container's output, for error messages."""
        ...

    def follow(self, output: IO[bytes], first: Iterable[str], stopping: threading.Event) -> None:
        """Read a container's output line by line into the log until it ends."""


class ModelServer:
    """The server of one model, made stopped; `start` returns once the container is healthy.

    `enter` and `leave` count the requests under way. `folder` is the server's own and goes with it.
    `log` gives each start's log, `remarks` what is written there first. `name` is its cloud's.
    """

    def __init__(
        self,
        state: State,
        contract: Contract,
        program: Program,
        *,
        folder: Path,
        log: Callable[[], Log],
        remarks: Callable[[containers.Container], Iterable[str]] = lambda _: (),
        name: str = "",
    ) -> None:
        self.name = name
        self.connections = Connections(0)
        self._state = state
        self._contract = contract
        self._program = program
        self._folder = folder
        self._new_log = log
        self._remarks = remarks
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Log | None = None
        self._busy = 0
        self._until = 0.0  # until when one of them may go on (of time.monotonic)
        self._retired = False
        self._reviving = False
        self._again: Callable[[], str | None] | None = None
        self._counting = threading.Lock()
        self._changed = threading.Condition(self._counting)

    def start(self, fill: Callable[[Path], None], seconds: float) -> str | None:
        """Call `fill` to fill the model's folder, start the server, and wait until it is healthy.

        It returns an error message after `seconds`, else None. An error of `fill` is raised.
        """
        container = containers.make(self._folder, self._contract.mount)
        model = container.host(self._contract.model)
        model.mkdir(exist_ok=True)
        fill(model)
        self._state.on_stop(self.kill)
        self._again = lambda: self._run(container, seconds)
        problem = self._again()
        if self._retired:  # it was given up meanwhile, perhaps before there was a process to end
            self.kill()
        return problem

    def predict(
        self,
        body: bytes,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        seconds: float | None = None,
    ) -> Answer:
        """Send one prediction request to the model, once, and return its response.

        Raises:
            NotReached: The model gave no complete answer.
            TimedOut: There is none within `seconds` or the usual time.
        """
        if seconds is not None:
            with self._changed:
                self._until = max(self._until, time.monotonic() + seconds)
        return self.connections.ask("POST", self._contract.predict, body, headers, within=seconds)

    def enter(self) -> bool:
        """Count a request as under way; return False if the server has been retired."""
        with self._counting:
            if self._retired:
                return False
            self._busy += 1
            return True

    @property
    def busy(self) -> int:
        """The number of requests that the server is answering."""
        return self._busy

    def leave(self) -> None:
        """Count one of the requests under way as finished."""
        with self._counting:
            self._busy -= 1
            if self._retired:
                self._changed.notify_all()

    def retire(self) -> None:
        """Take no more requests, and end the server after those under way."""
        with self._changed:
            if self._retired:
                return
            self._retired = True
        self._state.spawn(self._end)

    def kill(self) -> None:
        """End the server's process now, and remove its folder."""
        self._retired = True
        if self._process is not None:
            process_group.kill(self._process)
            self._process.wait()
        self.connections.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def revive(self) -> None:
        """Start a server that has ended by itself again, in the background, as SageMaker does."""
        with self._changed:
            if self._retired or self._reviving or self.ended is None or self._again is None:
                return
            self._reviving = True
        self._state.spawn(self._revive, self._again)

    @property
    def ready(self) -> bool:
        """Whether the server can take requests: it is neither ended, retired nor restarting."""
        return not (self._retired or self._reviving) and self.ended is None

    @property
    def ended(self) -> int | None:
        """The exit code of the server's process, if it ended by itself."""
        return None if self._process is None else self._process.poll()

    def _revive(self, again: Callable[[], str | None]) -> None:
        """Restart the server by calling `again`, which returns an error message or None.

        After a failure it waits before the next attempt. A server that was retired meanwhile is
        killed.
        """
        try:
            problem = again()
            if self._retired:  # it was given up meanwhile, as in `start`
                self.kill()
            elif problem is not None:
                self._state.stopping.wait(_AGAIN)
        finally:
            self._reviving = False

    def _end(self) -> None:
        """End the server's process after the requests under way."""
        deadline = time.monotonic() + _DRAIN
        with self._changed:
            while self._busy and (left := max(deadline, self._until) - time.monotonic()) > 0:
                self._changed.wait(left)
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        self.kill()

    def _run(self, container: containers.Container, seconds: float) -> str | None:
        """Start the server's process in a container, and wait until it is healthy.

        It returns an error message, such as after `seconds`, or None.
        """
        port = free_port()
        where = {"{model}": containers.local(container, self._contract.model), "{port}": str(port)}
        words = [_fill(word, where) for word in self._program.command]
        variables = {name: _fill(value, where) for name, value in self._contract.variables.items()}
        argv = containers.command(container, words, list(self._contract.arguments))
        try:
            environment = containers.environment(
                container, self._program.stack, {**variables, **self._program.variables}
            )
            self._process = process_group.start(
                argv, folder=container.work, env=environment, grace=_GRACE
            )
        except OSError as error:
            return f"the command of image {self._program.image} does not start: {error}"
        self.connections = Connections(port)
        self._log = self._new_log()
        self._state.spawn(
            self._log.follow, self._process.stdout, self._remarks(container), self._state.stopping
        )
        return self._wait(port, seconds)

    def _wait(self, port: int, seconds: float) -> str | None:
        """Poll the health route until the server is healthy; return an error message or None.

        It waits at most `seconds`.
        """
        deadline = time.monotonic() + seconds
        probe = Connections(port, timeout=2.0)
        problem = "nothing listens"
        try:
            while (
                time.monotonic() < deadline
                and not self._state.stopping.is_set()
                and not self._retired
            ):
                if self.ended is not None:
                    problem = f"the container exited with code {self.ended}"
                    break
                try:
                    answer = probe.ask("GET", self._contract.health)
                    if answer.status == 200:
                        return None
                    problem = f"{self._contract.health} answers {answer.status}"
                except (NotReached, TimedOut) as error:
                    problem = str(error)
                self._state.stopping.wait(0.03)
        finally:
            probe.close()
        return problem + "".join(
            f"\n{line}" for line in list(self._log.last if self._log else ())[-5:]
        )


def _fill(word: str, where: Mapping[str, str]) -> str:
    """Replace the placeholders ({port}, {model} ...) in a word by their values in `where`."""
    for mark, value in where.items():
        word = word.replace(mark, value)
    return word
