"""InvokeEndpoint: a request goes to a variant's server by weight, or to a named variant."""

from __future__ import annotations

import random
import time
from typing import Any

from ......serving.connections import Answer, NotReached, TimedOut
from ......serving.model_server import ModelServer
from .....core.registry import AwsError, Context, handles
from ....cloudwatch import variant_metrics as variants
from .. import records
from ..invocation import backlog, shadow
from ..invocation.capture import capture
from ..records import Endpoint, Routing, Target

_draw = random.random
_SHOWN = 1024  # characters of a container's answer in an error's message
# Members of the request that are headers of the container's request.
_HEADERS = (
    ("ContentType", "content-type"),
    ("Accept", "accept"),
    ("CustomAttributes", "x-amzn-sagemaker-custom-attributes"),
    ("InferenceId", "x-amzn-sagemaker-inference-id"),
    ("TargetModel", "x-amzn-sagemaker-target-model"),
    ("SessionId", "x-amzn-sagemaker-session-id"),
)


@handles("sagemaker-runtime", "InvokeEndpoint")
def invoke(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer InvokeEndpoint: send a request to the endpoint's model, and return its answer."""
    began_at = time.perf_counter()
    endpoint = records.find(ctx, params["EndpointName"])
    routing = endpoint.routing if endpoint else None
    if endpoint is None or routing is None:
        if endpoint is None and ctx.moto_answers:
            return ctx.forward()
        raise invalid(f"Endpoint {params['EndpointName']} of account {ctx.account} not found.")
    if backlog.settings(endpoint) is not None:
        raise invalid(
            f"Endpoint {endpoint.name} of account {ctx.account} has an AsyncInferenceConfig: "
            "use InvokeEndpointAsync."
        )
    body: bytes = params.get("Body") or b""
    entered = _enter(ctx, endpoint, params.get("TargetVariant"))
    if entered is None:
        return ctx.forward()
    target, server = entered
    headers = container_headers(params)
    if routing.shadow is not None and _draw() < routing.shadow_share:
        shadow.copy(ctx, endpoint, routing.shadow, body, headers)
    asked_at = time.perf_counter()
    try:
        answer, wrong = _predict(server, body, headers)
    finally:
        server.leave()
    answered_at = time.perf_counter()
    now = ctx.clock.now()
    variants.record(
        ctx,
        target.source(endpoint.name),
        answer.status if answer else 0,
        model=(answered_at - asked_at) * 1e6,
        overhead=(asked_at - began_at) * 1e6,
        instances=target.variant.count,
        called_at=now,
    )
    if answer is None or not 200 <= answer.status < 300:
        raise _model_error(ctx, endpoint, answer, wrong)
    result = {
        "Body": answer.body,
        "ContentType": answer.headers.get("content-type", "application/octet-stream"),
        "InvokedProductionVariant": target.variant.name,
    }
    custom = answer.headers.get("x-amzn-sagemaker-custom-attributes")
    if custom:
        result["CustomAttributes"] = custom
    if target.fleet.capture:
        capture(ctx, endpoint, target, params=params, body=body, answer=answer)
    return result


def container_headers(params: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the HTTP headers of an invocation that are passed to the model's container."""
    return tuple((header, str(params[member])) for member, header in _HEADERS if params.get(member))


def _enter(ctx: Context, endpoint: Endpoint, name: str | None) -> tuple[Target, ModelServer] | None:
    """Choose a variant and a server for an invocation, and count it as one of its requests.

    `name` is the variant that the request asks for, if any. None: moto answers for the variant
    (--moto-answers, its image is unmapped).
    """
    while True:
        routing = endpoint.routing
        if routing is None:
            raise invalid(f"Endpoint {endpoint.name} of account {ctx.account} not found.")
        target = _pick(ctx, endpoint, routing, name)
        if not target.variant.image:
            return None
        server = target.variant.pick()
        if server is not None and server.enter():
            return target, server


def _pick(ctx: Context, endpoint: Endpoint, routing: Routing, name: str | None) -> Target:
    """Choose the variant for an invocation: the one called `name`, or one by weight."""
    if name is not None:
        choice = routing.by_name.get(name)
        if choice is None:
            raise invalid(
                f"Variant {name} of endpoint {endpoint.name} of account {ctx.account} not found."
            )
    else:
        choice = routing.by_weight
    target = choice.pick(_draw())
    if target is None:
        raise invalid(
            f"All variants of endpoint {endpoint.name} of account {ctx.account} have a "
            "weight of 0: name one as TargetVariant."
        )
    return target


def _predict(
    server: ModelServer, body: bytes, headers: tuple[tuple[str, str], ...]
) -> tuple[Answer | None, str]:
    """Send an invocation to a model server; return its answer, or None and why there is none."""
    try:
        return server.predict(body, headers), ""
    except TimedOut:
        wrong = "Your invocation timed out while waiting for a response from container primary. "
        return (
            None,
            wrong
            + "Review the latency metrics for each container in Amazon CloudWatch, resolve the "
            "issue, and try again.",
        )
    except NotReached as error:
        server.revive()
        return None, str(error)


def _model_error(ctx: Context, endpoint: Endpoint, answer: Answer | None, wrong: str) -> AwsError:
    """Return the ModelError for an answer that is missing or is no success.

    `wrong` says why there is none.
    """
    status = answer.status if answer else 0
    words = answer.body.decode("utf-8", "replace") if answer else wrong
    group = f"/aws/sagemaker/Endpoints/{endpoint.name}"
    side = "client" if 400 <= status < 500 else "server"
    console = f"https://{ctx.region}.console.aws.amazon.com/cloudwatch/home?region={ctx.region}#logEventViewer:group={group}"
    return AwsError(
        "ModelError",
        f'Received {side} error ({status}) from primary with message "{words[:_SHOWN]}". See '
        f"{console} in account {ctx.account} for more "
        "information.",
        424,
        OriginalStatusCode=status,
        OriginalMessage=words,
        LogStreamArn=f"arn:aws:logs:{ctx.region}:{ctx.account}:log-group:{group}",
    )


def invalid(message: str) -> AwsError:
    """Return the ValidationError for an invocation that is not valid."""
    return AwsError("ValidationError", message, 400)
