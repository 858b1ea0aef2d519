"""One request to a model: the choice by traffic split, the exchange, its metrics, its errors."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from .....serving.async_connections import AsyncConnections
from .....serving.connections import Answer, NotReached, TimedOut
from ....core.call import Call
from ....core.errors import GcpError, invalid
from ...monitoring import online_prediction
from ..endpoints.records import Routing, Target, require_endpoint

SHARED_SECONDS, DEDICATED_SECONDS = 60.0, 3600.0  # Choose an endpoint type
_draw = random.random
# google.rpc.Code of an HTTP status, as Google's gateways have it.
_STATUS: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# headers of a request or an answer that are between two neighbours, or are a caller's secret
_KEPT_TO_US = {
    *(
        "connection",
        "content-length",
        "transfer-encoding",
        "host",
        "authorization",
        "keep-alive",
        "upgrade",
        "te",
        "expect",
        "date",
    ),
    *("server", "proxy-authorization", "accept-encoding", "x-goog-user-project"),
}


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """The body of Predict over HTTP."""

    instances: list[msgspec.Raw]
    parameters: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    labels: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Predictions(msgspec.Struct):
    predictions: msgspec.Raw
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A request and the model's answer to it, whatever that is."""

    routing: Routing
    target: Target
    answer: Answer


_body = msgspec.json.Decoder(_Body)
_predictions = msgspec.json.Decoder(_Predictions)


def instances_of(body: bytes) -> int:
    """Return the number of instances in the JSON body of a Predict request; refuse other bodies.

    Raises GcpError INVALID_ARGUMENT if the body is not that of a Predict request.
    """
    try:
        return len(_body.decode(body).instances)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error


def predictions_of(answer: Answer) -> _Predictions:
    """Parse the predictions in a model server's JSON answer.

    Raises:
        GcpError: The answer has none.
    """
    try:
        return _predictions.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise GcpError(
            "INTERNAL",
            f"The model server's answer is not a JSON object with `predictions`: {error}: "
            f"{answer.body[:1000].decode(errors='replace')}",
        ) from error


def routing_of(call: Call, endpoint: str) -> Routing:
    """Return how an endpoint routes requests; raise NOT_FOUND if there is no such endpoint."""
    return require_endpoint(call, endpoint).routing


def check_size(routing: Routing, size: int) -> None:
    """Raise INVALID_ARGUMENT if a prediction request of `size` bytes is too large."""
    if size > routing.max_bytes:
        kind = "dedicated" if routing.dedicated else "shared"
        raise invalid(
            f"The request has {size:,} bytes: a {kind} endpoint takes {routing.max_bytes:,}."
        )


async def forward(
    call: Call,
    endpoint: str,
    body: bytes,
    headers: tuple[tuple[str, str], ...],
    *,
    instances: int,
    size: int | None = None,
) -> Exchange:
    """Forward a prediction request to one of the endpoint's models, and return the exchange.

    A model's own error answer is returned like any other.

    Raises:
        GcpError: No model takes traffic, the request is too large, or no answer came.
    """
    began = time.perf_counter()
    routing, target = choose_target(call, endpoint, size if size is not None else len(body))
    seconds = DEDICATED_SECONDS if routing.dedicated else SHARED_SECONDS
    try:
        answer = await call.store(AsyncConnections).post(
            target.server.connections.port,
            target.predict_route,
            body,
            headers,
            within=seconds,
            on_stop=call.on_stop,
        )
    except (TimedOut, NotReached) as error:
        raise no_answer(call, routing, target, error, began) from error
    finally:
        target.server.leave()
    record_request(call, routing, target, status=answer.status, began=began, instances=instances)
    return Exchange(routing=routing, target=target, answer=answer)


def choose_target(call: Call, endpoint: str, size: int) -> tuple[Routing, Target]:
    """Choose a deployed model by the traffic split, and count the request at its server.

    The caller must call `target.server.leave()` once the request has ended.
    """
    while True:
        routing = routing_of(call, endpoint)
        check_size(routing, size)
        target = routing.by_traffic.pick(_draw())
        if target is None:
            raise GcpError(
                "FAILED_PRECONDITION",
                f"Endpoint {routing.endpoint} has no deployed model that takes traffic.",
            )
        if target.server.enter():
            return routing, target


def record_request(
    call: Call, routing: Routing, target: Target, *, status: int, began: float, instances: int
) -> None:
    """Add a prediction request to the endpoint's metrics in Cloud Monitoring.

    `began` is when the request came, by time.perf_counter(); `instances` is how many it had.
    """
    online_prediction.record_request(
        call,
        routing.endpoint,
        target.id,
        status=status,
        milliseconds=(time.perf_counter() - began) * 1000,
        predictions=instances,
    )


def no_answer(
    call: Call, routing: Routing, target: Target, error: TimedOut | NotReached, began: float
) -> GcpError:
    """Record in the metrics that a model server gave no answer; return the error for the client."""
    timed_out = isinstance(error, TimedOut)
    record_request(
        call, routing, target, status=504 if timed_out else 503, began=began, instances=0
    )
    if timed_out:
        return GcpError(
            "DEADLINE_EXCEEDED", f"The model server of DeployedModel {target.id} gave {error}."
        )
    target.server.revive()
    return GcpError(
        "UNAVAILABLE", f"The model server of DeployedModel {target.id} does not answer: {error}"
    )


def forwarded_headers(headers: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the headers of a client's request that are forwarded to the model server."""
    return tuple(
        (name, str(value)) for name, value in headers.items() if name.lower() not in _KEPT_TO_US
    )


def target_headers(target: Target) -> tuple[tuple[str, str], ...]:
    """Return the headers in which RawPredict says which deployed model answered."""
    return (
        ("X-Vertex-AI-Deployed-Model-Id", target.id),
        ("X-Vertex-AI-Model", target.model),
        ("X-Vertex-AI-Model-Version-Id", target.version),
    )
