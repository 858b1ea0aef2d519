"""Vertex AI's view of a run as ours.

What a DAG's tasks are called is ir.task_name's affair. Pure.
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
    return _RUN.get(state, "running")


def run_state(
    run: PipelineRun, state: str, tasks: Iterable[Any], *, why: Why, log: Link, url: Link
) -> RunState:
    """`tasks`:

    PipelineTaskDetails; `why`: what a failed step wrote down itself; `log`: where its log is;
    `url`: a job's page.
    """
    seen = {task.task_name: task for task in tasks}
    begun = {
        spec.name: _step_state(spec.name, seen[task_name(spec.name)], why=why, log=log, url=url)
        for spec in run.steps
        if task_name(spec.name) in seen and seen[task_name(spec.name)].state.name in _STEP
    }

    def judged(spec: StepSpec) -> Judgement | None:
        task = seen.get(task_name(spec.name))
        return Judgement(untrue=task.state.name == "NOT_TRIGGERED") if task is not None else None

    return common_state(run, phase_of(state), begun, judged)


def _step_state(name: str, task: Any, *, why: Why, log: Link, url: Link) -> StepState:
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
    return utc_milliseconds(value) if value is not None else None
