"""SageMaker's view of a run as ours. It lists started steps only: what became of the others follows from the graph. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from ...pipelines.conditions import inherited, text
from ...pipelines.port import PipelineRun, RunPhase, RunState, StepPhase, StepSpec, StepState
from ...times import utc_milliseconds
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
_WAS = {"failed": "failed", "skipped": "was skipped", "cancelled": "was cancelled"}

Why = Callable[[str], str | None]
Link = Callable[[str], str | None]


def phase_of(status: str) -> RunPhase:
    return _RUN.get(status, "running")


def run_state(run: PipelineRun, status: str, started: Iterable[Mapping[str, Any]], *, why: Why, log: Link, url: Link) -> RunState:
    """`why` gives the reason that a failed step wrote down itself, `log` where a step's log is, `url` a job's page by its ARN."""
    seen = {step["StepName"]: step for step in started}
    phase = phase_of(status)
    conditions = inherited(run.steps)
    states: dict[str, StepState] = {}
    for spec in run.steps:
        found = seen.get(spec.name)
        if found is not None:
            states[spec.name] = _started(found, why=why, log=log, url=url)
        else:
            branch = seen.get(branch_name(conditions[spec.name])) if conditions[spec.name] else None
            states[spec.name] = _not_started(spec, branch, states, phase)
    return RunState(run_id=run.run_id, phase=phase, steps=tuple(states.values()))


def _started(found: Mapping[str, Any], *, why: Why, log: Link, url: Link) -> StepState:
    name = str(found["StepName"])
    phase = _STEP.get(found.get("StepStatus", ""), "running")
    job = next((found["Metadata"][kind].get("Arn") for kind in _JOBS if kind in found.get("Metadata", {})), None)
    return StepState(
        name=name,
        phase=phase,
        started=_moment(found.get("StartTime")),
        ended=_moment(found.get("EndTime")) if phase in _ENDED else None,
        reason=(why(name) or found.get("FailureReason")) if phase == "failed" else None,
        log=log(name),
        url=url(job) if job else None,
    )


def _not_started(spec: StepSpec, branch: Mapping[str, Any] | None, before: Mapping[str, StepState], phase: RunPhase) -> StepState:
    unmet = next((name for name in spec.needs if before[name].phase in _WAS), None)
    condition = spec.when
    if unmet is not None and before[unmet].phase != "cancelled":
        return StepState(name=spec.name, phase="skipped", reason=f"it needs {unmet}, which {_WAS[before[unmet].phase]}")
    if branch is not None and branch.get("StepStatus") == "Failed":
        reason = branch.get("FailureReason") or "SageMaker does not say why"
        return StepState(name=spec.name, phase="failed", reason=f"its condition cannot be judged: {reason}")
    if branch is not None and branch.get("Metadata", {}).get("Condition", {}).get("Outcome") == "False" and condition is not None:
        return StepState(name=spec.name, phase="skipped", reason=f"not {text(condition)}")
    if phase in ("running", "cancelling"):
        return StepState(name=spec.name, phase="waiting")
    if phase == "cancelled":
        return StepState(name=spec.name, phase="cancelled")
    return StepState(name=spec.name, phase="skipped", reason="the run ended before it could begin")


def _moment(value: datetime | None) -> datetime | None:
    return utc_milliseconds(value) if value is not None else None
