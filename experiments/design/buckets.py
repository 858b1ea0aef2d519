"""Which of a layer's 10,000 buckets a run holds. Pure.

A start takes the lowest free ones, growth the lowest free, shrinking gives the last back. Ranges
stand in the order in which they were taken. So a unit enters or leaves a run and never changes its
arm, and no range has to be planned ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from ...endpoints.gateway.decide.live_document import BucketRanges
from ...errors import Invalid
from ...project.specs.description import BUCKETS

_PER_PERCENT = BUCKETS // 100


def count(percent: Decimal) -> int:
    """Convert a percentage of a layer's units to a number of hash buckets.

    Raises:
        Invalid: It is outside 0 .. 100, or finer than 0.01 %.
    """
    if not percent.is_finite() or not 0 <= percent <= 100 or percent * _PER_PERCENT % 1:
        raise Invalid(f"{percent} % is no share of a layer", remedy="0 to 100, in steps of 0.01 %")
    return int(percent * _PER_PERCENT)


def percent(buckets: int) -> Decimal:
    """Convert a number of a layer's hash buckets to a percentage of its units."""
    return Decimal(buckets) / _PER_PERCENT


def size(ranges: BucketRanges) -> int:
    """Return the number of hash buckets in the ranges."""
    return sum(high - low + 1 for low, high in ranges)


def share(ranges: BucketRanges) -> Decimal:
    """Return what percentage of a layer's units these ranges of hash buckets cover."""
    return percent(size(ranges))


def free(others: Iterable[BucketRanges]) -> int:
    """Return the number of hash buckets of a layer that are in none of these ranges."""
    return BUCKETS - sum(map(size, others))


def resized(ranges: BucketRanges, others: Iterable[BucketRanges], buckets: int) -> BucketRanges:
    """Return a run's ranges of hash buckets after it grew or shrank to `buckets` of them.

    Args:
        ranges: The ranges that the run holds.
        others: The ranges that other runs of the layer hold.
        buckets: The number of buckets that it shall hold.

    Raises:
        ValueError: The layer has not so many free.
    """
    more = buckets - size(ranges)
    return _grown(ranges, others, more) if more > 0 else _shrunk(ranges, -more)


def _grown(ranges: BucketRanges, others: Iterable[BucketRanges], more: int) -> BucketRanges:
    """Return ranges with `more` hash buckets added, the lowest that are in no range.

    `others` are the ranges that other runs hold.
    """
    grown = list(ranges)
    for start, high in _gaps((ranges, *others)):
        if not more:
            break
        end = min(high, start + more - 1)
        more -= end - start + 1
        neighbours = bool(grown) and grown[-1][1] == start - 1
        grown.append((grown.pop()[0] if neighbours else start, end))
    if more:
        raise ValueError(f"{more} buckets too few are free")
    return tuple(grown)


def _gaps(holders: Iterable[BucketRanges]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of hash buckets that none of these ranges holds, from the lowest."""
    next_bucket = 0
    for low, high in sorted(span for holder in holders for span in holder):
        if next_bucket < low:
            yield next_bucket, low - 1
        next_bucket = high + 1
    if next_bucket < BUCKETS:
        yield next_bucket, BUCKETS - 1


def _shrunk(ranges: BucketRanges, fewer: int) -> BucketRanges:
    """Return the ranges without their last `fewer` hash buckets."""
    rest = list(ranges)
    while fewer:
        low, high = rest.pop()
        if high - low + 1 > fewer:
            rest.append((low, high - fewer))
            break
        fewer -= high - low + 1
    return tuple(rest)


def text(ranges: BucketRanges) -> str:
    """Return ranges of hash buckets as text: `0-1999 +5000-5099`."""
    return " +".join(f"{low}-{high}" for low, high in ranges) or "none"
