"""How often a unit was shown a value: windows of 24 buckets in the unit's document. Pure.

What was shown in bucket i counts until bucket i + 24 is over. So no window has more than the most,
and what has left the window is held back for one bucket at most: a 24th of it. Buckets ahead count,
too: another gateway's clock may be, and `now:` may be moved back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from ....project.specs.rules import Rule, UnitCap
from ....times import epoch_milliseconds

BUCKETS = 24
Counts = Mapping[str, int]  # of a unit's document, by name
_encode = msgspec.json.Encoder().encode


def caps_of(rules: Sequence[Rule]) -> tuple[UnitCap, ...]:
    """Return the rules that limit how often a unit is shown an item (frequency caps)."""
    return tuple([rule for rule in rules if isinstance(rule, UnitCap)])


def value_text(value: object) -> str:
    """Return an item's key or feature as JSON text, for the names of stored counts."""
    return _encode(value).decode()


class UnitCounts(msgspec.Struct, frozen=True):
    """A unit's document at a moment."""

    before: dict[
        UnitCap, dict[str, int]
    ]  # by cap and value: in how many answers it was shown that still count
    gone: Sequence[
        str
    ]  # the names that no window of any gateway reaches any more, of caps that are gone, too


def judge(caps: Iterable[UnitCap], counts: Counts, now: datetime) -> UnitCounts:
    """Sum how often a unit was shown each value within a cap's time window, by cap.

    `counts` are the stored counts. The result also names those that have left their window, to be
    deleted.
    """
    moment, current, gone = epoch_milliseconds(now), dict[str, int | None](), []
    shown_counts: dict[str, dict[str, int]] = {_prefix(cap): {} for cap in caps}
    for name, count in counts.items():
        prefix, _, rest = name.partition("/")
        bucket, _, value = rest.partition("/")
        if prefix not in current:
            current[prefix] = _bucket_now(prefix, moment)
        if (ahead := current[prefix]) is None or not bucket.isdecimal():
            continue  # not ours
        age = ahead - int(bucket)
        if age > BUCKETS:
            gone.append(name)
        elif age >= -BUCKETS and (times := shown_counts.get(prefix)) is not None:
            times[value] = times.get(value, 0) + count
    return UnitCounts({cap: shown_counts[_prefix(cap)] for cap in caps}, gone)


def entries(
    caps: Iterable[UnitCap], shown: Sequence[Mapping[str, Any]], now: datetime
) -> dict[str, int]:
    """Return the counts to add for an answer, by name: 1 for each shown value that a cap limits.

    `shown` has, for each shown item, the features that rules read.
    """
    names: dict[str, int] = {}
    for cap in caps:
        prefix = _prefix(cap)
        start = f"{prefix}/{_bucket_now(prefix, epoch_milliseconds(now))}/"
        values = [features[cap.by] for features in shown]
        names.update((f"{start}{value_text(value)}", 1) for value in values if value is not None)
    return names


def needed_until(caps: Iterable[UnitCap], wall: datetime) -> datetime:
    """Return the time after which counts that are added now matter to no frequency cap.

    `wall` is the present time.
    """
    return wall + max(cap.window for cap in caps) * (BUCKETS + 1) / BUCKETS


@lru_cache(maxsize=1_000)
def _prefix(cap: UnitCap) -> str:
    """Return the text with which the names of a cap's stored counts begin.

    It is a digest of the cap and its window in seconds; it does not depend on the rule's `max` or
    on the days on which the rule holds.
    """
    digest = hashlib.sha256(_encode((cap.by, cap.when))).hexdigest()[:8]
    return f"{digest}.{cap.window // timedelta(seconds=1)}"


def _bucket_now(prefix: str, moment: int) -> int | None:
    """Return the number of the present time bucket (a 24th of the window) of a frequency cap.

    `prefix` is how names of the cap's counts begin, and `moment` the time in milliseconds. None if
    the prefix is no cap's.
    """
    seconds = prefix.partition(".")[2]
    return (
        moment * BUCKETS // (1000 * int(seconds)) if seconds.isdecimal() and int(seconds) else None
    )
