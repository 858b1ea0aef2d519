"""The process behind a local endpoint: it keeps the variants' processes as the row in SQLite says, and routes requests to them.

Started detached by LocalEndpointHost with three open files: the lock (held while this process lives), the listening socket and the log.
It ends when its row is gone. Nothing that it knows is lost with it: started again it reads the row.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ...endpoints.revision import identity, revision_of_variants
from ...formats import decode
from .endpoint_rows import Address, EndpointRow, Report, endpoint_folder, read, steps
from .files import replacing
from .home import database
from .model_server import ModelServer
from .request_log import RequestLog
from .router import Router
from .variant import Variant

POLL = 0.5  # seconds; the host also says at once when it wrote


class Supervisor:
    def __init__(self, home: Path, name: str, address: Address, *, max_bytes: int) -> None:
        self.name = name
        self.home = home
        self.folder = endpoint_folder(home, name)
        self.address = address
        self.log = RequestLog(self.folder / "requests")
        self.router = Router(instance=address.instance, key=address.key, max_bytes=max_bytes, control=self.control, log=self.log.write)
        self.connection = database(home)
        self.row: EndpointRow | None = None
        self.variants: dict[str, Variant] = {}
        self.ending: set[asyncio.Task[None]] = set()
        self.done = asyncio.Event()

    def follow(self) -> None:
        """Bring processes and split to the row. Synchronous: whoever asked sees the new state in the answer."""
        row = read(self.connection, self.name)
        if row is None or row.instance != self.address.instance:
            self.done.set()
            return
        if self.row is not None and row.version == self.row.version:
            return
        wanted = {spec.name: spec for spec in row.spec.variants}
        for name, variant in list(self.variants.items()):
            if name not in wanted or identity(wanted[name]) != identity(variant.spec):
                self._end(self.variants.pop(name))
        for name, spec in wanted.items():
            if name not in self.variants:
                log = self.folder / "logs" / f"{name}.log"
                self.variants[name] = Variant(spec, self.home / row.folders[name], log)
            for server in self.variants[name].resize(spec):
                self._end(server)
        self.variants = {name: self.variants[name] for name in wanted}
        self.router.pools = {name: variant.pool for name, variant in self.variants.items()}
        self.router.split(steps(row.split))
        self.row = row

    def control(self, method: str, path: str) -> tuple[int, bytes]:
        if path == "follow" and method == "POST":
            self.follow()
        elif path == "again" and method == "POST":
            self.follow()
            for variant in self.variants.values():
                variant.again()
        elif path != "state":
            return 404, b'{"error": "NotFound"}'
        return 200, msgspec.json.encode(self.report())

    def report(self) -> Report:
        row = self.row
        return Report(
            token=row.token if row else "",
            revision=revision_of_variants((v.spec for v in self.variants.values()), routing=row.spec.routing if row else "weighted"),
            split=row.split if row else {},
            variants=tuple(variant.report() for variant in self.variants.values()),
        )

    def _end(self, leaving: Variant | ModelServer) -> None:
        task = asyncio.get_running_loop().create_task(leaving.end())
        self.ending.add(task)
        task.add_done_callback(self.ending.discard)

    async def run(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.done.set)
        self.follow()
        server = await loop.create_server(self.router.protocol, sock=listening)
        with replacing(self.folder / "supervisor.json") as file:
            file.write(msgspec.json.encode(msgspec.structs.replace(self.address, pid=os.getpid())))
        (self.folder / "supervisor.json").chmod(0o600)  # it holds the control routes' key
        while not self.done.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.done.wait(), POLL)
            if not self.done.is_set():
                self.follow()
        server.close()
        for variant in self.variants.values():
            self._end(variant)
        await asyncio.gather(*self.ending)
        self.connection.close()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="isthmus.adapters.local.supervisor")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--lock-fd", type=int, required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--max-bytes", type=int, required=True)
    options = parser.parse_args(arguments)
    os.set_inheritable(options.lock_fd, False)  # the variants must not hold the lock after us
    path = endpoint_folder(options.home, options.name) / "supervisor.json"
    address = decode(path.read_bytes(), Address, what=str(path))
    listening = socket.socket(fileno=options.listen_fd)
    listening.setblocking(False)
    listening.set_inheritable(False)

    async def supervise() -> None:
        await Supervisor(options.home, options.name, address, max_bytes=options.max_bytes).run(listening)

    import uvloop

    uvloop.run(supervise())
    return 0


if __name__ == "__main__":
    sys.exit(main())
