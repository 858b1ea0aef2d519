"""A sticky endpoint: at Vertex AI an endpoint for each variant, and an empty one. Pure.

The empty one says what is requested. It names the variants that may have an endpoint (`apart`)
before one is made, so that none is ever lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from ....endpoints.port import EndpointSpec, EndpointState, VariantSpec, VariantState
from ....endpoints.revision import revision_of_variants
from ....endpoints.split import HUNDRED
from ....storage import Phase
from . import deployed_models
from .deployed_models import ObservedEndpoint
from .labels import digest

Parts = Mapping[str, ObservedEndpoint | None]  # by variant; None: it has no endpoint


def of_variant(spec: EndpointSpec, variant: VariantSpec) -> EndpointSpec:
    """Return a spec with one variant alone, for the endpoint that this variant has for itself.

    Sticky routing needs an endpoint for each variant.
    """
    return replace(spec, variants=(variant,))


def is_described(spec: EndpointSpec, head: Any) -> bool:
    """Return whether the description of a sticky endpoint's main endpoint (`head`) stores a spec.

    The head has no models; each variant has an endpoint. The description may also name variants
    that are gone.
    """
    says = deployed_models.intention(head)
    return says.isthmus == tuple(map(deployed_models.display_name, spec.variants)) and {
        v.name for v in spec.variants
    } <= set(says.apart)


def description(spec: EndpointSpec, parts: Parts) -> str:
    """Return the description text of the main endpoint of a sticky one, which has no models.

    It is JSON that names the variants that have an endpoint of their own, which are `parts`.
    """
    names = {variant.name for variant in spec.variants}
    return deployed_models.description(
        spec, apart=sorted(names | {name for name, part in parts.items() if part is not None})
    )


def state(name: str, head: Any, parts: Parts) -> EndpointState:
    """Return the state of a sticky endpoint, combined from its variants' own endpoints.

    `head` is its main endpoint, `parts` the variants'. Requested variants come first, then those
    being removed. All traffic is the first one's; see endpoints/traffic/router.py.
    """
    present = {variant: part for variant, part in parts.items() if part is not None}
    states = {variant: deployed_models.state(name, part) for variant, part in present.items()}
    requested = {spec.name: spec for spec in deployed_models.intended_variants(head).values()}
    variants = [
        v
        for spec in requested.values()
        for v in (states[spec.name].variants if spec.name in present else (_missing(spec),))
    ]
    variants += [
        v
        for variant in sorted(present.keys() - requested.keys())
        for v in _leaving(variant, present[variant], states[variant])
    ]
    failures = [
        failure
        for variant in requested
        if variant in present and (failure := states[variant].failure)
    ]
    phase = _phase(
        variants, running=any(part.running for part in present.values()), failed=bool(failures)
    )
    return EndpointState(
        name=name,
        phase=phase,
        revision=_revision([head, *(part.endpoint for part in present.values())]),
        token=_token(head, present),
        variants=tuple(
            _with_share(variant, whole=place == 0) for place, variant in enumerate(variants)
        ),
        failure=" / ".join(failures) if phase == "failed" else None,
        routing="sticky",
    )


def _token(head: Any, parts: Mapping[str, ObservedEndpoint]) -> str:
    """Return a compare-and-swap token: a digest of the main endpoint's and the variants' tokens."""
    return digest(
        deployed_models.token(head),
        *(
            f"{variant} {deployed_models.token(part.endpoint)}"
            for variant, part in sorted(parts.items())
        ),
    )


def _missing(spec: VariantSpec) -> VariantState:
    """Return the state of a requested variant whose endpoint does not exist yet."""
    return deployed_models.absent(spec, hopeless=False)


def _leaving(variant: str, part: ObservedEndpoint, state: EndpointState) -> Sequence[VariantState]:
    """Return the states of a variant whose own endpoint is being removed.

    They are those of the models still deployed for it, else one state that is `deleting`.

    `part` is the endpoint as read, `state` its state.
    """
    if part.endpoint.deployed_models:
        return state.variants
    spec = next(
        iter(deployed_models.intended_variants(part.endpoint).values()),
        VariantSpec(name=variant, model="", version=0),
    )
    return (replace(_missing(spec), phase="deleting"),)


def _phase(variants: Sequence[VariantState], *, running: bool, failed: bool) -> Phase:
    """Return a sticky endpoint's phase, from its variants' states.

    It is updating only while an operation is `running`.
    """
    if failed and not running:
        return "failed"
    if not any(variant.phase == "ready" for variant in variants):
        return "creating"
    return "updating" if running else "ready"


def _revision(endpoints: Sequence[Any]) -> str:
    """Return the revision (a hash) of the spec that a sticky endpoint's variants run.

    `endpoints` are those of the variants.
    """
    if foreign := next(filter(None, map(deployed_models.foreign_revision, endpoints)), ""):
        return foreign
    variants = [
        spec for endpoint in endpoints for spec in deployed_models.effective_variants(endpoint)
    ]
    return revision_of_variants(variants, routing="sticky") if variants else ""


def _with_share(variant: VariantState, *, whole: bool) -> VariantState:
    """Return a variant's state with all of the traffic if `whole`, else with none."""
    percent = HUNDRED if whole else Decimal(0)
    return replace(variant, percent=percent, target_percent=percent)
