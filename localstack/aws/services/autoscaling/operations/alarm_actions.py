"""Scaling by alarms: an alarm in ALARM has a policy change a count.

How Application Auto Scaling computes the count from a tracked metric is not published. Here a
metric of each instance is taken to be shared by all: count x metric / target, rounded up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ....core.registry import Context
from ...cloudwatch.operations.alarms import Firing, on_alarm, states
from ..records import Policy, Scaling, Target
from . import activities

_COOLDOWN = 300  # seconds, where a policy does not say


def scale(ctx: Context, arn: str, firing: Firing) -> None:
    """Change the instance count of a scaling policy's target when its alarm fires.

    CloudWatch calls this, as the alarm has the policy's ARN among its actions.
    """
    store = ctx.store(Scaling)
    policy = next((policy for policy in list(store.policies.values()) if policy.arn == arn), None)
    target = store.targets.get(policy.resource) if policy is not None else None
    if policy is None or target is None or firing.value is None:
        return
    activities.settle(ctx)
    variant = activities.live(ctx, target)
    if variant is None:
        return
    count = variant.desired_count
    desired_count = _desired_count(ctx, policy, target, firing, count)
    within = min(max(desired_count, target.least), target.most)
    if (
        within != count
        and (within > count) == (desired_count > count)
        and not _is_suspended(target, out=within > count)
    ):
        activities.change(
            ctx,
            target,
            count,
            within,
            f"monitor alarm {firing.alarm} in state ALARM triggered policy {policy.name}",
        )


def _desired_count(ctx: Context, policy: Policy, target: Target, firing: Firing, count: int) -> int:
    """Return the instance count that a policy wants when its alarm fires.

    `count` is the present one, and means no change.
    """
    if policy.kind == "StepScaling":
        return _step_scaling(ctx, policy, target, firing, count)
    if policy.alarms[0] == firing.alarm:
        return _scaled_out_count(ctx, policy, target, firing, count)
    return _scaled_in_count(ctx, policy, target, firing, count)


def _scaled_out_count(
    ctx: Context, policy: Policy, target: Target, firing: Firing, count: int
) -> int:
    """Return the instance count that a target-tracking policy wants when its high alarm fires.

    `count` is the present one. While the last change cools down, only a larger one is made, from
    the count before that change.
    """
    last = activities.last(ctx, target, out=True)
    if (
        last is not None
        and firing.moment is not None
        and last.ended is not None
        and firing.moment <= last.ended
    ):
        return count  # the datapoint is what that change was for
    cooling = activities.cooling(ctx, last, policy.settings.get("ScaleOutCooldown", _COOLDOWN))
    base = last.before if cooling and last is not None else count
    return max(count, _target_tracking(policy, firing, base))


def _scaled_in_count(
    ctx: Context, policy: Policy, target: Target, firing: Firing, count: int
) -> int:
    """Return the instance count that a target-tracking policy wants when its low alarm fires.

    `count` is the present one. The policy scales in only while the low alarms of all tracking
    policies of the target are in ALARM.
    """
    if policy.settings.get("DisableScaleIn"):
        return count
    state_of_alarm = states(ctx)
    others = [
        other
        for other in ctx.store(Scaling).policies_of(target.resource)
        if other.alarms and not other.settings.get("DisableScaleIn")
    ]
    if any(state_of_alarm.get(other.alarms[1]) != "ALARM" for other in others):
        return count
    if activities.cooling(
        ctx,
        activities.last(ctx, target, out=False),
        policy.settings.get("ScaleInCooldown", _COOLDOWN),
    ):
        return count
    return min(count, _target_tracking(policy, firing, count))


def _target_tracking(policy: Policy, firing: Firing, count: int) -> int:
    """Return the instance count at which a tracked metric would have its target value.

    `firing` has the metric's value, and `count` is the present number of instances.
    """
    target: float = policy.settings["TargetValue"]
    return math.ceil(max(count, 1) * (firing.value or 0.0) / target)


def _step_scaling(ctx: Context, policy: Policy, target: Target, firing: Firing, count: int) -> int:
    """Return the instance count that a step-scaling policy wants when its alarm fires.

    `count` is the present one, and means no change.
    """
    settings = policy.settings
    step = _step(
        settings["StepAdjustments"], (firing.value or 0.0) - firing.threshold, below=firing.below
    )
    if step is None:
        return count
    desired_count = adjusted_count(settings, count, step["ScalingAdjustment"])
    last = activities.last(ctx, target, out=desired_count > count)
    if not activities.cooling(ctx, last, settings.get("Cooldown", _COOLDOWN)):
        return desired_count
    if desired_count < count or last is None:
        return count
    return max(count, adjusted_count(settings, last.before, int(step["ScalingAdjustment"])))


def _step(steps: list[dict[str, Any]], breach: float, *, below: bool) -> dict[str, Any] | None:
    """Return the step of a policy whose interval contains the breach of the alarm's threshold.

    `below` says on which side the metric breached it: a step's lower bound belongs to its interval
    above the threshold, its upper bound below. None: no step does.
    """
    for step in steps:
        lower, upper = (
            step.get("MetricIntervalLowerBound", -math.inf),
            step.get("MetricIntervalUpperBound", math.inf),
        )
        if lower < breach <= upper if below else lower <= breach < upper:
            return step
    return None


def adjusted_count(settings: Mapping[str, Any], count: int, adjustment: int) -> int:
    """Return an instance count after an adjustment by the policy's AdjustmentType.

    `settings` are the policy's. Percentages are rounded as the user guide says: toward 0, but not
    to it.
    """
    match settings["AdjustmentType"]:
        case "ExactCapacity":
            return adjustment
        case "ChangeInCapacity":
            return count + adjustment
    change = count * adjustment / 100
    whole = (
        math.trunc(change) if abs(change) >= 1 else int(math.copysign(1, change)) if change else 0
    )
    least = int(settings.get("MinAdjustmentMagnitude", 0))
    return count + (int(math.copysign(least, whole)) if whole and abs(whole) < least else whole)


def _is_suspended(target: Target, *, out: bool) -> bool:
    """Return whether scaling of a target in one direction, out or else in, is suspended."""
    return target.suspended.get(
        "DynamicScalingOutSuspended" if out else "DynamicScalingInSuspended", False
    )


on_alarm("arn:aws:autoscaling:", scale)
