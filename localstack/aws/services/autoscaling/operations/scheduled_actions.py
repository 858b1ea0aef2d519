"""Scheduled actions: a target's limits change at a time, and a count beyond them with it.

Source: Application Auto Scaling user guide, "Scheduled scaling"; API reference, PutScheduledAction.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from ....core.home.declarations import resumes
from ....core.registry import Context, handles
from .. import schedules
from ..records import (
    SERVICE,
    Scaling,
    Scheduled,
    Target,
    answer_of_moto,
    common,
    is_about_endpoints,
    missing,
    page,
    refusal,
)
from . import activities, targets


@handles(SERVICE, "PutScheduledAction")
def put(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer PutScheduledAction: create or update a scheduled action."""
    if not is_about_endpoints(ctx, params):
        return answer_of_moto(ctx, params, "PutScheduledAction")
    store, key = ctx.store(Scaling), (params["ResourceId"], params["ScheduledActionName"])
    with store.lock:
        target = store.targets.get(params["ResourceId"])
        if target is None:
            raise missing("scalable target found", params)
        action = _action(ctx, params, store.scheduled.get(key))
        _due(action)
        targets.check(ctx, _with_limits(target, action))
        store.scheduled[key] = action
    _wait(ctx.without_request(), action)
    return {}


@handles(SERVICE, "DescribeScheduledActions")
def describe(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DescribeScheduledActions."""
    if not is_about_endpoints(ctx, params):
        return ctx.forward()
    resource, requested_names = params.get("ResourceId"), params.get("ScheduledActionNames") or None
    actions = [
        action
        for action in list(ctx.store(Scaling).scheduled.values())
        if resource in (None, action.resource)
        and (
            requested_names is None
            or action.name in requested_names
            or action.arn in requested_names
        )
    ]
    return page(actions, params, "ScheduledActions", _description)


@handles(SERVICE, "DeleteScheduledAction")
def delete(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DeleteScheduledAction."""
    if not is_about_endpoints(ctx, params):
        return ctx.forward()
    if (
        ctx.store(Scaling).scheduled.pop(
            (params["ResourceId"], params["ScheduledActionName"]), None
        )
        is None
    ):
        raise missing(
            "scheduled action found",
            params,
            f"scheduled action name: {params['ScheduledActionName']}",
        )
    return {}


@resumes(Scaling)
def resume(ctx: Context, store: Scaling) -> None:
    """Set the timers of all scheduled actions again after a restart.

    What was due while the stack did not run is left out.
    """
    targets.resume(ctx, store)
    for action in store.scheduled.values():
        _wait(ctx, action)


def _action(ctx: Context, params: dict[str, Any], previous: Scheduled | None) -> Scheduled:
    """Return the scheduled action in a PutScheduledAction request.

    What the request leaves out is taken from `previous`, the action that it updates.
    """
    numbers = params.get("ScalableTargetAction") or (previous.numbers if previous else {})
    schedule = params.get("Schedule") or (previous.schedule if previous else None)
    if schedule is None:
        raise refusal("Schedule is required to create a scheduled action.")
    if not numbers:
        raise refusal("ScalableTargetAction must specify MinCapacity, MaxCapacity or both.")
    resource, name = params["ResourceId"], params["ScheduledActionName"]
    number = previous.arn.split(":")[6] if previous else str(uuid.uuid4())
    return Scheduled(
        name=name,
        arn=f"arn:aws:autoscaling:{ctx.region}:{ctx.account}:scheduledAction:{number}"
        f":resource/sagemaker/{resource}:scheduledActionName/{name}",
        resource=resource,
        schedule=schedule,
        zone=params.get("Timezone") or (previous.zone if previous else None),
        start=_aware(params.get("StartTime")),
        end=_aware(params.get("EndTime")),
        numbers=numbers,
        created=previous.created if previous else ctx.clock.now(),
    )


def _aware(moment: datetime | None) -> datetime | None:
    """Return a time with its time zone, UTC by default; None stays None."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _due(action: Scheduled) -> schedules.NextRun:
    """Return the function that gives the next run time of a scheduled action.

    Raises:
        AwsError: Its schedule or time zone cannot be read.
    """
    try:
        zone = ZoneInfo(action.zone or "UTC")
    except (KeyError, OSError, ValueError) as error:
        raise refusal(f"Timezone {action.zone!r} is not in the IANA database.") from error
    try:
        return schedules.due(action.schedule, zone, action.start or action.created)
    except ValueError as error:
        raise refusal(f"Invalid schedule expression {action.schedule!r}: {error}.") from error


def _wait(ctx: Context, action: Scheduled) -> None:
    """Set a timer for the next run of a scheduled action."""
    now = ctx.clock.now()
    moment = _due(action)(max(now, action.start or now))
    if moment is not None and (action.end is None or moment <= action.end):
        ctx.clock.call_at_limit((moment - now).total_seconds(), lambda: _run(ctx, action))


def _run(ctx: Context, action: Scheduled) -> None:
    # a reset forgets the clock's timers, but not this one, had it begun: it would wait anew
    """Run a scheduled action: set its target's limits, and set the timer for the next run."""
    if ctx.stopping.is_set():
        return
    store = ctx.store(Scaling)
    with store.lock:
        target = store.targets.get(action.resource)
        if target is None or store.scheduled.get((action.resource, action.name)) is not action:
            return  # it was changed or deleted meanwhile
        acts = not target.suspended.get("ScheduledScalingSuspended")
        if acts:
            target = store.targets[action.resource] = _with_limits(target, action)
    if acts:
        activities.keep_within(ctx, target)
    _wait(ctx, action)


def _with_limits(target: Target, action: Scheduled) -> Target:
    """Return a scalable target with the MinCapacity and MaxCapacity of a scheduled action."""
    return msgspec.structs.replace(
        target,
        least=action.numbers.get("MinCapacity", target.least),
        most=action.numbers.get("MaxCapacity", target.most),
    )


def _description(action: Scheduled) -> dict[str, Any]:
    """Return a scheduled action as the API shows it."""
    described = {
        "ScheduledActionName": action.name,
        "ScheduledActionARN": action.arn,
        **common(action.resource),
        "Schedule": action.schedule,
        "Timezone": action.zone,
        "StartTime": action.start,
        "EndTime": action.end,
        "ScalableTargetAction": action.numbers,
        "CreationTime": action.created,
    }
    return {key: value for key, value in described.items() if value is not None}
