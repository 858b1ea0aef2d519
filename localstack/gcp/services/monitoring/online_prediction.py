"""The requests to each deployed model, minute by minute.

The metrics aiplatform.googleapis.com/prediction/online/... are made of them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ...core.call import Call
from .aggregation import MetricSeries, Point, Value
from .descriptors import ONLINE, PREFIX, RESOURCE
from .distributions import of_values
from .records import Minute, Online

DELAY = "ISTHMUS_STACK_METRIC_SECONDS"


def record_request(
    call: Call,
    endpoint: str,
    deployed: str,
    *,
    status: int,
    milliseconds: float,
    predictions: int,
    received_at: datetime | None = None,
) -> None:
    """Add a prediction request to a deployed model's metrics, in the minute of its arrival.

    Args:
        call: The call.
        endpoint: The endpoint's name.
        deployed: The DeployedModel's id.
        status: The HTTP status of the answer.
        milliseconds: How long it took.
        predictions: How many instances were predicted.
        received_at: When it came; without it, now.
    """
    moment = received_at if received_at is not None else call.clock.now()
    minute = call.store(Online).minute(endpoint, deployed, int(moment.timestamp()) // 60)
    minute.statuses.append(status)
    minute.milliseconds.append(milliseconds)
    minute.predictions.append(predictions if status == 200 else 0)


def visibility_delay(call: Call) -> float:
    """Return after how many seconds a finished minute's prediction metrics become visible.

    With 0 they are visible at once, even those of the present minute.
    """
    set_to = os.environ.get(DELAY)
    if set_to is not None:
        return float(set_to)
    return 0.0 if call.clock.mode == "instant" else 300.0


def visible_series(call: Call, project: str, name: str) -> Iterator[MetricSeries]:
    """Yield the visible time series of the online prediction metric `name` in a project.

    The project is given by its number. A minute without a request has no point.
    """
    late = visibility_delay(call)
    visible = call.clock.now() - timedelta(seconds=late) if late else None
    for (endpoint, deployed), minutes in list(call.store(Online).of.items()):
        _, owner, _, location, _, endpoint_id = endpoint.split("/")
        if owner != project:
            continue
        common = {
            "resource.type": RESOURCE,
            "resource.labels.resource_container": owner,
            "resource.labels.location": location,
            "resource.labels.endpoint_id": endpoint_id,
            "metric.labels.deployed_model_id": deployed,
        }
        by_labels: dict[tuple[tuple[str, str], ...], list[Point]] = {}
        for number in sorted(minutes):
            start = datetime.fromtimestamp(number * 60, UTC)
            end = start + timedelta(minutes=1)
            if visible is None or end <= visible:
                for labels, value in _values(name.removeprefix(PREFIX), minutes[number]):
                    by_labels.setdefault(labels, []).append(Point(start, end, value))
        metric = ONLINE[name]
        for labels, points in by_labels.items():
            yield MetricSeries(
                type=name,
                labels={**common, **{f"metric.labels.{key}": value for key, value in labels}},
                kind=metric.kind,
                value_type=metric.value_type,
                points=tuple(points),
                unit=metric.unit,
            )


def _values(metric: str, minute: Minute) -> Iterator[tuple[tuple[tuple[str, str], ...], Value]]:
    """Yield the points that a minute of traffic gives for a metric: labels and value.

    The labels lack the DeployedModel's id.
    """
    statuses = list(minute.statuses)
    if metric == "response_count":
        for status, count in sorted(Counter(statuses).items()):
            yield (("response_code", str(status)),), count
    elif metric == "error_count":
        if errors := sum(status >= 400 for status in statuses):
            yield (), errors
    elif metric == "prediction_count":
        if predictions := sum(minute.predictions):
            yield (), predictions
    else:
        yield (("latency_type", "model"),), of_values(list(minute.milliseconds))
        yield (("latency_type", "overhead"),), of_values([0.0] * len(minute.milliseconds))
