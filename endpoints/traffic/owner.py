"""Owners of an endpoint's traffic, and what they intend.

An owner is `traffic/<endpoint>` in the StateStore, written before the traffic moves. This module
knows no room above it: a rollout and an experiment say which command ends them. Everything here
needs a StateStore alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import msgspec

from ...core.formats import StoredDocument, decode
from ...errors import Refused
from ...storage import StateStore
from ..port import EndpointState

ABANDONED = timedelta(
    minutes=15
)  # a hand's change that is not seen after so long will not come: `traffic` itself waits no longer


class StoppedVariant(msgspec.Struct, frozen=True, kw_only=True):
    """A variant that ran when its endpoint was stopped; the owner's `split` has its percent."""

    name: str
    model: str
    version: int


class Owner(StoredDocument, frozen=True, kw_only=True, tag=3):
    """The owner of an endpoint's traffic. `owner` none: whoever comes next may move it.

    `done` False: the intent was not yet seen in the target. `guard`: it stops the endpoint, or has
    stopped it, and `deploy` alone takes it over.
    """

    owner: Literal["none", "deploy", "traffic", "rollout", "experiment", "guard"]
    # percent by variant; of a rollout, an experiment or the guard: what it found
    split: dict[str, Decimal]
    done: bool
    changed: datetime
    name: str = ""  # of the rollout or the experiment
    command: str = ""  # that ends it: isthmus rollout abort ranker
    until: datetime | None = (
        # of one that has ended, and keeps the traffic until then: something may still come late
        None
    )
    stopped: tuple[StoppedVariant, ...] = ()  # of the guard: what ran, for `deploy` to bring back
    returning: bool = False  # of the guard: `deploy` has begun to bring the endpoint back

    @property
    def since(self) -> str:
        """Return the moment of the last change for people: `2026-12-03 08:30 UTC`."""
        return f"{self.changed:%Y-%m-%d %H:%M} UTC"

    @property
    def lasting(self) -> bool:
        """Return whether the owner keeps the traffic until it releases it, as a rollout does."""
        return self.owner in ("rollout", "experiment")

    def is_of(self, kind: Literal["rollout", "experiment"], name: str) -> bool:
        """Return whether the owner is the rollout or experiment of this name."""
        return (self.owner, self.name) == (kind, name)


class OwnerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An owner's document as it was read."""

    owner: Owner
    token: str


def key(endpoint: str) -> str:
    """Return the state store's key for who owns an endpoint's traffic."""
    return f"traffic/{endpoint}"


def read(state: StateStore, endpoint: str) -> OwnerDocument | None:
    """Return who may change an endpoint's traffic, with the stored token; None if never set."""
    document = state.get(key(endpoint))
    if document is None:
        return None
    return OwnerDocument(
        owner=decode(document.value, Owner, what=f"state {key(endpoint)}"), token=document.token
    )


def holds(owner: Owner, endpoint: EndpointState, now: datetime) -> bool:
    """Return whether the recorded owner still controls the endpoint's traffic.

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

    Raises:
        Conflict: Somebody was faster.
    """
    if claim.owner.returning:
        return claim
    return _put(state, endpoint, msgspec.structs.replace(claim.owner, returning=True), claim)


def settle(
    state: StateStore, endpoint: str, claim: OwnerDocument, *, now: datetime
) -> OwnerDocument:
    """Record that the planned split is served, so that nobody owns the traffic any more."""
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


def refusal(endpoint: str, owner: Owner, *, now: datetime, meanwhile: str = "") -> Refused:
    """Return the error for changing the traffic of an endpoint that has another owner.

    `meanwhile` is a clause on what is not allowed as long as that lasts.
    """
    since = f"{owner.changed:%Y-%m-%d %H:%M} UTC"
    if owner.lasting and owner.until is not None:
        return _ended_refusal(endpoint, owner, owner.until, now)
    if owner.lasting:
        ending = owner.command or f"isthmus {owner.owner} abort {endpoint}"
        until = (
            f"it says until when: isthmus rollout status {endpoint}"
            if owner.owner == "rollout"
            else "traffic has one owner at a time"
        )
        return Refused(
            f"{endpoint}'s traffic belongs to {owner.owner} {owner.name} since "
            f"{since}{meanwhile and f'; {meanwhile}'}",
            remedy=f"{ending}, or let it end: {until}",
        )
    if owner.owner == "guard":
        return Refused(
            f"{endpoint} was stopped by isthmus guard, as nobody used it ({since})",
            remedy=f"isthmus deploy {endpoint}; it comes back with its versions and its split",
        )
    wait = f"{ABANDONED.total_seconds() / 60:g} minutes"
    return Refused(
        f"{endpoint}'s traffic is being moved by isthmus {owner.owner} since {since}",
        remedy=f"let it end; if it was killed, its traffic is free {wait} after that: "
        "isthmus status",
    )


def _ended_refusal(endpoint: str, owner: Owner, until: datetime, now: datetime) -> Refused:
    """Return the error for changing traffic that an ended rollout or experiment still keeps.

    It says until when, and what gives it back then.
    """
    driving = f"isthmus {owner.owner} run {endpoint}"
    if (seconds := (until - now).total_seconds()) <= 0:
        return Refused(
            f"{endpoint}'s traffic belongs to {owner.owner} {owner.name}, which has ended: "
            f"since {until:%H:%M:%S} UTC it may be given back, and nobody has looked",
            remedy=f"{driving} gives it back; so do deploy, traffic and destroy with --wait",
        )
    span = f"{math.ceil(seconds / 60)} min" if seconds > 60 else f"{math.ceil(seconds)} s"
    return Refused(
        f"{endpoint}'s traffic belongs to {owner.owner} {owner.name} until {until:%H:%M:%S} UTC, "
        f"in {span}: it has ended, and looks whether a late call changes what it left",
        remedy=f"{driving} waits until then, and gives it back; deploy, traffic and destroy do so "
        "with --wait",
    )


def _put(
    state: StateStore, endpoint: str, owner: Owner, claim: OwnerDocument | None
) -> OwnerDocument:
    """Record an endpoint's owner, unless another was recorded since `claim` was read."""
    token = state.put(
        key(endpoint), msgspec.json.encode(owner), expect=None if claim is None else claim.token
    )
    return OwnerDocument(owner=owner, token=token)
