"""Scaling activities: the changes of variants' counts, and how they went."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from ....core.registry import Context, handles
from ...sagemaker.endpoints.records import Variant, find
from ..records import SERVICE, Activity, Scaling, Target, common, is_about_endpoints, page

_KEPT = 1000


@handles(SERVICE, "DescribeScalingActivities")
def describe(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DescribeScalingActivities, the newest first; decisions not to scale are left out."""
    if not is_about_endpoints(ctx, params):
        return ctx.forward()
    settle(ctx)
    resource = params.get("ResourceId")
    activities = [
        activity
        for activity in reversed(ctx.store(Scaling).activities)
        if resource in (None, activity.resource)
    ]
    return page(activities, params, "ScalingActivities", _description)


def live(ctx: Context, target: Target) -> Variant | None:
    """Return the endpoint variant that a target scales; None: its endpoint is not InService.

    None: it does not exist, or is being changed.
    """
    endpoint = find(ctx, target.endpoint)
    return (
        endpoint.fleet.variants.get(target.variant)
        if endpoint is not None and endpoint.status == "InService"
        else None
    )


def keep_within(ctx: Context, target: Target) -> None:
    """Change a variant's instance count to the nearest one within the target's limits."""
    variant = live(ctx, target)
    if variant is None:
        return
    count = variant.desired_count
    if count < target.least:
        change(ctx, target, count, target.least, f"minimum capacity was set to {target.least}")
    elif count > target.most:
        change(ctx, target, count, target.most, f"maximum capacity was set to {target.most}")


def change(
    ctx: Context, target: Target, previous_count: int, desired_count: int, cause: str
) -> None:
    """Change a variant's instance count, and record it as a scaling activity.

    `cause` is the activity's Cause.
    """
    activity = Activity(
        id=str(uuid.uuid4()),
        resource=target.resource,
        cause=cause,
        before=previous_count,
        wanted=desired_count,
        started=ctx.clock.now(),
        message=f"Successfully set desired instance count to {desired_count}. "
        "Waiting for change to be fulfilled by sagemaker.",
    )
    capacity = {"VariantName": target.variant, "DesiredInstanceCount": desired_count}
    store = ctx.store(Scaling)
    with store.lock:
        store.activities = [*store.activities[-_KEPT:], activity]
    try:
        ctx.client("sagemaker").update_endpoint_weights_and_capacities(
            EndpointName=target.endpoint, DesiredWeightsAndCapacities=[capacity]
        )
    except ClientError as error:
        _ends(ctx, activity, f"Reason: {error.response['Error']['Message']}")


def settle(ctx: Context) -> None:
    """Complete the scaling activities whose endpoint has finished changing."""
    store = ctx.store(Scaling)
    with store.lock:
        for activity in store.activities:
            if activity.status == "InProgress":
                _complete(ctx, store, activity)


def last(ctx: Context, target: Target, *, out: bool) -> Activity | None:
    """Return the last successful scaling activity of a target, up or down, or None.

    Args:
        ctx: The handler's context.
        target: The target.
        out: Whether the direction is up.
    """
    return next(
        (
            activity
            for activity in reversed(ctx.store(Scaling).activities)
            if activity.resource == target.resource
            and activity.status != "Failed"
            and (activity.wanted > activity.before) == out
        ),
        None,
    )


def cooling(ctx: Context, activity: Activity | None, seconds: float) -> bool:
    """Return whether fewer than `seconds` have passed since a scaling activity ended.

    None: there was no activity, and nothing has to cool down.
    """
    return activity is not None and ctx.clock.now() < (
        activity.ended or ctx.clock.now()
    ) + timedelta(seconds=seconds)


def _complete(ctx: Context, store: Scaling, activity: Activity) -> None:
    """Complete a scaling activity if its endpoint has changed or is gone."""
    target = store.targets.get(activity.resource)
    endpoint = find(ctx, activity.resource.split("/")[1])
    if endpoint is None or target is None:
        _ends(ctx, activity, "Reason: the scalable target is gone.")
    elif not endpoint.changing:
        variant = endpoint.fleet.variants.get(target.variant)
        wrong = variant is None or variant.count != activity.wanted
        _ends(
            ctx,
            activity,
            f"Reason: {endpoint.failure or 'the count was changed by somebody else.'}"
            if wrong
            else None,
        )
        activity.ended = max(endpoint.modified, activity.started)


def _ends(ctx: Context, activity: Activity, reason: str | None) -> None:
    """Record the end of a scaling activity: its success, or the `reason` why it failed."""
    activity.ended = ctx.clock.now()
    if reason is None:
        activity.status = "Successful"
        activity.message = (
            f"Successfully set desired instance count to {activity.wanted}. Change successfully "
            "fulfilled by sagemaker."
        )
    else:
        activity.status = "Failed"
        activity.message = f"Failed to set desired instance count to {activity.wanted}. {reason}"


def _description(activity: Activity) -> dict[str, Any]:
    """Return a scaling activity as the API shows it."""
    return {
        "ActivityId": activity.id,
        **common(activity.resource),
        "Description": f"Setting desired instance count to {activity.wanted}.",
        "Cause": activity.cause,
        "StartTime": activity.started,
        **({"EndTime": activity.ended} if activity.ended else {}),
        "StatusCode": activity.status,
        "StatusMessage": activity.message,
    }
