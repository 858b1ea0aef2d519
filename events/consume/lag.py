"""Say when a worker that is behind its stream will not catch up by itself; pure functions."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

PATIENCE = timedelta(minutes=1)


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """How far a worker was behind when it was last compared; None: it was not above its limit."""

    behind: timedelta | None = None
    compared: datetime | None = None


def is_hopeless(
    lag: Lag, behind: timedelta | None, limit: timedelta, now: datetime
) -> tuple[Lag, bool]:
    """Return what to compare with next, and whether a worker should give up.

    A worker that begins after a pause is behind, and catches up. It gives up when it was above the
    limit for a minute and is no less behind than at its beginning.

    Args:
        lag: What the last call returned.
        behind: How far the worker is behind now; None: not known.
        limit: How far it may be.
        now: The clock's time.
    """
    if behind is None or behind <= limit:
        return Lag(), False
    if lag.behind is None or lag.compared is None:
        return Lag(behind=behind, compared=now), False
    if now - lag.compared < PATIENCE:
        return lag, False
    return Lag(behind=behind, compared=now), behind >= lag.behind
