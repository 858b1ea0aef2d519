"""The processing of asynchronous requests: input from S3, the model's answer or a failure to S3."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from ......serving.connections import Answer, NotReached, TimedOut
from .....core.registry import Context
from ....cloudwatch import queue_metrics as queues
from ...jobs.s3 import split
from ..logs import VariantLog
from ..records import Endpoint
from . import backlog
from .backlog import Backlog, Request, UnderWay

_MOST = 1 << 30  # bytes of an input
_SHOWN = 1024  # characters of a model's answer in the log
_SEE = "See the SageMaker Endpoint logs in your account for more information."


class Failure(Exception):
    """A request without an answer: the reason, and what is stored at the FailureLocation."""

    def __init__(
        self, reason: str, content: bytes | None = None, kind: str = "text/plain", **metrics: float
    ) -> None:
        super().__init__(reason)
        self.content = reason.encode() if content is None else content
        self.kind = kind
        self.metrics = metrics


class Input(msgspec.Struct, frozen=True):
    """The input of a request."""

    body: bytes
    kind: str  # its type


def process(ctx: Context, endpoint: Endpoint, queue: Backlog, work: UnderWay) -> None:
    """Send an asynchronous request to its instance, and store the answer or the failure.

    `work` is the request with the instance chosen for it. Whatever happens, the request leaves the
    queue.
    """
    queued = work.began - work.request.received
    queues.record(ctx, endpoint.name, work.variant.name, TimeInBacklog=queued.total_seconds() * 1e6)
    try:
        answer = _answer(ctx, endpoint, work)
        if queue.decide(work):
            _store(ctx, endpoint, work, answer)
    except Failure as failure:
        if queue.decide(work):
            _fail(ctx, endpoint, work.request, failure, work)
    finally:
        work.server.leave()
        _end(ctx, endpoint, queue, work)


def expire(ctx: Context, endpoint: Endpoint, request: Request) -> None:
    """End an asynchronous request, as failed, that has waited longer than its RequestTTLSeconds."""
    words = (
        "The request was in the queue for longer than RequestTTLSeconds "
        f"({request.ttl.total_seconds():g})."
    )
    _fail(ctx, endpoint, request, Failure(words, ExpiredRequests=1), None)
    backlog.note(ctx, endpoint)


def time_out(ctx: Context, endpoint: Endpoint, queue: Backlog, work: UnderWay) -> None:
    """End an asynchronous request, as failed, that has run past its InvocationTimeoutSeconds.

    The instance has room again when the model answers.
    """
    if queue.decide(work):
        seconds = f"{work.request.timeout.total_seconds():g}"
        _fail(
            ctx,
            endpoint,
            work.request,
            Failure(f"The model did not answer within InvocationTimeoutSeconds ({seconds})."),
            work,
        )
        _end(ctx, endpoint, queue, work)


def _end(ctx: Context, endpoint: Endpoint, queue: Backlog, work: UnderWay) -> None:
    """Remove an asynchronous request from the queue, and record its processing time."""
    if queue.leave(work):
        spent = (ctx.clock.now() - work.request.received).total_seconds()
        queues.record(
            ctx,
            endpoint.name,
            work.variant.name,
            InvocationsProcessed=1,
            TotalProcessingTime=spent * 1e3,
        )
    backlog.note(ctx, endpoint)


def _answer(ctx: Context, endpoint: Endpoint, work: UnderWay) -> Answer:
    """Send an asynchronous request's input to the model, and return its answer.

    Raises:
        Failure: The input cannot be read, or the model gives no answer.
    """
    began_at = time.perf_counter()
    source = _input(ctx, work.request)
    asked_at = time.perf_counter()
    queues.record(
        ctx, endpoint.name, work.variant.name, RequestDownloadLatency=(asked_at - began_at) * 1e6
    )
    headers = work.request.headers
    if "content-type" not in dict(headers):
        headers = (("content-type", source.kind), *headers)
    try:
        answer = work.server.predict(
            source.body, headers, seconds=work.request.timeout.total_seconds()
        )
    except (NotReached, TimedOut) as error:
        work.server.revive()
        queues.record(
            ctx, endpoint.name, work.variant.name, Invocation4XXErrors=0, Invocation5XXErrors=1
        )
        raise Failure(
            f"ClientError: Received server error (0) from model. {_SEE}", str(error).encode()
        ) from error
    status = answer.status
    errors = {
        "Invocation4XXErrors": float(400 <= status < 500),
        "Invocation5XXErrors": float(status >= 500),
    }
    queues.record(
        ctx,
        endpoint.name,
        work.variant.name,
        ModelLatency=(time.perf_counter() - asked_at) * 1e6,
        **errors,
    )
    if not 200 <= status < 300:
        side = "client" if status < 500 else "server"
        reason = f"ClientError: Received {side} error ({status}) from model. {_SEE}"
        raise Failure(
            reason, answer.body, answer.headers.get("content-type", "application/octet-stream")
        )
    return answer


def _input(ctx: Context, request: Request) -> Input:
    """Download the input of an asynchronous request from S3."""
    if request.source is None:
        return Input(request.body, "application/octet-stream")
    bucket, key = split(request.source)
    try:
        stored = ctx.client("s3").get_object(Bucket=bucket, Key=key)
        if (size := stored["ContentLength"]) > _MOST:
            raise Failure(
                f"ClientError: the input {request.source} has {size:,} bytes; 1 GB is the most.",
                RequestDownloadFailures=1,
            )
        return Input(stored["Body"].read(), stored.get("ContentType") or "application/octet-stream")
    except (ClientError, BotoCoreError) as error:
        raise Failure(
            f"ClientError: Failed to download {request.source}: {error}", RequestDownloadFailures=1
        ) from error


def _store(ctx: Context, endpoint: Endpoint, work: UnderWay, answer: Answer) -> None:
    """Write the model's answer to the request's output location in S3, and log its success."""
    began = time.perf_counter()
    try:
        _put(
            ctx,
            work.request,
            work.request.output,
            answer.body,
            answer.headers.get("content-type", "application/octet-stream"),
        )
    except (ClientError, BotoCoreError) as error:
        failure = Failure(
            f"ClientError: Failed to upload to {work.request.output}: {error}",
            ResponseUploadFailures=1,
        )
        _fail(ctx, endpoint, work.request, failure, work)
        return
    queues.record(
        ctx,
        endpoint.name,
        work.variant.name,
        ResponseUploadLatency=(time.perf_counter() - began) * 1e6,
    )
    _write_log(
        ctx,
        endpoint,
        work,
        work.request,
        f"Inference request succeeded. OutputLocation: {work.request.output}",
    )


def _fail(
    ctx: Context, endpoint: Endpoint, request: Request, failure: Failure, work: UnderWay | None
) -> None:
    """Write a failed request's error to its failure location, if any, and into the log.

    `work` is the request at its instance; None: no instance had it.
    """
    words = str(failure)
    if request.failure is not None:
        try:
            _put(ctx, request, request.failure, failure.content, failure.kind)
        except (ClientError, BotoCoreError) as error:
            words += f" Failed to upload to {request.failure}: {error}"
    variant = work.variant if work is not None else next(iter(endpoint.fleet.variants.values()))
    queues.record(ctx, endpoint.name, variant.name, InvocationFailures=1, **failure.metrics)
    _write_log(
        ctx,
        endpoint,
        work,
        request,
        f"{words} {failure.content[:_SHOWN].decode('utf-8', 'replace')}",
    )


def _put(ctx: Context, request: Request, uri: str, content: bytes, kind: str) -> None:
    """Write an S3 object for an asynchronous request, encrypted if its output config says so.

    `kind` is the content's type.
    """
    bucket, key = split(uri)
    encrypted: dict[str, Any] = (
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": request.key} if request.key else {}
    )
    ctx.client("s3").put_object(Bucket=bucket, Key=key, Body=content, ContentType=kind, **encrypted)


def _write_log(
    ctx: Context, endpoint: Endpoint, work: UnderWay | None, request: Request, words: str
) -> None:
    """Write a line about an asynchronous request into the data log of its instance.

    Without an instance (`work` is None) it is the log of the endpoint's first variant.
    """
    stream = work.server.name if work is not None else next(iter(endpoint.fleet.variants))
    log = VariantLog(
        ctx.client("logs"), f"/aws/sagemaker/Endpoints/{endpoint.name}", f"{stream}/data-log"
    )
    log.write(f"{ctx.clock.now():%Y-%m-%dT%H:%M:%S}:[sagemaker logs] [{request.id}] {words}")
    log.flush()
