"""Scalable targets: which variants are scaled, and between which numbers.

Source: SageMaker developer guide, "Automatically scale models"; Application Auto Scaling API
reference.
"""

from __future__ import annotations

import uuid
from typing import Any

from ....core.registry import Context, handles
from ...cloudwatch import variant_metrics as variants
from ...sagemaker.endpoints.checks import arn
from ...sagemaker.endpoints.invocation import backlog
from ...sagemaker.endpoints.records import Endpoint, Fleet, Variant, find
from ..records import (
    NAMESPACE,
    SERVICE,
    Scaling,
    Target,
    common,
    is_about_endpoints,
    missing,
    names,
    page,
    refusal,
)
from . import activities

_ROLE = (
    "role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
_SUSPENDED = (
    "DynamicScalingInSuspended",
    "DynamicScalingOutSuspended",
    "ScheduledScalingSuspended",
)


@handles(SERVICE, "RegisterScalableTarget")
def register(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer RegisterScalableTarget: register a target, or change the limits of one.

    An instance count beyond the limits is changed at once.
    """
    if not is_about_endpoints(ctx, params):
        return ctx.forward()
    endpoint, _ = _live(ctx, params["ResourceId"])
    store = ctx.store(Scaling)
    with store.lock:
        previous = store.targets.get(params["ResourceId"])
        target = _target(ctx, params, previous)
        check(ctx, target)
        if params.get("RoleARN") and ":role/" not in params["RoleARN"]:
            raise refusal(f"RoleARN '{params['RoleARN']}' is no role.")
        store.targets[target.resource] = target
    if previous is None and backlog.settings(endpoint) is None:
        variants.emit_zeros(ctx, target.endpoint, target.variant)
    activities.keep_within(ctx.without_request(), target)
    return {"ScalableTargetARN": target.arn}


@handles(SERVICE, "DescribeScalableTargets")
def describe(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DescribeScalableTargets."""
    if not is_about_endpoints(ctx, params):
        return ctx.forward()
    resources = params.get("ResourceIds") or None
    targets = [
        target
        for target in list(ctx.store(Scaling).targets.values())
        if resources is None or target.resource in resources
    ]
    role = f"arn:aws:iam::{ctx.account}:{_ROLE}"
    return page(targets, params, "ScalableTargets", lambda target: _description(target, role))


@handles(SERVICE, "DeregisterScalableTarget")
def deregister(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DeregisterScalableTarget: drop a target, its policies and scheduled actions.

    The instance count stays as it is.
    """
    if not is_about_endpoints(ctx, params):
        return ctx.forward()
    if not drop(ctx, params["ResourceId"]):
        raise missing("scalable target found", params)
    return {}


def drop(ctx: Context, resource: str) -> bool:
    """Delete a scalable target with its policies; return False when it does not exist."""
    store = ctx.store(Scaling)
    with store.lock:
        target = store.targets.pop(resource, None)
        if target is None:
            return False
        policies = store.policies_of(resource)
        for policy in policies:
            del store.policies[resource, policy.name]
        for key in [key for key in store.scheduled if key[0] == resource]:
            del store.scheduled[key]
    variants.emit_zeros(ctx, target.endpoint, target.variant, until_now=True)
    if alarms := [name for policy in policies for name in policy.alarms]:
        ctx.client("cloudwatch").delete_alarms(AlarmNames=alarms)
    return True


def drop_targets_of(ctx: Context, endpoint: Endpoint) -> None:
    """Delete the scalable targets of an endpoint that is deleted.

    "Application Auto Scaling deregisters those models as scalable targets without notifying you".
    """
    for target in _targets_of(ctx, endpoint):
        drop(ctx, target.resource)


def check_update(ctx: Context, endpoint: Endpoint, fleet: Fleet) -> None:
    """Check that an endpoint's update to a new fleet keeps each scaled variant as it is.

    Source: guide, "Update endpoints ...".

    Raises:
        AwsError: The update removes a scaled variant, or changes its instance type.
    """
    for target in _targets_of(ctx, endpoint):
        old, new = endpoint.fleet.variants.get(target.variant), fleet.variants.get(target.variant)
        if new is None or (
            old is not None and old.config.get("InstanceType") != new.config.get("InstanceType")
        ):
            what = "removes it" if new is None else "changes its instance type"
            raise refusal(
                f"Variant {target.variant} is registered as a scalable target, and the "
                f"update {what}: deregister it first."
            )


def resume(ctx: Context, store: Scaling) -> None:
    """Emit zeros for the idle minutes of scaled variants again, after a restart.

    Their alarms need metrics of every minute.
    """
    for target in store.targets.values():
        variants.emit_zeros(ctx, target.endpoint, target.variant)


def _targets_of(ctx: Context, endpoint: Endpoint) -> list[Target]:
    """Return the scalable targets among an endpoint's variants."""
    return [
        target
        for target in list(ctx.store(Scaling).targets.values())
        if target.endpoint == endpoint.name
    ]


def _live(ctx: Context, resource: str) -> tuple[Endpoint, Variant]:
    """Return the endpoint and the variant that a ResourceId (endpoint/x/variant/y) names.

    Raises:
        AwsError: The endpoint or the variant does not exist.
    """
    name, label = names(resource)
    endpoint = find(ctx, name)
    if endpoint is None:
        raise refusal(f'Could not find endpoint "{arn(ctx, "endpoint", name)}".')
    variant = endpoint.fleet.variants.get(label)
    if variant is None:
        raise refusal(
            f'The variant name(s) "{label}" is/are not present within endpoint configuration '
            f'"{endpoint.fleet.config.name}".'
        )
    return endpoint, variant


def _target(ctx: Context, params: dict[str, Any], previous: Target | None) -> Target:
    """Return the scalable target in a RegisterScalableTarget request.

    What the request leaves out is taken from `previous`, the target that it updates.
    """
    least, most = params.get("MinCapacity"), params.get("MaxCapacity")
    if previous is None and (least is None or most is None):
        raise refusal("MinCapacity and MaxCapacity are required to register a new scalable target.")
    if params.get("Tags"):
        raise refusal("The local stack keeps no tags of scalable targets: leave Tags out.")
    endpoint, variant = names(params["ResourceId"])
    return Target(
        resource=params["ResourceId"],
        endpoint=endpoint,
        variant=variant,
        arn=previous.arn
        if previous
        else f"arn:aws:{SERVICE}:{ctx.region}:{ctx.account}:scalable-target/{uuid.uuid4().hex}",
        created=previous.created if previous else ctx.clock.now(),
        least=previous.least if previous and least is None else least or 0,
        most=previous.most if previous and most is None else most or 0,
        suspended={
            **(previous.suspended if previous else {}),
            **(params.get("SuspendedState") or {}),
        },
    )


def check(ctx: Context, target: Target) -> None:
    """Check that a target's variant can be scaled, and within the target's limits.

    Raises:
        AwsError: The variant cannot be scaled, or not within these limits.
    """
    endpoint, variant = _live(ctx, target.resource)
    machine = variant.config.get("InstanceType") or ""
    floor = 0 if backlog.settings(endpoint) is not None else 1
    if variant.serverless:
        raise refusal(
            "A serverless variant has no instances to scale; the local stack does not scale "
            "its provisioned concurrency."
        )
    if machine.startswith("ml.t2."):
        raise refusal(
            f"You cannot register a variant with {machine} instance type as a scalable "
            "target. This is because the burstable performance "
            "of these instances can lead to unpredictable behavior with Auto Scaling."
        )
    if target.least < floor:
        raise refusal(
            f"MinCapacity must be at least {floor} for {NAMESPACE} endpoints of this kind, "
            f"not {target.least}."
        )
    if target.most < max(target.least, 1):
        raise refusal(
            f"MaxCapacity must be at least MinCapacity ({target.least}) and 1, not {target.most}."
        )


def _description(target: Target, role: str) -> dict[str, Any]:
    """Return a scalable target in the form of DescribeScalableTargets' response.

    `role` is the ARN of the service-linked role that AWS shows with it.
    """
    return {
        **common(target.resource),
        "MinCapacity": target.least,
        "MaxCapacity": target.most,
        "RoleARN": role,
        "CreationTime": target.created,
        "SuspendedState": {key: target.suspended.get(key, False) for key in _SUSPENDED},
        "ScalableTargetARN": target.arn,
    }
