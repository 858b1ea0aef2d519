"""The gateway as a small server: POST /rank takes what `Gateway.rank` takes."""

from __future__ import annotations

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import Busy, Invalid, IsthmusError, ModelError, NotFound, OutcomeUnknown, Throttled, Unavailable, Unsupported
from .gateway import Gateway

_STATUS: tuple[tuple[type[IsthmusError], int], ...] = (
    (Invalid, 400),
    (Unsupported, 413),  # the request is larger than the endpoint takes
    (NotFound, 404),
    (Throttled, 429),
    (ModelError, 502),
    (OutcomeUnknown, 502),
    (Busy, 503),
    (Unavailable, 503),
)


def app(gateway: Gateway) -> Starlette:
    async def rank(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body(), type=dict[str, object])
        except msgspec.MsgspecError as error:
            return _failed(400, f"the body is not a JSON object: {error}", None)
        try:
            ranking = await run_in_threadpool(gateway.rank, asked)
        except IsthmusError as error:
            status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
            return _failed(status, str(error), error.remedy)
        return Response(msgspec.json.encode(ranking), media_type="application/json")

    async def ping(_request: Request) -> Response:
        return Response(
            msgspec.json.encode({"status": "ready", "undelivered_exposures": gateway.undelivered}), media_type="application/json"
        )

    return Starlette(routes=[Route("/rank", rank, methods=["POST"]), Route("/ping", ping)])


def _failed(status: int, message: str, remedy: str | None) -> Response:
    return Response(msgspec.json.encode({"error": message, "remedy": remedy}), status, media_type="application/json")


def serve(gateway: Gateway, port: int) -> None:
    import uvicorn

    uvicorn.run(app(gateway), host="127.0.0.1", port=port, lifespan="off", log_level="warning", access_log=False)
