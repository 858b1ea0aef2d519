"""One process that serves a project's gateways over HTTP.

It is all of a gateway, or one of its workers (workers.py starts those).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from ....core import logs
from ....core.runtime.project import Project
from ....errors import IsthmusError
from ...http.door import TOKEN, door
from ...http.peers import allowed_users
from ...http.server import Server, say
from ...http.server import config as listening_config
from ..processes.shared_folder import shared_folder
from .application import Application
from .sample import Sampler
from .service import Service

_ENDING = "what is under way is finished, what was answered delivered"
_CUT = "what was answered and not delivered is lost"
NOT_OPENED = 3  # exit code of a worker whose project, or target, does not open


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that every process of a gateway gets. The token is in the environment only."""

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

    settings: GatewaySettings
    folder: str
    slot: int
    fd: int
    warm_first: bool  # the others serve meanwhile


def serve(project: Project, settings: GatewaySettings, listening: socket.socket) -> None:
    """Serve the gateways until SIGTERM or SIGINT, then finish open requests and write the log.

    A second signal ends the process at once.
    """
    folder = shared_folder()
    try:
        hangs = _run(partial(_service, project, settings, folder, 0), settings, listening)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if hangs:
        os._exit(0)


def _service(project: Project, settings: GatewaySettings, folder: Path, slot: int) -> Service:
    """Create the service of all gateways for a worker process.

    `folder` is shared by all workers; `slot` is this worker's number.
    """
    sampler = Sampler(
        project=settings.project,
        target=settings.target,
        offline=settings.offline,
        folder=str(folder),
    )
    return Service(
        project,
        settings.endpoints,
        folder=folder,
        slot=slot,
        sampler=sampler,
        durable=settings.durable,
    )


def _run(
    make: Callable[[], Service],
    settings: GatewaySettings,
    listening: socket.socket,
    *,
    warm_first: bool = False,
) -> bool:
    """Serve until a signal; return whether a thread still hangs, so that the process would not end.

    The log rows of all answers are written by then. With `warm_first` requests are accepted only
    once the models are warm.
    """
    request_door = door(
        listen=settings.host,
        allow_hosts=settings.allow_hosts,
        token=os.environ.get(TOKEN),
        users=allowed_users(),
    )
    application = Application(make, request_door)
    config = listening_config(application, lifespan="on")
    server = Server(config, ending=_ENDING, cut=_CUT)

    async def run() -> None:
        if warm_first:
            await application.warmed()
        await server.serve(sockets=[listening])

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(run())
    say(f"stopped; {application.lost:,} rows lost")
    return application.still_running


def main(text: str) -> int:
    """Run a worker process: open the project, and serve until the supervisor stops it.

    `text` has its settings as JSON. Returns the exit code.
    """
    from ....core.runtime.project import open as open_project

    worker = msgspec.json.decode(text, type=Worker)
    logs.configure()
    settings = worker.settings
    threading.Thread(target=_end_with_parent, daemon=True).start()
    listening = socket.socket(fileno=worker.fd)
    try:
        with open_project(
            settings.project, target=settings.target, offline=settings.offline
        ) as project:
            make = partial(_service, project, settings, Path(worker.folder), worker.slot)
            hangs = _run(make, settings, listening, warm_first=worker.warm_first)
    except IsthmusError as error:
        print(
            f"error  {error}",
            *([f"       {error.remedy}"] if error.remedy else []),
            sep="\n",
            file=sys.stderr,
            flush=True,
        )
        return NOT_OPENED
    if hangs:
        os._exit(0)
    return 0


def _end_with_parent() -> None:
    """Stop this worker process, as SIGTERM would, once the supervisor's process is gone."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # the supervisor was killed: as if it had asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
