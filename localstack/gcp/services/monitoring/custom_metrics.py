"""Metrics that clients write themselves: descriptors and points."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from google.api import metric_pb2

from ...core.call import Call
from ...core.errors import GcpError, invalid
from . import distributions
from .aggregation import MetricSeries, Point, Value
from .descriptors import RESOURCES
from .records import Custom

_OWN = ("custom.googleapis.com/", "external.googleapis.com/", "workload.googleapis.com/")
_KINDS = metric_pb2.MetricDescriptor.MetricKind
_TYPES = metric_pb2.MetricDescriptor.ValueType
_OF_VALUE = {
    "bool_value": "BOOL",
    "int64_value": "INT64",
    "double_value": "DOUBLE",
    "string_value": "STRING",
    "distribution_value": "DISTRIBUTION",
}


def check_type(name: str) -> None:
    """Raise INVALID_ARGUMENT if clients must not write a metric of this type (name)."""
    if not name.startswith(_OWN):
        raise invalid(
            f"metric.type {name!r}: clients write metrics that begin with {', '.join(_OWN)}."
        )


def write(call: Call, project: str, message: Any) -> None:
    """Store the point in a custom metric's TimeSeries message.

    Raises GcpError INVALID_ARGUMENT if it is not valid, or older than the last point.
    """
    check_type(message.metric.type)
    if len(message.points) != 1:
        raise invalid("Exactly one point must be written to each time series.")
    if message.resource.type not in RESOURCES:
        raise invalid(
            f"resource.type {message.resource.type!r} is not supported for time series that "
            "clients write."
        )
    store = call.store(Custom)
    with store.lock:
        described = store.descriptors.setdefault(project, {})
        descriptor = described.get(message.metric.type)
        if descriptor is None:
            descriptor = described[message.metric.type] = _inferred_descriptor(project, message)
        point = _point(message.points[0], descriptor)
        labels = labels_of(message)
        key = (message.metric.type, tuple(sorted(labels.items())))
        series = store.series.setdefault(project, {})
        previous = series.get(key)
        if previous is not None and previous.points[-1].end >= point.end:
            raise invalid(
                "Points must be written in order. One or more of the points specified had an "
                "older end time than the most recent point."
            )
        series[key] = MetricSeries(
            type=message.metric.type,
            labels=labels,
            kind=cast("Any", _KINDS.Name(descriptor.metric_kind)),
            value_type=cast("Any", _TYPES.Name(descriptor.value_type)),
            points=(*(previous.points if previous else ()), point),
            unit=descriptor.unit,
        )


def labels_of(message: Any) -> dict[str, str]:
    """Return the labels of a TimeSeries message under the names that filters use."""
    return {
        **{f"metric.labels.{key}": value for key, value in message.metric.labels.items()},
        **{f"resource.labels.{key}": value for key, value in message.resource.labels.items()},
        "resource.type": message.resource.type,
    }


def _inferred_descriptor(project: str, message: Any) -> Any:
    """Return the MetricDescriptor that a custom metric's first point implies."""
    kind = message.metric_kind or _KINDS.GAUGE
    value_type: Any = message.value_type or _TYPES.Value(
        _OF_VALUE[message.points[0].value.WhichOneof("value")]
    )
    name = message.metric.type
    descriptor = metric_pb2.MetricDescriptor(
        name=f"projects/{project}/metricDescriptors/{name}",
        type=name,
        metric_kind=kind,
        value_type=value_type,
        unit=message.unit,
    )
    for key in sorted(message.metric.labels):
        descriptor.labels.add(key=key)
    return descriptor


def _point(message: Any, descriptor: Any) -> Point:
    """Return the point in a TimeSeries message, with a value of the descriptor's type."""
    member = message.value.WhichOneof("value")
    expected = _TYPES.Name(descriptor.value_type)
    if member is None or _OF_VALUE[member] != expected:
        raise invalid(
            f"Value type for metric {descriptor.type} must be {expected}, but is "
            f"{_OF_VALUE.get(member or '', 'unset')}."
        )
    if not message.interval.HasField("end_time"):
        raise invalid("points[0].interval.end_time is required.")
    end = moment(message.interval.end_time)
    start = moment(message.interval.start_time) if message.interval.HasField("start_time") else end
    gauge = descriptor.metric_kind == _KINDS.GAUGE
    if start > end or (gauge and start != end) or (not gauge and start == end):
        raise invalid(
            f"points[0].interval is not one of a {_KINDS.Name(descriptor.metric_kind)} "
            f"metric: {start} to {end}."
        )
    raw = getattr(message.value, member)
    value: Value = distributions.of_message(raw) if member == "distribution_value" else raw
    return Point(start, end, value)


def moment(timestamp: Any) -> datetime:
    """Return a protobuf timestamp as a datetime."""
    result: datetime = timestamp.ToDatetime(tzinfo=UTC)
    return result


def descriptor(call: Call, project: str, name: str) -> Any:
    """Return a custom metric's MetricDescriptor by its type; raise GcpError NOT_FOUND."""
    descriptor = call.store(Custom).descriptors.get(project, {}).get(name)
    if descriptor is None:
        raise GcpError("NOT_FOUND", f"Could not find descriptor for metric '{name}'.")
    return descriptor
