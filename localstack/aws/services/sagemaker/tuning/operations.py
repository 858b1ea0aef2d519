"""Hyperparameter tuning jobs: create, describe, list, stop, delete.

Source: SageMaker developer guide, "Automatic model tuning", and the API reference.
"""

from __future__ import annotations

from typing import Any

from .....core.images import command_of
from ....core.registry import AwsError, Context, handles
from ..jobs import listing
from ..jobs.logs import metric_definitions
from ..jobs.operations import training
from ..jobs.records import ENDED, Job, Jobs
from ..jobs.runner import start
from ..tags import operations as tags
from . import trials
from .proposals import STRATEGIES
from .ranges import RangeError, size_of_grid
from .runner import resources, tune

_METRIC = "_tuning_objective_metric"  # a static hyperparameter that the service adds
_SUMMARY = (
    *(
        "HyperParameterTuningJobName",
        "HyperParameterTuningJobArn",
        "HyperParameterTuningJobStatus",
        "CreationTime",
        "LastModifiedTime",
    ),
    *("HyperParameterTuningEndTime", "TrainingJobStatusCounters", "ObjectiveStatusCounters"),
)
_BEST = 50  # training jobs that a pipeline's step can refer to


@handles("sagemaker", "CreateHyperParameterTuningJob")
def create_tuning_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call CreateHyperParameterTuningJob: start a tuning job."""
    name = params["HyperParameterTuningJobName"]
    arn = f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:hyper-parameter-tuning-job/{name}"
    image = ((params.get("TrainingJobDefinition") or {}).get("AlgorithmSpecification") or {}).get(
        "TrainingImage", ""
    )
    if ctx.moto_answers and command_of(ctx.images, image) is None:
        _as_moto(ctx, name, arn, params)
    else:
        _check(params)
        job = listing.register(ctx, "tuning", name, arn, _with_metric(params))
        start(ctx, job, tune)
    tags.put(ctx, arn, params.get("Tags"))
    return {"HyperParameterTuningJobArn": arn}


def _as_moto(ctx: Context, name: str, arn: str, params: dict[str, Any]) -> None:
    """Complete a tuning job without running it, with --moto-answers and no mapped command.

    moto does the same with every job.
    """
    ctx.moto("sagemaker", "CreateHyperParameterTuningJob", params)
    job = listing.register(ctx, "tuning", name, arn, params)
    job.as_moto = ctx.moto(
        "sagemaker", "DescribeHyperParameterTuningJob", {"HyperParameterTuningJobName": name}
    )
    job.ends("Completed", "Completed", "Tuning job completed", ctx.clock.now())


def _with_metric(params: dict[str, Any]) -> dict[str, Any]:
    """Return a tuning request with the hyperparameter _tuning_objective_metric added."""
    definition, aim = params["TrainingJobDefinition"], trials.objective(params) or {}
    static = {**(definition.get("StaticHyperParameters") or {}), _METRIC: aim["MetricName"]}
    return {**params, "TrainingJobDefinition": {**definition, "StaticHyperParameters": static}}


def _check(params: dict[str, Any]) -> None:
    """Raise an error for a tuning job that SageMaker refuses or that is not supported.

    Raises:
        AwsError: The job is refused or not supported.
    """
    config = params["HyperParameterTuningJobConfig"]
    wrong = {
        f"the strategy {config['Strategy']}: use {', '.join(STRATEGIES)}": config["Strategy"]
        not in STRATEGIES,
        "early stopping: set TrainingJobEarlyStoppingType to Off": config.get(
            "TrainingJobEarlyStoppingType", "Off"
        )
        != "Off",
        "TuningJobCompletionCriteria": bool(config.get("TuningJobCompletionCriteria")),
        "WarmStartConfig": bool(params.get("WarmStartConfig")),
        "Autotune": bool(params.get("Autotune")),
        "TrainingJobDefinitions: give one TrainingJobDefinition": bool(
            params.get("TrainingJobDefinitions")
        ),
    }
    if missing := next((words for words, is_requested in wrong.items() if is_requested), None):
        raise AwsError(
            "ValidationException", f"The local stack's tuning jobs do not support {missing}."
        )
    if not params.get("TrainingJobDefinition"):
        raise AwsError(
            "ValidationException", "A hyperparameter tuning job needs a TrainingJobDefinition."
        )
    _check_definition(params)
    _check_ranges(params)


def _check_definition(params: dict[str, Any]) -> None:
    """Raise an error if a tuning job's definition of its training jobs is not valid."""
    definition, aim = params["TrainingJobDefinition"], trials.objective(params)
    if not (
        definition.get("ResourceConfig") or definition.get("HyperParameterTuningResourceConfig")
    ):
        raise AwsError(
            "ValidationException",
            "The TrainingJobDefinition needs a ResourceConfig or a "
            "HyperParameterTuningResourceConfig.",
        )
    training.check({**definition, "ResourceConfig": resources(definition)})
    metrics = metric_definitions(
        definition["AlgorithmSpecification"], definition.get("StaticHyperParameters") or {}
    )
    for metric in metrics:
        listing.check_regex(metric["Regex"])
    if aim is None or aim["MetricName"] not in [metric["Name"] for metric in metrics]:
        words = (
            "A metric is required for this hyperparameter tuning job objective. Provide a metric "
            "in the metric definitions."
        )
        raise AwsError("ValidationException", words)


def _check_ranges(params: dict[str, Any]) -> None:
    """Check a tuning job's ranges, and its number of training jobs.

    A grid search runs one job for each combination: it needs no number, and no other number is
    allowed.
    """
    config = params["HyperParameterTuningJobConfig"]
    number = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    try:
        ranges = trials.ranges_of(params)
        size = size_of_grid(ranges) if config["Strategy"] == "Grid" else number
    except RangeError as error:
        raise AwsError("ValidationException", str(error)) from error
    if size is None:
        raise AwsError(
            "ValidationException",
            f"MaxNumberOfTrainingJobs is required for the strategy {config['Strategy']}.",
        )
    if number not in (None, size):
        raise AwsError(
            "ValidationException",
            f"MaxNumberOfTrainingJobs is {number}, but the grid has {size} combinations.",
        )


def _find(ctx: Context, params: dict[str, Any]) -> Job:
    """Return the tuning job that a request names.

    Raises:
        AwsError: There is no such tuning job.
    """
    name = params["HyperParameterTuningJobName"]
    job = ctx.store(Jobs).tuning.get(name)
    if job is None:
        raise AwsError(
            "ResourceNotFound", f"Amazon SageMaker can't find a tuning job with the name {name}."
        )
    return job


@handles("sagemaker", "DescribeHyperParameterTuningJob")
def describe_tuning_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DescribeHyperParameterTuningJob: describe a tuning job."""
    return description(ctx, _find(ctx, params))


def description(ctx: Context, job: Job) -> dict[str, Any]:
    """Return a tuning job in the form of DescribeHyperParameterTuningJob's response."""
    if job.as_moto is not None:
        return job.as_moto
    jobs = trials.training_jobs(ctx, job)
    best = next(iter(trials.by_objective(job, jobs)), None)
    seconds = sum(
        ((training.ended or ctx.clock.now()) - training.started).total_seconds()
        for training in jobs
        if training.started
    )
    optional = {
        "HyperParameterTuningEndTime": job.ended,
        "FailureReason": job.failure,
        "BestTrainingJob": trials.summary(job, best) if best else None,
    }
    return {
        "HyperParameterTuningJobName": job.name,
        "HyperParameterTuningJobArn": job.arn,
        "HyperParameterTuningJobConfig": job.params["HyperParameterTuningJobConfig"],
        "TrainingJobDefinition": job.params["TrainingJobDefinition"],
        "HyperParameterTuningJobStatus": job.status,
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        **trials.counters(job, jobs),
        "ConsumedResources": {"RuntimeInSeconds": round(seconds)},
        **{key: item for key, item in optional.items() if item is not None},
    }


def properties(ctx: Context, job: Job) -> dict[str, Any]:
    """Return a tuning job's description with its best training jobs.

    The properties of a pipeline's Tuning step have this form.
    """
    best = trials.by_objective(job, trials.training_jobs(ctx, job))[:_BEST]
    return {
        **description(ctx, job),
        "TrainingJobSummaries": [trials.summary(job, training) for training in best],
    }


@handles("sagemaker", "ListHyperParameterTuningJobs")
def list_tuning_jobs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call ListHyperParameterTuningJobs: list the tuning jobs."""
    jobs, token = listing.page(list(ctx.store(Jobs).tuning.values()), params)
    return {
        "HyperParameterTuningJobSummaries": [_summary(description(ctx, job)) for job in jobs],
        **token,
    }


def _summary(description: dict[str, Any]) -> dict[str, Any]:
    """Return a tuning job in the form of ListHyperParameterTuningJobs' response.

    `description` is the job in the form of DescribeHyperParameterTuningJob's response.
    """
    config = description["HyperParameterTuningJobConfig"]
    chosen = {key: description[key] for key in _SUMMARY if key in description}
    return {**chosen, "Strategy": config["Strategy"], "ResourceLimits": config["ResourceLimits"]}


@handles("sagemaker", "ListTrainingJobsForHyperParameterTuningJob")
def list_training_jobs_for_tuning_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List the training jobs of a tuning job.

    It answers SageMaker's API call ListTrainingJobsForHyperParameterTuningJob.
    """
    tuning = _find(ctx, params)
    jobs = trials.training_jobs(ctx, tuning)
    # only those that have one (API reference)
    if params.get("SortBy") == "FinalObjectiveMetricValue":
        jobs = sorted(
            trials.by_objective(tuning, jobs), key=lambda job: trials.value(tuning, job) or 0.0
        )
        jobs = [job for job in jobs if params.get("StatusEquals") in (None, job.status)]
        shown, token = listing.page_of(
            jobs[:: -1 if params.get("SortOrder") == "Descending" else 1], params
        )
    else:
        shown, token = listing.page(jobs, params)
    return {"TrainingJobSummaries": [trials.summary(tuning, job) for job in shown], **token}


@handles("sagemaker", "StopHyperParameterTuningJob")
def stop_tuning_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call StopHyperParameterTuningJob: stop a tuning job."""
    listing.stop(ctx, _find(ctx, params))
    return {}


@handles("sagemaker", "DeleteHyperParameterTuningJob")
def delete_tuning_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DeleteHyperParameterTuningJob: its training jobs and their models stay."""
    job = _find(ctx, params)
    if job.status not in ENDED:
        raise AwsError(
            "ResourceInUse",
            f"The tuning job {job.arn} is {job.status}: only a job that has ended can be deleted.",
        )
    if job.as_moto is not None:
        ctx.forward()
    ctx.store(Jobs).tuning.pop(job.name, None)
    tags.drop(ctx, job.arn)
    return {}
