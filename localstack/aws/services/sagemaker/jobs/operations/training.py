"""The operations on training jobs, and how such a job runs."""

from __future__ import annotations

from typing import Any

from ......core.images import command_of
from ......jobs import container as containers
from ......jobs.container import Container
from .....core.registry import AwsError, Context, handles
from ...tags import operations as tags
from .. import contract, listing, s3
from ..logs import Metrics, metric_definitions
from ..records import ENDED, Job, Jobs
from ..runner import argv, contain, program_of, start, verdict

_ECHOED = (  # of the request, told again by Describe
    *(
        "HyperParameters",
        "AlgorithmSpecification",
        "RoleArn",
        "InputDataConfig",
        "OutputDataConfig",
        "ResourceConfig",
        "VpcConfig",
    ),
    *(
        "StoppingCondition",
        "EnableNetworkIsolation",
        "EnableInterContainerTrafficEncryption",
        "EnableManagedSpotTraining",
    ),
    *(
        "CheckpointConfig",
        "DebugHookConfig",
        "ExperimentConfig",
        "DebugRuleConfigurations",
        "TensorBoardOutputConfig",
    ),
    *(
        "ProfilerConfig",
        "ProfilerRuleConfigurations",
        "Environment",
        "RetryStrategy",
        "RemoteDebugConfig",
        "InfraCheckConfig",
    ),
    *("MlflowConfig", "ModelPackageConfig"),
)


@handles("sagemaker", "CreateTrainingJob")
def create_training_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call CreateTrainingJob: start a training job."""
    return {"TrainingJobArn": launch(ctx, params).arn}


def launch(ctx: Context, params: dict[str, Any], tuning: str | None = None) -> Job:
    """Start a training job from a CreateTrainingJob request, and return it.

    `tuning` is the ARN of the tuning job that asks for it.
    """
    name = params["TrainingJobName"]
    arn = f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:training-job/{name}"
    specification = params.get("AlgorithmSpecification") or {}
    if "TrainingImage" in specification and "AlgorithmName" in specification:
        raise AwsError(
            "ValidationException",
            "Only one of TrainingImage and AlgorithmName may be given in AlgorithmSpecification.",
        )
    for metric in specification.get("MetricDefinitions") or ():
        listing.check_regex(metric["Regex"])
    as_moto = (
        ctx.moto_answers and command_of(ctx.images, specification.get("TrainingImage", "")) is None
    )
    if not as_moto:
        check(params)
    job = listing.register(ctx, "training", name, arn, params, tuning=tuning)
    tags.put(ctx, arn, params.get("Tags"))
    if as_moto:
        _as_moto(ctx, job)
    else:
        job.moves("Starting", "Preparing the instances for training", job.created)
        start(ctx, job, train)
    return job


def check(params: dict[str, Any]) -> None:
    """Raise an error for a training job that cannot be run here, before its name is used up.

    A tuning job's definition of its training jobs is checked by it, too.

    Raises:
        AwsError: The job cannot be run here.
    """
    specification = params.get("AlgorithmSpecification") or {}
    listing.require_one_instance("training", params.get("ResourceConfig") or {})
    piped = [
        c["ChannelName"]
        for c in params.get("InputDataConfig") or ()
        if _mode(c, specification) == "Pipe"
    ]
    if piped:
        raise AwsError(
            "ValidationException",
            f"The local stack's training jobs do not support Pipe (channel '{piped[0]}'): "
            "use File or FastFile.",
        )
    if params.get("EnableManagedSpotTraining"):
        _check_spot(params.get("StoppingCondition") or {})


def _check_spot(condition: dict[str, Any]) -> None:
    """Raise an error if the time limits of a managed spot training job are not valid.

    `condition` is the job's StoppingCondition. The job itself is never interrupted here: no
    capacity is taken away.
    """
    wait, limit = condition.get("MaxWaitTimeInSeconds"), condition.get("MaxRuntimeInSeconds", 86400)
    if wait is None or wait < limit:
        words = (
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
            f"MaxRuntimeInSeconds ({limit})"
        )
        raise AwsError("ValidationException", words)


def _mode(channel: dict[str, Any], specification: dict[str, Any]) -> str:
    """Return the input mode (File ...) of a training channel: its own, or the job's.

    `specification` is the job's AlgorithmSpecification.
    """
    return str(channel.get("InputMode") or specification.get("TrainingInputMode", "File"))


def _as_moto(ctx: Context, job: Job) -> None:
    """Complete a training job without running it, with --moto-answers and no mapped command.

    moto does the same with every job.
    """
    ctx.moto("sagemaker", "CreateTrainingJob", job.params)
    job.as_moto = ctx.moto("sagemaker", "DescribeTrainingJob", {"TrainingJobName": job.name})
    job.ends("Completed", "Completed", "Training job completed", ctx.clock.now())


def train(ctx: Context, job: Job, container: Container) -> None:
    """Run a training job: download its data, run its command, upload the model.

    Raises:
        JobFailed: The container failed.
        TransferError: A file could not be fetched or delivered.
    """
    storage, now, params = ctx.client("s3"), ctx.clock.now, job.params
    specification = params.get("AlgorithmSpecification") or {}
    command = argv(
        ctx, program_of(specification, specification.get("TrainingImage"), ["train"]), container
    )
    job.moves("Downloading", "Downloading input data", now())
    channels = _inputs(storage, params, container)
    checkpoints = _Checkpoints(storage, params.get("CheckpointConfig"), container)
    checkpoints.download()
    if job.stop.is_set():
        return _end(ctx, job, "stopped")
    job.started = now()
    job.moves("Training", "Training image download completed. Training in progress.", job.started)
    variables = contract.training_variables(
        container, job.name, job.arn, params.get("HyperParameters") or {}, channels
    )
    metrics = Metrics(metric_definitions(specification, params.get("HyperParameters") or {}))
    ended = contain(
        ctx,
        job,
        container,
        command,
        {**variables, **(params.get("Environment") or {})},
        metrics=metrics,
    )
    if ended.why == "reset":
        return None
    checkpoints.upload()
    verdict(ended, container.host("output/failure"))
    job.moves("Uploading", "Uploading generated training model", now())
    _deliver(storage, job, container)
    _publish(ctx, job)
    return _end(ctx, job, ended.why)


# why a container's run ended -> Status, SecondaryStatus and its message
_ENDS = {
    "itself": ("Completed", "Completed", "Training job completed"),
    "stopped": ("Stopped", "Stopped", "Training job stopped"),
    "overdue": (
        "Stopped",
        "MaxRuntimeExceeded",
        "Training job runtime exceeded MaxRuntimeInSeconds provided",
    ),
}


def _end(ctx: Context, job: Job, why: str) -> None:
    """Set a training job's final status according to why its container ended, `why`."""
    job.ends(*_ENDS[why], ctx.clock.now())


def _inputs(
    storage: Any, params: dict[str, Any], container: Container
) -> dict[str, dict[str, str]]:
    """Download the channels' data, and write input/config, where the container expects them.

    `storage` is a client of S3.

    Returns:
        The channels, as inputdataconfig.json has them.
    """
    specification = params.get("AlgorithmSpecification") or {}
    channels = {channel["ChannelName"]: channel for channel in params.get("InputDataConfig") or ()}
    for name, channel in channels.items():
        _fetch(storage, channel, container, name)
    for folder in ("model", "output/data", "input/data", "checkpoints"):
        container.host(folder).mkdir(parents=True, exist_ok=True)
    described_channels = {
        name: _channel_description(channel, specification) for name, channel in channels.items()
    }
    instance = (params.get("ResourceConfig") or {}).get("InstanceType", "ml.m5.large")
    containers.write_json(
        container, "input/config/hyperparameters.json", params.get("HyperParameters") or {}
    )
    containers.write_json(container, "input/config/inputdataconfig.json", described_channels)
    containers.write_json(
        container, "input/config/resourceconfig.json", contract.resources(instance)
    )
    return described_channels


class _Checkpoints:
    """The folder of checkpoints.

    It is as S3 has it before the container runs, and goes there after it; without a
    CheckpointConfig nothing is done.
    """

    def __init__(self, storage: Any, config: dict[str, Any] | None, container: Container) -> None:
        self._storage, self._config = storage, config
        self._folder = container.host((config or {}).get("LocalPath") or "checkpoints")

    def download(self) -> None:
        """Download the job's checkpoints from S3, if it has any."""
        if self._config:
            s3.download(self._storage, self._config["S3Uri"], self._folder, required=False)

    def upload(self) -> None:
        """Upload the job's checkpoints to S3, if it keeps any."""
        if self._config:
            s3.upload(self._storage, self._folder, self._config["S3Uri"])


def _fetch(storage: Any, channel: dict[str, Any], container: Container, name: str) -> None:
    """Download the S3 data of the training channel `name` into the container's folder."""
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        raise s3.TransferError(
            f"ClientError: the local stack reads channels from S3 only; channel '{name}' has "
            "another data source"
        )
    s3.download(
        storage, source["S3Uri"], container.host(f"input/data/{name}"), kind=source["S3DataType"]
    )


def _channel_description(channel: dict[str, Any], specification: dict[str, Any]) -> dict[str, str]:
    """Return a training channel in the form of inputdataconfig.json.

    `specification` is the job's AlgorithmSpecification.
    """
    source = channel["DataSource"].get("S3DataSource") or {}
    description = {
        "TrainingInputMode": _mode(channel, specification),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    return (
        {**description, "ContentType": channel["ContentType"]}
        if "ContentType" in channel
        else description
    )


def _deliver(storage: Any, job: Job, container: Container) -> None:
    """Upload a training job's model.tar.gz and output data to S3."""
    output = job.params["OutputDataConfig"]
    base = f"{output['S3OutputPath'].rstrip('/')}/{job.name}/output"
    if output.get("CompressionType") == "NONE":
        artifacts = f"{base}/model/"
        s3.upload(storage, container.host("model"), artifacts)
    else:
        artifacts = f"{base}/model.tar.gz"
        archive = container.folder / "model.tar.gz"
        s3.archive(container.host("model"), archive)
        s3.put(storage, artifacts, archive)
    job.artifacts = artifacts  # named once they are there
    data = container.host("output/data")
    if data.is_dir() and any(data.iterdir()):
        archive = container.folder / "output.tar.gz"
        s3.archive(data, archive)
        s3.put(storage, f"{base}/output.tar.gz", archive)


def _publish(ctx: Context, job: Job) -> None:
    """Put a training job's metrics into CloudWatch, where the SDK's TrainingJobAnalytics looks."""
    if job.metrics:
        ctx.client("cloudwatch").put_metric_data(
            Namespace="/aws/sagemaker/TrainingJobs",
            MetricData=[
                {
                    "MetricName": name,
                    "Value": value,
                    "Timestamp": measured_at,
                    "Dimensions": [{"Name": "TrainingJobName", "Value": job.name}],
                }
                for name, (value, measured_at) in job.metrics.items()
            ],
        )


@handles("sagemaker", "DescribeTrainingJob")
def describe_training_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DescribeTrainingJob: describe a training job."""
    job = listing.find(ctx, "training", params["TrainingJobName"])
    return description(job)


def description(job: Job) -> dict[str, Any]:
    """Return a training job in the form of DescribeTrainingJob's response."""
    if job.as_moto is not None:
        return job.as_moto
    with job.lock:
        answer: dict[str, Any] = {
            "TrainingJobName": job.name,
            "TrainingJobArn": job.arn,
            **({"TuningJobArn": job.tuning} if job.tuning else {}),
            **({"ModelArtifacts": {"S3ModelArtifacts": job.artifacts}} if job.artifacts else {}),
            "TrainingJobStatus": job.status,
            "SecondaryStatus": job.secondary,
            "CreationTime": job.created,
            "LastModifiedTime": job.modified,
            "SecondaryStatusTransitions": [dict(transition) for transition in job.transitions],
            "ProfilingStatus": "Disabled",
            **{key: job.params[key] for key in _ECHOED if key in job.params},
        }
        answer.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": 86400})
        if job.started:
            answer["TrainingStartTime"] = job.started
        if job.ended:
            answer["TrainingEndTime"] = job.ended
            seconds = round((job.ended - (job.started or job.ended)).total_seconds())
            answer["TrainingTimeInSeconds"] = answer["BillableTimeInSeconds"] = max(seconds, 1)
        if job.failure:
            answer["FailureReason"] = job.failure
        if job.metrics:
            answer["FinalMetricDataList"] = [
                {"MetricName": name, "Value": value, "Timestamp": measured_at}
                for name, (value, measured_at) in job.metrics.items()
            ]
    return answer


@handles("sagemaker", "StopTrainingJob")
def stop_training_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call StopTrainingJob: stop a training job."""
    listing.stop(ctx, listing.find(ctx, "training", params["TrainingJobName"]))
    return {}


@handles("sagemaker", "DeleteTrainingJob")
def delete_training_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DeleteTrainingJob: delete a training job."""
    job = listing.find(ctx, "training", params["TrainingJobName"])
    if job.status not in ENDED:
        raise AwsError(
            "ResourceInUse",
            f"The training job {job.arn} is {job.status}: only a job that has ended can be "
            "deleted.",
        )
    ctx.store(Jobs).training.pop(job.name, None)
    tags.drop(ctx, job.arn)
    return {}


@handles("sagemaker", "ListTrainingJobs")
def list_training_jobs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call ListTrainingJobs: list the training jobs."""

    def summary(job: Job) -> dict[str, Any]:
        required = {
            "TrainingJobName": job.name,
            "TrainingJobArn": job.arn,
            "CreationTime": job.created,
            "LastModifiedTime": job.modified,
            "TrainingJobStatus": job.status,
            "SecondaryStatus": job.secondary,
        }
        return {**required, "TrainingEndTime": job.ended} if job.ended else required

    # API_ListTrainingJobs
    jobs, token = listing.page(list(ctx.store(Jobs).training.values()), params, by_status_last=True)
    return {"TrainingJobSummaries": [summary(job) for job in jobs], **token}
