"""MetricSource: minute buckets by variant; no data is not good data."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from isthmus.endpoints.port import TrafficMinute, Window
from isthmus.errors import Invalid, ModelError, NotFound, NotSettled
from isthmus.tests.conformance.toy_models import (
    endpoint,
    register,
    remove_endpoints,
    settled,
    variant,
)

pytestmark = [
    pytest.mark.ports("metrics", "endpoints", "registry", "blobs", "inventory"),
    pytest.mark.slow,
]

MINUTE = timedelta(minutes=1)


def floor(moment):
    return moment.replace(second=0, microsecond=0)


@pytest.fixture
def serving(target, tmp_path):
    spec = endpoint(
        variant(register(target, tmp_path, 1.0), "champion"),
        variant(register(target, tmp_path, 2.0), "challenger"),
    )
    target.endpoints.apply(spec)
    assert settled(target).phase == "ready"
    yield target.endpoints
    remove_endpoints(target)


def settled_read(target, first, last):
    """The window's figures once they are final.

    A stand-in's clock is moved; a real cloud would be waited for.
    """
    delay = target.capabilities["metrics.delay"].value
    window = Window(start=floor(first), end=floor(last) + MINUTE)
    target.clock = lambda: window.end + delay
    return target.metrics.read("ranker", window)


@pytest.mark.needs("metrics.delay")
def test_a_window_that_is_too_young_is_neither_good_nor_no_data(serving, target):
    serving.invoke("ranker", [{"x": 1}], variant=None, request_id="q")
    now = floor(datetime.now(UTC))
    target.clock = lambda: (
        now + timedelta(seconds=59)
    )  # or the minute may be over, where figures are final at once
    with pytest.raises(NotSettled):
        target.metrics.read("ranker", Window(start=now, end=now + MINUTE))


def test_a_minute_without_requests_is_absent(serving, target):
    now = floor(datetime.now(UTC))
    found = target.metrics.read(
        "ranker", Window(start=now - timedelta(hours=2), end=now - timedelta(hours=1))
    )
    assert all(not buckets for buckets in found.values())


def test_a_window_is_whole_minutes_of_an_endpoint_that_exists(serving, target):
    now = floor(datetime.now(UTC))
    with pytest.raises(Invalid):
        target.metrics.read("ranker", Window(start=now - MINUTE, end=now - timedelta(seconds=1)))
    with pytest.raises(NotFound):
        target.metrics.read("nowhere", Window(start=now - MINUTE, end=now))


@pytest.mark.needs("metrics.percentiles")
def test_requests_and_errors_are_counted_by_variant(serving, target):
    first = datetime.now(UTC)
    for _ in range(30):
        serving.invoke("ranker", [{"x": 1}], variant=None, request_id="q")
    serving.invoke("ranker", [{"sleep": 0.05}], variant=None, request_id="slow")
    for _ in range(4):
        with pytest.raises(ModelError):
            serving.invoke("ranker", [{"fail": True}], variant=None, request_id="q")
    found = settled_read(target, first, datetime.now(UTC))
    assert set(found) == {"champion"}, "the challenger had no request, so it has no bucket"
    buckets = found["champion"]
    assert sum(b.requests for b in buckets) == 35
    assert sum(b.server_errors for b in buckets) == 4
    assert sum(b.client_errors for b in buckets) == 0
    for b in buckets:
        assert b.start == floor(b.start)
        assert 0 < b.p50_ms <= b.p90_ms <= b.p99_ms
    assert sum(b.requests * b.mean_ms for b in buckets) >= 50, "the slow request took 50 ms"


@pytest.mark.needs("routing.sticky")
def test_requests_are_counted_by_the_variant_that_they_name_of_a_sticky_endpoint(target, tmp_path):
    variants = [
        variant(register(target, tmp_path, value), name)
        for value, name in ((1.0, "champion"), (2.0, "challenger"))
    ]
    target.endpoints.apply(endpoint(*variants, routing="sticky"))
    assert settled(target).phase == "ready"
    first = datetime.now(UTC)
    for name in ("champion", "challenger", "challenger", None):
        target.endpoints.invoke("ranker", [{"x": 1}], variant=name, request_id="q")
    buckets = settled_read(target, first, datetime.now(UTC))
    assert {name: sum(b.requests for b in minutes) for name, minutes in buckets.items()} == {
        "champion": 2,
        "challenger": 2,
    }
    remove_endpoints(target)


@pytest.mark.ports("metrics", "endpoints", "registry", "blobs", "inventory", "traffic_script")
def test_minutes_of_a_script_are_read_as_if_they_had_been_sent(serving, target):
    start = floor(datetime.now(UTC)) + MINUTE  # later than the endpoint was made
    latencies = tuple(1.5 * number for number in range(1, 102))
    champion = TrafficMinute(
        variant="champion",
        start=start,
        requests=202,
        client_errors=1,
        server_errors=2,
        latencies_ms=latencies,
    )
    challenger = TrafficMinute(
        variant="challenger",
        start=start + 2 * MINUTE,
        requests=3,
        server_errors=3,
        latencies_ms=(8.0,),
    )
    script = target.extra("traffic_script")
    script.add("ranker", [champion, challenger])
    target.clock = lambda: start + 30 * MINUTE
    buckets = target.metrics.read("ranker", Window(start=start, end=start + 3 * MINUTE))
    (first,), (second,) = buckets["champion"], buckets["challenger"]
    assert (first.start, first.requests, first.client_errors, first.server_errors) == (
        start,
        202,
        1,
        2,
    )
    assert first.mean_ms == pytest.approx(76.5, abs=0.02)
    assert (second.start, second.requests, second.server_errors) == (start + 2 * MINUTE, 3, 3)
    exact = (
        {"abs": 0.02}
        if target.capabilities["metrics.percentiles"].level == "native"
        else {"rel": 0.4}
    )  # a bucket of a histogram
    assert (first.p50_ms, first.p90_ms, first.p99_ms, second.p50_ms) == pytest.approx(
        (76.5, 136.5, 150.0, 8.0), **exact
    )
    with pytest.raises(Invalid, match="has no variant nobody"):
        script.add("ranker", [champion, msgspec.structs.replace(champion, variant="nobody")])
    with pytest.raises(NotFound):
        script.add("nowhere", [champion])
    assert target.metrics.read("ranker", Window(start=start, end=start + 3 * MINUTE)) == buckets, (
        "and nothing was added"
    )
