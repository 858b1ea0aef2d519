"""CloudWatch's answers as minute buckets: late, partial, sparse.

The genuine client answers from botocore's Stubber.
"""

import math
from datetime import UTC, datetime, timedelta

import pytest
from botocore.stub import ANY, Stubber

from isthmus.adapters import targets
from isthmus.adapters.sagemaker.session import aws_of
from isthmus.endpoints.port import Window
from isthmus.errors import NotSettled, Unavailable
from isthmus.target import Profile

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WINDOW = Window(start=START, end=START + 3 * MINUTE)
NAMES = (
    "Invocations",
    "Invocation4XXErrors",
    "Invocation5XXErrors",
    "Average",
    "p50",
    "p90",
    "p99",
)


@pytest.fixture
def target():
    options = {
        "endpoint_url": "http://127.0.0.1:9",
        "bucket": "s3://b",
        "region": "us-east-1",
    }  # nothing listens: all is stubbed
    opened = targets.load(
        Profile(name="sagemaker", adapter="sagemaker", project="shop", options=options)
    )
    yield opened
    opened.close()


@pytest.fixture
def source(target):
    target.clock = lambda: WINDOW.end + timedelta(minutes=3)
    target.metrics.sleep = lambda _seconds: None
    return target.metrics


@pytest.fixture
def cloudwatch(target, source):
    stubber = Stubber(aws_of(target).client("cloudwatch"))
    with stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def described(target):
    """An endpoint with one variant, made a day before the window unless it is said otherwise."""

    def describe(created=START - timedelta(days=1)):
        stubber = Stubber(aws_of(target).client("sagemaker"))
        stubber.add_response(
            "describe_endpoint",
            {
                "EndpointName": "shop-ranker",
                "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/shop-ranker",
                "EndpointConfigName": "c",
                "EndpointStatus": "InService",
                "CreationTime": created,
                "LastModifiedTime": created,
                "ProductionVariants": [{"VariantName": "champion"}],
            },
            {"EndpointName": "shop-ranker"},
        )
        stubber.activate()

    return describe


def answer(series, status="Complete", token=None):
    """`series`: by query's position, minute -> value."""
    results = [
        {
            "Id": f"q{at}",
            "Label": NAMES[at],
            "Timestamps": [START + minute * MINUTE for minute in values],
            "Values": [float(value) for value in values.values()],
            "StatusCode": status,
        }
        for at, values in series.items()
    ]
    return {"MetricDataResults": results} | ({"NextToken": token} if token else {})


FULL = {
    0: {0: 10, 2: 4},
    1: {0: 1},
    2: {2: 2},
    3: {0: 1500, 2: 2500},
    4: {0: 1000, 2: 2000},
    5: {0: 3000, 2: 4000},
    6: {0: 9000, 2: 9500},
}


def test_minutes_become_buckets_in_milliseconds_and_absent_ones_stay_absent(
    source, cloudwatch, described
):
    described()
    cloudwatch.add_response("get_metric_data", answer(FULL))
    (first, second) = source.read("ranker", WINDOW)["champion"]
    assert (first.start, second.start) == (START, START + 2 * MINUTE)
    assert (first.requests, first.client_errors, first.server_errors) == (10, 1, 0)
    assert (second.requests, second.client_errors, second.server_errors) == (4, 0, 2)
    assert (first.mean_ms, first.p50_ms, first.p90_ms, first.p99_ms) == pytest.approx(
        (1.5, 1.0, 3.0, 9.0)
    )


def test_pages_are_joined_though_each_but_the_last_says_that_it_is_partial(
    source, cloudwatch, described
):
    described()
    head = {
        at: {minute: value for minute, value in values.items() if minute == 0}
        for at, values in FULL.items()
    }
    tail = {
        at: {minute: value for minute, value in values.items() if minute == 2}
        for at, values in FULL.items()
    }
    cloudwatch.add_response("get_metric_data", answer(head, status="PartialData", token="more"))
    cloudwatch.add_response(
        "get_metric_data",
        answer(tail),
        {
            "NextToken": "more",
            **dict.fromkeys(("MetricDataQueries", "StartTime", "EndTime", "ScanBy"), ANY),
        },
    )
    assert [bucket.requests for bucket in source.read("ranker", WINDOW)["champion"]] == [10, 4]


def test_a_partial_answer_is_asked_for_again(source, cloudwatch, described):
    described()
    cloudwatch.add_response("get_metric_data", answer({0: {0: 3}}, status="PartialData"))
    cloudwatch.add_response("get_metric_data", answer(FULL))
    assert [bucket.requests for bucket in source.read("ranker", WINDOW)["champion"]] == [10, 4]


@pytest.mark.parametrize("status", ["PartialData", "InternalError"])
def test_an_answer_that_stays_partial_is_no_answer(source, cloudwatch, described, status):
    described()
    for _ in range(5):
        cloudwatch.add_response("get_metric_data", answer(FULL, status=status))
    with pytest.raises(Unavailable, match="a part"):
        source.read("ranker", WINDOW)


def test_a_latency_that_is_not_there_is_not_a_number_and_never_good(source, cloudwatch, described):
    described()
    cloudwatch.add_response("get_metric_data", answer({0: {0: 5}, 1: {0: 5}}))
    (bucket,) = source.read("ranker", WINDOW)["champion"]
    assert math.isnan(bucket.p99_ms)
    assert not bucket.p99_ms <= 1e9


def test_a_minute_of_no_requests_is_no_bucket(source, cloudwatch, described):
    described()
    cloudwatch.add_response("get_metric_data", answer({0: {0: 0}, 3: {0: 0}}))
    assert source.read("ranker", WINDOW) == {}


def test_metrics_of_an_earlier_endpoint_of_the_same_name_are_not_asked_for(
    source, cloudwatch, described
):
    described(created=START + MINUTE + timedelta(seconds=20))
    expected = {
        "StartTime": START + MINUTE,
        "EndTime": WINDOW.end,
        "MetricDataQueries": ANY,
        "ScanBy": ANY,
    }
    cloudwatch.add_response("get_metric_data", answer({}), expected)
    assert source.read("ranker", WINDOW) == {}


def test_an_endpoint_younger_than_the_window_has_no_data(source, cloudwatch, described):
    described(created=WINDOW.end)
    assert source.read("ranker", WINDOW) == {}


def test_a_window_is_settled_three_minutes_after_its_end(target, source, cloudwatch, described):
    target.clock = lambda: WINDOW.end + timedelta(minutes=3) - timedelta(milliseconds=1)
    described()
    with pytest.raises(NotSettled):
        source.read("ranker", WINDOW)


def test_a_long_window_is_read_in_parts_that_cloudwatch_allows(source, cloudwatch, described):
    """100,800 data points a call: of one variant's seven series, ten days."""
    window = Window(start=WINDOW.end - timedelta(days=15), end=WINDOW.end)
    described(created=window.start - timedelta(days=1))
    parts = [
        (window.start, window.start + timedelta(days=10)),
        (window.start + timedelta(days=10), window.end),
    ]
    for number, (start, end) in enumerate(parts):
        assert len(NAMES) * ((end - start) / MINUTE) <= 100_800
        expected = {"StartTime": start, "EndTime": end, "MetricDataQueries": ANY, "ScanBy": ANY}
        cloudwatch.add_response("get_metric_data", answer({0: {number: 1}}), expected)
    assert [bucket.requests for bucket in source.read("ranker", window)["champion"]] == [1, 1]
