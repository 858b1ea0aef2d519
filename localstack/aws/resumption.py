"""A stack comes up again: what was under way when it ended is over, endpoints get their servers
back, timers are set again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from .core.registry import Context
from .services.autoscaling.operations import scheduled_actions as scheduled
from .services.autoscaling.records import Scaling
from .services.cloudformation import stack_changes as managing
from .services.cloudformation.records import Stacks
from .services.cloudwatch.operations import alarms
from .services.firehose import operations as streams
from .services.sagemaker.endpoints.operations import lifecycle
from .services.sagemaker.endpoints.records import Endpoint, Endpoints, Fleet
from .services.sagemaker.features.operations import groups
from .services.sagemaker.features.records import Groups
from .services.sagemaker.jobs.records import ENDED, Job, Jobs
from .services.sagemaker.pipelines.records import Execution, Pipelines

ENDED_WITH_IT = "InternalServerError: the local stack ended while this was under way"


def begin(ctx: Context, store: object) -> None:
    """Go on with what a store holds."""
    go_on = _AGAIN.get(type(store))
    if go_on is not None:
        go_on(ctx, store)


def begin_alarms(context: Callable[[str, str], Context]) -> None:
    for account, regions in list(cloudwatch_backends.items()):
        for region in list(regions):
            alarms.resume(context(account, region))


def _jobs(ctx: Context, store: Jobs) -> None:
    for job in (
        *store.training.values(),
        *store.processing.values(),
        *store.transform.values(),
        *store.tuning.values(),
    ):
        _end_job(ctx, job)


def _pipelines(ctx: Context, store: Pipelines) -> None:
    for pipeline in store.named.values():
        for execution in pipeline.executions.values():
            _end_execution(ctx, execution)


def _endpoints(ctx: Context, store: Endpoints) -> None:
    for endpoint in list(store.endpoints.values()):
        _serve(ctx, store, endpoint)


def _groups(ctx: Context, store: Groups) -> None:
    for group in list(store.by_name.values()):
        groups.resume(ctx, group)


def _streams(ctx: Context, store: streams.Streams) -> None:
    for stream in list(store.by_name.values()):
        streams.resume(ctx, stream)


def _end_job(ctx: Context, job: Job) -> None:
    job.done.set()
    if job.status in ENDED:
        return None
    if job.stop.is_set():
        return job.ends(
            "Stopped", "Stopped", f"{job.kind.capitalize()} job stopped", ctx.clock.now()
        )
    job.failure = ENDED_WITH_IT
    return job.ends("Failed", "Failed", f"{job.kind.capitalize()} job failed", ctx.clock.now())


def _end_execution(ctx: Context, execution: Execution) -> None:
    execution.done.set()
    if execution.status not in ("Executing", "Stopping"):
        return
    stopped = execution.status == "Stopping"
    for step in execution.steps.values():
        if step.ended is None:
            step.status, step.failure = ("Stopped", None) if stopped else ("Failed", ENDED_WITH_IT)
            step.ended = ctx.clock.now()
    execution.status, execution.failure = (
        ("Stopped", None) if stopped else ("Failed", ENDED_WITH_IT)
    )
    execution.modified = ctx.clock.now()


def _serve(ctx: Context, store: Endpoints, endpoint: Endpoint) -> None:
    """Creating, then InService with the last configuration that was.

    A deployment under way is rolled back; new weights are taken.
    """
    endpoint.routing, endpoint.stale = None, None
    if endpoint.status == "Deleting":
        del store.endpoints[endpoint.name]
        return
    if endpoint.status == "Failed":
        return
    if endpoint.pending is not None:
        endpoint.failure = ENDED_WITH_IT
        endpoint.pending, endpoint.plan, endpoint.share = None, None, 0.0
    _anew(endpoint.fleet)
    endpoint.status, endpoint.modified = "Creating", ctx.clock.now()
    ctx.spawn(_begin, ctx, endpoint)


def _begin(ctx: Context, endpoint: Endpoint) -> None:
    with (
        ctx.clock.request()
    ):  # with moto's answers it waits here for the servers, and not in the clock's own thread
        lifecycle.begin(ctx, endpoint)


def _anew(fleet: Fleet) -> None:
    fleet.started.clear()
    fleet.failure = None
    for variant in fleet.all:
        variant.weight, variant.count = variant.desired_weight, variant.desired_count


_AGAIN: dict[type, Callable[[Context, Any], None]] = {
    Jobs: _jobs,
    Pipelines: _pipelines,
    Endpoints: _endpoints,
    Groups: _groups,
    streams.Streams: _streams,
    Scaling: scheduled.resume,
    Stacks: managing.resume,
}
