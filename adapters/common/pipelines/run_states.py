"""A provider's view of a pipeline run as a state of ours. Pure.

A provider lists only the steps that it started; the phases of the others follow from the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ....pipelines.graphs.conditions import text
from ....pipelines.port import PipelineRun, RunPhase, RunState, StepSpec, StepState

_WAS = {"failed": "failed", "skipped": "was skipped", "cancelled": "was cancelled"}

Why = Callable[[str], str | None]
Link = Callable[[str], str | None]


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's verdict on a step's conditions."""

    untrue: bool = False
    error: str | None = None  # why they could not be judged


def run_state(
    run: PipelineRun,
    phase: RunPhase,
    started: Mapping[str, StepState],
    judged: Callable[[StepSpec], Judgement | None],
) -> RunState:
    """Return the state of a pipeline run and its steps, from what the provider reports.

    A run that was cancelled because a step of it failed has failed.

    Args:
        run: The run as it was submitted.
        phase: The provider's word for the run.
        started: The steps that the provider began.
        judged: The provider's verdict on a step's conditions; None if it has not judged them.
    """
    if phase == "cancelled" and any(step.phase == "failed" for step in started.values()):
        phase = "failed"
    states: dict[str, StepState] = {}
    for spec in run.steps:
        states[spec.name] = started.get(spec.name) or _not_started(
            spec, judged(spec) or Judgement(), states, phase
        )
    return RunState(run_id=run.run_id, phase=phase, steps=tuple(states.values()))


def _not_started(
    spec: StepSpec, judgement: Judgement, earlier: Mapping[str, StepState], phase: RunPhase
) -> StepState:
    """Return the state of a step that the provider has not started, from the steps it needs.

    `judgement` is the provider's verdict on the step's conditions, `phase` its word for the run.
    """
    unmet = next((name for name in spec.needs if earlier[name].phase in _WAS), None)
    if unmet is not None and earlier[unmet].phase != "cancelled":
        return StepState(
            name=spec.name,
            phase="skipped",
            reason=f"it needs {unmet}, which {_WAS[earlier[unmet].phase]}",
        )
    if judgement.error is not None:
        return StepState(
            name=spec.name,
            phase="failed",
            reason=f"its condition cannot be judged: {judgement.error}",
        )
    if judgement.untrue and spec.when is not None:
        return StepState(name=spec.name, phase="skipped", reason=f"not {text(spec.when)}")
    if phase in ("running", "cancelling"):
        return StepState(name=spec.name, phase="waiting")
    if phase == "cancelled":
        return StepState(name=spec.name, phase="cancelled")
    return StepState(name=spec.name, phase="skipped", reason="the run ended before it could begin")
