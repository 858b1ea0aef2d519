"""Deployments on the clock: traffic goes to the new fleet by stages, baking under alarms.

Then the old fleet goes; or all traffic goes back.
"""

from __future__ import annotations

from collections.abc import Sequence

from .....core.registry import Context
from ....cloudwatch.operations.alarms import states
from .. import timing
from ..checks import refusal
from ..invocation import backlog
from ..records import Endpoint, Fleet
from . import fleets


def begin(ctx: Context, endpoint: Endpoint, fleet: Fleet, *, doomed: bool) -> None:
    """Begin an endpoint's deployment: wait for the new fleet's servers, then shift traffic.

    Args:
        ctx: The handler's context.
        endpoint: The endpoint.
        fleet: The new fleet.
        doomed: Whether it goes back without an error once all traffic is on the new fleet (the
            fault silent-rollback).
    """
    if not fleets.wait(ctx, fleet) or endpoint.pending is not fleet:
        return
    if fleet.failure:
        roll_back(ctx, endpoint, fleet, fleet.failure)
        return
    _stage(ctx, endpoint, fleet, 0, doomed=doomed)


def limit(ctx: Context, endpoint: Endpoint, fleet: Fleet, seconds: float) -> None:
    """Set a timer that rolls back a deployment which takes longer than `seconds`."""
    ctx.clock.call_at_limit(seconds, lambda: _overdue(ctx, endpoint, fleet))


def require_alarms(ctx: Context, alarms: Sequence[str]) -> None:
    """Check that the CloudWatch alarms of an auto-rollback configuration exist.

    Raises:
        AwsError: An alarm does not exist.
    """
    state_of_alarm = states(ctx)
    missing = [name for name in alarms if name not in state_of_alarm]
    if missing:
        raise refusal(
            f"Could not find CloudWatch alarm(s) {', '.join(missing)} of AutoRollbackConfiguration."
        )


def record_status(ctx: Context, fleet: Fleet, status: str) -> None:
    """Record a status of all variants of a fleet, for DescribeEndpoint."""
    for variant in fleet.all:
        variant.statuses = [{"Status": status, "StartTime": ctx.clock.now()}]


def roll_back(ctx: Context, endpoint: Endpoint, fleet: Fleet, reason: str | None) -> None:
    """Move all traffic back to the old fleet, and end the new one, `fleet`.

    The endpoint ends InService, with the old configuration's name; `reason` becomes its failure.
    """
    with endpoint.lock:
        if endpoint.pending is not fleet:
            return
        endpoint.status, endpoint.share = "RollingBack", 0.0
        endpoint.modified = ctx.clock.now()
        endpoint.route()
        record_status(ctx, fleet, "Deleting")
    timing.later(ctx, timing.changing(ctx), lambda: _rolled_back(ctx, endpoint, fleet, reason))


def _stage(ctx: Context, endpoint: Endpoint, fleet: Fleet, number: int, *, doomed: bool) -> None:
    """Shift traffic to stage `number` of the deployment's plan, and set a timer for the next one.

    `doomed`: the deployment goes back without an error once all traffic is on the new fleet.
    """
    with endpoint.lock:
        plan = endpoint.plan
        if endpoint.pending is not fleet or endpoint.status != "Updating" or plan is None:
            return
        stage = plan.stages[number]
        endpoint.share = stage.share
        endpoint.modified = ctx.clock.now()
        endpoint.route()
        record_status(ctx, fleet, "Baking" if stage.bake else "ActivatingTraffic")
    last = number + 1 == len(plan.stages)
    if plan.alarms:
        _watch(ctx, endpoint, fleet, plan.alarms)

    def passed() -> None:
        if plan.alarms and _rolled_back_by_alarm(ctx, endpoint, fleet, plan.alarms):
            return
        if not last:
            _stage(ctx, endpoint, fleet, number + 1, doomed=doomed)
        elif doomed:
            roll_back(ctx, endpoint, fleet, None)
        else:
            ctx.clock.call_after(plan.termination, lambda: _finish(ctx, endpoint, fleet))

    ctx.clock.call_after(stage.bake, passed)


def _watch(ctx: Context, endpoint: Endpoint, fleet: Fleet, alarms: Sequence[str]) -> None:
    """Check the auto-rollback alarms every few seconds during a stage of a deployment.

    On the instant clock, where no stage takes time, they are checked once.
    """
    share = endpoint.share
    if _rolled_back_by_alarm(ctx, endpoint, fleet, alarms) or ctx.clock.mode == "instant":
        return

    def again() -> None:
        if endpoint.share == share and endpoint.pending is fleet:
            _watch(ctx, endpoint, fleet, alarms)

    ctx.clock.call_after(timing.ALARMS, again)


def _rolled_back_by_alarm(
    ctx: Context, endpoint: Endpoint, fleet: Fleet, alarms: Sequence[str]
) -> bool:
    """Roll back a deployment if one of its alarms fires; return whether the deployment is over.

    Return whether the deployment is over.
    """
    if endpoint.pending is not fleet or endpoint.status != "Updating":
        return True
    state_of_alarm = states(ctx)
    if not any(state_of_alarm.get(name) == "ALARM" for name in alarms):
        return False
    roll_back(ctx, endpoint, fleet, None)
    return True


def _overdue(ctx: Context, endpoint: Endpoint, fleet: Fleet) -> None:
    """Roll back a deployment that has exceeded its time limit."""
    if endpoint.pending is fleet and endpoint.status == "Updating":
        roll_back(
            ctx,
            endpoint,
            fleet,
            "The deployment did not end within MaximumExecutionTimeoutInSeconds.",
        )


def _finish(ctx: Context, endpoint: Endpoint, fleet: Fleet) -> None:
    """Complete a deployment: the new fleet replaces the old one."""
    with endpoint.lock:
        if endpoint.pending is not fleet or endpoint.status != "Updating":
            return
        old, endpoint.fleet = endpoint.fleet, fleet
        _set_in_service(ctx, endpoint)
    old.stop()


def _rolled_back(ctx: Context, endpoint: Endpoint, fleet: Fleet, reason: str | None) -> None:
    """Complete a rollback: keep the old fleet, and stop the new one, `fleet`.

    `reason` becomes the endpoint's failure.
    """
    with endpoint.lock:
        if endpoint.pending is not fleet:
            return
        endpoint.failure = reason
        _set_in_service(ctx, endpoint)
    fleet.stop()


def _set_in_service(ctx: Context, endpoint: Endpoint) -> None:
    """Set an endpoint InService at the end of a deployment."""
    endpoint.pending, endpoint.plan, endpoint.share = None, None, 0.0
    for variant in endpoint.fleet.all:
        variant.statuses = []
    endpoint.status = "InService"
    endpoint.modified = ctx.clock.now()
    endpoint.route()
    backlog.note(ctx, endpoint)
