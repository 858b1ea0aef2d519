"""The identity of a variant set: what runs, without how much traffic or how many instances it has."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from .port import EndpointSpec, VariantSpec


def revision_of(spec: EndpointSpec) -> str:
    """12 hex digits over routing and the variants (name, model, version, machine, attempt),
    whatever their order.
    """
    return revision_of_variants(spec.variants, routing=spec.routing)


def identity(variant: VariantSpec) -> tuple[str, str, int, str, int]:
    """What makes a variant another one; the number of its instances does not."""
    return variant.name, variant.model, variant.version, variant.machine, variant.attempt


def revision_of_variants(variants: Iterable[VariantSpec], *, routing: str = "weighted") -> str:
    running = sorted(map(identity, variants))
    return sha256(msgspec.json.encode([routing, running])).hexdigest()[:12]
