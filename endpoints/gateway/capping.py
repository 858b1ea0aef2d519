"""How often a unit was shown what: a window in 24 buckets, the names of their numbers in a unit's document, and what has left. Pure.

What was shown in bucket i counts until bucket i + 24 is over. So no window has more than the most, and what has left the window is held
back for one bucket at most: a 24th of it. Buckets ahead count, too: another gateway's clock may be, and `now:` may be moved back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from ...project.rule_specs import Rule, UnitCap
from ...times import epoch_milliseconds

BUCKETS = 24
Counts = Mapping[str, int]  # of a unit's document, by name
_encode = msgspec.json.Encoder().encode


def caps_of(rules: Sequence[Rule]) -> tuple[UnitCap, ...]:
    return tuple([rule for rule in rules if isinstance(rule, UnitCap)])


def value_text(value: object) -> str:
    """Of a key or a feature, as names of numbers have it."""
    return _encode(value).decode()


def shown_before(caps: Iterable[UnitCap], counts: Counts, now: datetime) -> dict[UnitCap, dict[str, int]]:
    """By cap and value: in how many answers it was shown that still count."""
    by_prefix: dict[str, dict[str, int]] = {_prefix(cap): {} for cap in caps}
    current = {prefix: _bucket(int(prefix.split("/")[1]), now) for prefix in by_prefix}
    for name, count in counts.items():
        prefix, bucket, value = _parts(name)
        times = by_prefix.get(prefix)
        if times is not None and abs(bucket - current[prefix]) <= BUCKETS:
            times[value] = times.get(value, 0) + count
    return {cap: by_prefix[_prefix(cap)] for cap in caps}


def entries(caps: Iterable[UnitCap], shown: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, int]:
    """What an answer adds: one for each value that it shows, however many items have it. `shown`: what rules read of its items."""
    names: dict[str, int] = {}
    for cap in caps:
        start = f"{_prefix(cap)}/{_bucket(int(cap.window.total_seconds()), now)}/"
        values = [features[cap.by] for features in shown]
        names.update((f"{start}{value_text(value)}", 1) for value in values if value is not None)
    return names


def left(counts: Counts, now: datetime) -> list[str]:
    """The names that no window of any gateway reaches any more, of caps that are gone, too."""
    parts = [(name, _parts(name)) for name in counts]
    return [name for name, (prefix, bucket, _) in parts if prefix and bucket < _bucket(int(prefix.split("/")[1]), now) - BUCKETS]


def needed_until(caps: Iterable[UnitCap], wall: datetime) -> datetime:
    """Nothing that is added at `wall` counts after it."""
    return wall + max(cap.window for cap in caps) * (BUCKETS + 1) / BUCKETS


def _bucket(seconds: int, now: datetime) -> int:
    return epoch_milliseconds(now) * BUCKETS // (1000 * seconds)


@lru_cache(maxsize=1_000)
def _prefix(cap: UnitCap) -> str:
    """Of the names of its numbers. Another `max`, or other days, go on with what was counted."""
    digest = hashlib.sha256(_encode((cap.by, cap.when))).hexdigest()[:8]
    return f"{digest}/{int(cap.window / timedelta(seconds=1))}"


def _parts(name: str) -> tuple[str, int, str]:
    """(prefix, bucket, value); ("", 0, "") of what is not ours."""
    try:
        digest, seconds, bucket, value = name.split("/", 3)
        return (f"{digest}/{int(seconds)}", int(bucket), value) if int(seconds) > 0 else ("", 0, "")
    except ValueError:
        return "", 0, ""
