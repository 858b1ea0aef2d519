"""The namespace AWS/SageMaker: metrics of variants and of asynchronous endpoints' queues."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ...core.registry import Context
from . import queue_metrics as queues
from . import variant_metrics as variants

NAMESPACE = "AWS/SageMaker"
UNITS = {**queues.UNITS, **variants.UNITS}


def points(
    ctx: Context, metric: str, dimensions: dict[str, str], start: datetime, end: datetime
) -> Iterator[tuple[datetime, float]]:
    """Yield a SageMaker metric's visible values between two times.

    `dimensions` name the endpoint and the variant. Each value stands at the start of its minute.
    """
    visible = variants.settled_until(ctx)
    for source in (variants.points, queues.points):
        for moment, value in source(ctx, metric, dimensions, start, end):
            if visible is None or moment + timedelta(minutes=1) <= visible:
                yield moment, value


def metrics(ctx: Context) -> list[dict[str, object]]:
    """Return every visible metric of SageMaker in the form of ListMetrics."""
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return [
        {
            "Namespace": NAMESPACE,
            "MetricName": metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        }
        for source in (variants.metrics, queues.metrics)
        for metric, dimensions in source(ctx)
        if next(points(ctx, metric, dimensions, first, last), None) is not None
    ]
