"""Errors for changing traffic that has another owner: whose it is, and what gives it back."""

from __future__ import annotations

import math
from datetime import datetime

from ...errors import Refused
from .owner_document import ABANDONED, Owner


def refusal(endpoint: str, owner: Owner, *, now: datetime, meanwhile: str = "") -> Refused:
    """Return the error for changing the traffic of an endpoint that has another owner.

    `meanwhile` is a clause on what is not allowed as long as the other owns it.
    """
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
            f"{owner.since}{meanwhile and f'; {meanwhile}'}",
            remedy=f"{ending}, or let it end: {until}",
        )
    if owner.owner == "guard":
        return Refused(
            f"{endpoint} was stopped by isthmus guard, as nobody used it ({owner.since})",
            remedy=f"isthmus deploy {endpoint}; it comes back with its versions and its split",
        )
    wait = f"{ABANDONED.total_seconds() / 60:g} minutes"
    return Refused(
        f"{endpoint}'s traffic is being moved by isthmus {owner.owner} since {owner.since}",
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
