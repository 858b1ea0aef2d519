"""InvokeEndpointAsync: the call is answered at once, the model's answer goes to S3.

Source: SageMaker developer guide, "Asynchronous inference"; what a failure's object holds, and its
name, as users of the service show them.
"""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

from .....core.registry import AwsError, Context, handles
from ...jobs.s3 import TransferError, split
from .. import records
from ..invocation import backlog
from ..invocation.async_requests import expire, process, time_out
from ..invocation.backlog import Backlog, Backlogs, Request
from ..records import Endpoint
from .invoke import container_headers, invalid

_TTL, _TIMEOUT = 21_600, 900  # seconds, where the request says nothing
_UNSAFE = re.compile(r"[^\w.-]")


@handles("sagemaker-runtime", "InvokeEndpointAsync")
def invoke_async(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call InvokeEndpointAsync: queue a request, whose answer goes to S3."""
    name = params["EndpointName"]
    endpoint = records.find(ctx, name)
    if ctx.moto_answers and (
        endpoint is None or not any(variant.image for variant in endpoint.fleet.all)
    ):
        return ctx.forward()
    if endpoint is None or endpoint.routing is None:
        raise _not_found(ctx, name)
    config = backlog.settings(endpoint)
    if config is None:
        raise invalid(
            f"Endpoint {name} of account {ctx.account} has no AsyncInferenceConfig: use "
            "InvokeEndpoint."
        )
    request = _request(ctx, params, config["OutputConfig"])
    _enqueue(ctx.without_request(), endpoint, request)
    located = {"OutputLocation": request.output, "FailureLocation": request.failure}
    return {"InferenceId": request.id, **{key: value for key, value in located.items() if value}}


def _not_found(ctx: Context, name: str) -> AwsError:
    """Return the ValidationError for an endpoint that does not exist."""
    return invalid(f"Endpoint {name} of account {ctx.account} not found.")


def _request(ctx: Context, params: dict[str, Any], output: dict[str, Any]) -> Request:
    """Return the queued form of an InvokeEndpointAsync request, with its S3 locations.

    `output` is the endpoint's OutputConfig.
    """
    source, body = params.get("InputLocation"), params.get("Body") or b""
    if bool(source) == bool(body):
        raise invalid("Exactly one of InputLocation and Body must be provided.")
    number = params.get("InferenceId") or str(uuid.uuid4())
    label = _UNSAFE.sub("-", number)
    extension = (params.get("S3OutputPathExtension") or "").strip("/")
    folder = "/".join(part for part in (output["S3OutputPath"].rstrip("/"), extension) if part)
    failures = output.get("S3FailurePath")
    return Request(
        id=number,
        headers=container_headers(params),
        source=_check_uri(source) if source else None,
        body=body,
        output=f"{folder}/{params.get('Filename') or f'{label}.out'}",
        failure=f"{failures.rstrip('/')}/{label}-error.out" if failures else None,
        key=output.get("KmsKeyId"),
        received=ctx.clock.now(),
        ttl=timedelta(seconds=params.get("RequestTTLSeconds") or _TTL),
        timeout=timedelta(seconds=params.get("InvocationTimeoutSeconds") or _TIMEOUT),
    )


def _check_uri(uri: str) -> str:
    """Check the InputLocation of an asynchronous request, and return it.

    Raises:
        AwsError: It is not the URI of an S3 object.
    """
    try:
        bucket, key = split(uri)
    except TransferError as error:
        raise invalid(
            f"InputLocation '{uri}' is neither s3://bucket/key nor S3's https address of it."
        ) from error
    if not bucket or not key:
        raise invalid(f"InputLocation '{uri}' names no object.")
    return uri


def _enqueue(ctx: Context, endpoint: Endpoint, request: Request) -> None:
    """Append an asynchronous request to the endpoint's queue."""
    queue = ctx.store(Backlogs).backlog_of(endpoint.name)
    with queue.changed:
        # it has been deleted meanwhile: nobody would look after the request
        if endpoint.routing is None:
            raise _not_found(ctx, endpoint.name)
        queue.waiting.append(request)
        begin, queue.watched = not queue.watched, True
        queue.changed.notify_all()
    backlog.note(ctx, endpoint)
    if begin:
        ctx.spawn(_watch, ctx, endpoint, queue)


def _watch(ctx: Context, endpoint: Endpoint, queue: Backlog) -> None:
    """Process an endpoint's queue of asynchronous requests until it is empty.

    Requests go to instances that have room; those that waited too long are ended.
    """
    while not ctx.stopping.is_set():
        for request in backlog.overdue(ctx, queue):
            expire(ctx, endpoint, request)
        while (work := backlog.next_one(ctx, endpoint, queue)) is not None:
            ctx.spawn(process, ctx, endpoint, queue, work)
        with queue.changed:
            late = [
                work
                for work in queue.processed
                if not work.decided and ctx.clock.now() - work.began > work.request.timeout
            ]
        for work in late:
            time_out(ctx, endpoint, queue, work)
        with queue.changed:
            if not queue.waiting and not queue.processed:
                queue.watched = False
                return
        backlog.await_change(queue)


def check(params: dict[str, Any]) -> None:
    """Check the AsyncInferenceConfig of an endpoint configuration.

    Raises:
        AwsError: The service refuses it, or something in it is not done here.
    """
    config = params.get("AsyncInferenceConfig")
    if config is None:
        return
    output = config["OutputConfig"]
    if (output.get("NotificationConfig") or {}).keys() & {"SuccessTopic", "ErrorTopic"}:
        raise _refusal(
            "The local stack sends no notifications of asynchronous invocations: leave "
            "NotificationConfig's topics out."
        )
    if not output.get("S3OutputPath"):
        raise _refusal("AsyncInferenceConfig needs an OutputConfig with an S3OutputPath.")
    for key in ("S3OutputPath", "S3FailurePath"):
        if output.get(key) and not output[key].startswith("s3://"):
            raise _refusal(
                f"{key} '{output[key]}' must be an s3:// URI: the local stack writes to no other."
            )
    if any(variant.get("ServerlessConfig") for variant in params["ProductionVariants"]):
        raise _refusal(
            "A serverless variant cannot be invoked asynchronously: leave "
            "AsyncInferenceConfig or ServerlessConfig out."
        )
    if params.get("ShadowProductionVariants"):
        raise _refusal(
            "Shadow variants are not supported for endpoints with an AsyncInferenceConfig."
        )
    if (params.get("DataCaptureConfig") or {}).get("EnableCapture"):
        raise _refusal(
            "The local stack does not capture the data of asynchronous invocations: leave "
            "DataCaptureConfig out."
        )


def _refusal(message: str) -> AwsError:
    """Return SageMaker's ValidationException with this message."""
    return AwsError("ValidationException", message)
