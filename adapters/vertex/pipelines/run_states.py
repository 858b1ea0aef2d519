"""Vertex AI's view of a run as a state of ours. Pure.

The names of a DAG's tasks are ir.task_name's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ....pipelines.graphs.kubeflow import task_name
from ....pipelines.port import PipelineRun, RunPhase, RunState, StepPhase, StepSpec, StepState
from ....times import utc_milliseconds
from ...common.pipelines.run_states import Judgement, Link, Why
from ...common.pipelines.run_states import run_state as common_state

_RUN: Mapping[str, RunPhase] = {
    "PIPELINE_STATE_SUCCEEDED": "done",
    "PIPELINE_STATE_FAILED": "failed",
    "PIPELINE_STATE_CANCELLING": "cancelling",
    "PIPELINE_STATE_CANCELLED": "cancelled",
}
_STEP: Mapping[str, StepPhase] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "SUCCEEDED": "done",
    "CANCEL_PENDING": "running",
    "CANCELLING": "running",
    "CANCELLED": "cancelled",
    "FAILED": "failed",
    "SKIPPED": "done",  # Vertex AI's word for a cache hit
}
_ENDED = ("failed", "done", "cancelled")


def phase_of(state: str) -> RunPhase:
    """Convert the state of a PipelineJob to a run's phase."""
    return _RUN.get(state, "running")


def run_state(
    run: PipelineRun, state: str, tasks: Iterable[Any], *, why: Why, log: Link, url: Link
) -> RunState:
    """Return a run's state from its PipelineJob's state and tasks.

    Args:
        run: The run as it was submitted.
        state: The job's state.
        tasks: The PipelineTaskDetails.
        why: Returns the error that a failed step stored itself, by the step's name.
        log: Returns where a step's log is, by the step's name.
        url: Returns a job's page in the console.
    """
    tasks_by_name = {task.task_name: task for task in tasks}
    begun = {
        spec.name: _step_state(
            spec.name, tasks_by_name[task_name(spec.name)], why=why, log=log, url=url
        )
        for spec in run.steps
        if task_name(spec.name) in tasks_by_name
        and tasks_by_name[task_name(spec.name)].state.name in _STEP
    }

    def judged(spec: StepSpec) -> Judgement | None:
        task = tasks_by_name.get(task_name(spec.name))
        return Judgement(untrue=task.state.name == "NOT_TRIGGERED") if task is not None else None

    return common_state(run, phase_of(state), begun, judged)


def _step_state(name: str, task: Any, *, why: Why, log: Link, url: Link) -> StepState:
    """Convert a task of a PipelineJob to our state of the step `name`.

    By the step's name `why` returns the error that the step stored when it failed, and `log` where
    its log is; `url` returns the page of its job in the console.
    """
    phase = _STEP[task.state.name]
    job = task.executor_detail.container_detail.main_job
    return StepState(
        name=name,
        phase=phase,
        started=_moment(task.start_time),
        ended=_moment(task.end_time) if phase in _ENDED else None,
        reason=(why(name) or task.error.message or None) if phase == "failed" else None,
        log=log(name),
        url=url(job) if job else None,
    )


def _moment(value: datetime | None) -> datetime | None:
    """Convert a time to a plain datetime in UTC, truncated to milliseconds; None stays None.

    Google's own DatetimeWithNanoseconds cannot be written as JSON.
    """
    if value is None:
        return None
    moment = utc_milliseconds(value)
    return datetime.combine(moment.date(), moment.timetz())
