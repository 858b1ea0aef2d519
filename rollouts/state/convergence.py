"""Comparison of an observation with what a rollout intends. Pure.

Is the endpoint ours, does it serve what is intended, is it ready?
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from ...endpoints.operations.minutes import floor_minute
from ...endpoints.operations.minutes import settled_by as settled
from ...endpoints.port import EndpointSpec, EndpointState
from ...endpoints.revision import revision_of
from ...endpoints.traffic.convergence import has_converged
from ...project.specs.description import OfficeHours
from .capacity import final_spec, hand_over_spec, new_variant_alone
from .states import Observation, RolloutPlan, RolloutState

_HANDED = ("handing", "ended")  # the variant set may be one of the hand-over's


def serving_split(endpoint: EndpointState) -> dict[str, Decimal]:
    """Return the percentage of the traffic that each variant serves now."""
    return {variant.name: variant.percent for variant in endpoint.variants}


def target_split(endpoint: EndpointState) -> dict[str, Decimal]:
    """Return the percentage for each variant that the target was last told to serve."""
    return {variant.name: variant.target_percent for variant in endpoint.variants}


def is_split(split: Mapping[str, Decimal], other: Mapping[str, Decimal], plan: RolloutPlan) -> bool:
    """Return whether two splits are the same in steps of the target's resolution.

    A variant that is not named has 0 %.
    """
    return all(
        abs(split.get(name, Decimal(0)) - other.get(name, Decimal(0))) * 2 < plan.resolution
        for name in split.keys() | other.keys()
    )


def is_served(state: RolloutState, endpoint: EndpointState) -> bool:
    """Return whether the rollout's intended split is set at the target and served by it."""
    return is_split(serving_split(endpoint), state.intent, state.plan) and is_split(
        target_split(endpoint), state.intent, state.plan
    )


def is_converged(state: RolloutState, spec: EndpointSpec, endpoint: EndpointState) -> bool:
    """Return whether the endpoint is as the rollout intends: split, variants, all ready.

    The variants are compared with `spec`.
    """
    return has_converged(spec, state.intent, endpoint, resolution=state.plan.resolution)


def is_ready(state: RolloutState, endpoint: EndpointState) -> bool:
    """Return whether the two variants of the rollout are ready.

    An endpoint may be updating for long elsewhere, while both answer.
    """
    return {
        variant.phase
        for variant in endpoint.variants
        if variant.name in (state.plan.source, state.plan.to)
    } == {"ready"}


def is_lost(state: RolloutState, observation: Observation) -> bool:
    """Return whether the endpoint runs other variants than this rollout's, or does not exist.

    In the middle of a change it does not count as lost, as the change may be rolled back.
    """
    if observation.endpoint is None:
        return observation.absent
    if observation.endpoint.phase not in ("ready", "failed"):
        return False
    plan = state.plan
    ours = (
        [plan.spec, hand_over_spec(plan), final_spec(plan)]
        if state.phase in _HANDED
        else [plan.spec]
    )
    if state.phase in _HANDED and observation.endpoint.phase == "failed":
        ours.append(new_variant_alone(plan))
    return observation.endpoint.revision not in {revision_of(spec) for spec in ours}


def version_of(plan: RolloutPlan, variant: str) -> int:
    """Return the model version of a variant in the rollout's plan."""
    return next(spec.version for spec in plan.spec.variants if spec.name == variant)


def settled_by(plan: RolloutPlan, now: datetime) -> datetime:
    """Return the time up to which the metrics of minutes are final."""
    return settled(plan.metrics_delay, now)


def next_minute(moment: datetime) -> datetime:
    """Return the first whole minute that begins at a moment or after it."""
    whole = floor_minute(moment)
    return whole if whole == moment else whole + timedelta(minutes=1)


def is_open(hours: OfficeHours, now: datetime) -> bool:
    """Return whether steps up are allowed at a time, by the office hours."""
    local = now.astimezone(ZoneInfo(hours.zone))
    return (
        local.weekday() in hours.days and hours.start <= 60 * local.hour + local.minute < hours.end
    )
