"""The engine of an execution: every step that may start does, in a thread of its own."""

from __future__ import annotations

import threading

from .....core.home.declarations import ENDED_WITH_STACK, resumes
from .....core.registry import AwsError, Context
from ...jobs import listing
from ..definition.document import EXECUTED, Definition, Step
from ..definition.expressions import ExpressionError
from ..definition.graph import readiness
from ..records import Execution, Pipelines, StepRun
from . import cache
from .retries import Retries, StepFailed
from .steps import StepStopped, attempt, name_of_job, resolved_arguments, scope

_RESET = "reset"
FAILED = "Step failure: One or multiple steps failed."
# their failures are told by ListPipelineExecutionSteps alone; a Fail step's words are the
# execution's
_SILENT = frozenset(EXECUTED) - {"Fail"}


def run(ctx: Context, execution: Execution) -> None:
    """Run a pipeline execution until it has a final status.

    An execution that is retried keeps its finished steps.
    """
    ctx.on_stop(lambda: execution.events.put(_RESET))
    try:
        definition = execution.version.definition
        if definition is None:
            _end(ctx, execution, "Succeeded", None)
        else:
            _walk(ctx, execution, definition)
    except (
        Exception
    ) as error:  # the stack's own mistake must show, not leave an execution that never ends
        _end(ctx, execution, "Failed", f"InternalServerError: the local stack failed: {error!r}")
        raise
    finally:
        execution.done.set()


def _walk(ctx: Context, execution: Execution, definition: Definition) -> None:
    """Run the steps of a pipeline execution until none is left."""
    states = {name: step.status for name, step in execution.steps.items()}
    running: set[str] = set()
    while True:
        if not execution.stopping.is_set() and not _is_halted(definition, states):
            _start_all(ctx, execution, definition, states, running)
        if not running:
            break
        event = execution.events.get()
        if event == _RESET:
            return
        if event in running:
            running.discard(event)
            states[event] = execution.steps[event].status
        if execution.stopping.is_set():
            _stop_jobs(ctx, execution)
    _conclude(ctx, execution, definition, states)


def _start_all(
    ctx: Context,
    execution: Execution,
    definition: Definition,
    states: dict[str, str],
    running: set[str],
) -> None:
    """Start the pipeline steps that can start, and mark those that never will.

    `states` has the states of steps by name, and `running` the names of those that run; both are
    updated.
    """
    limit = (execution.parallelism or {}).get("MaxParallelExecutionSteps") or len(definition.steps)
    outcomes = {
        name: run.properties.get("Outcome") == "True"
        for name, run in execution.steps.items()
        if definition.steps[name].type == "Condition"
    }
    changed = True
    while changed:
        changed = False
        for name, step in definition.steps.items():
            if name in states:
                continue
            verdict = readiness(
                ((d.step, d.trigger) for d in step.depends), step.branch, states, outcomes
            )
            if verdict == "never":
                states[name] = "never"
                changed = True
            elif verdict == "run" and len(running) < limit:
                states[name] = "Executing"
                running.add(name)
                execution.steps[name] = StepRun(
                    name=name, status="Starting", started=ctx.clock.now()
                )
                ctx.spawn(_step, ctx, execution, step)


def _step(ctx: Context, execution: Execution, step: Step) -> None:
    """Run a pipeline step with its retries, and report its end to the execution."""
    run_of_step = execution.steps[step.name]
    retries = Retries(step.retries, run_of_step.started)
    try:
        while True:
            job = name_of_job(step, execution)
            try:
                run_of_step.status = "Executing"
                if not _from_cache(ctx, execution, step, run_of_step, job):
                    attempt(ctx, execution, step, run_of_step, job)
                _finish(ctx, run_of_step, "Succeeded", None)
            except StepStopped:
                _finish(ctx, run_of_step, "Stopped", None)
            except StepFailed as error:
                seconds = retries.wait(error, ctx.clock.now())
                if (
                    seconds is not None
                    and not execution.stopping.is_set()
                    and _wait(ctx, execution, seconds)
                ):
                    run_of_step.attempt += 1
                    continue
                _finish(ctx, run_of_step, "Failed", error.reason)
            return
    except Exception as error:
        _finish(
            ctx, run_of_step, "Failed", f"InternalServerError: the local stack failed: {error!r}"
        )
        raise
    finally:
        execution.modified = ctx.clock.now()
        execution.events.put(step.name)


def _finish(ctx: Context, run_of_step: StepRun, status: str, failure: str | None) -> None:
    """Record the final status of a run of a pipeline step, and the reason of a failure."""
    run_of_step.failure = failure[:1024] if failure else None
    run_of_step.ended = ctx.clock.now()
    run_of_step.status = status


def _from_cache(
    ctx: Context, execution: Execution, step: Step, run_of_step: StepRun, job: str
) -> bool:
    """Reuse an earlier run's result for a pipeline step if its cache config allows it.

    `run_of_step` is the new run, and `job` the name of its job. Return whether a result was reused.
    The step's cache key is stored either way, for later runs.
    """
    try:
        signature = (
            cache.signature(step, resolved_arguments(step, scope(ctx, execution, job)))
            if step.type != "Condition"
            else None
        )
    except ExpressionError:  # the attempt will say so
        return False
    run_of_step.signature = signature
    hit = (
        cache.hit(execution.pipeline, step, signature, ctx.clock.now())
        if step.cache and signature
        else None
    )
    if hit is None:
        return False
    run_of_step.cached_from, earlier = hit
    run_of_step.metadata, run_of_step.properties = earlier.metadata, earlier.properties
    return True


def _wait(ctx: Context, execution: Execution, seconds: float) -> bool:
    """Wait some seconds before a step's next attempt; return False if the execution was stopped."""
    due = threading.Event()
    timer = ctx.clock.call_after(seconds, due.set)
    try:
        while not due.wait(0.05):
            if execution.stopping.is_set() or ctx.stopping.is_set():
                return False
        return True
    finally:
        timer.cancel()


def _stop_jobs(ctx: Context, execution: Execution) -> None:
    """Stop the jobs that an execution's steps have started and that run now."""
    for name, job in list(execution.jobs.items()):
        run_of_step = execution.steps[name]
        if run_of_step.status == "Executing":
            run_of_step.status = "Stopping"
        try:
            listing.stop(ctx, job)
        except AwsError:  # it has ended by itself
            continue


def _is_halted(definition: Definition, states: dict[str, str]) -> bool:
    """Return whether the pipeline starts no new step, because one failed.

    A failure on which another step depends does not count. Steps that run go on.
    """
    return any(
        state in ("Failed", "Stopped") and not _is_awaited(definition, name, state)
        for name, state in states.items()
    )


def _is_awaited(definition: Definition, name: str, state: str) -> bool:
    """Return whether any step depends on the step `name` ending in this state."""
    return any(
        d.step == name and d.trigger in (state, "Any")
        for step in definition.steps.values()
        for d in step.depends
    )


def _conclude(
    ctx: Context, execution: Execution, definition: Definition, states: dict[str, str]
) -> None:
    """Set a pipeline execution's final status by the states of its steps."""
    bad = [name for name, state in states.items() if state in ("Failed", "Stopped")]
    if execution.stopping.is_set():
        return _end(ctx, execution, "Stopped", None)
    if not bad:
        return _end(ctx, execution, "Succeeded", None)
    if not _is_halted(definition, states):
        return _end(ctx, execution, "CompletedWithFailures", FAILED)
    telling = [
        execution.steps[name].failure for name in bad if definition.steps[name].type not in _SILENT
    ]
    return _end(ctx, execution, "Failed", telling[0] if telling else FAILED)


def _end(ctx: Context, execution: Execution, status: str, failure: str | None) -> None:
    """Set the final status of a pipeline execution, and the reason of a failure."""
    with execution.lock:
        execution.failure = failure
        execution.modified = ctx.clock.now()
        execution.status = status


@resumes(Pipelines)
def resume(ctx: Context, store: Pipelines) -> None:
    """Set the executions that ran when the stack ended to a final status, after a restart."""
    for pipeline in store.named.values():
        for execution in pipeline.executions.values():
            _end_after_restart(ctx, execution)


def _end_after_restart(ctx: Context, execution: Execution) -> None:
    """Set a pipeline execution that ran when the stack ended to a final status."""
    execution.done.set()
    if execution.status not in ("Executing", "Stopping"):
        return
    stopped = execution.status == "Stopping"
    for step in execution.steps.values():
        if step.ended is None:
            step.status, step.failure = (
                ("Stopped", None) if stopped else ("Failed", ENDED_WITH_STACK)
            )
            step.ended = ctx.clock.now()
    execution.status, execution.failure = (
        ("Stopped", None) if stopped else ("Failed", ENDED_WITH_STACK)
    )
    execution.modified = ctx.clock.now()
