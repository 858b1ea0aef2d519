"""The laptop's router over raw sockets. The variant behind it answers at once, or when told."""

import json
import socket
import threading
import time
from contextlib import contextmanager, suppress

import uvloop

from isthmus.adapters.local.endpoints.router import Router
from isthmus.endpoints.http.requests import JsonAnswer
from isthmus.endpoints.http.server import Embedded

MOST = 100_000
GOOD = (
    b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: "
    b"application/json\r\ncontent-length: 2\r\n\r\n{}"
)


class Variant:
    """In the place of a balancer."""

    def __init__(self):
        self.asked = []
        self.hold = False
        self.reply = b"{}"

    def send(self, exchange):
        self.asked.append(exchange)
        if not self.hold:
            self.answer(exchange)

    def answer(self, exchange):
        exchange.done(JsonAnswer(200, self.reply))


class Served:
    """A router in a thread of its own."""

    def __init__(self, **options):
        self.variant = Variant()
        self.logged = []
        self.broken = False
        self.ready = threading.Event()
        self.options = options
        self.thread = threading.Thread(target=lambda: uvloop.run(self._run()))
        self.thread.start()
        assert self.ready.wait(60)

    async def _run(self):
        import asyncio

        self.loop = asyncio.get_running_loop()
        self.done = asyncio.Event()
        self.router = Router(
            instance="i",
            key="secret",
            max_bytes=MOST,
            control=self._control,
            log=lambda *line: self.logged.append(line),
            **self.options,
        )
        self.router.balancers = {"champion": self.variant}
        self.router.split([("champion", 10_000)])
        self.connections = self.router.application.connections
        server = Embedded(self.router.application)
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
            self.port = listening.getsockname()[1]
            await server.start(listening.dup())
        self.ready.set()
        await self.done.wait()
        server.close()

    def _control(self, _method, path):
        if self.broken:
            raise OSError("the disk is full")
        return 200, b'{"asked": "%s"}' % path.encode()

    def call(self, act):
        self.loop.call_soon_threadsafe(act)

    def end(self):
        self.call(self.done.set)
        self.thread.join(60)


@contextmanager
def serving(**options):
    served = Served(**options)
    try:
        yield served
    finally:
        served.end()


def connect(served):
    return socket.create_connection(("127.0.0.1", served.port), timeout=60)


def read_all(connection):
    answer = b""
    while part := connection.recv(65_536):
        answer += part
    return answer


def read_one(connection):
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < size:
        body += connection.recv(65_536)
    return int(head[9:12]), body


def asked(served, data, *, end=False):
    """Every answer on a connection of its own that it then closes: (status, JSON)."""
    with connect(served) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # it was answered before all was sent
            connection.sendall(data)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return answers(read_all(connection))


def answers(data):
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        found.append((int(head[9:12]), json.loads(rest[:size])))
        data = rest[size:]
    return found


def request(*, method=b"POST", path=b"/invocations", body=b"{}", **headers):
    lines = {
        "host": b"localhost",
        "content-type": b"application/json",
        "connection": b"close",
    } | headers
    text = b"".join(
        b"%s: %s\r\n" % (name.replace("_", "-").encode(), value)
        for name, value in lines.items()
        if value is not None
    )
    return b"%s %s HTTP/1.1\r\n%scontent-length: %d\r\n\r\n%s" % (
        method,
        path,
        text,
        len(body),
        body,
    )


def wait(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
