"""`split/<endpoint>`: the ranges of buckets of a sticky endpoint's variants. Pure.

A variant that grows takes the highest buckets of those that shrink, so exactly the share that moves
changes its variant (EXPERIMENTS.md 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from ....core.formats import StoredDocument
from ....errors import Invalid
from ....project.specs.description import BUCKETS
from .live_document import BucketRanges

# How long a gateway applies a copy which it cannot renew: an older change is served everywhere.
KEPT = timedelta(seconds=15)
# A `written` so far ahead was left by a clock that is moved (simulations once wrote theirs): clouds
# answer no machine that is so wrong.
_AHEAD = timedelta(minutes=15)
STEP = Decimal(100) / BUCKETS  # the smallest share, in percent


class Split(StoredDocument, frozen=True, kw_only=True):
    """`before`: percent by variant that was served when it was written."""

    version: int
    written: datetime
    ranges: dict[str, BucketRanges]
    before: dict[str, Decimal]


def key(endpoint: str) -> str:
    """Return the state store's key for an endpoint's sticky split: `split/<endpoint>`."""
    return f"split/{endpoint}"


def whole(variant: str) -> dict[str, BucketRanges]:
    """Return the split that gives all buckets, and so every unit, to one variant."""
    return {variant: ((0, BUCKETS - 1),)}


def shares(ranges: Mapping[str, BucketRanges]) -> dict[str, Decimal]:
    """Return each variant's traffic share in percent, from its ranges of buckets."""
    return {
        variant: STEP * sum(high - low + 1 for low, high in spans)
        for variant, spans in ranges.items()
    }


def served_shares(split: Split, now: datetime) -> dict[str, Decimal]:
    """Return each variant's traffic share in percent, as every gateway serves it at `now`.

    As long as a gateway may have an older copy, they are the shares before the change.
    """
    return split.before if -_AHEAD < now - split.written < KEPT else shares(split.ranges)


def moved_ranges(
    ranges: Mapping[str, BucketRanges], split: Mapping[str, Decimal]
) -> dict[str, BucketRanges]:
    """Return the ranges of buckets of each variant for a new split, moving as few as possible.

    `ranges` are the present ones. A variant that the new split does not name gets none.
    """
    owned = {variant: _buckets(spans) for variant, spans in ranges.items()}
    counts = {variant: int(percent / STEP) for variant, percent in split.items()}
    free = sorted(
        bucket for variant, buckets in owned.items() for bucket in buckets[counts.get(variant, 0) :]
    )
    result: dict[str, BucketRanges] = {}
    for variant, count in counts.items():
        stays = owned.get(variant, [])[:count]
        taken = [free.pop() for _ in range(count - len(stays))]
        result[variant] = _spans(sorted([*stays, *taken]))
    return result


def sound(split: Split, what: str) -> Split:
    """Return a split in which each bucket is of exactly one variant; else raise Invalid.

    `what` names the document in the error.
    """
    spans = sorted(span for spans in split.ranges.values() for span in spans)
    begins, follows = [low for low, _ in spans], [high + 1 for _, high in spans]
    if [*begins, BUCKETS] != [0, *follows] or any(low > high for low, high in spans):
        raise Invalid(
            f"{what} is damaged: each of the {BUCKETS:,} buckets needs one variant",
            remedy="put the version before it back; without the document the first variant has all "
            "units",
        )
    return split


def _buckets(spans: Iterable[tuple[int, int]]) -> list[int]:
    """Return every bucket number in these (first, last) ranges, in order."""
    return sorted(bucket for low, high in spans for bucket in range(low, high + 1))


def _spans(buckets: Sequence[int]) -> BucketRanges:
    """Return sorted bucket numbers as (first, last) ranges of consecutive ones."""
    spans: list[tuple[int, int]] = []
    for bucket in buckets:
        if spans and spans[-1][1] == bucket - 1:
            spans[-1] = (spans[-1][0], bucket)
        else:
            spans.append((bucket, bucket))
    return tuple(spans)
