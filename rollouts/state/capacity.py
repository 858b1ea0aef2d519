"""How many instances each variant has at which point of a rollout, as the spec that `apply` is
given. Pure.

The new variant grows with its share, before the traffic comes; the old one keeps its size until the
grace time is over.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import msgspec

from ...endpoints.port import EndpointSpec, EndpointState, VariantSpec
from .states import Plan


def sized_spec(plan: Plan, stage: int) -> EndpointSpec:
    """The variants at a stage.

    The new one's share of what the old one has by declaration, at least its own declaration.
    """
    return _with(plan.spec, _grown(plan, plan.stages[stage - 1].traffic))


def home(plan: Plan) -> EndpointSpec:
    """The promoted version also under the old variant's name, as large as the variant that serves."""
    serving = _grown(plan, Decimal(100))
    return _with(
        sized_spec(plan, len(plan.stages)), msgspec.structs.replace(serving, name=plan.source)
    )


def final(plan: Plan) -> EndpointSpec:
    """After the hand-over: the promoted version under the old variant's name and in its declared
    size, without the new variant.
    """
    promoted = msgspec.structs.replace(
        _variant(plan, plan.to), name=plan.source, instances=_variant(plan, plan.source).instances
    )
    spec = _with(plan.spec, promoted)
    return msgspec.structs.replace(
        spec, variants=tuple(variant for variant in spec.variants if variant.name != plan.to)
    )


def alone(plan: Plan) -> EndpointSpec:
    """What is left of `home` where the old variant is gone and the promoted version under its name
    did not come up.
    """
    spec = home(plan)
    return msgspec.structs.replace(
        spec, variants=tuple(variant for variant in spec.variants if variant.name != plan.source)
    )


def is_sized(spec: EndpointSpec, endpoint: EndpointState) -> bool:
    """Every variant of the spec runs as many instances as it says.

    What the spec leaves to the profile has any number.
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


def _grown(plan: Plan, percent: Decimal) -> VariantSpec:
    new, old = _variant(plan, plan.to), _variant(plan, plan.source)
    if plan.capacity == "keep" or new.instances is None or old.instances is None:
        return new
    least = max(
        new.instances[0], int((old.instances[0] * percent / 100).to_integral_value(ROUND_CEILING))
    )
    return msgspec.structs.replace(new, instances=(least, max(least, new.instances[1])))


def _variant(plan: Plan, name: str) -> VariantSpec:
    return next(variant for variant in plan.spec.variants if variant.name == name)


def _with(spec: EndpointSpec, changed: VariantSpec) -> EndpointSpec:
    return msgspec.structs.replace(
        spec,
        variants=tuple(
            changed if variant.name == changed.name else variant for variant in spec.variants
        ),
    )
