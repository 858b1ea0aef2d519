"""PredictionService over gRPC, and what it does not support."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
from google.api import httpbody_pb2
from google.cloud.aiplatform_v1.types import PredictResponse

from ......serving.connections import NotReached, TimedOut
from .....core.call import Call
from .....core.errors import GcpError
from .....core.registry import handles
from ...endpoints.records import require_endpoint
from .. import request_log, values
from ..errors import model_error
from ..forwarding import (
    check_size,
    choose_target,
    forward,
    no_answer,
    predictions_of,
    record_request,
    routing_of,
)

PredictResponsePb = PredictResponse.pb()
_JSON = (("content-type", "application/json"),)
_encode = msgspec.json.Encoder().encode


@handles("google.cloud.aiplatform.v1.PredictionService.Predict")
async def predict(call: Call, request: Any) -> Any:
    """Answer Predict over gRPC."""
    _check_endpoint_header(call, request.endpoint)
    body: dict[str, Any] = {"instances": [values.plain(instance) for instance in request.instances]}
    if request.HasField("parameters"):
        body["parameters"] = values.plain(request.parameters)
    content = _encode(body)
    exchange = await forward(
        call,
        request.endpoint,
        content,
        _JSON,
        instances=len(request.instances),
        size=request.ByteSize(),
    )
    if exchange.answer.status != 200:
        raise model_error(exchange.answer)
    predictions = predictions_of(exchange.answer)
    target = exchange.target
    response = PredictResponsePb(
        deployed_model_id=target.id,
        model=target.model,
        model_version_id=target.version,
        model_display_name=target.display_name,
    )
    items = msgspec.json.decode(predictions.predictions)
    if not isinstance(items, list):
        raise GcpError("INTERNAL", "The model server's answer has `predictions` that are no list.")
    try:
        values.extend(response.predictions, items)
        if predictions.metadata is not msgspec.UNSET:
            values.fill(response.metadata, msgspec.json.decode(predictions.metadata))
    except OverflowError as error:
        raise GcpError(
            "INTERNAL", f"The model server's answer has a number that no double holds: {error}"
        ) from error
    request_log.note(call, exchange, content)
    return response


@handles("google.cloud.aiplatform.v1.PredictionService.RawPredict")
async def raw_predict(call: Call, request: Any) -> Any:
    """Answer RawPredict over gRPC, with the body unchanged."""
    _check_endpoint_header(call, request.endpoint)
    content = request.http_body.data
    headers = (("content-type", request.http_body.content_type or "application/json"),)
    exchange = await forward(
        call, request.endpoint, content, headers, instances=1, size=request.ByteSize()
    )
    if not 200 <= exchange.answer.status < 300:
        raise model_error(exchange.answer)
    request_log.note(call, exchange, content)
    return httpbody_pb2.HttpBody(
        content_type=exchange.answer.headers.get("content-type", "application/octet-stream"),
        data=exchange.answer.body,
    )


@handles("google.cloud.aiplatform.v1.PredictionService.StreamRawPredict")
def stream_raw_predict(call: Call, request: Any) -> Iterator[Any]:
    """Answer StreamRawPredict over gRPC."""
    headers = (("content-type", request.http_body.content_type or "application/json"),)
    status, answered, parts = stream(call, request.endpoint, request.http_body.data, headers)
    if not 200 <= status < 300:
        raise GcpError(
            "INTERNAL" if status >= 500 else "INVALID_ARGUMENT",
            b"".join(parts).decode("utf-8", "replace"),
            http=status,
        )
    kind = answered.get("content-type", "application/octet-stream")
    for part in parts:
        yield httpbody_pb2.HttpBody(content_type=kind, data=part)


@handles("google.cloud.aiplatform.v1.PredictionService.Explain", executes=False)
def explain(call: Call, request: Any) -> Any:
    """Raise the error for Explain, which is not supported: no model here has explanations."""
    hosted = require_endpoint(call, request.endpoint)
    check_size(routing_of(call, request.endpoint), request.ByteSize())
    if request.deployed_model_id and request.deployed_model_id not in hosted.targets:
        raise GcpError(
            "NOT_FOUND",
            f"DeployedModel {request.deployed_model_id} does not exist in {hosted.name}.",
        )
    raise GcpError(
        "FAILED_PRECONDITION",
        f"No DeployedModel of {hosted.name} has an explanation_spec: the offline GCP "
        "explains nothing.",
    )


def stream(
    call: Call, endpoint: str, body: bytes, headers: tuple[tuple[str, str], ...]
) -> tuple[int, dict[str, str], Iterator[bytes]]:
    """Send a prediction request; return status, headers and body parts of the streamed answer.

    It blocks, so a thread calls it. Raises GcpError if no answer comes.
    """
    began = time.perf_counter()
    routing, target = choose_target(call, endpoint, len(body))
    server = target.server
    try:
        answer, parts = server.connections.stream("POST", target.predict_route, body, headers)
    except (TimedOut, NotReached) as error:
        server.leave()
        raise no_answer(call, routing, target, error, began) from error

    def passing() -> Iterator[bytes]:
        try:
            yield from parts
        finally:
            server.leave()
            record_request(call, routing, target, status=answer.status, began=began, instances=1)

    return answer.status, {**answer.headers, "x-vertex-ai-deployed-model-id": target.id}, passing()


def _check_endpoint_header(call: Call, endpoint: str) -> None:
    """Raise INVALID_ARGUMENT if the x-vertex-ai-endpoint-id header names another endpoint.

    All endpoints share a dedicated gRPC host, so this header says which of them is meant.
    """
    header = call.headers.get("x-vertex-ai-endpoint-id")
    if header is not None and header != endpoint.rpartition("/")[2]:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"The header x-vertex-ai-endpoint-id names {header}, and the request {endpoint}.",
        )
