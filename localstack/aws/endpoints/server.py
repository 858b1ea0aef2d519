"""One model server: a process, its connections, its log, its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable

from ...jobs import container as containers
from ...jobs.images import command_of
from ...serving.connections import Connections, NotReached, TimedOut
from ..registry import Context
from .logs import VariantLog
from .models import Content, fetch

_DRAIN = 60.0  # seconds that requests under way get, as SageMaker's own limit
_GRACE = 10.0  # between SIGTERM and SIGKILL

# The command dies when our end of its pipe closes, however this process ends: SIGTERM reaches it from the watching half.
_WATCHED = 'exec 3<&0; "$@" 3<&- </dev/null & child=$!; { cat <&3; kill $child; } >/dev/null 2>&1 & wait $child'


class Server:
    """Made stopped; `start` returns once the container answers /ping. `enter` and `leave` count the requests under way."""

    def __init__(self, ctx: Context, endpoint: str, variant: str, source: Content) -> None:
        self.source = source
        self.resolved = ctx.clock.now()
        self.stream = f"{variant}/i-{uuid.uuid4().hex[:17]}"
        self.group = f"/aws/sagemaker/Endpoints/{endpoint}"
        self.connections = Connections(0)
        self._ctx = ctx
        self._folder = ctx.home / "endpoints" / f"{endpoint}-{variant}-{uuid.uuid4().hex[:8]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._log: VariantLog | None = None
        self._busy = 0
        self._retired = False
        self._reviving = False
        self._again: Callable[[], str | None] | None = None
        self._changed = threading.Condition()

    def start(self, seconds: float) -> str | None:
        """Fetch the model, run the command, wait for /ping. What went wrong, else None. NoModel for the model's own failings."""
        command = command_of(self._ctx.images, self.source.image)
        if command is None:
            return unmapped(self.source.image)
        container = containers.make(self._folder)
        (container.ml / "model").mkdir(exist_ok=True)
        fetch(self._ctx, self.source, container.ml / "model")
        self._ctx.on_stop(self.kill)
        self._again = lambda: self._run(container, command, seconds)
        return self._again()

    def enter(self) -> bool:
        """False: it has gone; pick again."""
        with self._changed:
            if self._retired:
                return False
            self._busy += 1
            return True

    def leave(self) -> None:
        with self._changed:
            self._busy -= 1
            if self._retired:
                self._changed.notify_all()

    def retire(self) -> None:
        """No new request; the process ends when those under way are done."""
        with self._changed:
            if self._retired:
                return
            self._retired = True
        self._ctx.spawn(self._end)

    def kill(self) -> None:
        self._retired = True
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.connections.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def revive(self) -> None:
        """Start the process again if it has ended by itself, as SageMaker restarts a container. Returns at once."""
        with self._changed:
            if self._retired or self._reviving or self.ended is None or self._again is None:
                return
            self._reviving = True
        self._ctx.spawn(self._revive, self._again)

    @property
    def ended(self) -> int | None:
        """The process's code, if it has ended by itself."""
        return None if self._process is None else self._process.poll()

    def _revive(self, again: Callable[[], str | None]) -> None:
        try:
            again()
        finally:
            self._reviving = False

    def _end(self) -> None:
        deadline = time.monotonic() + _DRAIN
        with self._changed:
            while self._busy and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        self.kill()

    def _run(self, container: containers.Container, command: list[str], seconds: float) -> str | None:
        port = _free_port()
        root = f"{container.root}/model"
        words = [word.replace("{model}", root).replace("{port}", str(port)) for word in command]
        variables = {
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "SAGEMAKER_SAFE_PORT_RANGE": f"{port}-{port}",
            "SM_MODEL_DIR": root,
            "AWS_REGION": self._ctx.region,
            **self.source.environment,
        }
        argv = containers.command(container, words, ["serve"])
        try:
            self._process = subprocess.Popen(
                ["sh", "-c", _WATCHED, "sh", *argv],
                cwd=container.folder / "work",
                env=containers.environment(container, self._ctx.env, variables),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return f"the command of image {self.source.image} does not start: {error}"
        self.connections = Connections(port)
        self._log = VariantLog(self._ctx.client("logs"), self.group, self.stream)
        self._ctx.spawn(self._log.follow, self._process.stdout, containers.remarks(container, 1), self._ctx.stopping)
        return self._wait(port, seconds)

    def _wait(self, port: int, seconds: float) -> str | None:
        deadline = time.monotonic() + seconds
        probe = Connections(port, timeout=2.0)
        said = "nothing listens"
        try:
            while time.monotonic() < deadline and not self._ctx.stopping.is_set() and not self._retired:
                if self.ended is not None:
                    said = f"the container exited with code {self.ended}"
                    break
                try:
                    answer = probe.ask("GET", "/ping")
                    if answer.status == 200:
                        return None
                    said = f"/ping answers {answer.status}"
                except (NotReached, TimedOut) as error:
                    said = str(error)
                self._ctx.stopping.wait(0.03)
        finally:
            probe.close()
        return said + "".join(f"\n{line}" for line in list(self._log.last if self._log else ())[-5:])


def unmapped(image: str) -> str:
    return (
        f"the local stack does not pull images, and no command is mapped to '{image}': start it with --image NAME=COMMAND, or name it "
        "under `images` in profiles.yaml"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
