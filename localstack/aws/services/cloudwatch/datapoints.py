"""Datapoints of a metric: the endpoints' own, and those that were put, which moto keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ...core.moto_internals import (
    CloudWatchBackend,
    MetricAggregatedDatum,
    MetricDatum,
    cloudwatch_backends,
)
from ...core.registry import AwsError, Context
from . import sagemaker
from . import variant_metrics as variants
from .statistics import Summary, floor, periods, statistic


def backend(ctx: Context) -> CloudWatchBackend:
    """Return moto's CloudWatch of a context's account and region."""
    of_region: CloudWatchBackend = cloudwatch_backends[ctx.account][ctx.region]
    return of_region


def series(
    ctx: Context,
    *,
    namespace: str,
    name: str,
    dimensions: Sequence[Mapping[str, str]],
    stat: str,
    period: int,
    start: datetime,
    end: datetime,
    unit: str | None = None,
) -> dict[datetime, float]:
    """Return a metric's statistic as values by the starts of their periods, earliest first.

    Args:
        ctx: The handler's context.
        namespace: The metric's namespace.
        name: The metric's name.
        dimensions: Its dimensions, each a Name and a Value.
        stat: The statistic, such as Sum or p99.
        period: The length of a period in seconds.
        start: The time from which datapoints count.
        end: The time up to which they count.
        unit: The unit that they must have; None: any.

    Periods without datapoints are left out.
    """
    function = statistic(stat)
    if function is None:
        raise AwsError(
            "InvalidParameterValue", f"The value {stat} for parameter Stat is not supported."
        )
    _check(period)
    query = _Query(
        namespace=namespace,
        name=name,
        dimensions={d["Name"]: d["Value"] for d in dimensions},
        unit=unit,
        start=floor(start, period),
        end=end,
    )
    statistics = {
        moment: function(of_period)
        for moment, of_period in periods(_points(ctx, query), period).items()
    }
    return {moment: value for moment, value in statistics.items() if value is not None}


def is_unsettled(ctx: Context, namespace: str, end: datetime) -> bool:
    """Return whether a time window reaches beyond the latest visible datapoints of a namespace.

    `end` is the window's. Metrics become visible some time after they were recorded.
    """
    visible = variants.settled_until(ctx)
    return namespace == sagemaker.NAMESPACE and visible is not None and end > visible


def unit_of(ctx: Context, namespace: str, name: str) -> str | None:
    """Return the unit of a metric (Count, Microseconds ...), or None if unknown."""
    if namespace == sagemaker.NAMESPACE and name in sagemaker.UNITS:
        return sagemaker.UNITS[name]
    return next(
        (
            d.unit
            for d in reversed(backend(ctx).metric_data)
            if d.namespace == namespace and d.name == name
        ),
        None,
    )


class _Query(msgspec.Struct, frozen=True, kw_only=True):
    namespace: str
    name: str
    dimensions: dict[str, str]
    unit: str | None
    start: datetime
    end: datetime


def _points(ctx: Context, query: _Query) -> Iterator[tuple[datetime, float | Summary]]:
    """Yield the timestamps and values of a metric's datapoints, of SageMaker or of a user."""
    if query.namespace == sagemaker.NAMESPACE and query.unit in (
        None,
        sagemaker.UNITS.get(query.name),
    ):
        yield from sagemaker.points(ctx, query.name, query.dimensions, query.start, query.end)
    yield from _custom_points(backend(ctx).metric_data, query)


def _custom_points(
    data: Iterable[Any], query: _Query
) -> Iterator[tuple[datetime, float | Summary]]:
    """Yield the timestamps and values that PutMetricData stored for a metric.

    `data` are all stored datapoints, and `query` says which metric and time count.
    """
    for datum in list(data):
        if (
            datum.namespace != query.namespace
            or datum.name != query.name
            or (query.unit and datum.unit != query.unit)
        ):
            continue
        moment = datum.timestamp if datum.timestamp.tzinfo else datum.timestamp.replace(tzinfo=UTC)
        if (
            not query.start <= moment < query.end
            or {d.name: d.value for d in datum.dimensions} != query.dimensions
        ):
            continue
        if isinstance(datum, MetricDatum):
            yield moment, datum.value
        elif isinstance(datum, MetricAggregatedDatum):
            yield moment, Summary(datum.sample_count, datum.sum, datum.min, datum.max)


def _check(period: int) -> None:
    """Raise an error for a metric's period, in seconds, that CloudWatch does not take."""
    if period not in (1, 5, 10, 20, 30) and (period < 60 or period % 60):
        raise AwsError(
            "InvalidParameterValue",
            f"The value {period} for parameter Period is invalid: 1, 5, 10, 20, 30 or a "
            "multiple of 60.",
        )
