"""The plan of a deployment: a DeploymentConfig, checked and turned into stages. Pure.

Source: SageMaker API reference, DeploymentConfig, BlueGreenUpdatePolicy, RollingUpdatePolicy,
CapacitySize; developer guide, "Deployment guardrails".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ....core.registry import AwsError

_TIMEOUT = 28_800.0  # MaximumExecutionTimeoutInSeconds, where it is not given


class Stage(msgspec.Struct, frozen=True):
    """A share of the traffic on the new fleet, and the seconds of baking that follow."""

    share: float
    bake: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The stages of a deployment, and what ends it."""

    stages: tuple[Stage, ...]
    termination: float = 0.0  # seconds that the old fleet stays after the last stage
    timeout: float = _TIMEOUT
    alarms: tuple[str, ...] = ()
    same_names: bool = False  # the new config must have the old one's variants
    rolling: bool = False


AT_ONCE = Plan(stages=(Stage(1.0, 0.0),))


def plan(config: Mapping[str, Any] | None, instances: int) -> Plan:
    """Return the deployment plan, stages of traffic shifting, for a DeploymentConfig.

    `instances` is the fleet's number of instances.

    Raises:
        AwsError: SageMaker refuses the configuration (ValidationException).
    """
    if not config:
        return AT_ONCE
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green and rolling:
        raise _refusal(
            "Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy can be specified in a "
            "DeploymentConfig."
        )
    alarms = tuple(
        alarm["AlarmName"]
        for alarm in (config.get("AutoRollbackConfiguration") or {}).get("Alarms") or ()
    )
    if len(alarms) > 10:
        raise _refusal("AutoRollbackConfiguration takes at most 10 alarms.")
    if rolling:
        deployment = _rolling(rolling, instances)
    elif blue_green:
        deployment = _blue_green(blue_green, instances)
    else:
        deployment = AT_ONCE
    waiting = sum(stage.bake for stage in deployment.stages) + deployment.termination
    if deployment.timeout <= waiting:
        raise _refusal(
            f"MaximumExecutionTimeoutInSeconds ({deployment.timeout:.0f}) must be larger than "
            f"the deployment's waiting times ({waiting:.0f} s)."
        )
    return msgspec.structs.replace(deployment, alarms=alarms)


def check_variants(
    deployment: Plan, old: Sequence[str], new: Sequence[str], *, serverless: bool
) -> None:
    """Check that a deployment policy allows replacing a fleet's variants by the new ones.

    `deployment` is the policy's plan; `old` and `new` are the variants' names; `serverless` says
    whether one of them is serverless.

    Raises:
        AwsError: The policy does not allow it.
    """
    if deployment.same_names and set(old) != set(new):
        raise _refusal(
            "The new endpoint configuration must have the variants of the old one for this "
            f"deployment: {sorted(old)}, not {sorted(new)}."
        )
    if deployment.rolling and (len(new) > 1 or serverless):
        what = "serverless variants" if serverless else "multiple production variants"
        raise _refusal(f"Rolling deployment is not supported for endpoints with {what}.")


def _blue_green(policy: Mapping[str, Any], instances: int) -> Plan:
    """Return the stages of a BlueGreenUpdatePolicy for a fleet of so many instances."""
    routing = policy["TrafficRoutingConfiguration"]
    kind = routing["Type"]
    wait = _seconds(routing, "WaitIntervalInSeconds")
    stages: tuple[Stage, ...]
    match kind:
        case "ALL_AT_ONCE":
            stages = (Stage(1.0, wait),)
        case "CANARY":
            stages = (Stage(_size(routing, "CanarySize", instances, 1, 50), wait), Stage(1.0, wait))
        case "LINEAR":
            stages = _steps(_size(routing, "LinearStepSize", instances, 10, 50), wait)
        case _:
            raise _refusal(f"Traffic routing type {kind} is not ALL_AT_ONCE, CANARY or LINEAR.")
    for key, needed in (("CanarySize", "CANARY"), ("LinearStepSize", "LINEAR")):
        if kind != needed and routing.get(key):
            raise _refusal(f"{key} can only be specified with traffic routing type {needed}.")
    return Plan(
        stages=stages,
        termination=_seconds(policy, "TerminationWaitInSeconds"),
        timeout=_timeout(policy),
        same_names=kind != "ALL_AT_ONCE",
    )


def _rolling(policy: Mapping[str, Any], instances: int) -> Plan:
    """Return the stages of a RollingUpdatePolicy for a fleet of so many instances."""
    wait = _seconds(policy, "WaitIntervalInSeconds")
    stages = _steps(_size(policy, "MaximumBatchSize", instances, 5, 50), wait)
    if policy.get("RollbackMaximumBatchSize"):
        _size(policy, "RollbackMaximumBatchSize", instances, 5, 100)
    return Plan(stages=stages, timeout=_timeout(policy), same_names=True, rolling=True)


def _steps(step: float, wait: float) -> tuple[Stage, ...]:
    """Return equal stages that shift traffic by `step` until the new fleet has all of it.

    `step` is a share of the traffic, and `wait` the seconds after each stage.
    """
    count = math.ceil(1 / step - 1e-9)
    return tuple(Stage(min(1.0, step * (number + 1)), wait) for number in range(count))


def _size(policy: Mapping[str, Any], key: str, instances: int, least: int, most: int) -> float:
    """Return a CapacitySize (instances or percent) as a fraction of the fleet.

    `key` is its name in the policy, `instances` the fleet's size; `least` and `most` are the
    percentages that are allowed.
    """
    size = policy.get(key)
    if not size:
        raise _refusal(f"{key} is required for this traffic routing.")
    value = size["Value"]
    if size["Type"] == "CAPACITY_PERCENT":
        if not least <= value <= most:
            raise _refusal(
                f"{key} must be between {least} and {most} percent of the capacity, not {value}."
            )
        return float(value) / 100
    share = value / max(instances, 1)
    if value < 1 or share > most / 100:
        raise _refusal(
            f"{key} must be at least 1 instance and at most {most} percent of the "
            f"{instances} instance(s), not {value} instance(s)."
        )
    return float(share)


def _seconds(policy: Mapping[str, Any], key: str) -> float:
    """Return a deployment policy's interval `key` in seconds, after checking its range."""
    value = policy.get(key) or 0
    if not 0 <= value <= 3600:
        raise _refusal(f"{key} must be between 0 and 3600 seconds, not {value}.")
    return float(value)


def _timeout(policy: Mapping[str, Any]) -> float:
    """Return a deployment's time limit in seconds, after checking its range."""
    value = policy.get("MaximumExecutionTimeoutInSeconds")
    if value is None:
        return _TIMEOUT
    if not 600 <= value <= 28_800:
        raise _refusal(
            f"MaximumExecutionTimeoutInSeconds must be between 600 and 28800, not {value}."
        )
    return float(value)


def _refusal(message: str) -> AwsError:
    """Return SageMaker's ValidationException with this message."""
    return AwsError("ValidationException", message)
