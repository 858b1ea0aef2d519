"""MetricSource over Cloud Monitoring: minutes of aiplatform.googleapis.com/prediction/online.

They are by DeployedModel. Requests are counted by response_count: prediction_count counts
instances. There is no aligner for a 90th percentile, so latencies are read as distributions. Names
and labels of a dedicated endpoint's metrics were not seen on an account yet.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any, final

from ....endpoints import hosting
from ....endpoints.port import Bucket, Window
from ....errors import NotSettled
from ....target import Target
from ..endpoints import deployed_models, lookup
from ..session import session_of
from .distributions import percentile

_METRICS = "aiplatform.googleapis.com/prediction/online/"
_RESOURCE = "aiplatform.googleapis.com/Endpoint"
_MINUTE = timedelta(minutes=1)


@final
class CloudMonitoring:
    """The MetricSource port over Cloud Monitoring."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._session = session_of(target)
        self._delay = hosting.metrics_delay(target)

    def read(self, endpoint: str, window: Window) -> Mapping[str, tuple[Bucket, ...]]:
        """Return each variant's request counts, errors and latencies by minute, in order.

        Quantiles are estimated from Monitoring's histogram, in ms.

        Raises:
            NotSettled: Cloud Monitoring may not have them yet.
            NotFound: There is no such endpoint.
            Invalid: The window is not of whole minutes.
        """
        hosting.check_window(window)
        endpoints = lookup.serving(self._session, endpoint)
        if window.end + self._delay > self._target.clock():
            raise NotSettled(
                f"the window ends at {window.end:%H:%M} UTC, and Cloud Monitoring's minutes come "
                f"up to {self._delay.total_seconds() / 60:g} late",
                remedy="ask again after that, or for the minutes before it",
            )
        return {
            variant: minutes
            for described in endpoints
            for variant, minutes in self._minutes(described, window).items()
        }

    def _minutes(self, described: Any, window: Window) -> dict[str, tuple[Bucket, ...]]:
        """Return the metrics by minute of each variant of a Vertex AI endpoint."""
        # an earlier endpoint of the same name had metrics of its own
        start = max(window.start, _minute_start(described.create_time))
        if start >= window.end:
            return {}
        span = Window(start=start, end=window.end)
        names = deployed_models.names(described)
        statuses = _counts(self._series(described.name, "response_count", span), names)
        latencies = _distributions(
            _of_models(self._series(described.name, "prediction_latencies", span)), names
        )
        buckets = {
            variant: tuple(_buckets(minutes, latencies[variant]))
            for variant, minutes in statuses.items()
        }
        return {variant: listed for variant, listed in buckets.items() if listed}

    def _series(self, endpoint: str, metric: str, window: Window) -> list[Any]:
        """Fetch an endpoint's time series of a Cloud Monitoring metric, aligned to minutes."""
        from google.cloud.monitoring_v3 import Aggregation, ListTimeSeriesRequest, TimeInterval

        number = endpoint.rpartition("/")[2]
        request = ListTimeSeriesRequest(
            name=f"projects/{self._session.project}",
            filter=f'metric.type="{_METRICS}{metric}" AND resource.type="{_RESOURCE}" AND '
            f'resource.labels.endpoint_id="{number}"',
            interval=TimeInterval(start_time=window.start, end_time=window.end),
            aggregation=Aggregation(
                alignment_period=_MINUTE, per_series_aligner=Aggregation.Aligner.ALIGN_DELTA
            ),
            view=ListTimeSeriesRequest.TimeSeriesView.FULL,
        )
        with self._session.reading("ListTimeSeries", f"{number} {metric}"):
            return list(self._session.monitoring.list_time_series(request=request))


def _of_models(series: Iterable[Any]) -> list[Any]:
    """Select the time series of latency within the model; all if the metric has no such part."""
    listed = list(series)
    apart = [line for line in listed if line.metric.labels.get("latency_type") == "model"]
    return apart or listed


def _counts(
    series: Iterable[Any], names: Mapping[str, str]
) -> dict[str, dict[datetime, Counter[str]]]:
    """Count requests by variant, minute and HTTP status; `names` are variants by model id.

    While a version is replaced, two DeployedModels are one variant.
    """
    counts: dict[str, dict[datetime, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for name, labels, minute, value in _points(series, names):
        counts[name][minute][labels.get("response_code", "")] += value.int64_value
    return counts


def _distributions(
    series: Iterable[Any], names: Mapping[str, str]
) -> dict[str, dict[datetime, Any]]:
    """Return the latency histograms by variant and minute; `names` are variants by model id.

    If two DeployedModels are one variant, the histogram with more requests counts.
    """
    latencies: dict[str, dict[datetime, Any]] = defaultdict(dict)
    for name, _, minute, value in _points(series, names):
        standing = latencies[name].get(minute)
        if standing is None or value.distribution_value.count > standing.count:
            latencies[name][minute] = value.distribution_value
    return latencies


def _points(
    series: Iterable[Any], names: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, str], datetime, Any]]:
    """Yield each point of time series as (variant, labels, start of the minute, value).

    `names` are variants by DeployedModel's id; points of other models are left out.
    """
    for line in series:
        labels = line.metric.labels
        number = labels.get("deployed_model_id", "")
        for point in line.points if number in names else ():
            yield (
                names[number],
                labels,
                _minute_start(point.interval.end_time - _MINUTE),
                point.value,
            )


def _buckets(
    statuses: Mapping[datetime, Mapping[str, int]], latencies: Mapping[datetime, Any]
) -> Iterator[Bucket]:
    """Yield the metrics of each minute in which requests finished.

    `statuses` counts requests by HTTP status, `latencies` has histograms. An absent latency is nan,
    never 0.
    """
    for minute, counts in sorted(statuses.items()):
        requests = sum(counts.values())
        if not requests:
            continue
        latency = latencies.get(minute)
        yield Bucket(
            start=minute,
            requests=requests,
            client_errors=_count(counts, "4"),
            server_errors=_count(counts, "5"),
            mean_ms=latency.mean if latency is not None else nan,
            p50_ms=percentile(latency, 0.5) if latency is not None else nan,
            p90_ms=percentile(latency, 0.9) if latency is not None else nan,
            p99_ms=percentile(latency, 0.99) if latency is not None else nan,
        )


def _count(counts: Mapping[str, int], first: str) -> int:
    """Return how many requests have an HTTP status that begins with the digit `first`."""
    return sum(count for status, count in counts.items() if status.startswith(first))


def _minute_start(moment: datetime) -> datetime:
    """Return the start of the minute of a time, in UTC."""
    return datetime.fromtimestamp(moment.timestamp() // 60 * 60, UTC)
