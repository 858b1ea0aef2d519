"""One process that serves a project's gateways over HTTP: all of a gateway, or one of its workers (workers.py starts those)."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import uvicorn

from ...errors import IsthmusError, Unavailable
from ...runtime import Project
from ..door import TOKEN, door
from .application import Application
from .asgi_limits import Bounded, Limits, within_descriptors
from .sample import Sampler
from .service import Service
from .shared_folder import shared_folder

FINISHING = 30  # seconds for what is under way at SIGTERM; then connections are cut
IDLE = 75  # seconds for which a connection is kept between requests
BACKLOG = 2_048
NOT_OPENED = 3  # exit code of a worker whose project, or target, does not open


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every process of a gateway gets. The token is in the environment only."""

    project: str = "project.yaml"
    target: str | None = None
    offline: bool = False
    endpoints: tuple[str, ...] = ()  # none: all of them
    host: str = "127.0.0.1"
    port: int = 8800
    allow_hosts: tuple[str, ...] = ()
    durable: bool = False


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """One of several processes on one socket."""

    settings: Settings
    folder: str
    slot: int
    fd: int
    warm_first: bool  # the others serve meanwhile


def listener(settings: Settings) -> socket.socket:
    """Unavailable: nothing can listen there."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Unavailable(
            f"nothing can listen on {settings.host} port {settings.port}: {error.strerror or error}",
            remedy="end what listens there, or take another --port (0: a free one)",
        ) from error


def url(settings: Settings, listening: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listening.getsockname()[1]}"


def serve(project: Project, settings: Settings, listening: socket.socket) -> None:
    """Until SIGTERM or SIGINT: what is under way is finished, what was answered delivered. A second signal ends at once."""
    folder = shared_folder()
    try:
        hangs = _run(partial(_service, project, settings, folder, 0), settings, listening)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if hangs:
        os._exit(0)


def _service(project: Project, settings: Settings, folder: Path, slot: int) -> Service:
    sampler = Sampler(project=settings.project, target=settings.target, offline=settings.offline, folder=str(folder))
    return Service(project, settings.endpoints, folder=folder, slot=slot, sampler=sampler, durable=settings.durable)


def _run(make: Callable[[], Service], settings: Settings, listening: socket.socket, *, warm_first: bool = False) -> bool:
    """Whether something hangs that Python would wait for at its end, though all that was answered is delivered."""
    at = door(listen=settings.host, allow_hosts=settings.allow_hosts, token=os.environ.get(TOKEN))
    application = Application(make, at)
    config = uvicorn.Config(
        application,
        http=partial(Bounded, limits=within_descriptors(Limits()), waiting={}),  # type: ignore[arg-type]  # what makes a protocol, as a class does
        ws="none",
        loop="uvloop",
        lifespan="on",
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=FINISHING,
    )

    async def run() -> None:
        if warm_first:
            await application.warmed()
        await _Server(config).serve(sockets=[listening])

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(run())
    print(f"stopped; {application.lost:,} rows lost", file=sys.stderr, flush=True)
    return application.still_running


class _Server(uvicorn.Server):
    """With our signals: exit code 0 after the first, at once after the second."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        if self.should_exit:
            print("stopped at once: what was answered and not delivered is lost", file=sys.stderr, flush=True)
            os._exit(128 + number)
        print("stopping: what is under way is finished, what was answered delivered", file=sys.stderr, flush=True)
        self.should_exit = True


def main(text: str) -> int:
    from ...runtime import open as open_project

    worker = msgspec.json.decode(text, type=Worker)
    settings = worker.settings
    threading.Thread(target=_end_with_parent, daemon=True).start()
    listening = socket.socket(fileno=worker.fd)
    try:
        with open_project(settings.project, target=settings.target, offline=settings.offline) as project:
            make = partial(_service, project, settings, Path(worker.folder), worker.slot)
            hangs = _run(make, settings, listening, warm_first=worker.warm_first)
    except IsthmusError as error:
        print(f"error  {error}", *([f"       {error.remedy}"] if error.remedy else []), sep="\n", file=sys.stderr, flush=True)
        return NOT_OPENED
    if hangs:
        os._exit(0)
    return 0


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # the supervisor was killed: as if it had asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
