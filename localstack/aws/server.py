"""The stack as a process: waitress before the front, on loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import create_server

from ..clock import Clock, Mode
from ..faults import Faults
from . import handler_modules
from .front import Cut, Front
from .registry import QUERY_MEMORY, Stack, State

HOST = "127.0.0.1"
PORT = 4599
_THREADS = 32
_BODY = 5 << 30  # S3's largest single PUT


def serve(
    *,
    port: int = PORT,
    images: Mapping[str, str] | None = None,
    clock: Mode = "real",
    home: Path | None = None,
    query_memory: int = QUERY_MEMORY,
    more: tuple[str, ...] = (),
    ready: Path | None = None,
    until_stdin_closes: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT. `ready`: a file that gets {"url", "pid"} once the stack listens. OSError when the port is taken."""
    with contextlib.ExitStack() as cleanup:
        folder = home or Path(cleanup.enter_context(TemporaryDirectory(prefix="isthmus-aws-", ignore_cleanup_errors=True)))
        folder.mkdir(parents=True, exist_ok=True)
        handler_modules.load(more)
        stack = Stack(clock=Clock(clock), faults=Faults(), images=images or {}, home=folder, query_memory=query_memory, state=State())
        front = Front(stack)
        server: Any = create_server(
            _cutting(front),
            host=HOST,
            port=port,
            threads=_THREADS,
            max_request_body_size=_BODY,
            connection_limit=1000,
            ident="isthmus",
            clear_untrusted_proxy_headers=True,
            asyncore_use_poll=True,
        )
        server.channel_class = _Channel
        stack.url = f"http://{HOST}:{server.effective_port}"
        cleanup.callback(server.close)
        cleanup.callback(front.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        if until_stdin_closes:
            threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()
        if ready is not None:
            _write(ready, {"url": stack.url, "pid": os.getpid(), "clock": clock})
            cleanup.callback(ready.unlink, missing_ok=True)
        with contextlib.suppress(SystemExit, KeyboardInterrupt):
            server.run()


def _stop(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def _end_with_stdin() -> None:
    """The process that started us is gone, however it went: its end of the pipe is closed."""
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(msgspec.json.encode(value))
    temporary.replace(path)


def _cutting(front: Front) -> Any:
    """A cut connection is, to waitress, one whose client has gone: it closes without a word."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        try:
            return front(environ, start_response)
        except Cut:
            raise ClientDisconnected from None

    return application


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """What S3 needs of HTTP and waitress does not give: metadata names with an underscore, and empty bodies that are announced."""

    def parse_header(self, header_plus: bytes) -> None:
        kept: dict[str, str] = {}
        lines = header_plus.split(b"\r\n")
        for position, line in enumerate(lines[1:], 1):
            name, colon, value = line.partition(b":")
            if b"_" in name and name.lower().startswith(b"x-amz-meta-"):
                kept["HTTP_" + name.decode("latin-1").upper().replace("-", "_")] = name.decode("latin-1")
                lines[position] = name.replace(b"_", b"-") + colon + value
        super().parse_header(b"\r\n".join(lines))
        if not self.chunked and not self.content_length:
            self.expect_continue = False  # waitress would wait for a body of no bytes for ever (S3 SDKs put empty objects so)
        self.kept = kept


class _Task(HTTPChannel.task_class):  # type: ignore[misc]  # waitress has no types
    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        if kept := getattr(self.request, "kept", None):
            environ["moto.preserved_header_names"] = kept
        return environ

    def build_response_header(self) -> bytes:
        """S3's metadata names are lower case; waitress would capitalize them, and an SDK reads them as they come."""
        written: bytes = super().build_response_header()
        if b"X-Amz-Meta-" not in written:
            return written
        return b"\r\n".join(_lowered(line) if line.startswith(b"X-Amz-Meta-") else line for line in written.split(b"\r\n"))


def _lowered(line: bytes) -> bytes:
    name, colon, value = line.partition(b":")
    return name.lower() + colon + value


class _Channel(HTTPChannel):  # type: ignore[misc]
    parser_class = _Parser
    task_class = _Task
