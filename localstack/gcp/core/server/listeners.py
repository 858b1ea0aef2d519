"""Both ports of a stack, on one event loop in a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import uvloop

from . import grpc_server
from .connections import Connections
from .http import Connection

if TYPE_CHECKING:
    from .front import Front

_THREADS = 48


class Server:
    """The listening ports. OSError if the port is taken."""

    def __init__(self, front: Front, host: str, port: int) -> None:
        self._front = front
        self._socket = socket.create_server((host, port))
        self.port: int = self._socket.getsockname()[1]
        self._loop = uvloop.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="handler"))
        self._ended = threading.Event()
        self._grpc: Any = None
        threading.Thread(target=self._loop.run_forever, name="loop", daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._start(host), self._loop).result()

    async def _start(self, host: str) -> None:
        """Listen on the HTTP and the gRPC port of a host; called in the event loop."""
        self._grpc, port = await grpc_server.serve(self._front, host)
        self._front.grpc_address, self._front.grpc_port = f"{host}:{port}", port
        connections = Connections(self._loop)
        await self._loop.create_server(
            lambda: Connection(self._front, self._loop, connections), sock=self._socket
        )

    def run(self) -> None:
        """Serve requests until `close` is called, blocking this thread."""
        self._ended.wait()

    def close(self, seconds: float) -> None:
        """Stop listening, and give running calls at most `seconds` to end."""
        self._socket.close()
        asyncio.run_coroutine_threadsafe(self._grpc.stop(seconds), self._loop).result(seconds + 1)
        self._ended.set()
