"""Descriptors of metrics: those of Vertex AI's online prediction, and clients' own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from google.api import label_pb2, metric_pb2, monitored_resource_pb2

from .aggregation import Kind, ValueType

PREFIX = "aiplatform.googleapis.com/prediction/online/"
RESOURCE = "aiplatform.googleapis.com/Endpoint"


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    value_type: ValueType
    labels: Mapping[str, str]  # name -> what it says
    description: str
    kind: Kind = "DELTA"
    unit: str = "1"


_DEPLOYED = {"deployed_model_id": "The DeployedModel that was asked."}
ONLINE: Mapping[str, Metric] = {
    f"{PREFIX}response_count": Metric(
        value_type="INT64",
        labels={**_DEPLOYED, "response_code": "The HTTP status of the response."},
        description="Responses.",
    ),
    f"{PREFIX}error_count": Metric(
        value_type="INT64", labels=_DEPLOYED, description="Responses that were errors."
    ),
    f"{PREFIX}prediction_count": Metric(
        value_type="INT64", labels=_DEPLOYED, description="Instances that were predicted."
    ),
    f"{PREFIX}prediction_latencies": Metric(
        value_type="DISTRIBUTION",
        labels={**_DEPLOYED, "latency_type": "model, or overhead beside it."},
        description="How long predictions took.",
        unit="ms",
    ),
}
RESOURCES: Mapping[str, tuple[str, ...]] = {
    RESOURCE: ("resource_container", "location", "endpoint_id"),
    "global": ("project_id",),
    "generic_task": ("project_id", "location", "namespace", "job", "task_id"),
    "generic_node": ("project_id", "location", "namespace", "node_id"),
    "gce_instance": ("project_id", "instance_id", "zone"),
}


def online(project: str) -> list[Any]:
    """Return the MetricDescriptors of Vertex AI's online prediction metrics, for a project."""
    return [descriptor(project, name, metric) for name, metric in ONLINE.items()]


def descriptor(project: str, name: str, metric: Metric) -> Any:
    """Return the MetricDescriptor message of one of the built-in metrics."""
    message: Any = metric_pb2.MetricDescriptor
    result = message(
        name=f"projects/{project}/metricDescriptors/{name}",
        type=name,
        metric_kind=metric_pb2.MetricDescriptor.MetricKind.Value(metric.kind),
        value_type=metric_pb2.MetricDescriptor.ValueType.Value(metric.value_type),
        unit=metric.unit,
        description=metric.description,
        display_name=metric.description.rstrip("."),
        labels=[
            label_pb2.LabelDescriptor(key=key, description=what)
            for key, what in metric.labels.items()
        ],
    )
    if name in ONLINE:
        result.monitored_resource_types.append(RESOURCE)
    return result


def resource(project: str, name: str) -> Any:
    """Return the MonitoredResourceDescriptor message of a type of resource."""
    return monitored_resource_pb2.MonitoredResourceDescriptor(
        name=f"projects/{project}/monitoredResourceDescriptors/{name}",
        type=name,
        display_name=name,
        labels=[label_pb2.LabelDescriptor(key=key) for key in RESOURCES[name]],
    )
