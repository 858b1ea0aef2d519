"""The identity of a variant set: the variants that run, without their traffic and instances."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from .port import EndpointSpec, VariantSpec


def revision_of(spec: EndpointSpec) -> str:
    """Return a hash of an endpoint's routing and variants, which tells whether a deploy changes it.

    It has 12 hex digits, and does not depend on the order of the variants. A variant's name, model,
    version, machine and attempt are hashed.
    """
    return revision_of_variants(spec.variants, routing=spec.routing)


def identity(variant: VariantSpec) -> tuple[str, str, int, str, int]:
    """Return what makes a variant a new one if it changes: name, model, version, machine, attempt.

    A change of its instances does not.
    """
    return variant.name, variant.model, variant.version, variant.machine, variant.attempt


def revision_of_variants(variants: Iterable[VariantSpec], *, routing: str = "weighted") -> str:
    """Return the hash of an endpoint's variants that `revision_of` returns for a spec."""
    running = sorted(map(identity, variants))
    return sha256(msgspec.json.encode([routing, running])).hexdigest()[:12]
