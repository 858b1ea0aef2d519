"""Instances of each variant at each point of a rollout, as specs to apply. Pure.

The new variant grows with its share, before the traffic comes; the old one keeps its size until the
grace time is over.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import msgspec

from ...endpoints.port import EndpointSpec, EndpointState, VariantSpec
from .states import RolloutPlan


def sized_spec(plan: RolloutPlan, stage: int) -> EndpointSpec:
    """Return the endpoint's specification for a step, with the instances its traffic needs.

    The new variant has its share of the old one's declared instances, at least its own declared
    ones.

    `stage` is the step's number.
    """
    return _with(plan.spec, _grown(plan, plan.stages[stage - 1].traffic))


def hand_over_spec(plan: RolloutPlan) -> EndpointSpec:
    """Return the endpoint's specification during the hand-over after a promotion.

    The promoted version also runs under the old variant's name, as large as the variant that
    serves.
    """
    serving = _grown(plan, Decimal(100))
    return _with(
        sized_spec(plan, len(plan.stages)), msgspec.structs.replace(serving, name=plan.source)
    )


def final_spec(plan: RolloutPlan) -> EndpointSpec:
    """Return the endpoint's specification after the hand-over, without the new variant.

    The promoted version has the old variant's name, and the declared number of instances.
    """
    promoted = msgspec.structs.replace(
        _variant(plan, plan.to), name=plan.source, instances=_variant(plan, plan.source).instances
    )
    spec = _with(plan.spec, promoted)
    return msgspec.structs.replace(
        spec, variants=tuple(variant for variant in spec.variants if variant.name != plan.to)
    )


def new_variant_alone(plan: RolloutPlan) -> EndpointSpec:
    """Return the endpoint's specification with the new variant only.

    It is what runs if the old variant did not start in the hand-over.
    """
    spec = hand_over_spec(plan)
    return msgspec.structs.replace(
        spec, variants=tuple(variant for variant in spec.variants if variant.name != plan.source)
    )


def is_sized(spec: EndpointSpec, endpoint: EndpointState) -> bool:
    """Return whether every variant runs as many instances as the spec says.

    A variant whose count is left to the profile may have any number.
    """
    running = {variant.name: variant for variant in endpoint.variants}
    return all(
        variant.instances is None
        or (
            variant.name in running
            and variant.instances[0] <= running[variant.name].instances <= variant.instances[1]
        )
        for variant in spec.variants
    )


def _grown(plan: RolloutPlan, percent: Decimal) -> VariantSpec:
    """Return the new variant's spec with the instances that a percentage of the traffic needs."""
    new, old = _variant(plan, plan.to), _variant(plan, plan.source)
    if plan.capacity == "keep" or new.instances is None or old.instances is None:
        return new
    least = max(
        new.instances[0], int((old.instances[0] * percent / 100).to_integral_value(ROUND_CEILING))
    )
    return msgspec.structs.replace(new, instances=(least, max(least, new.instances[1])))


def _variant(plan: RolloutPlan, name: str) -> VariantSpec:
    """Return the specification that a rollout's plan has for a variant, by the variant's name."""
    return next(variant for variant in plan.spec.variants if variant.name == name)


def _with(spec: EndpointSpec, changed: VariantSpec) -> EndpointSpec:
    """Return an endpoint's specification with the variant of the same name replaced."""
    return msgspec.structs.replace(
        spec,
        variants=tuple(
            changed if variant.name == changed.name else variant for variant in spec.variants
        ),
    )
