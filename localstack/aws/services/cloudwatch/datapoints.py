"""A metric's datapoints, wherever they are: the endpoints' own, and what was put (moto's)."""

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
    """A statistic by the starts of its periods, the earliest first.

    Periods without datapoints are not there.
    """
    function = statistic(stat)
    if function is None:
        raise AwsError(
            "InvalidParameterValue", f"The value {stat} for parameter Stat is not supported."
        )
    _check(period)
    wanted = _Wanted(
        namespace=namespace,
        name=name,
        dimensions={d["Name"]: d["Value"] for d in dimensions},
        unit=unit,
        start=floor(start, period),
        end=end,
    )
    statistics = {
        moment: function(of_period)
        for moment, of_period in periods(_points(ctx, wanted), period).items()
    }
    return {moment: value for moment, value in statistics.items() if value is not None}


def young(ctx: Context, namespace: str, end: datetime) -> bool:
    """Whether a window ends later than what is to be seen of a namespace."""
    visible = variants.settled_until(ctx)
    return namespace == sagemaker.NAMESPACE and visible is not None and end > visible


def unit_of(ctx: Context, namespace: str, name: str) -> str | None:
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


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    namespace: str
    name: str
    dimensions: dict[str, str]
    unit: str | None
    start: datetime
    end: datetime


def _points(ctx: Context, wanted: _Wanted) -> Iterator[tuple[datetime, float | Summary]]:
    if wanted.namespace == sagemaker.NAMESPACE and wanted.unit in (
        None,
        sagemaker.UNITS.get(wanted.name),
    ):
        yield from sagemaker.points(ctx, wanted.name, wanted.dimensions, wanted.start, wanted.end)
    yield from _custom_points(backend(ctx).metric_data, wanted)


def _custom_points(
    data: Iterable[Any], wanted: _Wanted
) -> Iterator[tuple[datetime, float | Summary]]:
    for datum in list(data):
        if (
            datum.namespace != wanted.namespace
            or datum.name != wanted.name
            or (wanted.unit and datum.unit != wanted.unit)
        ):
            continue
        moment = datum.timestamp if datum.timestamp.tzinfo else datum.timestamp.replace(tzinfo=UTC)
        if (
            not wanted.start <= moment < wanted.end
            or {d.name: d.value for d in datum.dimensions} != wanted.dimensions
        ):
            continue
        if isinstance(datum, MetricDatum):
            yield moment, datum.value
        elif isinstance(datum, MetricAggregatedDatum):
            yield moment, Summary(datum.sample_count, datum.sum, datum.min, datum.max)


def _check(period: int) -> None:
    if period not in (1, 5, 10, 20, 30) and (period < 60 or period % 60):
        raise AwsError(
            "InvalidParameterValue",
            f"The value {period} for parameter Period is invalid: 1, 5, 10, 20, 30 or a "
            "multiple of 60.",
        )
