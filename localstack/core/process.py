"""A stack as a process: its command line, a server on loopback, its end."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, Protocol

import msgspec

from . import keys
from .clock import MODES, Clock, Mode
from .faults import Faults
from .home.folders import OwnedFolder
from .home.home import LISTENING, Home, NotUsable
from .home.pickles import Changed
from .http.wsgi_server import Channel, WsgiServer
from .launch import Ready, environment_of, read_ready
from .state import Stack, State

HOST = "127.0.0.1"
_ANSWERS = 2.0  # seconds that requests get to end, once the stack does
_ALIVE = 5.0  # seconds between two signs of life
_UNITS = {"MB": 10**6, "GB": 10**9}


class Front(Protocol):
    """The application that answers a cloud's requests.

    Where no `server` is named, it is a WSGI application that raises Cut for a connection to be
    closed.
    """

    def begin(self) -> None:
        """Load persisted state before the first request."""

    def close(self) -> None:
        """Stop the background work, and save the state for the last time."""


class Server(Protocol):
    """A server, which listens from the moment that it is made."""

    port: int

    def run(self) -> None:
        """Serve requests until `close` is called."""

    def close(self, seconds: float, /) -> None:
        """Stop the server; requests under way get `seconds` to end."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The command line of a stack's process; launch.py writes it."""

    port: int
    images: Mapping[str, str]
    clock: Mode
    home: Path | None
    query_memory: int  # bytes
    handlers: tuple[str, ...]
    ready: Path | None
    until_stdin_closes: bool
    any_key: bool
    moto_answers: bool
    allow_hosts: tuple[str, ...]


_OF_SOME = {"home": "--home", "any_key": "--open", "moto_answers": "--moto-answers"}


def options(cloud: str, port: int, arguments: list[str] | None = None) -> Options:
    """Parse the command line of a stack's process.

    `port` is the default port of the cloud's stack; `arguments` are the words, None: those of this
    process.

    Raises:
        SystemExit: The command line is wrong: code 2, with the reason.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m isthmus_stack.{cloud}",
        description=f"A stack for {cloud} that executes, on this machine.",
    )
    parser.add_argument("--port", type=int, default=port, help=f"0: any free one (default: {port})")
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="what a container image is here; repeatable",
    )
    parser.add_argument("--clock", choices=MODES, default="real")
    parser.add_argument(
        "--home",
        type=Path,
        help="aws: where it keeps what it holds over a restart (default: nowhere)",
    )
    parser.add_argument(
        "--query-memory",
        type=_size,
        default="1GB",
        metavar="SIZE",
        help="what one query may use (default: 1GB)",
    )
    parser.add_argument(
        "--handlers",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module with handlers of your own; repeatable",
    )
    parser.add_argument(
        "--ready", type=Path, metavar="FILE", help="written once the stack listens: its url and pid"
    )
    parser.add_argument(
        "--open",
        dest="any_key",
        action="store_true",
        help="take any access key or token, and requests without one",
    )
    parser.add_argument(
        "--moto-answers",
        action="store_true",
        help="aws: answer what moto makes up where nothing here executes (a job without a "
        "program: Completed); implies --open",
    )
    parser.add_argument(
        "--allow-host",
        dest="allow_hosts",
        action="append",
        default=[],
        metavar="HOST",
        help="a host that the door lets through to the genuine one; repeatable",
    )
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end when the process that started this one does",
    )
    words = parser.parse_args(arguments)
    of_cloud = environment_of(cloud)
    for name, option in _OF_SOME.items():
        if getattr(words, name) and name not in of_cloud.OPTIONS:
            parser.error(f"the {of_cloud.TITLE} stack has no {option}")
    images = {}
    for text in words.image:
        name, equals, command = text.partition("=")
        if not (name and equals and command):
            parser.error(f"--image {text}: write NAME=COMMAND")
        images[name] = command
    return Options(
        port=words.port,
        images=images,
        clock=words.clock,
        home=words.home,
        query_memory=words.query_memory,
        handlers=tuple(words.handlers),
        ready=words.ready,
        until_stdin_closes=words.until_stdin_closes,
        any_key=words.any_key or words.moto_answers,
        moto_answers=words.moto_answers,
        allow_hosts=tuple(host.lower() for host in words.allow_hosts),
    )


def _size(text: str) -> int:
    """Parse a size of memory, such as 256MB or 2GB, into bytes."""
    number, unit = text[:-2], text[-2:].upper()
    if not number.isdecimal() or int(number) == 0 or unit not in _UNITS:
        raise argparse.ArgumentTypeError(f"{text} is not a size: write 256MB or 2GB")
    return int(number) * _UNITS[unit]


def serve(
    cloud: str,
    options: Options,
    front: Callable[[Stack], Any],
    *,
    server: Callable[[Any, int], Server] | None = None,
    listening: Callable[[], None] = lambda: None,
    channel: type[Channel] = Channel,
    versions: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Run a stack until a signal or the options end it; return the exit code.

    The code is 1, with the reason on stderr, when it cannot begin.

    Args:
        cloud: aws or gcp.
        options: The command line.
        front: Makes the application of a stack.
        server: What listens on a port for the front, where that is not waitress.
        listening: Called once the stack is ready.
        channel: How this cloud's HTTP differs from what waitress reads and writes.
        versions: Distributions whose objects a home holds.
    """
    with contextlib.ExitStack() as cleanup:
        scratch = OwnedFolder.temporary(f"isthmus-{cloud}-")
        cleanup.callback(scratch.remove)
        persistent = None
        if options.home is not None:
            try:
                persistent = Home(options.home, cloud, versions, moto_answers=options.moto_answers)
            except NotUsable as error:
                sys.stderr.write(f"error  {error}\n")
                return 1
            cleanup.callback(persistent.close)
        stack = Stack(
            clock=Clock(options.clock),
            faults=Faults(),
            images=options.images,
            home=scratch.folder,
            persistent=persistent,
            query_memory=options.query_memory,
            state=State(),
            any_key=options.any_key,
            moto_answers=options.moto_answers,
            allow_hosts=frozenset(options.allow_hosts),
        )
        application = front(stack)
        try:
            listener = (
                server(application, options.port)
                if server
                else WsgiServer(application, HOST, options.port, channel)
            )
        except OSError as error:
            words = (
                f"the {cloud.upper()} stack cannot listen on port {options.port}: "
                f"{error.strerror or error}"
            )
            sys.stderr.write(f"error  {words}\n")
            application.close()
            return 1
        cleanup.callback(listener.close, _ANSWERS)
        cleanup.callback(application.close)  # first: it breaks off what a request may wait for
        stack.url = f"http://{HOST}:{listener.port}"
        try:
            stack.keys = keys.make(stack.url, persistent)
            keys.write(scratch.folder, stack.keys)
            application.begin()
        except (Changed, OSError, msgspec.DecodeError) as error:
            sys.stderr.write(
                f"error  {options.home} is damaged, or was written by another version of the "
                f"stack: {error}; name another folder\n"
            )
            return 1
        ended = _watch_for_end(options, listener)
        ready_files = [
            place
            for place in (options.ready, persistent.folder / LISTENING if persistent else None)
            if place is not None
        ]
        for place in ready_files:
            home = str(options.home) if options.home else None
            _write(place, Ready(url=stack.url, pid=os.getpid(), clock=options.clock, home=home))
        if options.ready is not None:
            threading.Thread(
                target=_show_life, args=(options.ready,), name="alive", daemon=True
            ).start()
        if options.moto_answers:
            sys.stderr.write(
                f"the {cloud.upper()} stack on {stack.url} answers what moto makes up: "
                "--moto-answers is on\n"
            )
        if options.any_key:
            sys.stderr.write(
                f"the {cloud.upper()} stack on {stack.url} takes any key or token of any "
                "user of this machine: --open is on\n"
            )
        sys.stderr.flush()
        listening()
        os.read(ended, 1)
    for place in ready_files:  # it stays where the end was no clean one
        _remove_ready_file(place)
    return 0


def _remove_ready_file(ready: Path) -> None:
    """Remove the ready file at the end, unless it names a newer stack.

    A newer stack may have begun once this one let go of its home.
    """
    if (current := read_ready(ready)) is not None and current.pid == os.getpid():
        ready.unlink(missing_ok=True)


def leave(code: int) -> NoReturn:
    """End the process now with this exit code, without waiting for its threads.

    A query or a pool that is still at work would hold up the interpreter's own end, or crash it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _watch_for_end(options: Options, server: Server) -> int:
    """Run the server in a thread; return a descriptor that is readable once it is to end.

    A signal, the server's end or the closing of stdin makes the descriptor readable.
    """
    ended, end = os.pipe()
    os.set_blocking(end, False)

    def write() -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(end, b".")

    def serve() -> None:
        try:
            server.run()
        finally:
            write()

    # Not a handler: it runs in the main thread, which is in a read that ends only when the kernel
    # gives the signal to that same thread.
    signal.set_wakeup_fd(end, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    threading.Thread(target=serve, name="server", daemon=True).start()
    if options.until_stdin_closes:
        threading.Thread(target=_read_stdin, args=(write,), name="stdin", daemon=True).start()
    return ended


def _read_stdin(write: Callable[[], None]) -> None:
    """Call `write()` when the parent process has ended.

    The parent's end of the pipe on stdin is closed then.
    """
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    write()


def _show_life(ready: Path) -> None:
    """Touch the ready file from time to time, as a sign that the process lives.

    After a crash the file's time says until when the process was alive.
    """
    while True:
        time.sleep(_ALIVE)
        try:
            os.utime(ready)
        except OSError:
            return


def _write(path: Path, value: object) -> None:
    """Write a value to a file as JSON atomically, so that no reader sees a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(msgspec.json.encode(value))
    temporary.replace(path)
