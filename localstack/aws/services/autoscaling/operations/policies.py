"""Scaling policies, and the two alarms of one that tracks a target.

Source: Application Auto Scaling user guide, "Target tracking scaling policies" and "Step scaling
policies"; SageMaker developer guide.
"""

from __future__ import annotations

import math
import uuid
from itertools import pairwise
from typing import Any

from ....core.registry import Context, handles
from ...cloudwatch.operations.metrics import try_out
from ...cloudwatch.sagemaker import NAMESPACE as METRICS
from ..records import (
    SERVICE,
    Policy,
    Scaling,
    answer_of_moto,
    common,
    is_about_endpoints,
    missing,
    page,
    refusal,
)

_CONFIGURATION = {
    "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
    "StepScaling": "StepScalingPolicyConfiguration",
}
_PREDEFINED = {"SageMakerVariantInvocationsPerInstance": ("InvocationsPerInstance", "Sum")}
_METRIC = ("PredefinedMetricSpecification", "CustomizedMetricSpecification")
_LOW = 0.9  # of the target: below, the low alarm counts
_PERIOD, _HIGH_PERIODS, _LOW_PERIODS = 60, 3, 15


@handles(SERVICE, "PutScalingPolicy")
def put(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer PutScalingPolicy."""
    if not is_about_endpoints(ctx, params):
        return answer_of_moto(ctx, params, "PutScalingPolicy")
    store, resource, name = ctx.store(Scaling), params["ResourceId"], params["PolicyName"]
    previous = store.policies.get((resource, name))
    kind, settings = _settings(params, previous)
    number = previous.arn.split(":")[6] if previous else str(uuid.uuid4())
    arn = (
        f"arn:aws:autoscaling:{ctx.region}:{ctx.account}:scalingPolicy:{number}"
        f":resource/sagemaker/{resource}:policyName/{name}"
    )
    policy = Policy(
        name=name,
        arn=arn,
        resource=resource,
        kind=kind,
        settings=settings,
        alarms=_names(resource, previous) if kind == "TargetTrackingScaling" else (),
        created=previous.created if previous else ctx.clock.now(),
    )
    with store.lock:
        if resource not in store.targets:
            raise missing("scalable target registered", params)
        _check_others(store, policy)
        store.policies[resource, name] = policy
    for alarm in _alarms(policy):
        ctx.client("cloudwatch").put_metric_alarm(**alarm)
    return {"PolicyARN": arn, "Alarms": _alarm_list(ctx, policy)}


@handles(SERVICE, "DescribeScalingPolicies")
def describe(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DescribeScalingPolicies."""
    if not is_about_endpoints(ctx, params):
        return ctx.forward()
    resource, requested_names = params.get("ResourceId"), params.get("PolicyNames") or None
    policies = [
        policy
        for policy in list(ctx.store(Scaling).policies.values())
        if resource in (None, policy.resource)
        and (
            requested_names is None
            or policy.name in requested_names
            or policy.arn in requested_names
        )
    ]
    return page(policies, params, "ScalingPolicies", lambda policy: _description(ctx, policy))


@handles(SERVICE, "DeleteScalingPolicy")
def delete(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DeleteScalingPolicy."""
    if not is_about_endpoints(ctx, params):
        return ctx.forward()
    store = ctx.store(Scaling)
    policy = store.policies.pop((params["ResourceId"], params["PolicyName"]), None)
    if policy is None:
        raise missing("scaling policy found", params, f"policy name: {params['PolicyName']}")
    if policy.alarms:
        ctx.client("cloudwatch").delete_alarms(AlarmNames=list(policy.alarms))
    return {}


def _settings(params: dict[str, Any], previous: Policy | None) -> tuple[str, dict[str, Any]]:
    """Return a scaling policy's type and configuration from a PutScalingPolicy request.

    What the request leaves out is taken from `previous`, the policy that it updates.
    """
    kind = params.get("PolicyType") or (previous.kind if previous else "StepScaling")
    if kind not in _CONFIGURATION:
        raise refusal(
            f"The local stack has no policies of type {kind}: use {' or '.join(_CONFIGURATION)}."
        )
    if previous is not None and kind != previous.kind:
        raise refusal("The type of a scaling policy cannot be changed: delete it first.")
    settings = params.get(_CONFIGURATION[kind]) or (previous.settings if previous else None)
    if settings is None:
        raise refusal(f"{_CONFIGURATION[kind]} is required for a policy of type {kind}.")
    (_check_tracking if kind == "TargetTrackingScaling" else _check_steps)(settings)
    return kind, settings


def _check_tracking(settings: dict[str, Any]) -> None:
    """Raise an error if the configuration of a target-tracking policy is not valid."""
    if not 0 < settings["TargetValue"] < math.inf:
        raise refusal(
            f"TargetValue must be a number greater than 0, not {settings['TargetValue']}."
        )
    if sum(key in settings for key in _METRIC) != 1:
        raise refusal(f"Exactly one of {' and '.join(_METRIC)} must be specified.")
    predefined = (settings.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
    if predefined is not None and predefined not in _PREDEFINED:
        raise refusal(
            f"The local stack tracks {', '.join(_PREDEFINED)} of the predefined metrics, not "
            f"{predefined}."
        )
    custom = settings.get("CustomizedMetricSpecification")
    if (
        custom is not None
        and not custom.get("Metrics")
        and not {"MetricName", "Namespace", "Statistic"} <= custom.keys()
    ):
        raise refusal(
            "CustomizedMetricSpecification needs MetricName, Namespace and Statistic, or Metrics."
        )
    try_out((custom or {}).get("Metrics") or [])


def _check_steps(settings: dict[str, Any]) -> None:
    """Raise an error if the configuration of a step-scaling policy is not valid."""
    if "AdjustmentType" not in settings or not settings.get("StepAdjustments"):
        raise refusal("StepScalingPolicyConfiguration needs an AdjustmentType and StepAdjustments.")
    if (
        "MinAdjustmentMagnitude" in settings
        and settings["AdjustmentType"] != "PercentChangeInCapacity"
    ):
        raise refusal("MinAdjustmentMagnitude can only be specified with PercentChangeInCapacity.")
    steps = settings["StepAdjustments"]
    bounds = sorted(
        (
            step.get("MetricIntervalLowerBound", -math.inf),
            step.get("MetricIntervalUpperBound", math.inf),
        )
        for step in steps
    )
    if any(lower >= upper for lower, upper in bounds):
        raise refusal("MetricIntervalLowerBound must be less than MetricIntervalUpperBound.")
    if any(first[1] != second[0] for first, second in pairwise(bounds)):
        raise refusal("The intervals of StepAdjustments must neither overlap nor leave a gap.")


def _check_others(store: Scaling, policy: Policy) -> None:
    """Raise an error if another policy of the target tracks the same metric.

    `store` has the policies of the account and region.
    """
    if policy.kind != "TargetTrackingScaling":
        return
    for other in store.policies_of(policy.resource):
        if (
            other.kind == policy.kind
            and other.name != policy.name
            and _metric(other) == _metric(policy)
        ):
            raise refusal(
                "Only one TargetTrackingScaling policy for a given metric specification is allowed."
            )


def _metric(policy: Policy) -> Any:
    """Return the metric specification that a target-tracking policy tracks."""
    return next(policy.settings[key] for key in _METRIC if key in policy.settings)


def _names(resource: str, previous: Policy | None) -> tuple[str, ...]:
    """Return the names of a scaling policy's alarms: those of `previous`, or two new ones."""
    return (
        previous.alarms
        if previous
        else tuple(
            f"TargetTracking-{resource}-{which}-{uuid.uuid4()}"
            for which in ("AlarmHigh", "AlarmLow")
        )
    )


def _alarms(policy: Policy) -> list[dict[str, Any]]:
    """Return the CloudWatch alarms of a scaling policy, as PutMetricAlarm takes them."""
    if not policy.alarms:
        return []
    target = policy.settings["TargetValue"]
    words = f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.arn}."
    shared = {**_source(policy), "AlarmActions": [policy.arn], "AlarmDescription": words}
    high, low = policy.alarms
    above = {
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": target,
        "EvaluationPeriods": _HIGH_PERIODS,
    }
    below = {
        "ComparisonOperator": "LessThanThreshold",
        "Threshold": target * _LOW,
        "EvaluationPeriods": _LOW_PERIODS,
    }
    return [{"AlarmName": high, **above, **shared}, {"AlarmName": low, **below, **shared}]


def _source(policy: Policy) -> dict[str, Any]:
    """Return the members of an alarm (MetricName, Dimensions ...) that name its metric."""
    custom = policy.settings.get("CustomizedMetricSpecification")
    if custom is None:
        name, statistic = _PREDEFINED[
            policy.settings["PredefinedMetricSpecification"]["PredefinedMetricType"]
        ]
        _, endpoint, _, variant = policy.resource.split("/")
        dimensions = [
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": variant},
        ]
        return {
            "Namespace": METRICS,
            "MetricName": name,
            "Statistic": statistic,
            "Dimensions": dimensions,
            "Period": _PERIOD,
        }
    if custom.get("Metrics"):
        return {"Metrics": [_query(query) for query in custom["Metrics"]]}
    unit = {"Unit": custom["Unit"]} if custom.get("Unit") else {}
    plain = {key: custom[key] for key in ("Namespace", "MetricName", "Statistic")}
    return {**plain, **unit, "Dimensions": custom.get("Dimensions") or [], "Period": _PERIOD}


def _query(query: dict[str, Any]) -> dict[str, Any]:
    """Return a policy's metric query with the period of its alarms, as CloudWatch takes it."""
    return (
        {**query, "MetricStat": {**query["MetricStat"], "Period": _PERIOD}}
        if "MetricStat" in query
        else query
    )


def _alarm_list(ctx: Context, policy: Policy) -> list[dict[str, str]]:
    """Return the names and ARNs of a policy's alarms, as the API lists them."""
    return [
        {
            "AlarmName": name,
            "AlarmARN": f"arn:aws:cloudwatch:{ctx.region}:{ctx.account}:alarm:{name}",
        }
        for name in policy.alarms
    ]


def _description(ctx: Context, policy: Policy) -> dict[str, Any]:
    """Return a scaling policy in the form of DescribeScalingPolicies' response."""
    return {
        "PolicyARN": policy.arn,
        "PolicyName": policy.name,
        **common(policy.resource),
        "PolicyType": policy.kind,
        _CONFIGURATION[policy.kind]: policy.settings,
        "Alarms": _alarm_list(ctx, policy),
        "CreationTime": policy.created,
    }
