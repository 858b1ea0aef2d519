"""The model server: one process, one model, the container protocols of SageMaker and of Vertex AI.

`python -m isthmus.endpoints.server --model FOLDER [--port N]`
SageMaker: GET /ping, POST /invocations on port 8080. Vertex AI: AIP_HEALTH_ROUTE, AIP_PREDICT_ROUTE, AIP_HTTP_PORT.
A request with an error in it answers 400, one above 10,000,000 bytes 413, a predictor that raises 500.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import IsthmusError
from ..pipelines.predictor import LoadedModel, load
from . import wire

CONTAINER_MODEL = Path("/opt/ml/model")  # where SageMaker puts a model
_encode = msgspec.json.Encoder().encode


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every answer that is not 200."""

    error: str  # the exception's type, or what is wrong with the request
    message: str
    line: str | None = None  # of the predictor's code


class _TooLarge(Exception): ...


def app(model: LoadedModel, *, environ: Mapping[str, str] = os.environ) -> Starlette:
    """Prediction runs in the event loop, one request at a time: a predictor need not be thread-safe, and a hop to a thread costs more
    than a ranker's arithmetic.
    """
    # SageMaker carries this one header of a container back to the caller, who learns which version has answered
    said = {"x-amzn-sagemaker-custom-attributes": f"isthmus-version={version}"} if (version := environ.get("ISTHMUS_VERSION")) else {}

    async def ping(_request: Request) -> Response:
        return Response(b'{"status": "ready"}', media_type=wire.JSON)

    async def invoke(request: Request) -> Response:
        try:
            body = await _body(request)
        except _TooLarge:
            return _failed(413, "RequestTooLarge", f"the request is above {wire.MAX_BYTES:,} bytes")
        response = answer(model, body, request.headers.get("content-type", wire.JSON))
        response.headers.update(said)
        return response

    health, predict = environ.get("AIP_HEALTH_ROUTE"), environ.get("AIP_PREDICT_ROUTE")
    routes = [Route("/ping", ping), Route("/invocations", invoke, methods=["POST"])]
    if health and health != "/ping":
        routes.append(Route(health, ping))
    if predict and predict != "/invocations":
        routes.append(Route(predict, invoke, methods=["POST"]))
    return Starlette(routes=routes)


def answer(model: LoadedModel, body: bytes, content_type: str) -> Response:
    try:
        rows = wire.instances(body, content_type, model.manifest)
    except wire.BadRequest as error:
        return _failed(400, "BadRequest", str(error))
    try:
        found = wire.predictions(model.predictor.predict(rows), len(rows))
    except Exception as error:  # noqa: BLE001  the user's code may raise anything, and the server outlives it
        traceback.print_exc()
        sys.stderr.flush()
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename not in _OURS]
        line = f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].line}" if frames else None
        return _failed(500, type(error).__name__, str(error), line)
    return Response(_encode({"predictions": found}), media_type=wire.JSON)


_OURS = {__file__, wire.__file__}


async def _body(request: Request) -> bytes:
    """What is too large is read on and thrown away, up to a point: a client that still sends does not listen."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > 10 * wire.MAX_BYTES:
            raise _TooLarge
        if size <= wire.MAX_BYTES:
            parts.append(part)
    if size > wire.MAX_BYTES:
        raise _TooLarge
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _failed(status: int, error: str, message: str, line: str | None = None) -> Response:
    return Response(_encode(Failure(error=error, message=message, line=line)), status, media_type=wire.JSON)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="isthmus.endpoints.server", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("serve", nargs="?", choices=["serve"], help="what SageMaker appends to a container's command; changes nothing")
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="default: what AIP_STORAGE_URI names, fetched; else SageMaker's folder"
    )
    parser.add_argument("--port", type=int, default=int(os.environ.get("AIP_HTTP_PORT", "8080")))
    parser.add_argument("--host", help="default: every interface in a container, else this machine alone")
    parser.add_argument("--fd", type=int, help="serve on this listening socket, which the parent opened")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends, that is when the parent dies")
    options = parser.parse_args(arguments)
    if options.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    uri = None if options.model else os.environ.get("AIP_STORAGE_URI")
    try:
        folder = _fetched(uri) if uri else options.model or CONTAINER_MODEL
        model = load(folder)
    except IsthmusError as error:
        print(f"error: the model in {uri or options.model or CONTAINER_MODEL} does not load: {error}", file=sys.stderr, flush=True)
        return 1
    in_container = "AIP_HTTP_PORT" in os.environ or folder == CONTAINER_MODEL
    serve(model, fd=options.fd, host=options.host or ("0.0.0.0" if in_container else "127.0.0.1"), port=options.port)  # noqa: S104
    return 0


def _fetched(uri: str) -> Path:
    """A version's folder, from where Vertex AI keeps its copy: a container gets the URI alone. It lives as long as the container."""
    from ..runtime import open_blobs

    folder = Path(tempfile.mkdtemp(prefix="isthmus-model-"))
    open_blobs(uri).download(uri, folder)
    return folder


def serve(model: LoadedModel, *, host: str, port: int, fd: int | None = None) -> None:
    """Until SIGTERM; requests under way are finished. A connection is kept for a day: the caller's pool decides when to close it."""
    import uvicorn

    config = uvicorn.Config(
        app(model),
        host=host,
        port=port,
        http="httptools",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_keep_alive=86_400,
        timeout_graceful_shutdown=10,
    )
    server = uvicorn.Server(config)
    server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])


def _end_with_parent() -> None:
    while os.read(0, 1024):  # not sys.stdin: a thread inside it makes the interpreter abort when the process ends by itself
        pass
    os._exit(0)  # nobody is left to answer


if __name__ == "__main__":
    sys.exit(main())
