"""The model server: one process, one model, the containers' protocols of SageMaker and Vertex AI.

`python -m isthmus.endpoints.server --model FOLDER [--port N] [--digest SHA256] [--predict-timeout
SECONDS]`

SageMaker: GET /ping, POST /invocations on port 8080. Vertex AI: AIP_HEALTH_ROUTE,
AIP_PREDICT_ROUTE, AIP_HTTP_PORT.

A request with an error in it answers 400, one above 10,000,000 bytes 413, a predictor that raises
500, one that hangs 504; 503 says that too much waits already. Any Host may ask, as a provider's
front and the laptop's router do; a web page may not (door.py).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from ...core import logs
from ...errors import IsthmusError
from ...pipelines.models.predictor import LoadedModel, load
from ..http import door, peers
from ..http.asgi_limits import Limits
from ..http.requests import Application, Headers, JsonAnswer, Request
from ..http.server import Embedded
from . import payloads
from .predictions import Predictions

HEADERS = frozenset({b"content-type", b"origin", b"sec-fetch-site"})
CONTAINER_MODEL = Path("/opt/ml/model")  # where SageMaker puts a model
MOST_CONNECTIONS = 1000  # or half of the descriptors that this process may have
STOP_WITHIN = 10.0  # seconds for what is under way at SIGTERM
FLUSH_WITHIN = 2.0  # seconds for answers to go out before a process with a hung prediction ends
HUNG = 70  # exit code


# a caller's pool should give an idle connection up before this server does, as a close that meets a
# request loses it
LIMITS = Limits(body_seconds=60, write_seconds=60, idle_seconds=3_600)


class ModelServer:
    """A server of one model.

    Its loop runs in a thread of its own, from `start` to the end of `run`, which predicts in the
    caller's thread.
    """

    def __init__(
        self,
        model: LoadedModel,
        listening: socket.socket,
        *,
        environ: Mapping[str, str] = os.environ,
        timeout: float | None = None,
        users: frozenset[int] | None = None,
    ) -> None:
        """Make a server that listens already and answers from `start` on.

        Args:
            model: Predicts.
            listening: A socket that listens.
            environ: What a provider tells a container.
            timeout: Seconds that a prediction may take.
            users: Those of this machine who may ask, as peers.allowed_users returns them; None, as
                in a container: everybody.
        """
        self._model = model
        self._listening = listening
        self._users = users
        self._timeout = timeout
        self._health = {b"/ping", environ.get("AIP_HEALTH_ROUTE", "").encode()} - {b""}
        self._predict = {b"/invocations", environ.get("AIP_PREDICT_ROUTE", "").encode()} - {b""}
        # SageMaker carries this one header of a container back to the caller, who learns which
        # version has answered
        version = environ.get("ISTHMUS_VERSION", "")
        self._headers: Headers = (
            ((b"x-amzn-sagemaker-custom-attributes", f"isthmus-version={version}".encode()),)
            if version
            else ()
        )
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._ready = threading.Event()
        self._failed = False
        self._thread = threading.Thread(
            target=self._serve, name="http", daemon=True
        )  # it does not outlive whoever predicts

    def start(self) -> None:
        """Start the server; return once it answers."""
        self._thread.start()
        self._ready.wait()

    def run(self) -> bool:
        """Predict until `stop` is called; return False if the server's event loop has failed."""
        if not self._failed:
            self._predictions.run()
        self._thread.join()
        return not self._failed

    def stop(self) -> None:
        """Let the requests so far finish, then make `run` return. Any thread may call it."""
        self._wake.send(b"\x00")

    def stop_at_signals(self) -> None:
        """Stop at SIGTERM and SIGINT. Call it from the main thread.

        The kernel's signal reaches the loop even while a prediction keeps Python from running a
        handler.
        """
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def _serve(self) -> None:
        """Run the server's event loop in a thread of its own."""
        import uvloop

        try:
            uvloop.run(self._live())
        except BaseException:  # noqa: BLE001  whatever it is, `run` waits for its queue and must learn of it
            traceback.print_exc()
            self._failed = True
            if self._ready.is_set():
                self._predictions.stop()
        finally:
            self._ready.set()

    async def _live(self) -> None:
        """Accept and answer requests until the server is told to stop."""
        loop = asyncio.get_running_loop()
        self._predictions = Predictions(
            self._model, headers=self._headers, timeout=self._timeout, hung=self._hang
        )
        most = min(MOST_CONNECTIONS, max(8, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))
        application = Application(
            self._handle,
            refusal=partial(door.refusal, door.PROVIDERS),
            users=self._users,
            deciding=HEADERS,
            most_body=payloads.MAX_BYTES,
            limits=msgspec.structs.replace(LIMITS, connections=most),
        )
        self._connections = application.connections
        self._end = asyncio.Event()
        loop.add_reader(self._woken, self._end.set)
        self._server = Embedded(application)
        await self._server.start(self._listening)
        self._ready.set()
        await self._end.wait()
        loop.remove_reader(self._woken)
        self._server.close()
        self._connections.stop()
        try:
            async with asyncio.timeout(STOP_WITHIN):
                await self._connections.ended.wait()
                self._predictions.stop()
                await self._predictions.ended.wait()
        except TimeoutError:
            self._predictions.stop()
            if self._predictions.under_way:
                print(
                    f"error: a prediction was still under way {STOP_WITHIN:.0f} s after the "
                    "signal to stop",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(HUNG)  # nothing else ends its thread

    def _hang(self) -> None:
        """End the process after a prediction exceeded its time limit and callers are answered.

        Nothing else ends the prediction's thread.
        """
        self._server.close()
        self._connections.stop()
        loop = asyncio.get_running_loop()
        end = loop.time() + FLUSH_WITHIN

        def leave() -> None:
            if not self._connections.open or loop.time() > end:
                os._exit(HUNG)
            loop.call_later(0.005, leave)

        leave()

    def _handle(self, request: Request) -> None:
        """Pass a request to prediction or health check by its path, else answer 404."""
        if request.path in self._predict:
            if request.method == b"POST":
                self._predictions.submit(request)
            else:
                request.fail(405, "MethodNotAllowed", "POST to it")
        elif request.path not in self._health:
            request.fail(404, "NotFound", "there is /invocations (POST) and /ping")
        elif request.method in (b"GET", b"HEAD"):
            request.reply(JsonAnswer(200, b'{"status": "ready"}'))
        else:
            request.fail(405, "MethodNotAllowed", "GET it")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a model: read the command line, load it, and run until a signal."""
    parser = argparse.ArgumentParser(
        prog="isthmus.endpoints.server", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "serve",
        nargs="?",
        choices=["serve"],
        help="what SageMaker appends to a container's command; changes nothing",
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FOLDER",
        help="default: what AIP_STORAGE_URI names, fetched; else SageMaker's folder",
    )
    parser.add_argument("--port", type=int, default=int(os.environ.get("AIP_HTTP_PORT", "8080")))
    parser.add_argument(
        "--host", help="default: every interface in a container, else this machine alone"
    )
    parser.add_argument(
        "--fd", type=int, help="serve on this listening socket, which the parent opened"
    )
    parser.add_argument(
        "--with-parent",
        action="store_true",
        help="end when standard input ends, that is when the parent dies",
    )
    parser.add_argument(
        "--digest",
        default=os.environ.get("ISTHMUS_DIGEST", ""),
        help="the registry's digest of the model: another content is not served (default: "
        "ISTHMUS_DIGEST)",
    )
    parser.add_argument(
        "--predict-timeout",
        type=_seconds,
        default=os.environ.get("ISTHMUS_PREDICT_TIMEOUT") or None,
        metavar="SECONDS",
        help="a prediction that takes longer is answered 504, and the process ends (default: "
        "ISTHMUS_PREDICT_TIMEOUT, or none)",
    )
    options = parser.parse_args(arguments)
    logs.configure()
    if options.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    uri = None if options.model else os.environ.get("AIP_STORAGE_URI")
    try:
        folder = _fetch(uri) if uri else options.model or CONTAINER_MODEL
        model = load(folder, digest=options.digest)
    except IsthmusError as error:
        print(
            f"error: the model in {uri or options.model or CONTAINER_MODEL} does not load: {error}",
            file=sys.stderr,
            flush=True,
        )
        return 1
    in_container = "AIP_HTTP_PORT" in os.environ or folder == CONTAINER_MODEL
    host = options.host or ("0.0.0.0" if in_container else "127.0.0.1")  # noqa: S104  a container's front is on another machine
    try:
        listening = (
            socket.socket(fileno=options.fd)
            if options.fd is not None
            else _listen(host, options.port)
        )
    except OSError as error:
        print(
            f"error: cannot listen on {host}, port {options.port}: {error.strerror}",
            file=sys.stderr,
            flush=True,
        )
        return 1
    alone = not in_container and door.is_loopback(
        listening.getsockname()[0]
    )  # no provider's front asks it, but this machine
    users = peers.allowed_users() if alone else None
    server = ModelServer(model, listening, timeout=options.predict_timeout, users=users)
    server.stop_at_signals()
    server.start()
    return 0 if server.run() else 1


def _seconds(text: str) -> float:
    """Return a number of seconds that is given as text on the command line."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds between 0 and 86,400"
        )
    return seconds


def _listen(host: str, port: int) -> socket.socket:
    """Open a listening socket for an IPv4 or IPv6 address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)


def _fetch(uri: str) -> Path:
    """Download a model folder that Vertex AI passes to the container as a URI.

    The folder lives as long as the container.
    """
    from ...core.runtime.project import open_blobs

    folder = Path(tempfile.mkdtemp(prefix="isthmus-model-"))
    open_blobs(uri).download(uri, folder)
    return folder


def _end_with_parent() -> None:
    """End this process once its parent is gone."""
    # not sys.stdin: a thread inside it makes the interpreter abort when the process ends by itself
    while os.read(0, 1024):
        pass
    os._exit(0)  # nobody is left to answer
