"""The key `idle` of a target: after how long without a request an endpoint counts as unused."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

from ...target import Profile
from ..reading import quantities
from ..reading.quantities import Mistake
from ..reading.shapes import Key, OneOf, Record, Text

LOOKBACK = timedelta(days=14)  # CloudWatch keeps minutes for 15 days, the other providers longer
DEFAULT_AFTER = timedelta(hours=6)


class IdleRule(msgspec.Struct, frozen=True, kw_only=True):
    """The rule by which an endpoint counts as idle, and what `isthmus guard` does about it."""

    after: timedelta = DEFAULT_AFTER
    then: Literal["tell", "stop"] = "tell"


def _after(text: str) -> str:
    """Check that an option is a duration in whole minutes up to 14 days; return it unchanged."""
    length = quantities.duration(text)
    if length.total_seconds() % 60:
        raise Mistake(f"{text} is not in whole minutes", "metrics are kept by the minute: 30m, 6h")
    if length >= LOOKBACK:
        raise Mistake(
            f"{text} is too long: requests are looked for in the last 14 days",
            "write a shorter one, such as 6h or 7d",
        )
    return text


IDLE = Key(
    shape=Record(
        noun="idle",
        keys={
            "after": Key(
                shape=Text(
                    what="a duration", pattern=quantities.DURATION, parse=_after, example="6h"
                ),
                required=True,
                description="An endpoint without a request for so long is idle.",
                example="6h",
            ),
            "then": Key(
                shape=OneOf(words=("tell", "stop")),
                description="Whether `isthmus guard` only tells (tell, the default), or stops it, "
                "as with --stop.",
            ),
        },
    ),
    description="When `isthmus guard` calls an endpoint idle. Default {after: 6h, then: tell}.",
)


def idle_rule(profile: Profile) -> IdleRule:
    """Return when endpoints of a target count as idle, from its key `idle` or the defaults."""
    written = profile.options.get("idle")
    if not isinstance(written, dict):
        return IdleRule()
    return IdleRule(after=quantities.duration(written["after"]), then=written.get("then") or "tell")
