"""GetMetricData, GetMetricStatistics, ListMetrics and PutMetricData.

What moto answers well it still answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ....core import paging
from ....core.registry import AwsError, Context, handles
from .. import datapoints as reading
from .. import sagemaker
from ..expressions import Refused, evaluate
from ..statistics import BASIC

_OLDEST, _NEWEST = timedelta(days=14), timedelta(hours=2)  # of a datapoint that is put
_MOST = 100_800  # datapoints a GetMetricData answer
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


@handles("cloudwatch", "PutMetricData")
def put_metric_data(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer PutMetricData: store datapoints in moto, by default at the stack's time."""
    data = params.get("MetricData") or []
    if not ctx.moto_answers:
        _check_times(ctx, data)
    if ctx.clock.mode != "manual" or all("Timestamp" in datum for datum in data):
        return ctx.forward()
    timed = [{"Timestamp": ctx.clock.now(), **datum} for datum in data]
    return ctx.moto("cloudwatch", "PutMetricData", {**params, "MetricData": timed})


def _check_times(ctx: Context, data: list[dict[str, Any]]) -> None:
    """Raise an error for datapoints with a timestamp too far in the past or future."""
    now = ctx.clock.now()
    for number, datum in enumerate(data, 1):
        if not now - _OLDEST <= datum.get("Timestamp", now) <= now + _NEWEST:
            words = (
                f"The parameter MetricData.member.{number}.Timestamp must specify a time within "
                "the past two weeks and the next two hours."
            )
            raise AwsError("InvalidParameterValue", words)


@handles("cloudwatch", "GetMetricData")
def get_metric_data(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer CloudWatch's API call GetMetricData: return metric values by period."""
    queries: list[dict[str, Any]] = params.get("MetricDataQueries") or []
    if all(_is_motos(query) for query in queries):
        return ctx.forward()
    start, end = _window(params)
    series = compute(ctx, queries, start, end)
    partial = any(
        reading.is_unsettled(ctx, q["MetricStat"]["Metric"]["Namespace"], end)
        for q in queries
        if "MetricStat" in q
    )
    descending = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    results = []
    for query in queries:
        if query.get("ReturnData", True):
            rows = sorted(series[query["Id"]].items(), reverse=descending)
            results.append((query, rows))
    return _page(results, params, partial=partial)


@handles("cloudwatch", "GetMetricStatistics")
def get_metric_statistics(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer CloudWatch's API call GetMetricStatistics: return statistics of a metric by period."""
    plain, extended = params.get("Statistics") or [], params.get("ExtendedStatistics") or []
    if _has_moto(params["Namespace"]) and not extended:
        return ctx.forward()
    if bool(plain) == bool(extended):
        wrong = "Must specify either Statistics or ExtendedStatistics" + (
            ", not both" if plain else ""
        )
        raise AwsError("InvalidParameterCombination", wrong)
    start, end, period = params["StartTime"], params["EndTime"], params["Period"]
    if start >= end:
        raise AwsError(
            "InvalidParameterValue",
            "The parameter StartTime must be less than the parameter EndTime.",
        )
    requested_datapoints = (end - start).total_seconds() / period
    if requested_datapoints > 1440:
        raise AwsError(
            "InvalidParameterCombination",
            f"You have requested up to {requested_datapoints:,.0f} datapoints, which exceeds "
            "the limit of 1,440. You may reduce the datapoints requested by increasing "
            "Period, or decreasing the time range.",
        )
    unit = reading.unit_of(ctx, params["Namespace"], params["MetricName"])
    datapoints: dict[datetime, dict[str, Any]] = {}
    for stat in (*plain, *extended):
        for moment, value in _statistics(ctx, params, stat, start, end).items():
            datum = datapoints.setdefault(
                moment, {"Timestamp": moment, **({"Unit": unit} if unit else {})}
            )
            if stat in extended:
                datum.setdefault("ExtendedStatistics", {})[stat] = value
            else:
                datum[stat] = value
    return {"Label": params["MetricName"], "Datapoints": list(datapoints.values())}


@handles("cloudwatch", "ListMetrics")
def list_metrics(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer CloudWatch's API call ListMetrics: list the metrics."""
    answer = ctx.forward()
    if answer.get("NextToken") or params.get("Namespace") not in (None, sagemaker.NAMESPACE):
        return answer
    dimensions = {d["Name"]: d.get("Value") for d in params.get("Dimensions") or ()}
    ours = [
        m
        for m in sagemaker.metrics(ctx)
        if params.get("MetricName") in (None, m["MetricName"]) and _has_dimensions(m, dimensions)
    ]
    return {**answer, "Metrics": [*(answer.get("Metrics") or ()), *ours]}


def compute(
    ctx: Context, queries: list[dict[str, Any]], start: datetime, end: datetime
) -> dict[str, dict[datetime, float]]:
    """Return the results of metric queries (GetMetricData): values by time, by each query's Id.

    `start` and `end` are the bounds of the time window.
    """
    series: dict[str, dict[datetime, float]] = {}
    for query in queries:
        if "MetricStat" in query:
            stat = query["MetricStat"]
            metric = stat["Metric"]
            series[query["Id"]] = reading.series(
                ctx,
                namespace=metric["Namespace"],
                name=metric["MetricName"],
                dimensions=metric.get("Dimensions") or (),
                stat=stat["Stat"],
                period=stat["Period"],
                start=start,
                end=end,
                unit=stat.get("Unit"),
            )
    return _compute(queries, series)


def try_out(queries: list[dict[str, Any]]) -> None:
    """Raise an error for metric queries whose expressions cannot be evaluated.

    Raises:
        AwsError: A query cannot be computed.
    """
    _compute(queries, {query["Id"]: {} for query in queries if "MetricStat" in query})


def _compute(
    queries: list[dict[str, Any]], metrics: dict[str, dict[datetime, float]]
) -> dict[str, dict[datetime, float]]:
    """Return the values of all metric queries by Id: the metrics, and expressions on them."""
    series = dict(metrics)
    for query in queries:
        if "MetricStat" not in query and "Expression" not in query:
            raise AwsError(
                "ValidationError",
                f"The query {query['Id']} must have a MetricStat or an Expression.",
            )
    left = [query for query in queries if "MetricStat" not in query]
    while left:  # an expression may stand on another one that comes later
        waiting = {query["Id"] for query in left}
        now = [
            query for query in left if not waiting & set(_ID.findall(query["Expression"]))
        ] or left[:1]
        for query in now:
            try:
                series[query["Id"]] = evaluate(query["Expression"], series)
            except Refused as error:
                raise AwsError(
                    "ValidationError", f"Error in expression '{query['Id']}': {error}"
                ) from error
        left = [query for query in left if query["Id"] not in series]
    return series


def _statistics(
    ctx: Context, params: Mapping[str, Any], stat: str, start: datetime, end: datetime
) -> dict[datetime, float]:
    """Return the values of one statistic by time, for GetMetricStatistics.

    `start` and `end` are the bounds of the time window.
    """
    return reading.series(
        ctx,
        namespace=params["Namespace"],
        name=params["MetricName"],
        dimensions=params.get("Dimensions") or (),
        stat=stat,
        period=params["Period"],
        start=start,
        end=end,
        unit=params.get("Unit"),
    )


def _page(
    results: list[tuple[dict[str, Any], list[tuple[datetime, float]]]],
    params: Mapping[str, Any],
    *,
    partial: bool,
) -> dict[str, Any]:
    """Return a page of GetMetricData with as many datapoints of each query as it may hold.

    `results` has each query with its datapoints, and `partial` says that later ones are not visible
    yet. The token is where the next page begins in each.
    """
    size = max(1, min(params.get("MaxDatapoints") or _MOST, _MOST) // max(len(results), 1))
    begin = paging.start(params, AwsError("InvalidNextToken", "The NextToken is not valid."))
    page, more = [], False
    for query, rows in results:
        part = rows[begin : begin + size]
        goes_on = begin + size < len(rows)
        more = more or goes_on
        metric = query.get("MetricStat", {}).get("Metric", {})
        page.append(
            {
                "Id": query["Id"],
                "Label": query.get("Label") or metric.get("MetricName") or query["Id"],
                "Timestamps": [moment for moment, _ in part],
                "Values": [value for _, value in part],
                "StatusCode": "PartialData" if partial or goes_on else "Complete",
            }
        )
    return {
        "MetricDataResults": page,
        "Messages": [],
        **({"NextToken": str(begin + size)} if more else {}),
    }


def _window(params: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Return the StartTime and the EndTime of a request, after checking them."""
    start, end = params["StartTime"], params["EndTime"]
    if start > end:
        raise AwsError("ValidationError", "The parameter EndTime must be greater than StartTime.")
    if start == end:
        raise AwsError(
            "ValidationError", "The parameter StartTime must not equal parameter EndTime."
        )
    return start, end


def _is_motos(query: Mapping[str, Any]) -> bool:
    """Return whether moto answers a metric query correctly, so that it is left to moto.

    Such are basic statistics of metrics that moto itself produces, bare ids, Metrics Insights, and
    what moto refuses.
    """
    if "MetricStat" in query:
        stat = query["MetricStat"]
        return stat["Stat"] in BASIC and _has_moto(stat["Metric"]["Namespace"])
    text = query.get("Expression", "")
    return not text or text.startswith("SELECT") or bool(_ID.fullmatch(text))


def _has_moto(namespace: str) -> bool:
    """Return whether moto itself produces the metrics of a namespace, as it does for S3.

    For metrics that were put, moto reads datapoints of other dimensions than the requested ones.
    """
    return namespace.startswith("AWS/") and namespace != sagemaker.NAMESPACE


def _has_dimensions(metric: Mapping[str, Any], dimensions: Mapping[str, str | None]) -> bool:
    """Return whether a metric has these dimensions; a value of None matches any."""
    own = {d["Name"]: d["Value"] for d in metric["Dimensions"]}
    return all(name in own and value in (None, own[name]) for name, value in dimensions.items())
