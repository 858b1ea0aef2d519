"""Transform jobs: create, describe, stop, list, and how such a job runs.

Source: SageMaker developer guide, "Batch transform" and "Use your own inference code with batch
transform".
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import msgspec

from .....core.images import command_of
from .....jobs.container import Container
from .....serving.model_server import ModelServer
from ....core.registry import AwsError, Context, handles
from ..endpoints.hosting.models import Content, NoModel, content, fetch
from ..endpoints.hosting.servers import server_of
from ..jobs import listing, s3
from ..jobs.logs import GROUPS, LogStream
from ..jobs.records import Job, Jobs
from ..jobs.runner import JobFailed, start, unmapped_message
from ..models import operations as models
from ..tags import operations as tags
from . import batches as records
from .batches import BadRecord
from .requests import STRATEGIES, Asker, settings_of

_ECHOED = (
    *(
        "ModelName",
        "MaxConcurrentTransforms",
        "ModelClientConfig",
        "MaxPayloadInMB",
        "BatchStrategy",
        "Environment",
        "TransformInput",
    ),
    *("TransformOutput", "TransformResources", "DataProcessing", "ExperimentConfig"),
)
_HEALTHY = 600.0  # seconds that a container has until it answers /ping
_LOOK = 0.1  # seconds
_MOST_MB = 100  # all requests at once


@handles("sagemaker", "CreateTransformJob")
def create_transform_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call CreateTransformJob: start a batch transform job."""
    name = params["TransformJobName"]
    arn = f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:transform-job/{name}"
    as_moto = ctx.moto_answers and not _is_servable(ctx, params["ModelName"])
    if not as_moto:
        _check(ctx, params)
    job = listing.register(ctx, "transform", name, arn, params)
    tags.put(ctx, arn, params.get("Tags"))
    # an image that nobody mapped does what it does under moto alone: nothing, with success
    if as_moto:
        ctx.moto("sagemaker", "CreateTransformJob", params)
        job.as_moto = ctx.moto("sagemaker", "DescribeTransformJob", {"TransformJobName": name})
        job.ends("Completed", "Completed", "Transform job completed", ctx.clock.now())
    else:
        start(ctx, job, transform)
    return {"TransformJobArn": arn}


def _is_servable(ctx: Context, model: str) -> bool:
    """Return whether a command is mapped to a model's image."""
    try:
        return command_of(ctx.images, content(ctx, model).image) is not None
    except NoModel:
        return False


def _check(ctx: Context, params: dict[str, Any]) -> None:
    """Raise an error for a transform job that SageMaker refuses or that is not supported.

    Raises:
        AwsError: The job is refused or not supported.
    """
    source = params["TransformInput"]
    kind, split = (
        source["DataSource"]["S3DataSource"]["S3DataType"],
        source.get("SplitType", "None"),
    )
    most, at_once = params.get("MaxPayloadInMB", 0), params.get("MaxConcurrentTransforms", 0)
    if most > _MOST_MB or most * at_once > _MOST_MB:
        raise AwsError(
            "ValidationException",
            "MaxPayloadInMB, and MaxConcurrentTransforms x MaxPayloadInMB, must not exceed "
            f"{_MOST_MB} MB.",
        )
    if params.get("BatchStrategy") == "MultiRecord" and split == "None":
        raise AwsError("ValidationException", "BatchStrategy MultiRecord needs a SplitType: Line.")
    for value, taken in ((kind, ("S3Prefix", "ManifestFile")), (split, ("None", "Line"))):
        if value not in taken:
            raise AwsError(
                "ValidationException",
                f"The local stack transforms {' and '.join(taken)}, not {value}.",
            )
    if params.get("DataCaptureConfig"):
        raise AwsError(
            "ValidationException",
            "The local stack does not capture the data of transform jobs: leave "
            "DataCaptureConfig out.",
        )
    listing.require_one_instance("transform", params["TransformResources"])
    try:
        records.filters(params.get("DataProcessing") or {}, source.get("ContentType"))
    except BadRecord as error:
        raise AwsError("ValidationException", str(error)) from error
    models.describe_model(ctx, {"ModelName": params["ModelName"]})


def transform(ctx: Context, job: Job, container: Container) -> None:
    """Run a batch transform job: serve the model, send it all inputs, upload the answers.

    Raises:
        JobFailed: The model failed.
        TransferError: A file could not be fetched or delivered.
    """
    job.moves("Starting", "Starting the transform job", job.created)
    try:
        model = content(ctx, job.params["ModelName"])
        with_job = msgspec.structs.replace(
            model, environment={**model.environment, **_environment(job.params)}
        )
        server = _server(ctx, job, with_job)
        try:
            _send_inputs(ctx, job, container, server, with_job)
        finally:
            server.kill()
    except NoModel as error:
        raise JobFailed(f"ClientError: {error}") from error


def _environment(params: dict[str, Any]) -> dict[str, str]:
    """Return a transform job's environment variables for the model's container."""
    strategy = next(
        (word for word, name in STRATEGIES.items() if name == params.get("BatchStrategy")), None
    )
    settings = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": params.get("MaxPayloadInMB"),
        "SAGEMAKER_BATCH_STRATEGY": strategy,
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": params.get("MaxConcurrentTransforms"),
    }
    return {name: str(value) for name, value in settings.items() if value is not None} | (
        params.get("Environment") or {}
    )


def _server(ctx: Context, job: Job, model: Content) -> ModelServer:
    """Return the model server of a transform job, not started yet."""
    command = command_of(ctx.images, model.image)
    if command is None:
        raise JobFailed(unmapped_message(model.image))
    return server_of(
        ctx,
        model,
        command,
        group=GROUPS["transform"],
        stream=f"{job.name}/i-{uuid.uuid4().hex[:17]}",
        folder=ctx.home / "jobs" / f"transform-{job.name}-{uuid.uuid4().hex[:8]}",
    )


def _send_inputs(
    ctx: Context, job: Job, container: Container, server: ModelServer, model: Content
) -> None:
    """Start the model server, send it a transform job's input objects, and upload the answers."""
    problem = server.start(lambda folder: fetch(ctx, model, folder), _HEALTHY)
    if problem is not None:
        raise JobFailed(f"AlgorithmError: the container did not answer /ping: {problem}")
    storage, source = ctx.client("s3"), job.params["TransformInput"]["DataSource"]["S3DataSource"]
    inputs, outputs = container.host("input"), container.host("output")
    s3.download(storage, source["S3Uri"], inputs, kind=source["S3DataType"])
    job.started = ctx.clock.now()
    job.moves("Transforming", "Transforming", job.started)
    log = LogStream(ctx.client("logs"), GROUPS["transform"], f"{job.name}/data-log")
    asker = Asker(job, server, settings_of(job.params, server), log)
    with _ending_when_stopped(job, server):
        failures = [
            asker.transform_object(path, inputs, outputs)
            for path in sorted(path for path in inputs.rglob("*") if path.is_file())
        ]
    log.flush()
    if job.stop.is_set():  # what a stopped job has made is not stored
        return job.ends("Stopped", "Stopped", "Transform job stopped", ctx.clock.now())
    s3.upload(storage, outputs, job.params["TransformOutput"]["S3OutputPath"])
    if wrong := next(filter(None, failures), None):
        raise JobFailed(wrong)
    return job.ends("Completed", "Completed", "Transform job completed", ctx.clock.now())


@contextmanager
def _ending_when_stopped(job: Job, server: ModelServer) -> Generator[None, None, None]:
    """Kill the model server within the block if the transform job is stopped."""
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(_LOOK):
            if job.stop.is_set():
                server.kill()
                break

    watcher = threading.Thread(target=watch, name=f"stop of {job.name}", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()


@handles("sagemaker", "DescribeTransformJob")
def describe_transform_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DescribeTransformJob: describe a transform job."""
    return description(listing.find(ctx, "transform", params["TransformJobName"]))


def description(job: Job) -> dict[str, Any]:
    """Return a transform job in the form of DescribeTransformJob's response."""
    if job.as_moto is not None:
        return job.as_moto
    with job.lock:
        answer = {**_summary(job), **{key: job.params[key] for key in _ECHOED if key in job.params}}
        answer.pop("LastModifiedTime")
        return {**answer, "TransformStartTime": job.started} if job.started else answer


@handles("sagemaker", "StopTransformJob")
def stop_transform_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call StopTransformJob: stop a transform job."""
    job = listing.find(ctx, "transform", params["TransformJobName"])
    if job.as_moto is not None:
        return ctx.forward()
    listing.stop(ctx, job)
    return {}


@handles("sagemaker", "ListTransformJobs")
def list_transform_jobs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call ListTransformJobs: list the transform jobs."""
    jobs, token = listing.page(
        list(ctx.store(Jobs).transform.values()), params, by_status_last=ctx.moto_answers
    )
    return {"TransformJobSummaries": [_summary(job) for job in jobs], **token}


def _summary(job: Job) -> dict[str, Any]:
    """Return a transform job in the form of ListTransformJobs' response."""
    summary = {
        "TransformJobName": job.name,
        "TransformJobArn": job.arn,
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "TransformJobStatus": job.status,
    }
    optional = {"TransformEndTime": job.ended, "FailureReason": job.failure}
    return {**summary, **{key: value for key, value in optional.items() if value}}
