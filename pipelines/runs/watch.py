"""Follow a run, and read what it left: states, values, artifacts, logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from ...errors import IsthmusError, NotFound
from ...storage import located, wait
from ..graphs.conditions import text
from ..graphs.graph import Step, dependencies
from ..port import PipelineRun, RunState, StepState
from . import names as run_names
from .costs import RunCost, cost_of, find_cost, keep_cost
from .document import RunDocument, Scalar, StepFailure, StepResult, find, open_run, read
from .step_results import step_folder

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...target import Target

_MARGIN = timedelta(hours=1)  # for a provider's queues and machines, beyond the steps' own limits
_LOOKED = 5  # runs that are observed to find those which go on


def _ignore(_state: RunState) -> None:
    """Ignore the state of a run; the callback that is used where the caller gives none."""


def watch(
    project: Project,
    run: PipelineRun,
    *,
    on_change: Callable[[RunState], None] = _ignore,
    on_look: Callable[[RunState], None] = _ignore,
) -> RunState:
    """Wait until a pipeline run has ended, and return its last state, also of a failed run.

    If the provider does not end the other steps of a run in which one failed (capability
    `pipelines.fail_fast`), the run is cancelled from here. Ctrl-C ends the watching and not the
    run: the KeyboardInterrupt carries a note that says how to look again.

    Args:
        project: The project.
        run: The run.
        on_change: A function that gets every state that differs from the previous one.
        on_look: A function that gets every state.

    Raises:
        Unavailable: the run takes longer than its steps may.
    """
    document = open_run(project.target.blobs, _short(run))
    last_state: RunState | None = None

    def look() -> RunState:
        nonlocal last_state
        state = _state(project, document, run)
        if state != last_state:
            last_state = state
            on_change(state)
        cancel_after_failure(project.target, state)
        on_look(state)
        return state

    limit = sum((step.timeout * step.attempts for step in run.steps), _MARGIN)
    patience = 2.0 if project.target.adapter.remote else 0.1  # looking costs a local run nothing
    try:
        final_state = wait(
            look,
            has_ended,
            deadline=limit,
            what=f"run {document.run}",
            sleep=lambda seconds: time.sleep(min(seconds, patience)),
        )
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(
            f"run {document.run} goes on. Look again: isthmus runs show {document.run}"
        )
        raise
    with suppress(IsthmusError):  # what a run cost is not worth the run
        keep_cost(project.target, document, final_state)
    return final_state


def cost(project: Project, run: str) -> RunCost:
    """Return what a run has cost, as it was kept at its end; else what is known now.

    Raises:
        NotFound: there is no such run.
    """
    stored = find_cost(project.target.blobs, run)
    if stored is not None:
        return stored
    document = open_run(project.target.blobs, run)
    return cost_of(project.target, document, observe(project, run))


def cancel_after_failure(target: Target, state: RunState) -> None:
    """Cancel a run in which a step has failed while others still run.

    The run can no longer succeed; results of steps that succeeded stay for the next run.
    """
    phases = {step.phase for step in state.steps}
    if (
        target.capabilities["pipelines.fail_fast"].level != "native"
        and state.phase == "running"
        and phases >= {"failed", "running"}
    ):
        target.pipelines.cancel(state.run_id)


def has_ended(state: RunState) -> bool:
    """Return whether a run has ended: it is neither running nor being cancelled."""
    return state.phase not in ("running", "cancelling")


def observe(project: Project, run: str) -> RunState:
    """Return the state of a run and of each of its steps, by the run's short name.

    It includes steps that the cache or a condition left out.

    Raises:
        NotFound: there is no such run.
    """
    document = open_run(project.target.blobs, run)
    from .submission import pipeline_run

    return _state(project, document, pipeline_run(project.target.blobs, document))


def going_on(project: Project) -> tuple[str, ...]:
    """Return the names of the newest runs that have not ended.

    Only runs that began after the newest finished one are looked at.
    """
    return tuple(
        name for name in run_names.pending_names(project)[-_LOOKED:] if _goes_on(project, name)
    )


def _goes_on(project: Project, run: str) -> bool:
    """Return whether a run exists and has not ended yet."""
    try:
        return not has_ended(observe(project, run))
    except NotFound:  # its number was given, and nothing was submitted
        return False


def cancel(project: Project, run: str) -> None:
    """Ask the provider to stop a run, without waiting; one that has ended stays as it is.

    Raises:
        NotFound: there is no such run.
    """
    project.target.pipelines.cancel(open_run(project.target.blobs, run).run_id)


def values(project: Project, run: str, step: str) -> dict[str, Scalar]:
    """Return the typed outputs of a finished step, by name.

    Raises:
        NotFound: it has not finished.
    """
    return dict(_result(project, run, step).outputs)


def artifact_uri(project: Project, run: str, step: str, name: str) -> str:
    """Return the URI of an output folder (artifact) of a finished step.

    It is under another run when the step was a cache hit.

    Raises:
        NotFound: the step has not finished, or has no such output.
    """
    artifacts = _result(project, run, step).artifacts
    if name not in artifacts:
        raise NotFound(
            f"step {step} of run {run} has no artifact {name} (it has "
            f"{', '.join(sorted(artifacts)) or 'none'})"
        )
    return located(project.target.blobs.root, artifacts[name].uri)


def failure(project: Project, run: str, step: str) -> StepFailure | None:
    """Return the stored record of why a step failed, or None."""
    blobs = project.target.blobs
    return find(blobs, f"{step_folder(blobs, run, step)}/failed.json", StepFailure)


def log(project: Project, run: str, step: str) -> str:
    """Return a step's log as text; a cached step's is from the run that computed it.

    Raises:
        NotFound: it has not begun.
    """
    blobs = project.target.blobs
    done = find(blobs, f"{step_folder(blobs, run, step)}/step.json", StepResult)
    origin = done.cached_from if done and done.cached_from else run
    try:
        return blobs.get(f"{step_folder(blobs, origin, step)}/log.txt").decode(errors="replace")
    except NotFound as error:
        open_run(blobs, run).step(step)
        raise NotFound(f"step {step} of run {run} has not begun: it has no log") from error


def _result(project: Project, run: str, step: str) -> StepResult:
    """Return a finished step's result (step.json); raise NotFound if there is none."""
    blobs = project.target.blobs
    try:
        return read(blobs, f"{step_folder(blobs, run, step)}/step.json", StepResult)
    except NotFound as error:
        open_run(blobs, run).step(
            step
        )  # names the run or the step when one of them is what is missing
        raise NotFound(
            f"step {step} of run {run} has not finished", remedy=f"isthmus runs show {run}"
        ) from error


def _state(project: Project, document: RunDocument, run: PipelineRun) -> RunState:
    """Return the engine's state of a run, completed by its cached and skipped steps.

    `run` is it as the engine knows it.
    """
    blobs = project.target.blobs
    engine_state = (
        project.target.pipelines.observe(run.run_id)
        if run.steps
        else RunState(run_id=run.run_id, phase="done", steps=())
    )
    if engine_state is None:
        raise NotFound(
            f"run {document.run} was written but not started",
            remedy="submit it again: the same name and pipeline complete it",
        )
    states_by_name = {state.name: state for state in engine_state.steps}
    states = []
    for step in document.steps:
        if step.name in states_by_name:
            states.append(states_by_name[step.name])
        elif document.settled.get(step.name) == "cached":
            done = find(
                blobs, f"{step_folder(blobs, document.run, step.name)}/step.json", StepResult
            )
            reason = f"cached from {done.cached_from}" if done else "cached"
            states.append(
                StepState(
                    name=step.name,
                    phase="done",
                    started=document.submitted,
                    ended=document.submitted,
                    reason=reason,
                )
            )
        elif document.settled.get(step.name) == "skipped":
            states.append(
                StepState(name=step.name, phase="skipped", reason=_why_skipped(document, step))
            )
        else:
            states.append(StepState(name=step.name, phase="waiting"))
    return msgspec.structs.replace(engine_state, steps=tuple(states))


def _why_skipped(document: RunDocument, step: Step) -> str:
    """Return as text why a step was skipped."""
    skipped = next(
        (name for name in dependencies(step) if document.settled.get(name) == "skipped"), None
    )
    if skipped is not None:
        return f"it needs {skipped}, which was skipped"
    return f"not {text(step.when)}" if step.when else "skipped"


def _short(run: PipelineRun) -> str:
    """Return the short name of a run: r7 for `.../runs/r7/run.json`."""
    return run.run_uri.rsplit("/", 2)[1]
