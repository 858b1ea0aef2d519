"""The process behind a local endpoint.

It keeps the variants' processes as the row in SQLite says, and routes requests to them.

Its watcher (watcher.py) starts it with open files: the lock, the listening socket, the pipe that
the variants' processes live by, and a pipe each way between the two. Each starts the other again
when it dies. It ends when its row is gone. Nothing that it knows is lost with it: started again it
reads the row, and takes over the processes that supervisor.json names.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from ....core import logs
from ....core.formats import decode
from ....endpoints.http.peers import allowed_users
from ....endpoints.http.server import Embedded
from ....endpoints.revision import identity, revision_of_variants
from ..home import database
from ..processes import alive, kill_now, members, start_time
from . import log_files, supervision
from .balancer import RETURN_WAIT, TIMEOUT, Balancer
from .model_server import ModelServer
from .request_log import KEPT, RequestLog
from .router import CONNECTIONS, Router
from .rows import (
    EndpointRow,
    Report,
    RunningServer,
    SupervisorAddress,
    endpoint_folder,
    read,
    steps,
)
from .serving_code import own_code
from .variant import Variant

POLL = 0.5  # seconds; the host also says at once when it wrote
SERVER = "isthmus.endpoints.server"
# seconds in which connected clients are answered once more, before a supervisor leaves
LAST_ANSWERS = 1.0
RESERVED = 100  # descriptors for what is no client's connection


class Descriptors(msgspec.Struct, frozen=True):
    """Open files that the watcher gave. `up`, `down`: the pipes to and from it."""

    lock: int
    listen: int
    life_read: int
    life_write: int
    up: int
    down: int


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of an endpoint's requests and of its log."""

    max_bytes: int  # of a request and of an answer
    timeout: float = TIMEOUT  # seconds
    return_wait: float = RETURN_WAIT
    keep_log: timedelta = KEPT


class Supervisor:
    """The supervisor of one endpoint.

    `arguments`: its own, for the watcher that it starts when there is none any more. `again`: it
    follows one that has died.
    """

    def __init__(
        self,
        home: Path,
        name: str,
        address: SupervisorAddress,
        *,
        limits: Limits,
        fds: Descriptors,
        arguments: Sequence[str],
        again: bool,
    ) -> None:
        self.name = name
        self.home = home
        self.folder = endpoint_folder(home, name)
        self.address = address
        self.limits = limits
        self.fds = fds
        self.arguments = arguments
        self.again = again
        self.log = RequestLog(self.folder / "requests", keep=limits.keep_log)
        self.router = Router(
            instance=address.instance,
            key=address.key,
            max_bytes=limits.max_bytes,
            control=self.control,
            log=self.log.write,
            connections=_connections(),
            users=allowed_users(),
        )
        self.connection = database(home)
        self.row: EndpointRow | None = None
        self.variants: dict[str, Variant] = {}
        self.ending: set[asyncio.Task[None]] = set()
        self.done = asyncio.Event()
        self._unadopted = list(address.servers) if again else []
        self._changed = asyncio.Event()
        self._server: Embedded | None = None
        own_code()  # of the files as they are now

    def follow(self) -> None:
        """Start, resize and end model servers and set the traffic split by the endpoint's row.

        The row is the endpoint's record in the database. It is done when this returns, so the
        report that follows shows the new state.
        """
        row = read(self.connection, self.name)
        if row is None or row.instance != self.address.instance:
            self.done.set()
            return
        if self.row is not None and row.version == self.row.version:
            return
        specs = {spec.name: spec for spec in row.spec.variants}
        for name, variant in list(self.variants.items()):
            if name not in specs or identity(specs[name]) != identity(variant.spec):
                self._end(self.variants.pop(name))
        for name, spec in specs.items():
            if name not in self.variants:
                limits = self.limits
                balancer = Balancer(
                    name,
                    spec.version,
                    timeout=limits.timeout,
                    return_wait=limits.return_wait,
                    max_answer=limits.max_bytes,
                )
                self.variants[name] = Variant(
                    spec,
                    self.home / row.folders[name],
                    self.folder / "logs" / f"{name}.log",
                    balancer,
                    life=self.fds.life_read,
                    running=self._adopt(identity(spec)),
                    changed=self._changed.set,
                )
                leaving = self.variants[name].surplus
            else:
                leaving = self.variants[name].resize(spec)
            for server in leaving:
                self._end(server)
        self.variants = {name: self.variants[name] for name in specs}
        self.router.balancers = {name: variant.balancer for name, variant in self.variants.items()}
        self.router.split(steps(row.split))
        self.row = row

    def _adopt(self, variant: tuple[str, str, int, str, int]) -> list[RunningServer]:
        """Return the running processes of a variant that an earlier supervisor left.

        This supervisor takes them over instead of starting others.
        """
        mine = [server for server in self._unadopted if server.identity == variant]
        self._unadopted = [server for server in self._unadopted if server.identity != variant]
        return [server for server in mine if alive(server.pid, server.started)]

    def control(self, method: str, path: str) -> tuple[int, bytes]:
        """Answer a request to a control route of the router; return HTTP status and JSON."""
        if path == "follow" and method == "POST":
            self.follow()
        elif path == "again" and method == "POST":
            self.follow()
            for variant in self.variants.values():
                variant.again()
        elif path == "renew" and method == "POST":
            for variant in self.variants.values():
                if any(server.older for server in variant.servers):
                    self._begin(variant.renew())
        elif path == "replace" and method == "POST":
            self._begin(self._leave())
        elif path != "state":
            return 404, b'{"error": "NotFound"}'
        return 200, msgspec.json.encode(self.report())

    def report(self) -> Report:
        """Return a report of what runs: variants, their processes, and the traffic split."""
        row = self.row
        return Report(
            token=row.token if row else "",
            revision=revision_of_variants(
                (v.spec for v in self.variants.values()),
                routing=row.spec.routing if row else "weighted",
            ),
            split=row.split if row else {},
            variants=tuple(variant.report() for variant in self.variants.values()),
            code=own_code(),
        )

    def _end(self, leaving: Variant | ModelServer) -> None:
        """Start a task that ends the processes of a variant, or a single model server."""
        self._begin(leaving.end())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Start an asyncio task, and hold a reference to it until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self.ending.add(task)
        task.add_done_callback(self.ending.discard)

    async def _leave(self) -> None:
        """Exit, so that the watcher starts a supervisor with the code that is installed now.

        The next one takes over the model servers. New connections wait in the socket's queue
        meanwhile; connected clients get a last answer that closes their connection.
        """
        if self._server is None:
            return
        self._server.close()
        connections = self._server.connections
        connections.stop_keeping()
        await asyncio.sleep(LAST_ANSWERS)
        connections.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.limits.timeout):
                await connections.ended.wait()
        print(
            "isthmus: leaving to another supervisor, as deploy asked", file=sys.stderr, flush=True
        )
        os._exit(0)  # a clean end would end the model servers, too

    async def run(self, listening: socket.socket) -> None:
        """Serve the endpoint until its row is deleted, or a signal comes."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.done.set)
        self.follow()
        if self.again:
            self._end_strangers()
        self._server = server = Embedded(self.router.application, backlog=supervision.BACKLOG)
        await server.start(listening)
        writer = loop.create_task(self._write_down())
        loop.add_reader(self.fds.down, self._restart_watcher)
        with suppress(BrokenPipeError):  # then the other pipe tells of it
            os.write(self.fds.up, b"u")
        while not self.done.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.done.wait(), POLL)
            for log in self._logs():
                await asyncio.to_thread(log_files.limit, log)  # in a thread, as below
            if not self.done.is_set():
                self.follow()
        server.close()
        for variant in self.variants.values():
            self._end(variant)
        await asyncio.gather(*self.ending)
        writer.cancel()
        self.connection.close()
        loop.remove_reader(self.fds.down)
        with suppress(BrokenPipeError):
            os.write(self.fds.up, b"e")  # else the watcher would start it again

    def _logs(self) -> list[Path]:
        """Return the paths of the logs, the supervisor's and the variants', to limit in size.

        They can grow with each request: by verbose logging (`-v`), and by what a model prints.
        """
        return [
            self.folder / "supervisor.log",
            *(self.folder / "logs" / f"{name}.log" for name in self.variants),
        ]

    async def _write_down(self) -> None:
        """Store which model servers run in supervisor.json, if that has changed.

        A supervisor that takes over reads it. It is written in a thread: the disk must not stop the
        answers.
        """
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            servers = [
                s.running
                for v in self.variants.values()
                for s in v.servers
                if s.running is not None
            ]
            self.address = msgspec.structs.replace(
                self.address, pid=os.getpid(), group=os.getpgrp(), servers=tuple(servers)
            )
            try:
                await asyncio.to_thread(supervision.write_address, self.folder, self.address)
            except (
                OSError
            ) as error:  # a full disk: it serves on, and who takes over does not know of the newest
                print(f"supervisor.json: {error}", file=sys.stderr, flush=True)

    def _restart_watcher(self) -> None:
        """Start another watcher process after the last one ended.

        It gets the same files, and a new pipe to this process.
        """
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.fds.down)
        print("isthmus: the watcher has died; starting another", file=sys.stderr, flush=True)
        for descriptor in (self.fds.up, self.fds.down):
            os.close(descriptor)
        from_me, up = os.pipe()
        down, to_me = os.pipe()
        fds = msgspec.structs.replace(self.fds, up=up, down=down)
        supervision.start_watcher(
            (fds.lock, fds.listen, fds.life_read, fds.life_write, from_me, to_me),
            self.arguments,
            session=False,
        )
        os.close(from_me)
        os.close(to_me)
        self.fds = fds
        loop.add_reader(down, self._restart_watcher)

    def _end_strangers(self) -> None:
        """Kill running model server processes that belong to none of this supervisor's variants.

        They are of variants that were removed meanwhile, or were started in the moment in which a
        supervisor died.
        """
        for server in self._unadopted:
            kill_now(server.pid, server.started)
        self._unadopted = []
        own_pids = {server.pid for server in self.address.servers}
        for member in members(os.getpgrp()):
            if (
                SERVER in member.command
                and member.pid not in own_pids
                and member.parent not in own_pids
            ):
                kill_now(member.pid, start_time(member.pid) or "")


def _connections() -> int:
    """Return how many client connections the router may have open at once.

    It raises this process's limit of file descriptors if it can, and stays below it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = CONNECTIONS + RESERVED
    if soft != resource.RLIM_INFINITY and soft < enough:
        soft = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        CONNECTIONS
        if soft == resource.RLIM_INFINITY
        else min(CONNECTIONS, max(soft // 2, soft - RESERVED))
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the supervisor process of one endpoint, as command-line arguments say."""
    parser = argparse.ArgumentParser(prog="isthmus.adapters.local.supervisor")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--max-bytes", type=int, required=True)
    parser.add_argument("--timeout", type=float, default=TIMEOUT)
    parser.add_argument("--return-wait", type=float, default=RETURN_WAIT)
    parser.add_argument("--keep-log", type=float, default=KEPT.total_seconds(), help="seconds")
    parser.add_argument("--fds", required=True)
    parser.add_argument(
        "--again",
        action="store_true",
        help="an earlier supervisor has died: take over what it left",
    )
    argv = list(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(argv)
    logs.configure()
    fds = Descriptors(*map(int, options.fds.split(",")))
    for descriptor in msgspec.structs.astuple(fds):
        os.set_inheritable(descriptor, False)  # the variants must not hold the lock after us
    folder = endpoint_folder(options.home, options.name)
    address = decode(
        (folder / "supervisor.json").read_bytes(),
        SupervisorAddress,
        what=str(folder / "supervisor.json"),
    )
    limits = Limits(
        max_bytes=options.max_bytes,
        timeout=options.timeout,
        return_wait=options.return_wait,
        keep_log=timedelta(seconds=options.keep_log),
    )
    # the server closes its own; this one is the next watcher's
    listening = socket.socket(fileno=os.dup(fds.listen))
    listening.setblocking(False)
    own = argv[: argv.index("--fds")]

    async def supervise() -> None:
        await Supervisor(
            options.home,
            options.name,
            address,
            limits=limits,
            fds=fds,
            arguments=own,
            again=options.again,
        ).run(listening)

    import uvloop

    uvloop.run(supervise())
    return 0


if __name__ == "__main__":
    logs.tolerate_full_disk()
    sys.exit(main())
