"""A sticky endpoint as one of ours: at Vertex AI an endpoint for each variant, and an empty one
that says what is wanted. Pure.

The empty one names the variants that may have an endpoint (`apart`) before one is made, so none is
ever lost.
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
from . import deployed_models as deployed
from .deployed_models import Seen
from .labels import digest

Parts = Mapping[str, Seen | None]  # by variant; None: it has no endpoint


def of_variant(spec: EndpointSpec, variant: VariantSpec) -> EndpointSpec:
    """What is wanted of a variant's own endpoint: that variant alone."""
    return replace(spec, variants=(variant,))


def is_described(spec: EndpointSpec, head: Any) -> bool:
    """Whether the empty endpoint says what the spec wants.

    It may also name variants that are gone.
    """
    says = deployed.intention(head)
    return says.isthmus == tuple(map(deployed.display_name, spec.variants)) and {
        v.name for v in spec.variants
    } <= set(says.apart)


def description(spec: EndpointSpec, parts: Parts) -> str:
    names = {variant.name for variant in spec.variants}
    return deployed.description(
        spec, apart=sorted(names | {name for name, part in parts.items() if part is not None})
    )


def state(name: str, head: Any, parts: Parts) -> EndpointState:
    """The wanted variants in their order, then those whose endpoint is still there.

    All traffic is the first one's: see router.py.
    """
    there = {variant: part for variant, part in parts.items() if part is not None}
    states = {variant: deployed.state(name, part) for variant, part in there.items()}
    wanted = {spec.name: spec for spec in deployed.intended_variants(head).values()}
    variants = [
        v
        for spec in wanted.values()
        for v in (states[spec.name].variants if spec.name in there else (_missing(spec),))
    ]
    variants += [
        v
        for variant in sorted(there.keys() - wanted.keys())
        for v in _leaving(variant, there[variant], states[variant])
    ]
    failures = [
        failure for variant in wanted if variant in there and (failure := states[variant].failure)
    ]
    phase = _phase(
        variants, running=any(part.running for part in there.values()), failed=bool(failures)
    )
    return EndpointState(
        name=name,
        phase=phase,
        revision=_revision([head, *(part.endpoint for part in there.values())]),
        token=_token(head, there),
        variants=tuple(
            _with_share(variant, whole=place == 0) for place, variant in enumerate(variants)
        ),
        failure=" / ".join(failures) if phase == "failed" else None,
        routing="sticky",
    )


def _token(head: Any, parts: Mapping[str, Seen]) -> str:
    """Return a digest of what the endpoint's and its variants' tokens digest."""
    return digest(
        deployed.token(head),
        *(f"{variant} {deployed.token(part.endpoint)}" for variant, part in sorted(parts.items())),
    )


def _missing(spec: VariantSpec) -> VariantState:
    return deployed.absent(spec, hopeless=False)


def _leaving(variant: str, part: Seen, seen: EndpointState) -> Sequence[VariantState]:
    """Of a variant that is not wanted any more: it is there until its endpoint is gone."""
    if part.endpoint.deployed_models:
        return seen.variants
    spec = next(
        iter(deployed.intended_variants(part.endpoint).values()),
        VariantSpec(name=variant, model="", version=0),
    )
    return (replace(_missing(spec), phase="deleting"),)


def _phase(variants: Sequence[VariantState], *, running: bool, failed: bool) -> Phase:
    """As of an endpoint with weighted variants: updating only while an operation runs."""
    if failed and not running:
        return "failed"
    if not any(variant.phase == "ready" for variant in variants):
        return "creating"
    return "updating" if running else "ready"


def _revision(endpoints: Sequence[Any]) -> str:
    if foreign := next(filter(None, map(deployed.foreign_revision, endpoints)), ""):
        return foreign
    variants = [spec for endpoint in endpoints for spec in deployed.effective_variants(endpoint)]
    return revision_of_variants(variants, routing="sticky") if variants else ""


def _with_share(variant: VariantState, *, whole: bool) -> VariantState:
    percent = HUNDRED if whole else Decimal(0)
    return replace(variant, percent=percent, target_percent=percent)
