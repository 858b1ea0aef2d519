"""MetricService: time series written and read, descriptors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from google.api import metric_pb2, monitored_resource_pb2
from google.cloud.monitoring_v3.types import (
    Aggregation,
    ListMetricDescriptorsResponse,
    ListMonitoredResourceDescriptorsResponse,
    ListTimeSeriesRequest,
    ListTimeSeriesResponse,
    TimeSeries,
)
from google.protobuf import empty_pb2

from ...core.call import Call
from ...core.errors import GcpError, invalid
from ...core.projects import canonical, number_of
from ...core.registry import handles
from ...core.resources.filters import FilterError, matches
from ...core.resources.store import page
from . import custom_metrics, descriptors, distributions, online_prediction
from .aggregation import BadAggregation, MetricSeries, Point, align, reduce
from .distributions import Histogram
from .records import Custom

TimeSeriesPb = TimeSeries.pb()
_TYPE = re.compile(r"metric\.type\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s()]+)")
_HEADERS = ListTimeSeriesRequest.TimeSeriesView.HEADERS.value
_KINDS = metric_pb2.MetricDescriptor.MetricKind
_TYPES = metric_pb2.MetricDescriptor.ValueType
_PERIOD = timedelta(seconds=60)
_FUNCTIONS: Mapping[str, Callable[..., bool]] = {
    "starts_with": lambda value, text: str(value or "").startswith(text),
    "ends_with": lambda value, text: str(value or "").endswith(text),
    "has_substring": lambda value, text: text in str(value or ""),
    "one_of": lambda value, *texts: value in texts,
    "monitoring.regex.full_match": lambda value, pattern: (
        re.fullmatch(pattern, str(value or "")) is not None
    ),
}
_METHOD = "google.monitoring.v3.MetricService."


@handles(f"{_METHOD}ListTimeSeries")
def list_time_series(call: Call, request: Any) -> Any:
    """Return points of metrics that fit a filter.

    It answers Cloud Monitoring's API call ListTimeSeries.
    """
    project = _project(request.name)
    if _TYPE.search(request.filter) is None and "metric.type" not in request.filter:
        raise invalid('The filter must name one metric: metric.type = "...".')
    if not request.interval.HasField("end_time"):
        raise invalid("interval.end_time is required.")
    end = custom_metrics.moment(request.interval.end_time)
    start = (
        custom_metrics.moment(request.interval.start_time)
        if request.interval.HasField("start_time")
        else end
    )
    if start > end:
        raise invalid(f"interval: the start, {start}, is after the end, {end}.")
    series = [
        line for line in _all(call, project, request.filter) if _fits(request.filter, project, line)
    ]
    series = [_within(line, start, end) for line in series]
    aggregated = [line for line in series if line.points]
    for aggregation in (request.aggregation, request.secondary_aggregation):
        aggregated = _aggregate(aggregated, aggregation, end)
    rows, token = page(
        [_message(line, headers=request.view == _HEADERS) for line in aggregated],
        request,
        size=100_000,
        most=100_000,
    )
    return ListTimeSeriesResponse.pb()(
        time_series=rows, next_page_token=token, unit=aggregated[0].unit if aggregated else ""
    )


@handles(f"{_METHOD}CreateTimeSeries")
def create_time_series(call: Call, request: Any) -> Any:
    """Answer CreateTimeSeries: store each valid time series, and report the first invalid one."""
    project = _project(request.name)
    if not request.time_series:
        raise invalid("time_series is required.")
    failures = []
    for message in request.time_series:
        try:
            custom_metrics.write(call, project, message)
        except GcpError as error:
            failures.append(error)
    if failures:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"One or more TimeSeries could not be written: {failures[0].message}",
        )
    return empty_pb2.Empty()


@handles(f"{_METHOD}ListMetricDescriptors")
def list_metric_descriptors(call: Call, request: Any) -> Any:
    """Answer Cloud Monitoring's API call ListMetricDescriptors: list the metric descriptors."""
    project = _project(request.name)
    everything = [
        *descriptors.online(project),
        *call.store(Custom).descriptors.get(project, {}).values(),
    ]
    rows, token = page(
        [
            d
            for d in everything
            if _matches(request.filter, {"metric.type": d.type, "project": project})
        ],
        request,
    )
    return ListMetricDescriptorsResponse.pb()(metric_descriptors=rows, next_page_token=token)


@handles(f"{_METHOD}GetMetricDescriptor")
def get_metric_descriptor(call: Call, request: Any) -> Any:
    """Answer Cloud Monitoring's API call GetMetricDescriptor: return a metric descriptor."""
    project, name = _project(request.name), request.name.partition("/metricDescriptors/")[2]
    if name in descriptors.ONLINE:
        return descriptors.descriptor(project, name, descriptors.ONLINE[name])
    return custom_metrics.descriptor(call, project, name)


@handles(f"{_METHOD}CreateMetricDescriptor")
def create_metric_descriptor(call: Call, request: Any) -> Any:
    """Answer Cloud Monitoring's API call CreateMetricDescriptor: create a metric descriptor."""
    project, requested = _project(request.name), request.metric_descriptor
    custom_metrics.check_type(requested.type)
    if not requested.metric_kind or not requested.value_type:
        raise invalid("metric_descriptor.metric_kind and value_type are required.")
    descriptor = metric_pb2.MetricDescriptor()
    descriptor.CopyFrom(requested)
    descriptor.name = f"projects/{project}/metricDescriptors/{requested.type}"
    store = call.store(Custom)
    with store.lock:
        store.descriptors.setdefault(project, {})[requested.type] = descriptor
    return descriptor


@handles(f"{_METHOD}DeleteMetricDescriptor")
def delete_metric_descriptor(call: Call, request: Any) -> Any:
    """Answer Cloud Monitoring's API call DeleteMetricDescriptor: delete a metric descriptor."""
    project, name = _project(request.name), request.name.partition("/metricDescriptors/")[2]
    store = call.store(Custom)
    with store.lock:
        custom_metrics.descriptor(call, project, name)
        del store.descriptors[project][name]
        series = store.series.get(project, {})
        for key in [key for key in series if key[0] == name]:
            del series[key]
    return empty_pb2.Empty()


@handles(f"{_METHOD}ListMonitoredResourceDescriptors")
def list_monitored_resource_descriptors(call: Call, request: Any) -> Any:  # noqa: ARG001  a handler's
    """List the monitored resource descriptors.

    It answers Cloud Monitoring's API call ListMonitoredResourceDescriptors.
    """
    project = _project(request.name)
    names = [
        name for name in descriptors.RESOURCES if _matches(request.filter, {"resource.type": name})
    ]
    rows, token = page([descriptors.resource(project, name) for name in names], request)
    return ListMonitoredResourceDescriptorsResponse.pb()(
        resource_descriptors=rows, next_page_token=token
    )


@handles(f"{_METHOD}GetMonitoredResourceDescriptor")
def get_monitored_resource_descriptor(call: Call, request: Any) -> Any:  # noqa: ARG001  a handler's
    """Return a monitored resource descriptor.

    It answers Cloud Monitoring's API call GetMonitoredResourceDescriptor.
    """
    project, name = (
        _project(request.name),
        request.name.partition("/monitoredResourceDescriptors/")[2],
    )
    if name not in descriptors.RESOURCES:
        raise GcpError("NOT_FOUND", f"Could not find descriptor for resource type '{name}'.")
    return descriptors.resource(project, name)


def _project(name: str) -> str:
    """Return the project in a request's resource name."""
    match = re.match(r"projects/([^/]+)", name)
    if match is None:
        raise invalid(f"{name!r} does not begin with projects/PROJECT.")
    return match[1]


def _all(call: Call, project: str, text: str) -> Iterator[MetricSeries]:
    """Yield the time series of every metric that the filter `text` may select."""
    canonical(call, f"projects/{project}")
    named = _TYPE.search(text)
    metric = named[1].strip("\"'") if named is not None else None
    for name in descriptors.ONLINE:
        if metric in (None, name):
            yield from online_prediction.visible_series(call, number_of(project), name)
    yield from list(call.store(Custom).series.get(project, {}).values())


def _fits(text: str, project: str, series: MetricSeries) -> bool:
    """Return whether a project's time series matches the filter `text`."""
    return _matches(text, {**series.labels, "metric.type": series.type, "project": project})


def _matches(text: str, values: Mapping[str, str]) -> bool:
    """Return whether named values, such as labels, match the filter `text`."""
    try:
        return matches(
            text, lambda path: values.get(path.replace(".label.", ".labels.")), functions=_FUNCTIONS
        )
    except FilterError as error:
        raise invalid(str(error)) from error


def _within(series: MetricSeries, start: datetime, end: datetime) -> MetricSeries:
    """Return a time series with only its points in an interval."""
    points = tuple(
        point for point in series.points if start < point.end <= end or point.end == start == end
    )
    return MetricSeries(
        type=series.type,
        labels=series.labels,
        kind=series.kind,
        value_type=series.value_type,
        points=points,
        unit=series.unit,
    )


def _aggregate(
    series: Sequence[MetricSeries], aggregation: Any, end: datetime
) -> list[MetricSeries]:
    """Align and reduce time series as a request's Aggregation says; windows end at `end`."""
    aligner = Aggregation.Aligner(aggregation.per_series_aligner).name
    reducer = Aggregation.Reducer(aggregation.cross_series_reducer).name
    if aligner == "ALIGN_NONE":
        if reducer != "REDUCE_NONE":
            raise invalid("aggregation.cross_series_reducer needs a per_series_aligner.")
        return list(series)
    period = aggregation.alignment_period.ToTimedelta()
    if period < _PERIOD:
        raise invalid(
            "aggregation.alignment_period must be at least 60 seconds, not "
            f"{period.total_seconds():g}."
        )
    try:
        return reduce(
            [align(line, aligner, period, end) for line in series],
            reducer,
            aggregation.group_by_fields,
        )
    except (BadAggregation, ValueError) as error:
        raise invalid(str(error)) from error


def _message(series: MetricSeries, *, headers: bool) -> Any:
    """Return a TimeSeries message, newest point first; with `headers` it has no points."""
    labels = series.labels
    message = TimeSeriesPb(
        metric=metric_pb2.Metric(type=series.type, labels=dict(_below("metric.labels.", labels))),
        resource=monitored_resource_pb2.MonitoredResource(
            type=labels.get("resource.type", ""), labels=dict(_below("resource.labels.", labels))
        ),
        metric_kind=_KINDS.Value(series.kind),
        value_type=_TYPES.Value(series.value_type),
        unit=series.unit,
    )
    for point in () if headers else reversed(series.points):
        _add(message, series, point)
    return message


def _below(prefix: str, labels: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Yield the labels that begin with a prefix, their names without the prefix."""
    return (
        (key.removeprefix(prefix), value) for key, value in labels.items() if key.startswith(prefix)
    )


def _add(message: Any, series: MetricSeries, point: Point) -> None:
    """Append a point to a TimeSeries message."""
    added = message.points.add()
    added.interval.start_time.FromDatetime(point.start)
    added.interval.end_time.FromDatetime(point.end)
    if isinstance(point.value, Histogram):
        added.value.distribution_value.CopyFrom(distributions.message(point.value))
    else:
        setattr(added.value, f"{series.value_type.lower()}_value", point.value)
