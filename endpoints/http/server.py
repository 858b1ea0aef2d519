"""How a server of ours listens and ends, whatever its application.

The gateway and the pages end at a signal; the model server and the laptop's router run in a loop
that is somebody else's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Literal

import uvicorn

from ...core import logs, spans
from ...errors import Unavailable
from .asgi_limits import Bounded, Connections, Limits, within_descriptors
from .requests import Application

FINISHING = 30  # seconds for what is under way at SIGTERM; then connections are cut
_IDLE = 75  # seconds for which a connection is kept between requests
_BACKLOG = 2_048


def listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        Unavailable: Nothing can listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Unavailable(
            f"nothing can listen on {host} port {port}: {error.strerror or error}",
            remedy="end what listens there, or take another --port (0: a free one)",
        ) from error


def url(host: str, listening: socket.socket) -> str:
    """Return the URL of a listening socket as text."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def config(application: Any, *, lifespan: Literal["on", "off"]) -> uvicorn.Config:
    """Return uvicorn's settings for an ASGI application, with this server's connection limits."""
    return _config(
        _with_spans(application) if logs.listening("request") or spans.listening() else application,
        Connections(within_descriptors(Limits())),
        lifespan=lifespan,
    )


def _config(
    application: Any,
    connections: Connections,
    *,
    lifespan: Literal["on", "off"],
    backlog: int = _BACKLOG,
) -> uvicorn.Config:
    """Return uvicorn's settings for an application whose connections are limited.

    `backlog` is how many connections may wait to be accepted.
    """
    return uvicorn.Config(
        application,
        http=partial(Bounded, shared=connections),  # type: ignore[arg-type]  # what makes a protocol, as a class does
        ws="none",
        loop="uvloop",
        lifespan=lifespan,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who asks is what the kernel says, not what a header does
        date_header=False,
        backlog=backlog,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=FINISHING,
    )


def _with_spans(application: Any) -> Any:
    """Return an ASGI application that logs each answer, with a tracing span.

    Status 0 says that the caller has gone before.
    """

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def send_noting_status(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            with spans.span(
                f"{scope['method']} {scope['path']}", kind="SERVER", sent=_headers(scope)
            ) as tell:
                await application(scope, receive, send_noting_status)
                tell(
                    **{
                        "http.request.method": scope["method"],
                        "url.path": scope["path"],
                        "http.response.status_code": status,
                    }
                )
        finally:
            took = round(1_000 * (time.perf_counter() - began), 1)
            logs.emit("request", method=scope["method"], path=scope["path"], status=status, ms=took)

    return answer


def _headers(scope: Any) -> dict[str, str]:
    """Return a request's headers as text."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


class Server(uvicorn.Server):
    """A server that ends at a signal: exit code 0 after the first, at once after the second."""

    def __init__(self, settings: uvicorn.Config, *, ending: str, cut: str) -> None:
        """Serve as `settings` say; `ending` and `cut` tell what each signal means."""
        super().__init__(settings)
        self._ending, self._cut = ending, cut

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop the server by SIGINT and SIGTERM, and put the old handlers back at the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        """Begin to stop on a signal; on a second one end the process at once."""
        if self.should_exit:
            say(f"stopped at once: {self._cut}")
            os._exit(128 + number)
        self.should_exit = True
        say(f"stopping: {self._ending}")


class Embedded:
    """An application's server in a loop that somebody else runs and ends."""

    def __init__(self, application: Application, *, backlog: int = _BACKLOG) -> None:
        """`backlog`: connections that the kernel keeps until they are accepted."""
        self.connections = application.connections
        self._uvicorn = uvicorn.Server(
            _config(application, application.connections, lifespan="off", backlog=backlog)
        )

    async def start(self, listening: socket.socket) -> None:
        """Serve the connections of a listening socket."""
        config = self._uvicorn.config
        config.load()
        self._uvicorn.lifespan = config.lifespan_class(config)
        await self._uvicorn.startup(sockets=[listening])

    def close(self) -> None:
        """Stop accepting connections."""
        for server in self._uvicorn.servers:
            server.close()


def say(text: str) -> None:
    """Write a line to stderr; ignore an error in that, as the server must go on."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)
