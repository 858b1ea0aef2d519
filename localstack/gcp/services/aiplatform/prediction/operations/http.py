"""PredictionService over HTTP: bodies are passed on undecoded."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from .....core.call import Call
from .....core.errors import GcpError
from .....core.http_messages import HttpAnswer, HttpRequest
from .....core.registry import route
from ...endpoints.records import require_endpoint
from .. import request_log
from ..errors import model_error
from ..forwarding import forward, forwarded_headers, instances_of, predictions_of, target_headers
from .predictions import stream

_ENDPOINT = "/v1/{endpoint=projects/*/locations/*/endpoints/*}"
_JSON = (("content-type", "application/json"),)
_ANSWER = (("Content-Type", "application/json; charset=UTF-8"),)
_SHARED_HOST = "aiplatform.googleapis.com"
_DEDICATED_HOST = "prediction.vertexai.goog"


@route("PredictionService.Predict", "POST", f"{_ENDPOINT}:predict")
async def predict(call: Call, request: HttpRequest) -> HttpAnswer:
    """Answer Predict over REST."""
    endpoint = request.params["endpoint"]
    _check_host(call, request, endpoint)
    instances = instances_of(request.body)
    exchange = await forward(call, endpoint, request.body, _JSON, instances=instances)
    if exchange.answer.status != 200:
        raise model_error(exchange.answer)
    predictions = predictions_of(exchange.answer)
    parts = [b'{"predictions":', predictions.predictions]
    if predictions.metadata is not msgspec.UNSET:
        parts += [b',"metadata":', predictions.metadata]
    parts.append(
        _signature(
            exchange.target.id,
            exchange.target.model,
            exchange.target.version,
            exchange.target.display_name,
        )
    )
    request_log.note(call, exchange, request.body)
    return HttpAnswer(headers=_ANSWER, body=b"".join(map(bytes, parts)))


@route("PredictionService.RawPredict", "POST", f"{_ENDPOINT}:rawPredict")
async def raw_predict(call: Call, request: HttpRequest) -> HttpAnswer:
    """Answer RawPredict over REST, with the model's answer unchanged."""
    endpoint = request.params["endpoint"]
    _check_host(call, request, endpoint)
    exchange = await forward(
        call, endpoint, request.body, forwarded_headers(request.headers), instances=1
    )
    answer = exchange.answer
    request_log.note(call, exchange, request.body)
    return HttpAnswer(
        status=answer.status,
        headers=(*forwarded_headers(answer.headers), *target_headers(exchange.target)),
        body=answer.body,
    )


@route("PredictionService.StreamRawPredict", "POST", f"{_ENDPOINT}:streamRawPredict")
def stream_raw_predict(call: Call, request: HttpRequest) -> HttpAnswer:
    """Answer StreamRawPredict over REST."""
    endpoint = request.params["endpoint"]
    _check_host(call, request, endpoint)
    status, headers, parts = stream(
        call, endpoint, request.body, forwarded_headers(request.headers)
    )
    return HttpAnswer(status=status, headers=forwarded_headers(headers), body=parts)


@lru_cache(maxsize=256)
def _signature(number: str, model: str, version: str, display_name: str) -> bytes:
    """Return the end of a Predict response's JSON, which says what deployed model predicted.

    `number` is the deployed model's id.
    """
    members = {
        "deployedModelId": number,
        "model": model,
        "modelDisplayName": display_name,
        "modelVersionId": version,
    }
    return b"," + msgspec.json.encode(members)[1:]


def _check_host(call: Call, request: HttpRequest, endpoint: str) -> None:
    """Raise an error if an endpoint must not be called at the request's host.

    An endpoint with a dedicated host can be called at that host, or at the stack's own address.
    """
    if request.host.endswith((_SHARED_HOST, _DEDICATED_HOST)):
        message = require_endpoint(call, endpoint).message
        if message.dedicated_endpoint_enabled and request.host.endswith(_SHARED_HOST):
            raise GcpError(
                "FAILED_PRECONDITION",
                f"Dedicated endpoint {endpoint} cannot be accessed through the shared host: "
                f"{message.dedicated_endpoint_dns} is its own.",
            )
        if (
            request.host.endswith(_DEDICATED_HOST)
            and request.host != message.dedicated_endpoint_dns
        ):
            raise GcpError("NOT_FOUND", f"{request.host} is not the host of {endpoint}.")
