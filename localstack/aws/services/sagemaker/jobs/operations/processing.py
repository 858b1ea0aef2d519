"""The operations on processing jobs, and how such a job runs."""

from __future__ import annotations

from typing import Any

from ......core.images import command_of
from ......jobs import container as containers
from ......jobs.container import Container
from .....core.registry import AwsError, Context, handles
from ...tags import operations as tags
from .. import listing, s3
from ..contract import ROOT, resources
from ..logs import Metrics
from ..records import Job, Jobs
from ..runner import JobFailed, argv, contain, program_of, start, verdict

_ECHOED = (
    *(
        "ProcessingInputs",
        "ProcessingOutputConfig",
        "ProcessingResources",
        "StoppingCondition",
        "AppSpecification",
        "Environment",
    ),
    *("NetworkConfig", "RoleArn", "ExperimentConfig"),
)
_MESSAGE = 1024  # characters of an ExitMessage


@handles("sagemaker", "CreateProcessingJob")
def create_processing_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call CreateProcessingJob: start a processing job."""
    name = params["ProcessingJobName"]
    arn = f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:processing-job/{name}"
    for item in (*_inputs(params), *_outputs(params)):
        path = (
            item.get("S3Input") or item.get("S3Output") or item.get("DatasetDefinition") or {}
        ).get("LocalPath")
        if path is not None and (
            not f"{path}/".startswith(f"{ROOT}/processing/") or ".." in path.split("/")
        ):
            raise AwsError(
                "ValidationException", f"LocalPath '{path}' must be a path below {ROOT}/processing/"
            )
    as_moto = (
        ctx.moto_answers and command_of(ctx.images, params["AppSpecification"]["ImageUri"]) is None
    )
    if not as_moto:
        _check(params)
    job = listing.register(ctx, "processing", name, arn, params)
    tags.put(ctx, arn, params.get("Tags"))
    if as_moto:
        _as_moto(ctx, job)
    else:
        job.moves("Starting", "Starting the processing job", job.created)
        start(ctx, job, process)
    return {"ProcessingJobArn": arn}


def _check(params: dict[str, Any]) -> None:
    """Raise an error for a processing job that cannot be run here, before its name is used up.

    Raises:
        AwsError: The job cannot be run here.
    """
    listing.require_one_instance("processing", params["ProcessingResources"]["ClusterConfig"])
    piped = [
        item["InputName"]
        for item in _inputs(params)
        if (item.get("S3Input") or {}).get("S3InputMode") == "Pipe"
    ]
    if piped:
        raise AwsError(
            "ValidationException",
            f"The local stack's processing jobs do not support Pipe (input '{piped[0]}'): "
            "use File.",
        )


def _inputs(params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ProcessingInputs of a request."""
    return params.get("ProcessingInputs") or []


def _outputs(params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the Outputs of a request's ProcessingOutputConfig."""
    return (params.get("ProcessingOutputConfig") or {}).get("Outputs") or []


def _as_moto(ctx: Context, job: Job) -> None:
    """Complete a processing job without running it, with --moto-answers and no mapped command.

    moto does the same with every job.
    """
    ctx.moto("sagemaker", "CreateProcessingJob", job.params)
    job.as_moto = ctx.moto("sagemaker", "DescribeProcessingJob", {"ProcessingJobName": job.name})
    job.ends("Completed", "Completed", "Processing job completed", ctx.clock.now())


def process(ctx: Context, job: Job, container: Container) -> None:
    """Run a processing job: download its inputs, run its command, upload its outputs.

    Raises:
        JobFailed: The container failed.
        TransferError: A file could not be fetched or delivered.
    """
    storage, now, params = ctx.client("s3"), ctx.clock.now, job.params
    application = params["AppSpecification"]
    command = argv(ctx, program_of(application, application["ImageUri"], []), container)
    job.moves("Downloading", "Downloading inputs", now())
    for item in _inputs(params):
        _fetch(storage, item, container)
    cluster = params["ProcessingResources"]["ClusterConfig"]
    container.host("processing").mkdir(parents=True, exist_ok=True)
    for item in _outputs(params):
        if "LocalPath" in item.get("S3Output", {}):
            container.host(item["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
    container.host("output").mkdir(parents=True, exist_ok=True)
    config = {key: params[key] for key in _ECHOED if key in params}
    containers.write_json(
        container,
        "config/processingjobconfig.json",
        {"ProcessingJobArn": job.arn, "ProcessingJobName": job.name, **config},
    )
    containers.write_json(
        container,
        "config/resourceconfig.json",
        resources(cluster.get("InstanceType", "ml.m5.large")),
    )
    if job.stop.is_set():
        return job.ends("Stopped", "Stopped", "Processing job stopped", now())
    job.started = now()
    job.moves("Processing", "Processing", job.started)
    root = container.root
    variables = {
        "PROCESSING_JOB_NAME": job.name,
        "PROCESSING_JOB_ARN": job.arn,
        "SM_PROCESSING_DIR": f"{root}/processing",
    }
    ended = contain(
        ctx,
        job,
        container,
        command,
        {**variables, **(params.get("Environment") or {})},
        metrics=Metrics(()),
    )
    if ended.why == "reset":
        return None
    job.exit_message = _message(container)
    verdict(ended, container.host("output/failure"))
    if ended.why == "itself":
        job.moves("Uploading", "Uploading outputs", now())
        _deliver(storage, params, container)
        return job.ends("Completed", "Completed", "Processing job completed", now())
    return job.ends(
        "Stopped",
        "Stopped" if ended.why == "stopped" else "MaxRuntimeExceeded",
        "Processing job stopped",
        now(),
    )


def _message(container: Container) -> str | None:
    """Return the ExitMessage that a processing container left in a file, or None."""
    path = container.host("output/message")
    try:
        return path.read_bytes().decode()[:_MESSAGE] if path.is_file() else None
    except UnicodeDecodeError as error:
        raise JobFailed(f"ClientError: /opt/ml/output/message is not UTF-8: {error}") from error


def _fetch(storage: Any, item: dict[str, Any], container: Container) -> None:
    """Download one input of a processing job from S3 into its container's folder.

    `item` is the input's part of the request.
    """
    source = item.get("S3Input")
    if source is None:
        raise s3.TransferError(
            "ClientError: the local stack reads inputs from S3 only; input "
            f"'{item['InputName']}' has another source"
        )
    if not item.get("AppManaged") and "LocalPath" in source:
        s3.download(
            storage, source["S3Uri"], container.host(source["LocalPath"]), kind=source["S3DataType"]
        )


def _deliver(storage: Any, params: dict[str, Any], container: Container) -> None:
    """Upload the outputs of a processing job to S3.

    Both upload modes do so at the end: a reader of Continuous output sees it later than on
    SageMaker, and whole.
    """
    for item in _outputs(params):
        output = item.get("S3Output")
        if output and "LocalPath" in output and not item.get("AppManaged"):
            s3.upload(storage, container.host(output["LocalPath"]), output["S3Uri"], links=False)


@handles("sagemaker", "DescribeProcessingJob")
def describe_processing_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DescribeProcessingJob: describe a processing job."""
    return description(listing.find(ctx, "processing", params["ProcessingJobName"]))


def description(job: Job) -> dict[str, Any]:
    """Return a processing job in the form of DescribeProcessingJob's response."""
    if job.as_moto is not None:
        return job.as_moto
    with job.lock:
        answer: dict[str, Any] = {
            "ProcessingJobName": job.name,
            "ProcessingJobArn": job.arn,
            "ProcessingJobStatus": job.status,
            "CreationTime": job.created,
            "LastModifiedTime": job.modified,
            **{key: job.params[key] for key in _ECHOED if key in job.params},
        }
        answer.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": 86400})
        optional = {
            "ProcessingStartTime": job.started,
            "ProcessingEndTime": job.ended,
            "FailureReason": job.failure,
            "ExitMessage": job.exit_message,
        }
        return {**answer, **{key: value for key, value in optional.items() if value}}


@handles("sagemaker", "StopProcessingJob")
def stop_processing_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call StopProcessingJob: stop a processing job."""
    job = listing.find(ctx, "processing", params["ProcessingJobName"])
    if job.as_moto is not None:
        job.status = "Stopped"
        # moto stops even what has ended
        job.as_moto = {
            **job.as_moto,
            "ProcessingJobStatus": "Stopped",
        }
        return {}
    listing.stop(ctx, job)
    return {}


@handles("sagemaker", "ListProcessingJobs")
def list_processing_jobs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call ListProcessingJobs: list the processing jobs."""

    def summary(job: Job) -> dict[str, Any]:
        required = {
            "ProcessingJobName": job.name,
            "ProcessingJobArn": job.arn,
            "CreationTime": job.created,
            "LastModifiedTime": job.modified,
            "ProcessingJobStatus": job.status,
        }
        optional = {
            "ProcessingEndTime": job.ended,
            "FailureReason": job.failure,
            "ExitMessage": job.exit_message,
        }
        return {**required, **{key: value for key, value in optional.items() if value}}

    jobs, token = listing.page(
        list(ctx.store(Jobs).processing.values()), params, by_status_last=ctx.moto_answers
    )
    return {"ProcessingJobSummaries": [summary(job) for job in jobs], **token}
