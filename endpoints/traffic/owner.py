"""Owners of an endpoint's traffic, and what they intend.

An owner is `traffic/<endpoint>` in the StateStore, written before the traffic moves. This module
knows no room above it: a rollout and an experiment say which command ends them. Everything here
needs a StateStore alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeGuard

import msgspec

from ...core.formats import decode
from ...storage import StateStore
from ..port import EndpointState
from .owner_document import ABANDONED, Owner, OwnerDocument, StoppedVariant
from .refusals import refusal


def key(endpoint: str) -> str:
    """Return the state store's key for who owns an endpoint's traffic."""
    return f"traffic/{endpoint}"


def read(state: StateStore, endpoint: str) -> OwnerDocument | None:
    """Return the record of who may change an endpoint's traffic; None if there never was one.

    It has the token that a change of it must name.
    """
    document = state.get(key(endpoint))
    if document is None:
        return None
    return OwnerDocument(
        owner=decode(document.value, Owner, what=f"state {key(endpoint)}"), token=document.token
    )


def holds(owner: Owner, endpoint: EndpointState, now: datetime) -> bool:
    """Return whether the recorded owner still has control of the endpoint's traffic.

    A rollout or an experiment does until it releases the traffic, the guard until `deploy` has
    brought the endpoint back. The record of a `deploy` or `traffic` command counts until the
    planned split is served, or 15 minutes have passed without a change, as the command may have
    been killed.
    """
    if owner.lasting or owner.owner in ("none", "guard"):
        return owner.owner != "none"
    still = endpoint.phase != "updating" and all(
        variant.percent == variant.target_percent for variant in endpoint.variants
    )
    arrived = owner.done or (
        still and {variant.name: variant.percent for variant in endpoint.variants} == owner.split
    )
    return not arrived and not (still and now - owner.changed >= ABANDONED)


def is_stopped(claim: OwnerDocument | None) -> TypeGuard[OwnerDocument]:
    """Return whether `isthmus guard` has stopped an endpoint, or begun to, by its owner."""
    return claim is not None and claim.owner.owner == "guard"


def whose(
    claim: OwnerDocument | None,
    endpoint: EndpointState,
    *,
    kind: Literal["rollout", "experiment"],
    name: str,
    now: datetime,
    heir_of: str = "",
) -> Literal["ours", "free", "other"]:
    """Return whether a rollout or an experiment has an endpoint's traffic: ours, free, other.

    "ours" is that of this `kind` and `name`. Traffic that the ended run `heir_of` passes on counts
    as free.

    `claim` is the record of the owner.
    """
    if (
        claim is None
        or not holds(claim.owner, endpoint, now)
        or claim.owner.is_of("experiment", heir_of)
    ):
        return "free"
    return "ours" if claim.owner.is_of(kind, name) else "other"


def take(
    state: StateStore,
    endpoint: EndpointState,
    *,
    kind: Literal["rollout", "experiment"],
    name: str,
    command: str,
    now: datetime,
    heir_of: str = "",
) -> OwnerDocument:
    """Record a rollout or an experiment as the owner of an endpoint's traffic.

    Args:
        state: The target's store.
        endpoint: The endpoint as it was observed just now.
        kind: Whether a rollout or an experiment takes it.
        name: The rollout's or experiment's name.
        command: The command that ends it, which errors tell to others.
        now: The time.
        heir_of: A run that has ended and passes the traffic on, so that it always has an owner.

    Raises:
        Refused: It has another owner.
        Conflict: Somebody was faster.
    """
    claim = read(state, endpoint.name)
    if (
        claim is not None
        and holds(claim.owner, endpoint, now)
        and not claim.owner.is_of("experiment", heir_of)
    ):
        if not claim.owner.is_of(kind, name):
            raise refusal(endpoint.name, claim.owner, now=now)
        return claim
    split = {variant.name: variant.target_percent for variant in endpoint.variants}
    return _put(
        state,
        endpoint.name,
        Owner(owner=kind, name=name, command=command, split=split, done=False, changed=now),
        claim,
    )


def release(
    state: StateStore,
    endpoint: str,
    *,
    kind: Literal["rollout", "experiment"],
    name: str,
    now: datetime,
) -> None:
    """Give up a rollout's or experiment's ownership of the traffic, so that nobody has it.

    If another owner has it, or nobody, nothing changes.

    Raises:
        Conflict: Somebody was faster.
    """
    claim = read(state, endpoint)
    if claim is not None and claim.owner.is_of(kind, name):
        settle(state, endpoint, claim, now=now)


def intend(
    state: StateStore,
    endpoint: str,
    split: Mapping[str, Decimal],
    *,
    kind: Literal["deploy", "traffic"],
    claim: OwnerDocument | None,
    now: datetime,
) -> OwnerDocument:
    """Record that `deploy` or `traffic` is about to set this split, before it does.

    `claim` is the record of the owner that was read before.

    Raises:
        Refused: A rollout or an experiment owns it, or the guard has stopped the endpoint.
        Conflict: Somebody was faster.
    """
    if claim is not None and (claim.owner.lasting or claim.owner.owner == "guard"):
        raise refusal(endpoint, claim.owner, now=now)
    return _put(
        state, endpoint, Owner(owner=kind, split=dict(split), done=False, changed=now), claim
    )


def record_stop(
    state: StateStore, endpoint: EndpointState, claim: OwnerDocument | None, *, now: datetime
) -> OwnerDocument:
    """Record what an endpoint runs and its split, before `isthmus guard` removes it.

    From then on rollouts, experiments and `traffic` are refused, until `deploy` has brought it
    back.

    `claim` is the record of the traffic's owner that was read before.

    Raises:
        Refused: Its traffic has another owner.
        Conflict: Somebody was faster; nothing was recorded.
    """
    if claim is not None and holds(claim.owner, endpoint, now):
        raise refusal(endpoint.name, claim.owner, now=now)
    return _put(
        state,
        endpoint.name,
        Owner(
            owner="guard",
            split={variant.name: variant.target_percent for variant in endpoint.variants},
            stopped=tuple(
                StoppedVariant(name=v.name, model=v.model, version=v.version)
                for v in endpoint.variants
            ),
            done=False,
            changed=now,
        ),
        claim,
    )


def begin_return(state: StateStore, endpoint: str, claim: OwnerDocument) -> OwnerDocument:
    """Record that `deploy` brings a stopped endpoint back: from then on the guard leaves it alone.

    `claim` is the record of the stop.

    Raises:
        Conflict: Somebody was faster.
    """
    if claim.owner.returning:
        return claim
    return _put(state, endpoint, msgspec.structs.replace(claim.owner, returning=True), claim)


def settle(
    state: StateStore, endpoint: str, claim: OwnerDocument, *, now: datetime
) -> OwnerDocument:
    """Record that the planned split is served, so that nobody owns the traffic any more.

    `claim` is the record of the owner that was read before.
    """
    return _put(
        state,
        endpoint,
        msgspec.structs.replace(
            claim.owner,
            owner="none",
            command="",
            done=True,
            changed=now,
            until=None,
            stopped=(),
            returning=False,
        ),
        claim,
    )


def announce_end(
    state: StateStore,
    endpoint: str,
    *,
    kind: Literal["rollout", "experiment"],
    name: str,
    until: datetime,
) -> None:
    """Record until when a rollout or experiment that has ended keeps an endpoint's traffic.

    Raises:
        Conflict: Somebody was faster.
    """
    claim = read(state, endpoint)
    if claim is not None and claim.owner.is_of(kind, name) and claim.owner.until != until:
        _put(state, endpoint, msgspec.structs.replace(claim.owner, until=until), claim)


def _put(
    state: StateStore, endpoint: str, owner: Owner, claim: OwnerDocument | None
) -> OwnerDocument:
    """Store the record of an endpoint's owner, unless it changed since `claim` was read."""
    token = state.put(
        key(endpoint), msgspec.json.encode(owner), expect=None if claim is None else claim.token
    )
    return OwnerDocument(owner=owner, token=token)
