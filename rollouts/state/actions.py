"""Actions of a look, which does at most one of them."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ...endpoints.port import EndpointSpec


class Take(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Make the rollout the owner of the traffic; refused if it has another owner.

    See endpoints/traffic/owner.py.
    """


class Release(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Give the traffic up, so that nobody owns it."""


class Touch(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Shift to the present split, so that older tokens become stale.

    Then the lease is marked as touched, and the rollout is looked at again.
    """

    split: dict[str, Decimal]
    expect: str


class Apply(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Apply a spec: its variants and their instances."""

    spec: EndpointSpec


class Shift(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Set the split."""

    split: dict[str, Decimal]  # percent by variant, sum 100
    expect: str  # the token of the observation


class SetAlias(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Move an alias of the model."""

    model: str
    alias: str
    version: int | None  # None: take it away


Action = Take | Release | Touch | Apply | Shift | SetAlias
