"""Leases that say which process drives: each lies in a document written by compare-and-swap.

Pure; times are judged by each machine's own clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

LENGTH = timedelta(seconds=60)


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """`holder` "" was given back.

    `touched`: nobody with an older token can act any more, or the older holder had given it back.
    """

    holder: str = ""
    epoch: int = 0
    until: datetime | None = None
    touched: bool = True


def is_free(lease: Lease, now: datetime) -> bool:
    """Return whether a lease (a lock that expires) has no holder, or has expired."""
    return not lease.holder or lease.until is None or lease.until <= now


def take(lease: Lease, holder: str, now: datetime) -> Lease:
    """Return a lease (a lock that expires) as held by `holder`, its epoch increased by one.

    Its expiry is counted from `now`. A holder that did not store its epoch keeps nobody out.
    """
    return Lease(
        holder=holder,
        epoch=lease.epoch + 1,
        until=now + LENGTH,
        touched=not lease.holder and lease.touched,
    )


def renew(lease: Lease, now: datetime) -> Lease:
    """Return a lease (a lock that expires) with its full length counted from `now` again."""
    return msgspec.structs.replace(lease, until=now + LENGTH)


def give_back(lease: Lease) -> Lease:
    """Return a lease (a lock that expires) without a holder.

    `until` stays: it tells when the lease was last held.
    """
    return msgspec.structs.replace(lease, holder="")
