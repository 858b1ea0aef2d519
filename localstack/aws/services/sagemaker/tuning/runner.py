"""The course of a tuning job: training jobs, at most so many at once, until there are enough."""

from __future__ import annotations

import secrets
from typing import Any

from .....jobs.container import Container
from ....core.registry import AwsError, Context
from ..jobs import listing
from ..jobs.operations import training
from ..jobs.records import ENDED, Job
from ..jobs.runner import JobFailed
from . import trials
from .proposals import propose
from .ranges import Range, size_of_grid

_LOOK = 0.05  # seconds
_PASSED = (  # of the definition, as CreateTrainingJob takes it
    *(
        "AlgorithmSpecification",
        "RoleArn",
        "InputDataConfig",
        "VpcConfig",
        "OutputDataConfig",
        "StoppingCondition",
        "Environment",
    ),
    *(
        "EnableNetworkIsolation",
        "EnableInterContainerTrafficEncryption",
        "EnableManagedSpotTraining",
        "RetryStrategy",
    ),
)
_RESOURCES = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")


def tune(ctx: Context, tuning: Job, _container: Container) -> None:
    """Run a hyperparameter tuning job until its training jobs have ended.

    Raises:
        JobFailed: No training job gave the objective's value.
    """
    config, ranges = tuning.params["HyperParameterTuningJobConfig"], trials.ranges_of(tuning.params)
    limits = config["ResourceLimits"]
    most = (
        size_of_grid(ranges) if config["Strategy"] == "Grid" else limits["MaxNumberOfTrainingJobs"]
    )
    at_once = limits["MaxParallelTrainingJobs"]
    whole = all(
        _launch(ctx, tuning, ranges, number, at_once) for number in range(most)
    ) and _wait_for_room(ctx, tuning, 1)
    if not whole:
        _stop(ctx, tuning)
    while _running(ctx, tuning) and not ctx.stopping.wait(_LOOK):
        pass
    if not ctx.stopping.is_set():
        _conclude(ctx, tuning, whole=whole)


def _launch(
    ctx: Context, tuning: Job, ranges: tuple[Range, ...], number: int, at_once: int
) -> bool:
    """Start a tuning job's next training job once fewer than `at_once` run.

    `number` is the trial's, from 0. Return False when none is to start any more.
    """
    if not _wait_for_room(ctx, tuning, at_once):
        return False
    config, earlier = (
        tuning.params["HyperParameterTuningJobConfig"],
        trials.training_jobs(ctx, tuning),
    )
    seed = config.get("RandomSeed", f"{tuning.arn} {tuning.created}")
    parameters = propose(
        config["Strategy"], ranges, seed=seed, number=number, trials=trials.trials(tuning, earlier)
    )
    training.launch(
        ctx,
        request(tuning, f"{tuning.name}-{number + 1:03d}-{secrets.token_hex(4)}", parameters),
        tuning.arn,
    )
    return True


def request(tuning: Job, name: str, parameters: dict[str, str]) -> dict[str, Any]:
    """Return the CreateTrainingJob request for one trial of a tuning job.

    `name` is the training job's, and `parameters` are the trial's hyperparameters. Training jobs
    carry the tuning job's tags; each has checkpoints of its own.
    """
    definition = tuning.params["TrainingJobDefinition"]
    checkpoints = definition.get("CheckpointConfig")
    own = (
        {**checkpoints, "S3Uri": f"{checkpoints['S3Uri'].rstrip('/')}/{name}"}
        if checkpoints
        else None
    )
    return {
        **{key: definition[key] for key in _PASSED if key in definition},
        **({"CheckpointConfig": own} if own else {}),
        "TrainingJobName": name,
        "HyperParameters": {**definition["StaticHyperParameters"], **parameters},
        "ResourceConfig": resources(definition),
        "Tags": tuning.params.get("Tags"),
    }


def resources(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the ResourceConfig of a tuning job's training jobs.

    Where the definition offers several kinds of instances, the first kind is used.
    """
    requested = definition.get("HyperParameterTuningResourceConfig") or definition["ResourceConfig"]
    first = {**requested, **(requested.get("InstanceConfigs") or [{}])[0]}
    return {key: first[key] for key in _RESOURCES if key in first}


def _running(ctx: Context, tuning: Job) -> list[Job]:
    """Return the training jobs of a tuning job that run now."""
    return [job for job in trials.training_jobs(ctx, tuning) if job.status not in ENDED]


def _wait_for_room(ctx: Context, tuning: Job, at_once: int) -> bool:
    """Wait until fewer than `at_once` training jobs run; return False if tuning is to end."""
    while len(_running(ctx, tuning)) >= at_once:
        if _is_over(ctx, tuning) or ctx.stopping.wait(_LOOK):
            return False
    return not _is_over(ctx, tuning)


def _is_over(ctx: Context, tuning: Job) -> bool:
    """Return whether a tuning job is to start no more training jobs: stopped or out of time."""
    seconds = tuning.params["HyperParameterTuningJobConfig"]["ResourceLimits"].get(
        "MaxRuntimeInSeconds"
    )
    overdue = seconds is not None and (ctx.clock.now() - tuning.created).total_seconds() > seconds
    return overdue or tuning.stop.is_set() or ctx.stopping.is_set()


def _stop(ctx: Context, tuning: Job) -> None:
    """Stop the running training jobs of a tuning job."""
    for job in _running(ctx, tuning):
        try:
            listing.stop(ctx, job)
        except AwsError:  # it has ended by itself
            continue


def _conclude(ctx: Context, tuning: Job, *, whole: bool) -> None:
    """Set a tuning job's final status by the outcomes of its training jobs.

    `whole`: all of its training jobs were started.

    Raises:
        JobFailed: No training job gave the objective's value.
    """
    jobs = trials.training_jobs(ctx, tuning)
    if not whole or tuning.stop.is_set():
        return tuning.ends("Stopped", "Stopped", "Tuning job stopped", ctx.clock.now())
    if not any(job.status == "Completed" for job in jobs):
        raise JobFailed(
            "All training jobs failed. Please take a look at the training jobs failures to "
            "get more details."
        )
    if not trials.by_objective(tuning, jobs):
        words = (
            "Please ensure that the custom algorithm is emitting the objective metric as defined "
            "by the regular expression provided."
        )
        raise JobFailed(
            f"No objective metrics found after running {len(jobs)} training jobs. {words}"
        )
    return tuning.ends("Completed", "Completed", "Tuning job completed", ctx.clock.now())
