"""MetricService, asked by the genuine client, which speaks gRPC only."""

from datetime import UTC, datetime, timedelta

import pytest
from google.api import distribution_pb2, metric_pb2
from google.api_core import exceptions
from google.cloud import monitoring_v3 as monitoring
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.gcp.services.monitoring import distributions
from isthmus_stack.tests.gcp.services.aiplatform.serving_kit import Kit

NAME = "projects/shop-project"
ONLINE = "aiplatform.googleapis.com/prediction/online/"
MINUTE = timedelta(minutes=1)
Aligner, Reducer = monitoring.Aggregation.Aligner, monitoring.Aggregation.Reducer
NOW = datetime.now(UTC).replace(second=0, microsecond=0)


@pytest.fixture
def client(gcp):
    return gcp.client(monitoring.MetricServiceClient)


@pytest.fixture
def serving(gcp):
    """Two deployed models with two minutes of traffic that was made up."""
    endpoint = Kit(gcp.client).serving("a", "b", split={"a": 50, "b": 50})
    minutes = [
        {
            "variant": "1",
            "start": NOW - 10 * MINUTE,
            "requests": 10,
            "client_errors": 1,
            "server_errors": 2,
            "latencies_ms": [4.0, 100.0],
        },
        {"variant": "1", "start": NOW - 8 * MINUTE, "requests": 5, "latencies_ms": [4.0]},
        {"variant": "2", "start": NOW - 8 * MINUTE, "requests": 7, "latencies_ms": [20.0]},
    ]
    gcp.add_minutes(endpoint, [_minute(minute) for minute in minutes])
    return endpoint


def _minute(fields):
    from isthmus_stack.minutes import Minute

    return Minute(**{**fields, "latencies_ms": tuple(fields["latencies_ms"])})


def read(
    client,
    metric,
    *,
    aligner=Aligner.ALIGN_NONE,
    reducer=Reducer.REDUCE_NONE,
    by=(),
    more="",
    period=60,
    span=(NOW - 20 * MINUTE, NOW),
):
    """(labels of the metric, {minutes before now: value}) of each series."""
    aggregation = monitoring.Aggregation(
        alignment_period={"seconds": period},
        per_series_aligner=aligner,
        cross_series_reducer=reducer,
        group_by_fields=by,
    )
    request = monitoring.ListTimeSeriesRequest(
        name=NAME,
        filter=f'metric.type = "{metric}"{more}',
        interval=monitoring.TimeInterval(start_time=span[0], end_time=span[1]),
        aggregation=aggregation,
    )
    return [
        (
            dict(series.metric.labels),
            {round((NOW - p.interval.end_time) / MINUTE): _value(p.value) for p in series.points},
        )
        for series in client.list_time_series(request=request)
    ]


def _value(value):
    kind = type(value).pb(value).WhichOneof("value")
    return getattr(value, kind)


def test_responses_are_counted_by_deployed_model_and_code_and_an_idle_minute_is_absent(
    client, serving
):
    counts = read(
        client,
        f"{ONLINE}response_count",
        more=f' AND resource.labels.endpoint_id="{serving.rpartition("/")[2]}"',
    )
    assert {
        (labels["deployed_model_id"], labels["response_code"]): points for labels, points in counts
    } == {
        ("1", "200"): {9: 7, 7: 5},
        ("1", "400"): {9: 1},
        ("1", "500"): {9: 2},
        ("2", "200"): {7: 7},
    }
    assert read(client, f"{ONLINE}error_count") == [({"deployed_model_id": "1"}, {9: 3})]
    assert read(
        client,
        f"{ONLINE}response_count",
        more=' AND metric.labels.response_code = starts_with("4")',
    )[0][1] == {9: 1}
    assert (
        read(client, f"{ONLINE}response_count", more=' AND resource.labels.endpoint_id="other"')
        == []
    )


def test_windows_are_aligned_and_series_reduced_by_group(client, serving):
    metric = f"{ONLINE}response_count"
    assert read(client, metric, aligner=Aligner.ALIGN_DELTA, reducer=Reducer.REDUCE_SUM) == [
        ({}, {9: 10, 7: 12})
    ]
    by_model = read(
        client,
        metric,
        aligner=Aligner.ALIGN_DELTA,
        reducer=Reducer.REDUCE_SUM,
        by=["metric.label.deployed_model_id"],
        period=600,
    )
    assert [(labels["deployed_model_id"], points) for labels, points in by_model] == [
        ("1", {0: 15}),
        ("2", {0: 7}),
    ]
    (rate,) = read(client, metric, aligner=Aligner.ALIGN_RATE, reducer=Reducer.REDUCE_SUM)
    assert rate[1] == {9: pytest.approx(10 / 60), 7: pytest.approx(12 / 60)}
    with pytest.raises(exceptions.InvalidArgument, match="distributions only"):
        read(client, metric, aligner=Aligner.ALIGN_PERCENTILE_99)
    with pytest.raises(exceptions.InvalidArgument, match="60 seconds"):
        read(client, metric, aligner=Aligner.ALIGN_DELTA, period=30)
    with pytest.raises(exceptions.InvalidArgument, match="per_series_aligner"):
        read(client, metric, reducer=Reducer.REDUCE_SUM)


def test_latencies_are_distributions_with_percentiles(client, serving):
    model = ' AND metric.labels.latency_type="model" AND metric.labels.deployed_model_id="1"'
    metric = f"{ONLINE}prediction_latencies"
    ((_, points),) = read(client, metric, aligner=Aligner.ALIGN_DELTA, period=600, more=model)
    assert (points[0].count, points[0].mean) == (15, pytest.approx((5 * 4 + 5 * 100 + 5 * 4) / 15))
    ((_, high),) = read(client, metric, aligner=Aligner.ALIGN_PERCENTILE_99, more=model)
    ((_, low),) = read(client, metric, aligner=Aligner.ALIGN_PERCENTILE_50, more=model)
    assert (high[9], low[9]) == (pytest.approx(100, rel=0.4), pytest.approx(4, rel=0.4))
    with pytest.raises(exceptions.InvalidArgument, match="numbers only"):
        read(client, metric, aligner=Aligner.ALIGN_RATE, more=model)


def test_real_requests_are_counted_too(gcp, client):
    kit = Kit(gcp.client)
    began = datetime.now(UTC).replace(second=0, microsecond=0)
    endpoint = kit.serving("a", split={"a": 100})
    kit.prediction.predict(endpoint=endpoint, instances=["x"] * 3)
    for _ in range(2):
        with pytest.raises(exceptions.GoogleAPICallError):
            kit.prediction.predict(endpoint=endpoint, instances=[{"status": 500}])
    span = (began - MINUTE, began + 10 * MINUTE)
    counts = read(
        client, f"{ONLINE}response_count", aligner=Aligner.ALIGN_DELTA, period=660, span=span
    )
    assert {labels["response_code"]: list(points.values()) for labels, points in counts} == {
        "200": [1],
        "500": [2],
    }
    ((_, points),) = read(
        client, f"{ONLINE}prediction_count", aligner=Aligner.ALIGN_SUM, period=660, span=span
    )
    assert list(points.values()) == [3]


def test_clients_write_metrics_of_their_own_in_order(client):
    def write(minutes, value, **labels):
        series = monitoring.TimeSeries()
        series.metric.type = "custom.googleapis.com/shop/score"
        series.metric.labels.update(labels)
        series.resource.type = "global"
        point = monitoring.Point(
            interval=monitoring.TimeInterval(end_time=NOW - minutes * MINUTE),
            value=monitoring.TypedValue(double_value=value),
        )
        series.points = [point]
        client.create_time_series(name=NAME, time_series=[series])

    write(5, 1.5, model="a")
    write(3, 2.5, model="a")
    write(3, 10.0, model="b")
    with pytest.raises(exceptions.InvalidArgument, match="older end time"):
        write(4, 9.0, model="a")
    assert read(client, "custom.googleapis.com/shop/score") == [
        ({"model": "a"}, {3: 2.5, 5: 1.5}),
        ({"model": "b"}, {3: 10.0}),
    ]
    ((_, mean),) = read(
        client,
        "custom.googleapis.com/shop/score",
        aligner=Aligner.ALIGN_MEAN,
        reducer=Reducer.REDUCE_MEAN,
        period=1200,
    )
    assert list(mean.values()) == [pytest.approx(6.0)]
    listed = client.list_metric_descriptors(
        request={"name": NAME, "filter": 'metric.type = starts_with("custom.")'}
    )
    assert [(d.type, d.metric_kind) for d in listed] == [
        ("custom.googleapis.com/shop/score", metric_pb2.MetricDescriptor.GAUGE)
    ]
    client.delete_metric_descriptor(
        name=f"{NAME}/metricDescriptors/custom.googleapis.com/shop/score"
    )
    assert read(client, "custom.googleapis.com/shop/score") == []
    wrong = monitoring.TimeSeries()
    wrong.metric.type = f"{ONLINE}response_count"
    with pytest.raises(exceptions.InvalidArgument):
        client.create_time_series(name=NAME, time_series=[wrong])


@given(
    st.lists(st.floats(0, 1e6), min_size=1),
    st.lists(st.floats(0, 1e6), min_size=1),
    st.floats(0, 1),
)
def test_distributions_merge_as_their_values_do(left, right, share):
    together = distributions.of_values(left + right)
    merged = distributions.merged([distributions.of_values(left), distributions.of_values(right)])
    assert merged.counts == together.counts
    assert merged.mean == pytest.approx(together.mean)
    assert merged.squares == pytest.approx(together.squares, rel=1e-6, abs=1e-3)
    assert distributions.of_message(distributions.message(merged)) == merged
    values = sorted(left + right)
    nearest = (
        values[min(int(share * len(values)), len(values) - 1)],
        values[max(int(share * len(values)) - 1, 0)],
    )
    read_off = distributions.percentile(merged, share)
    assert (
        min(nearest) / distributions.GROWTH - 1
        <= read_off
        <= max(nearest) * distributions.GROWTH + 1
    )


def test_a_histogram_that_a_client_sent_is_read_by_its_own_buckets():
    sent = distribution_pb2.Distribution(count=4, mean=5, bucket_counts=[0, 4])
    sent.bucket_options.linear_buckets.num_finite_buckets = 2
    sent.bucket_options.linear_buckets.width = 10
    assert distributions.percentile(distributions.of_message(sent), 0.5) == pytest.approx(5)
    assert distributions.of_message(sent).bounds == (0, 10, 20)
