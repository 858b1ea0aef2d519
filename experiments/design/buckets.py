"""Which of a layer's 10,000 buckets a run holds: a start takes the lowest free ones, growth the
lowest free, shrinking gives the last back.

Ranges stand in the order in which they were taken. So a unit enters or leaves a run and never
changes its arm, and no range has to be planned ahead. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from ...endpoints.gateway.decide.live_document import Ranges
from ...errors import Invalid
from ...project.specs.description import BUCKETS

_PER_PERCENT = BUCKETS // 100


def count(percent: Decimal) -> int:
    """Buckets of a share. Invalid: outside 0 .. 100, or finer than 0.01 %."""
    if not percent.is_finite() or not 0 <= percent <= 100 or percent * _PER_PERCENT % 1:
        raise Invalid(f"{percent} % is no share of a layer", remedy="0 to 100, in steps of 0.01 %")
    return int(percent * _PER_PERCENT)


def percent(buckets: int) -> Decimal:
    return Decimal(buckets) / _PER_PERCENT


def size(ranges: Ranges) -> int:
    return sum(high - low + 1 for low, high in ranges)


def share(ranges: Ranges) -> Decimal:
    """In percent."""
    return percent(size(ranges))


def free(others: Iterable[Ranges]) -> int:
    return BUCKETS - sum(map(size, others))


def resized(ranges: Ranges, others: Iterable[Ranges], buckets: int) -> Ranges:
    """The ranges of a run that shall hold so many.

    ValueError: the layer has not so many free beside `others`.
    """
    more = buckets - size(ranges)
    return _grown(ranges, others, more) if more > 0 else _shrunk(ranges, -more)


def _grown(ranges: Ranges, others: Iterable[Ranges], more: int) -> Ranges:
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


def _gaps(holders: Iterable[Ranges]) -> Iterator[tuple[int, int]]:
    """What nobody holds, from the lowest."""
    at = 0
    for low, high in sorted(span for holder in holders for span in holder):
        if at < low:
            yield at, low - 1
        at = high + 1
    if at < BUCKETS:
        yield at, BUCKETS - 1


def _shrunk(ranges: Ranges, fewer: int) -> Ranges:
    rest = list(ranges)
    while fewer:
        low, high = rest.pop()
        if high - low + 1 > fewer:
            rest.append((low, high - fewer))
            break
        fewer -= high - low + 1
    return tuple(rest)


def text(ranges: Ranges) -> str:
    """`0-1999 +5000-5099`."""
    return " +".join(f"{low}-{high}" for low, high in ranges) or "none"
