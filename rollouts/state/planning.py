"""A rollout of project.yaml as a plan, and the document with which it begins. Pure.

The caller has looked at what runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from ...core.lease import Lease
from ...endpoints import hosting
from ...endpoints.port import EndpointSpec
from ...endpoints.traffic import router
from ...project.specs.description import Endpoint, Rollout
from ...target import Target
from .states import RequestPace, RolloutPlan, RolloutState
from .transitions import note


class TargetTraits(msgspec.Struct, frozen=True, kw_only=True):
    """The traits of a target that a plan takes over."""

    resolution: Decimal  # of a share, in percent
    metrics_delay: timedelta
    fenced: bool  # a shift makes older tokens stale


def traits_of(target: Target, routing: str = "weighted") -> TargetTraits:
    """Return a target's traits that a rollout's plan depends on, such as its traffic resolution.

    `routing` is the endpoint's: weighted or sticky.
    """
    return TargetTraits(
        resolution=router.resolution(target, routing),
        metrics_delay=hosting.metrics_delay(target),
        fenced=router.is_fenced(target, routing),
    )


def plan(
    rollout: Rollout,
    endpoint: Endpoint,
    spec: EndpointSpec,
    *,
    initial: Mapping[str, Decimal],
    aliases: Mapping[str, int],
    target: TargetTraits,
) -> RolloutPlan:
    """Return the plan of a declared rollout: all that its controller needs to know.

    Args:
        rollout: The rollout of project.yaml.
        endpoint: The endpoint of project.yaml.
        spec: Version numbers, and the declared instances.
        initial: Percent by variant as it is served.
        aliases: The model's aliases with their versions.
        target: The traits of the target.
    """
    refs = {
        variant.name: None if variant.ref.isdigit() else variant.ref
        for variant in endpoint.variants
    }
    promoted = rollout.after.promote_alias or refs.get(rollout.source)
    return RolloutPlan(
        source=rollout.source,
        to=rollout.to,
        stages=rollout.steps,
        guardrails=rollout.guardrails,
        false_alarm=rollout.false_alarm,
        failure_limit=rollout.failure_limit,
        on_no_data=rollout.on_no_data,
        on_inconclusive=rollout.on_inconclusive,
        on_drift=rollout.on_drift,
        capacity=rollout.capacity,
        advance=rollout.advance,
        spec=spec,
        initial=dict(initial),
        promote_alias=promoted,
        alias_before=aliases.get(promoted, 0) if promoted else 0,
        retire_alias=refs.get(rollout.to),
        remove_old=rollout.after.remove_old,
        webhook_env=rollout.webhook_env,
        resolution=target.resolution,
        metrics_delay=target.metrics_delay,
        fenced=target.fenced,
    )


def beginning(
    number: str,
    endpoint: str,
    plan: RolloutPlan,
    now: datetime,
    *,
    who: str,
    because: str = "",
    pace: RequestPace = RequestPace(),  # noqa: B008  frozen
) -> RolloutState:
    """Return the state with which a new rollout begins.

    `number` is its id, such as ro3; `who` starts it, for the reason `because`; `pace` is what is
    expected of the traffic.

    `plan` is what the rollout is to do.
    """
    state = RolloutState(
        id=number,
        endpoint=endpoint,
        plan=plan,
        phase="starting",
        intent=dict(plan.initial),
        lease=Lease(),
        pace=pace,
        started=now,
    )
    return note(
        state,
        now,
        "started",
        f"{plan.source} -> {plan.to}{f': {because}' if because else ''}",
        who=who,
    )
