"""MetricSource over CloudWatch: the minutes of `AWS/SageMaker`, by endpoint and variant.

A minute without a request has no data point.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any, final

from ....endpoints import hosting
from ....endpoints.port import Bucket, Window
from ....errors import NotFound, NotSettled, Unavailable
from ....project.reading.names import neutral
from ....target import Target
from ..session import AwsSession, aws_of

NAMESPACE = "AWS/SageMaker"
_PERIOD = 60
# (field of Bucket, metric, statistic, factor): latencies are in microseconds
_QUERIES = (
    ("requests", "Invocations", "Sum", 1.0),
    ("client_errors", "Invocation4XXErrors", "Sum", 1.0),
    ("server_errors", "Invocation5XXErrors", "Sum", 1.0),
    ("mean_ms", "ModelLatency", "Average", 0.001),
    ("p50_ms", "ModelLatency", "p50", 0.001),
    ("p90_ms", "ModelLatency", "p90", 0.001),
    ("p99_ms", "ModelLatency", "p99", 0.001),
)
_MOST_POINTS = 100_800  # of a call
# that DescribeEndpoint's answer is good for: a variant made since has no minute that is settled
_KNOWN = timedelta(seconds=30)
_AGAIN = 5  # times, when CloudWatch says that it gave a part only
_PAUSE = 1.0  # seconds before that

Values = dict[datetime, float]


@final
class CloudWatchMetrics:
    """The MetricSource port over CloudWatch."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._aws: AwsSession = aws_of(target)
        self._delay = hosting.metrics_delay(target)
        self.sleep: Callable[[float], None] = time.sleep

    def read(self, endpoint: str, window: Window) -> Mapping[str, tuple[Bucket, ...]]:
        """Return each variant's request counts, errors and latencies by minute, in order.

        The percentiles are CloudWatch's, in ms.

        Raises:
            NotSettled: CloudWatch may not have them yet.
            NotFound: There is no such endpoint.
            Invalid: The window is not of whole minutes.
            Unavailable: CloudWatch goes on giving only a part.
        """
        hosting.check_window(window)
        name = self._aws.endpoint_name(endpoint)
        variants, created = self._endpoint(name, endpoint)
        if window.end + self._delay > self._target.clock():
            raise NotSettled(
                f"the window ends at {window.end:%H:%M} UTC, and CloudWatch's minutes come "
                f"up to {self._delay.total_seconds() / 60:g} late",
                remedy="ask again after that, or for the minutes before it",
            )
        span = timedelta(minutes=_MOST_POINTS // (len(_QUERIES) * len(variants)))
        # an earlier endpoint of the same name had metrics of its own
        start = max(window.start, _minute_start(created))
        if start >= window.end:
            return {}
        series: dict[str, dict[str, Values]] = {variant: {} for variant in variants}
        while start < window.end:
            end = min(start + span, window.end)
            for (variant, field), values in self._read(name, variants, start, end).items():
                series[variant].setdefault(field, {}).update(values)
            start = end
        buckets = {neutral(variant): tuple(_buckets(values)) for variant, values in series.items()}
        return {variant: listed for variant, listed in buckets.items() if listed}

    def _endpoint(self, name: str, endpoint: str) -> tuple[list[str], datetime]:
        """Return the variant names and the creation time of an endpoint.

        `name` is SageMaker's name for it, `endpoint` ours.
        """
        asked_at, described = self._aws.described.get(name, (None, {}))
        if (
            asked_at
            and timedelta(0) <= self._target.clock() - asked_at <= _KNOWN
            and described.get("ProductionVariants")
        ):
            return [
                summary["VariantName"] for summary in described["ProductionVariants"]
            ], described["CreationTime"]
        client = self._aws.client("sagemaker")
        try:
            with self._aws.reading("DescribeEndpoint", name):
                described = client.describe_endpoint(EndpointName=name)
                listed = described.get("ProductionVariants")
                if not listed:
                    config = described["EndpointConfigName"]
                    listed = client.describe_endpoint_config(EndpointConfigName=config)[
                        "ProductionVariants"
                    ]
        except NotFound as error:
            raise hosting.not_found(endpoint) from error
        return [summary["VariantName"] for summary in listed], described["CreationTime"]

    def _read(
        self, name: str, variants: Sequence[str], start: datetime, end: datetime
    ) -> dict[tuple[str, str], Values]:
        """Read all metrics of an endpoint's variants in a time span, repeating partial answers.

        They are returned by variant and metric.
        """
        ids: dict[str, tuple[str, str, float]] = {}
        queries: list[dict[str, Any]] = []
        for variant in variants:
            for field, metric, statistic, factor in _QUERIES:
                key = f"q{len(ids)}"
                ids[key] = variant, field, factor
                queries.append(_query(key, name, variant, metric, statistic))
        for attempt in range(_AGAIN):
            if attempt:
                self.sleep(_PAUSE)
            series: dict[tuple[str, str], Values] = {}
            # PartialData on a page that is not the last only says that there is another
            status: dict[str, str] = {}
            for result in self._pages(queries, start, end):
                variant, field, factor = ids[result["Id"]]
                times, values = result["Timestamps"], result["Values"]
                series.setdefault((variant, field), {}).update(
                    {
                        moment.astimezone(UTC): value * factor
                        for moment, value in zip(times, values, strict=True)
                    }
                )
                status[result["Id"]] = result.get("StatusCode", "Complete")
            if set(status.values()) <= {"Complete"}:
                return series
        raise Unavailable(
            f"CloudWatch gives only a part of {name}'s metrics", remedy="try again in a minute"
        )

    def _pages(
        self, queries: list[dict[str, Any]], start: datetime, end: datetime
    ) -> Iterator[dict[str, Any]]:
        """Yield the results of all pages of GetMetricData."""
        request: dict[str, Any] = {
            "MetricDataQueries": queries,
            "StartTime": start,
            "EndTime": end,
            "ScanBy": "TimestampAscending",
        }
        while True:
            with self._aws.reading("GetMetricData", f"{NAMESPACE} {start:%H:%M} .. {end:%H:%M}"):
                answer = self._aws.client("cloudwatch").get_metric_data(**request)
            yield from answer["MetricDataResults"]
            if not answer.get("NextToken"):
                return
            request["NextToken"] = answer["NextToken"]


def _query(name: str, endpoint: str, variant: str, metric: str, statistic: str) -> dict[str, Any]:
    """Return a GetMetricData query for a metric of a variant.

    `name` is the query's id; `endpoint` and `variant` are SageMaker's names.
    """
    dimensions = [
        {"Name": "EndpointName", "Value": endpoint},
        {"Name": "VariantName", "Value": variant},
    ]
    of_metric = {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": dimensions}
    return {
        "Id": name,
        "MetricStat": {"Metric": of_metric, "Period": _PERIOD, "Stat": statistic},
        "ReturnData": True,
    }


def _buckets(values: Mapping[str, Values]) -> Iterator[Bucket]:
    """Convert a variant's metric values to one bucket for each minute that has requests.

    Missing error counts are 0. A missing latency, as when no request reached the model, is nan,
    never 0.
    """

    def figure(field: str, minute: datetime, default: float) -> float:
        return values.get(field, {}).get(minute, default)

    for minute, requests in sorted(values.get("requests", {}).items()):
        if requests < 1:
            continue
        yield Bucket(
            start=minute,
            requests=round(requests),
            client_errors=round(figure("client_errors", minute, 0)),
            server_errors=round(figure("server_errors", minute, 0)),
            mean_ms=figure("mean_ms", minute, nan),
            p50_ms=figure("p50_ms", minute, nan),
            p90_ms=figure("p90_ms", minute, nan),
            p99_ms=figure("p99_ms", minute, nan),
        )


def _minute_start(moment: datetime) -> datetime:
    """Return the start of the minute of a time, in UTC."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)
