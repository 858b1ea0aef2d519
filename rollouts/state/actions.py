"""What a look may ask for. One look does one of them."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ...endpoints.port import EndpointSpec


class Take(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Make the rollout the owner of the traffic (endpoints/traffic/owner.py).

    Refused where it has another owner.
    """


class Release(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Nobody owns the traffic any more."""


class Touch(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Shift to the split that is already there, so that older tokens are stale; then mark the lease
    as touched and look again.
    """

    split: dict[str, Decimal]
    expect: str


class Apply(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Variants and counts."""

    spec: EndpointSpec


class Shift(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    split: dict[str, Decimal]  # percent by variant, sum 100
    expect: str  # the token of the observation


class SetAlias(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    model: str
    alias: str
    version: int | None  # None: take it away


Action = Take | Release | Touch | Apply | Shift | SetAlias
