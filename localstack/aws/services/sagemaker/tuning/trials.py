"""Outcomes of a tuning job's training jobs: the objective's values, counters, the best one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ....core.registry import Context
from ..jobs.records import ENDED, Job, Jobs
from .ranges import Range, Trial, parse

_COUNTED = {"Completed": "Completed", "Failed": "NonRetryableError", "Stopped": "Stopped"}


def objective(params: dict[str, Any]) -> dict[str, str] | None:
    """Return the Type and MetricName of a tuning job's objective metric.

    A request has them in its HyperParameterTuningJobConfig or in its training job definition.
    """
    config, definition = params["HyperParameterTuningJobConfig"], params["TrainingJobDefinition"]
    metric: dict[str, str] | None = config.get(
        "HyperParameterTuningJobObjective"
    ) or definition.get("TuningObjective")
    return metric


def ranges_of(params: dict[str, Any]) -> tuple[Range, ...]:
    """Return the hyperparameter ranges of a tuning job, wherever its request has them.

    Raises:
        RangeError: A range cannot be searched.
    """
    config, definition = params["HyperParameterTuningJobConfig"], params["TrainingJobDefinition"]
    declared = config.get("ParameterRanges") or definition.get("HyperParameterRanges") or {}
    return parse(declared, definition.get("StaticHyperParameters") or {})


def training_jobs(ctx: Context, tuning: Job) -> list[Job]:
    """Return a tuning job's training jobs, in the order of their creation.

    The jobs of an earlier tuning job of the same name, which was deleted, are left out.
    """
    training = list(ctx.store(Jobs).training.values())
    return [job for job in training if job.tuning == tuning.arn and job.created >= tuning.created]


def value(tuning: Job, job: Job) -> float | None:
    """Return the final value of the objective metric of a training job; None: it has none."""
    metric = (objective(tuning.params) or {}).get("MetricName", "")
    if job.status not in ("Completed", "Stopped") or metric not in job.metrics:
        return None
    final = job.metrics[metric][0]
    return final if math.isfinite(final) else None


def score(tuning: Job, job: Job) -> float | None:
    """Return a training job's objective value, negated where smaller is better; None if unknown."""
    final, maximize = value(tuning, job), (objective(tuning.params) or {}).get("Type") == "Maximize"
    return final if final is None or maximize else -final


def by_objective(tuning: Job, jobs: Sequence[Job]) -> list[Job]:
    """Return the training jobs that have an objective value, best first."""
    scored = [(score(tuning, job), job) for job in jobs]
    return [
        job
        for _, job in sorted(
            ((points, job) for points, job in scored if points is not None),
            key=lambda pair: -pair[0],
        )
    ]


def trials(tuning: Job, jobs: Sequence[Job]) -> list[Trial]:
    """Return the training jobs of a tuning job as trials: hyperparameters and scores."""
    return [
        Trial(
            parameters=_hyperparameters(tuning, job),
            score=score(tuning, job),
            pending=job.status not in ENDED,
        )
        for job in jobs
    ]


def _hyperparameters(tuning: Job, job: Job) -> dict[str, str]:
    """Return the hyperparameters of a training job that its tuning job tunes."""
    static = tuning.params["TrainingJobDefinition"]["StaticHyperParameters"]
    return {
        name: text for name, text in job.params["HyperParameters"].items() if name not in static
    }


def _verdict(tuning: Job, job: Job) -> str:
    """Return a training job's ObjectiveStatus (Pending, Succeeded or Failed)."""
    if job.status not in ENDED:
        return "Pending"
    return "Failed" if value(tuning, job) is None else "Succeeded"


def counters(tuning: Job, jobs: Sequence[Job]) -> dict[str, dict[str, int]]:
    """Return the numbers of a tuning job's training jobs by status and by objective status.

    DescribeHyperParameterTuningJob shows them.
    """
    by_status = [_COUNTED.get(job.status, "InProgress") for job in jobs]
    by_objective = [_verdict(tuning, job) for job in jobs]
    statuses = ("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped")
    return {
        "TrainingJobStatusCounters": {name: by_status.count(name) for name in statuses},
        "ObjectiveStatusCounters": {
            name: by_objective.count(name) for name in ("Succeeded", "Pending", "Failed")
        },
    }


def summary(tuning: Job, job: Job) -> dict[str, Any]:
    """Return a training job in the form of HyperParameterTrainingJobSummary."""
    final = value(tuning, job)
    metric = {**(objective(tuning.params) or {}), "Value": final} if final is not None else None
    optional = {
        "TrainingJobDefinitionName": tuning.params["TrainingJobDefinition"].get("DefinitionName"),
        "TrainingStartTime": job.started,
        "TrainingEndTime": job.ended,
        "FailureReason": job.failure,
        "FinalHyperParameterTuningJobObjectiveMetric": metric,
    }
    return {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": job.created,
        "TrainingJobStatus": job.status,
        "TunedHyperParameters": _hyperparameters(tuning, job),
        "ObjectiveStatus": _verdict(tuning, job),
        **{key: item for key, item in optional.items() if item is not None},
    }
