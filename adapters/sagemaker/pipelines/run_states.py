"""SageMaker's view of a run as a state of ours. Pure. It lists started steps only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ....pipelines.graphs.conditions import all_conditions
from ....pipelines.port import PipelineRun, RunPhase, RunState, StepPhase, StepSpec, StepState
from ....times import utc_milliseconds
from ...common.pipelines.run_states import Judgement, Link, Why
from ...common.pipelines.run_states import run_state as common_state
from .definition import branch_name

_RUN: Mapping[str, RunPhase] = {
    "Executing": "running",
    "Stopping": "cancelling",
    "Stopped": "cancelled",
    "Failed": "failed",
    "CompletedWithFailures": "failed",
    "Succeeded": "done",
}
_STEP: Mapping[str, StepPhase] = {
    "Starting": "running",
    "Executing": "running",
    "Stopping": "running",
    "Stopped": "cancelled",
    "Failed": "failed",
    "Succeeded": "done",
}
_JOBS = ("ProcessingJob", "TrainingJob")
_ENDED = ("done", "failed", "cancelled")


def phase_of(status: str) -> RunPhase:
    """Convert the status of a pipeline execution to a run's phase."""
    return _RUN.get(status, "running")


def run_state(
    run: PipelineRun,
    status: str,
    started: Iterable[Mapping[str, Any]],
    *,
    why: Why,
    log: Link,
    url: Link,
) -> RunState:
    """Return a run's state from its execution's status and the steps that were started.

    Args:
        run: The run as it was submitted.
        status: The execution's status.
        started: The steps that SageMaker has started.
        why: Returns the error that a failed step stored itself, by the step's name.
        log: Returns where a step's log is, by the step's name.
        url: Returns a job's page, by its ARN.
    """
    started_steps = {step["StepName"]: step for step in started}
    conditions = all_conditions(run.steps)
    names = {spec.name for spec in run.steps}

    def judged(spec: StepSpec) -> Judgement | None:
        branch = (
            started_steps.get(branch_name(conditions[spec.name])) if conditions[spec.name] else None
        )
        return _judgement(branch) if branch is not None else None

    begun = {
        name: _step_state(step, why=why, log=log, url=url)
        for name, step in started_steps.items()
        if name in names
    }
    return common_state(run, phase_of(status), begun, judged)


def _step_state(step: Mapping[str, Any], *, why: Why, log: Link, url: Link) -> StepState:
    """Convert SageMaker's description of a started step to our state of it.

    By the step's name `why` returns the error that the step stored when it failed, and `log` where
    its log is; `url` returns the page of a job in the console by the job's ARN.
    """
    name = str(step["StepName"])
    phase = _STEP.get(step.get("StepStatus", ""), "running")
    job = next(
        (step["Metadata"][kind].get("Arn") for kind in _JOBS if kind in step.get("Metadata", {})),
        None,
    )
    return StepState(
        name=name,
        phase=phase,
        started=_moment(step.get("StartTime")),
        ended=_moment(step.get("EndTime")) if phase in _ENDED else None,
        reason=(why(name) or step.get("FailureReason")) if phase == "failed" else None,
        log=log(name),
        url=url(job) if job else None,
    )


def _judgement(branch: Mapping[str, Any]) -> Judgement:
    """Convert a ConditionStep to its verdict: that its conditions do not hold, or its error.

    `branch` is SageMaker's description of the step. None while it has neither.
    """
    if branch.get("StepStatus") == "Failed":
        return Judgement(error=branch.get("FailureReason") or "SageMaker does not say why")
    return Judgement(
        untrue=branch.get("Metadata", {}).get("Condition", {}).get("Outcome") == "False"
    )


def _moment(value: datetime | None) -> datetime | None:
    """Convert a time to UTC, truncated to milliseconds; None stays None."""
    return utc_milliseconds(value) if value is not None else None
