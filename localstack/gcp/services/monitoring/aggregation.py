"""Aligners, which put time series into windows, and reducers, which merge several. Pure.

Source: google.monitoring.v3 Aggregation. A window without a point has no value: nothing is
interpolated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from math import sqrt
from typing import Any, Literal, cast

import msgspec

from . import distributions
from .distributions import Histogram

Kind = Literal["GAUGE", "DELTA", "CUMULATIVE"]
ValueType = Literal["BOOL", "INT64", "DOUBLE", "STRING", "DISTRIBUTION"]
Value = bool | int | float | str | Histogram


class BadAggregation(ValueError):
    """An aligner or a reducer that this kind of metric does not take."""


class Point(msgspec.Struct, frozen=True):
    start: datetime  # of a GAUGE: its end
    end: datetime
    value: Value


class MetricSeries(msgspec.Struct, frozen=True, kw_only=True):
    """One time series.

    `labels`: by the names that a filter has for them, such as metric.labels.response_code.
    """

    type: str
    labels: Mapping[str, str]
    kind: Kind
    value_type: ValueType
    points: tuple[Point, ...]  # oldest first
    unit: str = "1"


Numbers = Sequence[float]
_NUMERIC: tuple[ValueType, ...] = ("INT64", "DOUBLE")


def _mean(values: Numbers) -> float:
    """Return the mean of numbers."""
    return sum(values) / len(values)


def _deviation(values: Numbers) -> float:
    """Return the standard deviation of numbers (of the population)."""
    mean = _mean(values)
    return sqrt(sum((value - mean) ** 2 for value in values) / len(values))


_FUNCTIONS: Mapping[str, Callable[[Numbers], float]] = {
    "SUM": sum,
    "MEAN": _mean,
    "MIN": min,
    "MAX": max,
    "COUNT": len,
    "STDDEV": _deviation,
}
_SHARES = {
    "PERCENTILE_99": 0.99,
    "PERCENTILE_95": 0.95,
    "PERCENTILE_50": 0.5,
    "PERCENTILE_05": 0.05,
}


def align(series: MetricSeries, aligner: str, period: timedelta, end: datetime) -> MetricSeries:
    """Align a time series: reduce its points to one for each window of `period` up to `end`.

    The aligner, such as ALIGN_DELTA, says how. A window without points has none; ALIGN_NONE changes
    nothing. Raises BadAggregation if the metric does not take the aligner.
    """
    if aligner == "ALIGN_NONE":
        return series
    name = aligner.removeprefix("ALIGN_")
    windows: dict[datetime, list[Point]] = defaultdict(list)
    for point in series.points:
        windows[end - period * ((end - point.end) // period)].append(point)
    kind, value_type, compute = _aligner(series, name, period)
    points = [
        Point(
            close - period if kind != "GAUGE" else close,
            close,
            compute([point.value for point in windows[close]]),
        )
        for close in sorted(windows)
    ]
    return msgspec.structs.replace(series, kind=kind, value_type=value_type, points=tuple(points))


def reduce(
    series: Sequence[MetricSeries], reducer: str, group_by: Iterable[str]
) -> list[MetricSeries]:
    """Merge aligned time series that agree in the labels `group_by`, by a reducer.

    A reducer is, for example, REDUCE_SUM.

    Raises:
        BadAggregation: The metric does not take the reducer.
    """
    if reducer == "REDUCE_NONE":
        return list(series)
    name = reducer.removeprefix("REDUCE_")
    fields = [field.replace(".label.", ".labels.") for field in group_by]
    groups: dict[tuple[str, ...], list[MetricSeries]] = defaultdict(list)
    for member in series:
        groups[tuple(member.labels.get(field, "") for field in fields)].append(member)
    return [
        _reduction(members, name, dict(zip(fields, key, strict=True)))
        for key, members in groups.items()
    ]


def _reduction(
    members: Sequence[MetricSeries], name: str, labels: Mapping[str, str]
) -> MetricSeries:
    """Merge the time series of one group into one with these labels, by the reducer `name`."""
    first = members[0]
    by_end: dict[datetime, list[Point]] = defaultdict(list)
    for member in members:
        for point in member.points:
            by_end[point.end].append(point)
    value_type, compute = _reducer(first, name, f"REDUCE_{name}")
    points = [
        Point(by_end[end][0].start, end, compute([point.value for point in by_end[end]]))
        for end in sorted(by_end)
    ]
    common = {field: value for field, value in labels.items() if value}
    return msgspec.structs.replace(
        first, labels=common, value_type=value_type, points=tuple(points)
    )


def _aligner(
    series: MetricSeries, name: str, period: timedelta
) -> tuple[Kind, ValueType, Callable[[list[Value]], Value]]:
    """Return the metric kind, the value type and the window function that an aligner gives."""
    if name in ("DELTA", "RATE") and series.kind == "GAUGE":
        raise BadAggregation(f"ALIGN_{name} is not valid for a GAUGE metric: {series.type}")
    if name == "RATE":
        _numeric(series, "ALIGN_RATE")
        return (
            "GAUGE",
            "DOUBLE",
            lambda values: (
                sum(float(cast("Any", value)) for value in values) / period.total_seconds()
            ),
        )
    if name == "NEXT_OLDER":
        return "GAUGE", series.value_type, lambda values: values[-1]
    value_type, compute = _reducer(series, "SUM" if name == "DELTA" else name, f"ALIGN_{name}")
    kind: Kind = series.kind if name in ("DELTA", "SUM") else "GAUGE"
    return kind, value_type, compute


def _reducer(
    series: MetricSeries, name: str, function_name: str
) -> tuple[ValueType, Callable[[list[Value]], Value]]:
    """Return the value type and the function by which a reducer or aligner merges values.

    `name` selects the function; `function_name` is the full name, for errors.
    """
    if name in _SHARES:
        return "DOUBLE", _percentile(series, _SHARES[name], function_name)
    if (
        name in ("SUM", "MEAN")
        and series.value_type == "DISTRIBUTION"
        and (name == "SUM" or function_name.startswith("REDUCE"))
    ):
        return "DISTRIBUTION", lambda values: distributions.merged(
            value for value in values if isinstance(value, Histogram)
        )
    if name not in _FUNCTIONS:
        raise BadAggregation(f"{function_name} is not supported by the offline GCP yet")
    _numeric(series, function_name)
    function = _FUNCTIONS[name]
    value_type: ValueType = (
        "INT64"
        if name == "COUNT"
        else "DOUBLE"
        if name in ("MEAN", "STDDEV")
        else series.value_type
    )
    return value_type, function  # type: ignore[return-value]  # of numbers, as checked


def _percentile(
    series: MetricSeries, share: float, function_name: str
) -> Callable[[list[Value]], Value]:
    """Return a function that computes a percentile of values, numbers or histograms.

    `share` is the percentile as a fraction; `function_name` is for errors.
    """
    if series.value_type == "DISTRIBUTION":
        return lambda values: distributions.percentile(
            distributions.merged(v for v in values if isinstance(v, Histogram)), share
        )
    if function_name.startswith("ALIGN"):
        raise BadAggregation(
            f"{function_name} is valid for distributions only: {series.type} is {series.value_type}"
        )
    _numeric(series, function_name)

    def of_numbers(values: list[Value]) -> Value:
        numbers = sorted(float(value) for value in values if isinstance(value, int | float))
        return numbers[min(int(share * len(numbers)), len(numbers) - 1)]

    return of_numbers


def _numeric(series: MetricSeries, function_name: str) -> None:
    """Raise BadAggregation, which names the function, unless a time series is numeric."""
    if series.value_type not in _NUMERIC:
        raise BadAggregation(
            f"{function_name} is valid for numbers only: {series.type} is {series.value_type}"
        )
