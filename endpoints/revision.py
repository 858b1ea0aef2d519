"""The identity of a variant set: the variants that run, without their traffic and instances."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from .port import EndpointSpec, VariantSpec


def revision_of(spec: EndpointSpec) -> str:
    """Return a digest of a spec, 12 hex digits: routing and variants in any order.

    Of a variant count its name, model, version, machine and attempt.
    """
    return revision_of_variants(spec.variants, routing=spec.routing)


def identity(variant: VariantSpec) -> tuple[str, str, int, str, int]:
    """Return the fields whose change makes a variant a new one: all but the number of instances."""
    return variant.name, variant.model, variant.version, variant.machine, variant.attempt


def revision_of_variants(variants: Iterable[VariantSpec], *, routing: str = "weighted") -> str:
    """Return the revision of variants, as `revision_of` does of a spec."""
    running = sorted(map(identity, variants))
    return sha256(msgspec.json.encode([routing, running])).hexdigest()[:12]
