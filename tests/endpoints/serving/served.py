"""A model server in this process, for tests: its loop in a thread, its predictions in another."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager
from threading import Event, Thread

import msgspec

from isthmus.endpoints.serving.server import ModelServer
from isthmus.pipelines.models.predictor import load
from isthmus.tests.conformance.toy_models import model_folder, until


class Gate:
    """Predicts once it is open, and tells that it has begun."""

    def __init__(self):
        self.begun, self.open = Event(), Event()
        self.rows = []

    def predict(self, rows):
        self.begun.set()
        assert self.open.wait(120)
        self.rows += rows
        return [row["x"] for row in rows]


def loaded(folder, predictor=None):
    """The toy's model, or another predictor with its manifest."""
    if not folder.exists():
        model_folder(folder, 1.0)
    model = load(folder)
    return model if predictor is None else msgspec.structs.replace(model, predictor=predictor)


@contextmanager
def running(model, *, environ=()):
    """Gives the server; `server.port` and `server.connections` are for tests."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = ModelServer(model, listening, environ=dict(environ))
    server.start()
    server.port, server.connections = listening.getsockname()[1], server._connections
    thread = Thread(target=server.run)
    thread.start()
    server.ended = lambda: not thread.is_alive()
    try:
        yield server
    finally:
        if isinstance(model.predictor, Gate):
            model.predictor.open.set()
        server.stop()
        until(server.ended)


class Caller:
    """One connection; requests as bytes, answers as (status, headers, JSON or None)."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._read = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)
        return self

    def post(self, body=b'{"instances": [{"x": 1}]}', path="/invocations", **headers):
        return self.send(post(body, path, **headers))

    def answer(self):
        status = int(self._read.readline().split()[1])
        headers = {}
        while line := self._read.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        body = self._read.read(int(headers["content-length"]))
        return status, headers, json.loads(body) if body else None

    def is_ended(self):
        """Nothing more comes."""
        return self._read.read(1) == b""

    def close(self):
        self._read.close()
        self.socket.close()


def post(body, path="/invocations", **headers):
    lines = "".join(
        f"{name.replace('_', '-')}: {value}\r\n"
        for name, value in {"content_type": "application/json", **headers}.items()
    )
    return (
        f"POST {path} HTTP/1.1\r\nhost: a.example\r\ncontent-length: "
        f"{len(body)}\r\n{lines}\r\n".encode()
        + body
    )


PING = b"GET /ping HTTP/1.1\r\nhost: a.example\r\n\r\n"
