"""CloudWatch's statistics of a period's datapoints. Pure.

Source: CloudWatch user guide, "CloudWatch statistics definitions".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import msgspec

_SHORT = re.compile(r"(p|tm|wm|tc|ts)(\d{1,2}(?:\.\d{1,10})?|100)")
_LONG = re.compile(r"(TM|WM|TC|TS)\((\d*\.?\d*)%:(\d*\.?\d*)%\)")
BASIC = ("SampleCount", "Sum", "Average", "Minimum", "Maximum")


class Summary(msgspec.Struct, frozen=True):
    """A StatisticSet: the summary of many values that were not kept."""

    count: float
    total: float
    least: float
    most: float


class Datapoints(msgspec.Struct):
    """Everything that falls into one period."""

    values: list[float] = []
    summaries: list[Summary] = []

    @property
    def count(self) -> float:
        """The number of observations."""
        return len(self.values) + sum(s.count for s in self.summaries)


Statistic = Callable[[Datapoints], float | None]


def statistic(name: str) -> Statistic | None:
    """Return the function that computes a statistic (Sum, p99, tm95 ...) of a period.

    None: CloudWatch does not know the name. The function returns None for a period that has no such
    value.
    """
    if name in BASIC:
        return lambda points: _basic(name, points)
    if name == "IQM":
        return lambda points: _of_values(
            points, lambda values: _trimmed_statistic("TM", values, 25, 75)
        )
    short = _SHORT.fullmatch(name)
    if short:
        kind, percent = short[1].upper(), float(short[2])
        if kind == "P":
            return lambda points: _of_values(points, lambda values: percentile(values, percent))
        return lambda points: _of_values(
            points, lambda values: _trimmed_statistic(kind, values, 0, percent)
        )
    long = _LONG.fullmatch(name)
    if long:
        low, high = float(long[2] or 0), float(long[3] or 100)
        if low < high <= 100:
            return lambda points: _of_values(
                points, lambda values: _trimmed_statistic(long[1], values, low, high)
            )
    return None


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return a percentile of sorted values, interpolated linearly."""
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def floor(moment: datetime, period: int) -> datetime:
    """Return the start of the period in which a time lies; periods are counted from 1970."""
    seconds = int(moment.timestamp())
    return datetime.fromtimestamp(seconds - seconds % period, UTC)


def periods(
    points: Iterable[tuple[datetime, float | Summary]], period: int
) -> dict[datetime, Datapoints]:
    """Group datapoints by the start of their period, the earliest first.

    A period without datapoints is left out.
    """
    by_start: dict[datetime, Datapoints] = {}
    for moment, value in points:
        of_period = by_start.setdefault(floor(moment, period), Datapoints(values=[], summaries=[]))
        if isinstance(value, Summary):
            of_period.summaries.append(value)
        else:
            of_period.values.append(value)
    return dict(sorted(by_start.items()))


def _basic(name: str, points: Datapoints) -> float | None:
    """Return SampleCount, Sum, Average, Minimum or Maximum, as named, of a period's datapoints.

    None: there are none.
    """
    if not points.count:
        return None
    match name:
        case "SampleCount":
            return float(points.count)
        case "Minimum":
            return min([*points.values, *(s.least for s in points.summaries)])
        case "Maximum":
            return max([*points.values, *(s.most for s in points.summaries)])
    total = math.fsum(points.values) + sum(s.total for s in points.summaries)
    return total if name == "Sum" else total / points.count


def _of_values(points: Datapoints, function: Callable[[list[float]], float | None]) -> float | None:
    """Return a statistic, such as a percentile, that needs a period's single values.

    `function` computes it from the sorted values. A statistic set has percentiles only when all its
    values are one value (the user guide says so); else the result is None.
    """
    values = list(points.values)
    for summary in points.summaries:
        if summary.least != summary.most:
            return None
        values += [summary.least] * int(summary.count)
    return function(sorted(values)) if values else None


def _trimmed_statistic(kind: str, ordered: list[float], low: float, high: float) -> float | None:
    """Return a trimmed mean, count or sum, or a winsorized mean, of sorted values.

    `kind` says which; `low` and `high` are the percentiles between which the values count.
    """
    least, most = percentile(ordered, low), percentile(ordered, high)
    if kind == "WM":
        return math.fsum(min(max(value, least), most) for value in ordered) / len(ordered)
    inside = [value for value in ordered if least <= value <= most]
    if kind == "TC":
        return float(len(inside))
    if kind == "TS":
        return math.fsum(inside)
    return math.fsum(inside) / len(inside) if inside else None
