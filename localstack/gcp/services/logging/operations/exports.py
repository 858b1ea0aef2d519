"""ConfigServiceV2's sinks and MetricsServiceV2's metrics: stored and shown.

Nothing is exported or counted.
"""

from __future__ import annotations

import re
from typing import Any

from google.cloud.logging_v2 import types
from google.protobuf import empty_pb2

from ....core.call import Call
from ....core.errors import GcpError
from ....core.projects import number_of, with_project_id
from ....core.registry import handles
from ....core.resources.store import page
from ..records import Exports

_SINKS, _METRICS = "google.logging.v2.ConfigServiceV2", "google.logging.v2.MetricsServiceV2"
_NAME = re.compile(
    r"(projects|organizations|billingAccounts|folders)/[^/]+/(sinks|metrics)/[\w./%-]{1,100}"
)
_DESTINATION = re.compile(r"(storage|bigquery|pubsub|logging)\.googleapis\.com/.+")


@handles(f"{_SINKS}.CreateSink", executes=False)
def create_sink(call: Call, request: Any) -> Any:
    """Answer Cloud Logging's API call CreateSink: create a sink."""
    return _create(call, f"{request.parent}/sinks/{request.sink.name}", _sink(request))


@handles(f"{_METRICS}.CreateLogMetric", executes=False)
def create_log_metric(call: Call, request: Any) -> Any:
    """Answer Cloud Logging's API call CreateLogMetric: create a log metric."""
    return _create(call, f"{request.parent}/metrics/{request.metric.name}", _metric(request.metric))


@handles(f"{_SINKS}.GetSink", executes=False)
def get_sink(call: Call, request: Any) -> Any:
    """Answer Cloud Logging's API call GetSink: return a sink."""
    return call.store(Exports).get(with_project_id(call, request.sink_name))


@handles(f"{_METRICS}.GetLogMetric", executes=False)
def get_log_metric(call: Call, request: Any) -> Any:
    """Answer Cloud Logging's API call GetLogMetric: return a log metric."""
    return call.store(Exports).get(with_project_id(call, request.metric_name))


@handles(f"{_SINKS}.ListSinks", executes=False)
def list_sinks(call: Call, request: Any) -> Any:
    """Answer Cloud Logging's API call ListSinks: list the sinks."""
    listed, token = page(
        call.store(Exports).below(with_project_id(call, request.parent), "sinks"), request
    )
    return types.ListSinksResponse.pb()(sinks=listed, next_page_token=token)


@handles(f"{_METRICS}.ListLogMetrics", executes=False)
def list_log_metrics(call: Call, request: Any) -> Any:
    """Answer Cloud Logging's API call ListLogMetrics: list the log metrics."""
    listed, token = page(
        call.store(Exports).below(with_project_id(call, request.parent), "metrics"), request
    )
    return types.ListLogMetricsResponse.pb()(metrics=listed, next_page_token=token)


@handles(f"{_SINKS}.UpdateSink", executes=False)
def update_sink(call: Call, request: Any) -> Any:
    """Answer UpdateSink: change the fields of a log sink that the request's mask names.

    Without a mask these are destination, filter and include_children, as the API says.
    """
    exports, name = call.store(Exports), with_project_id(call, request.sink_name)
    with exports.lock:
        sink = types.LogSink.pb()()
        sink.CopyFrom(exports.get(name))
        request.sink.name = request.sink.name or sink.name
        paths = list(request.update_mask.paths) or ["destination", "filter", "include_children"]
        type(request.update_mask)(paths=paths).MergeMessage(request.sink, sink)
        _check_sink(sink)
        sink.update_time.CopyFrom(call.now_pb())
        exports.messages[name] = sink
    return sink


@handles(f"{_METRICS}.UpdateLogMetric", executes=False)
def update_log_metric(call: Call, request: Any) -> Any:
    """Answer UpdateLogMetric: change a log-based metric, or create it if it does not exist."""
    exports, name = call.store(Exports), with_project_id(call, request.metric_name)
    metric = _metric(request.metric)
    metric.name = name.rpartition("/")[2]
    with exports.lock:
        previous = exports.messages.get(name)
        if previous is None:
            return _create(call, request.metric_name, metric)
        metric.create_time.CopyFrom(previous.create_time)
        metric.update_time.CopyFrom(call.now_pb())
        exports.messages[name] = metric
    return metric


@handles(f"{_SINKS}.DeleteSink", executes=False)
def delete_sink(call: Call, request: Any) -> Any:
    """Answer Cloud Logging's API call DeleteSink: delete a sink."""
    return _delete(call, request.sink_name)


@handles(f"{_METRICS}.DeleteLogMetric", executes=False)
def delete_log_metric(call: Call, request: Any) -> Any:
    """Answer Cloud Logging's API call DeleteLogMetric: delete a log metric."""
    return _delete(call, request.metric_name)


def _create(call: Call, name: str, message: Any) -> Any:
    """Store a new sink or log metric, and return it; raise ALREADY_EXISTS for a taken name."""
    if not _NAME.fullmatch(name):
        raise GcpError(
            "INVALID_ARGUMENT",
            f"{name!r} is not projects/PROJECT/sinks/ID or projects/PROJECT/metrics/ID, with "
            "up to 100 letters.",
        )
    exports, name = call.store(Exports), with_project_id(call, name)
    with exports.lock:
        if name in exports.messages:
            raise GcpError("ALREADY_EXISTS", f"{name} already exists")
        message.create_time.CopyFrom(call.now_pb())
        message.update_time.CopyFrom(call.now_pb())
        exports.messages[name] = message
    return message


def _delete(call: Call, name: str) -> Any:
    """Delete a sink or log metric; raise NOT_FOUND if there is none."""
    exports, name = call.store(Exports), with_project_id(call, name)
    with exports.lock:
        exports.get(name)
        del exports.messages[name]
    return empty_pb2.Empty()


def _sink(request: Any) -> Any:
    """Return the LogSink that a request describes, with its writer_identity."""
    sink = request.sink
    _check_sink(sink)
    writer = "cloud-logs@system.gserviceaccount.com"
    if request.unique_writer_identity:
        number = number_of(request.parent.split("/")[1])
        writer = f"service-{number}@gcp-sa-logging.iam.gserviceaccount.com"
    sink.writer_identity = f"serviceAccount:{writer}"
    return sink


def _check_sink(sink: Any) -> None:
    """Raise INVALID_ARGUMENT for a sink that Google does not accept."""
    if not _DESTINATION.fullmatch(sink.destination):
        raise GcpError(
            "INVALID_ARGUMENT",
            f"The destination {sink.destination!r} is not a bucket, a dataset, a topic or a "
            "log bucket.",
        )


def _metric(metric: Any) -> Any:
    """Return a log metric as it is; raise an error if it has no filter."""
    if not metric.filter:
        raise GcpError("INVALID_ARGUMENT", "A log metric needs a filter.")
    return metric
