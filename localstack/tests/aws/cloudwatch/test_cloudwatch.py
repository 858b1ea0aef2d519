"""Metrics of variants, percentiles and alarms by boto3; the stack is another process, its clock is
moved.
"""

import re
import time
from datetime import timedelta
from statistics import mean

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.minutes import Minute
from isthmus_stack.testing import endpoints_kit, stacks


@pytest.fixture(scope="module")
def process():
    return stacks.shared("manual")


@pytest.fixture
def kit(process):
    kit = endpoints_kit.Kit(process.url)
    kit.stack.reset()
    return kit


def to_the_minute(kit):
    """Move on to the start of a minute, not in a day's last hour: that day is over within a test;
    the window that begins there.
    """
    now = kit.stack.now()
    kit.stack.advance(60 - now.second - now.microsecond / 1e6 + 3600 * (now.hour == 23))
    return kit.stack.now().replace(microsecond=0)


def of(variant, endpoint="ranker"):
    return [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]


def query(name, stat, variant="red", period=60, id_="m"):
    metric = {"Namespace": "AWS/SageMaker", "MetricName": name, "Dimensions": of(variant)}
    return {"Id": id_, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}


def data(kit, queries, start, end, **more):
    return kit.cloudwatch.get_metric_data(
        MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending", **more
    )


def values(kit, name, stat, start, end, **more):
    return data(kit, [query(name, stat, **more)], start, end)["MetricDataResults"][0]["Values"]


def call_and_fail(kit, status):
    with pytest.raises(kit.runtime.exceptions.ModelError):
        kit.invoke(b"status %d" % status)


def test_a_variants_calls_are_counted_by_minute_late_and_sparse(kit):
    kit.endpoint(count=2, red=1, blue=0)
    start = to_the_minute(kit)
    for _ in range(3):
        kit.invoke()
    call_and_fail(kit, 400)
    call_and_fail(kit, 500)
    kit.stack.advance(119)
    young = data(kit, [query("Invocations", "Sum")], start, start + timedelta(minutes=1))[
        "MetricDataResults"
    ][0]
    assert (young["StatusCode"], young["Values"]) == ("PartialData", [])
    kit.stack.advance(61)  # the third minute runs; nothing happened in the second
    end = start + timedelta(minutes=1)
    seen = data(kit, [query("Invocations", "Sum")], start, end)["MetricDataResults"][0]
    assert (seen["StatusCode"], seen["Values"], seen["Timestamps"]) == ("Complete", [5.0], [start])
    assert values(kit, "Invocation4XXErrors", "Sum", start, end) == [1.0]
    assert values(kit, "Invocation5XXErrors", "Average", start, end) == [0.2]
    assert values(kit, "InvocationsPerInstance", "Sum", start, end) == [2.5]
    assert values(kit, "ModelLatency", "SampleCount", start, end) == [5.0]
    assert values(kit, "Invocations", "Sum", start, end, variant="blue") == []
    kit.invoke()
    kit.stack.advance(180)
    assert values(kit, "Invocations", "Sum", start, kit.stack.now() - timedelta(seconds=61)) == [
        5.0,
        1.0,
    ]
    assert values(
        kit, "Invocations", "Sum", start - timedelta(hours=1), kit.stack.now(), period=86_400
    ) == [6.0]


def test_minutes_of_a_scripted_world_are_seen_as_if_they_had_been_sent(kit):
    """The genuine SDK sees counts, errors and interpolated percentiles, late as any minute, beside
    what was sent.
    """
    kit.endpoint(red=1, blue=0)
    start = to_the_minute(kit)
    kit.invoke()
    red = Minute(
        variant="red",
        start=start,
        requests=99,
        client_errors=2,
        server_errors=3,
        latencies_ms=tuple(map(float, range(1, 100))),
    )
    later = Minute(
        variant="blue", start=start + timedelta(minutes=2), requests=10, latencies_ms=(4.0, 6.0)
    )
    kit.stack.add_minutes("ranker", [red, later])
    kit.stack.advance(119)
    assert values(kit, "Invocations", "Sum", start, start + timedelta(minutes=1)) == []
    kit.stack.advance(181)
    end = start + timedelta(minutes=3)
    assert [
        values(kit, name, "Sum", start, end)
        for name in ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors")
    ] == [
        [100.0],
        [2.0],
        [3.0],
    ]
    assert values(kit, "ModelLatency", "p50", start, end, variant="blue") == [5000.0]
    assert values(kit, "ModelLatency", "p100", start, end) == [99_000.0]
    assert values(kit, "Invocations", "Sum", start, end, variant="blue") == [10.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variant": "green"}, "ranker has no variant green: it has red"),
        ({"requests": 1, "server_errors": 2}, "1 requests cannot have 0 and 2 errors"),
        ({"start": "2026-11-25T14:02:30Z"}, "is not the start of a minute"),
        ({"latencies_ms": []}, "needs one latency at least"),
        ({"request": 1}, "unknown field `request`"),
    ],
)
def test_minutes_that_cannot_be_are_refused_and_nothing_is_added(kit, changes, words):
    kit.endpoint(red=1)
    minute = {"variant": "red", "start": "2026-11-25T14:02:00Z", "requests": 5}
    body = {"endpoint": "ranker", "minutes": [minute, minute | changes]}
    with pytest.raises(ValueError, match=re.escape(words)):
        kit.stack._ask("POST", "minutes", body)
    assert kit.cloudwatch.list_metrics(Namespace="AWS/SageMaker")["Metrics"] == []


def test_latencies_are_in_microseconds_with_percentiles(kit):
    kit.endpoint(red=1)
    start = to_the_minute(kit)
    began = time.monotonic()
    for _ in range(9):
        kit.invoke()
    kit.invoke(b"sleep 2")
    spent = (time.monotonic() - began) * 1e6
    kit.stack.advance(180)
    end = start + timedelta(minutes=1)
    queries = [
        query("ModelLatency", stat, id_=f"m{n}")
        for n, stat in enumerate(("Maximum", "p99", "p50", "tm90", "Average"))
    ]
    most, p99, p50, trimmed, average = (
        r["Values"][0] for r in data(kit, queries, start, end)["MetricDataResults"]
    )
    assert 2_000_000 <= most < 60_000_000
    assert trimmed < average
    assert p50 < average < p99 < most
    sums = [values(kit, name, "Sum", start, end)[0] for name in ("ModelLatency", "OverheadLatency")]
    assert sum(sums) < spent, "the model's time is in one of them"
    found = kit.cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=of("red"),
        StartTime=start,
        EndTime=end,
        Period=60,
        ExtendedStatistics=["p99"],
    )
    (point,) = found["Datapoints"]
    assert (point["Unit"], point["ExtendedStatistics"]["p99"]) == ("Microseconds", p99)


def test_pages_of_datapoints_add_up(kit):
    kit.endpoint(red=1)
    start = to_the_minute(kit)
    for _ in range(5):
        kit.invoke()
        kit.stack.advance(60)
    kit.stack.advance(120)
    pages, token = [], {}
    while True:
        page = data(
            kit,
            [query("Invocations", "Sum")],
            start,
            start + timedelta(minutes=5),
            MaxDatapoints=2,
            **token,
        )
        pages.append(page["MetricDataResults"][0])
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert [len(page["Values"]) for page in pages] == [2, 2, 1]
    assert [page["StatusCode"] for page in pages] == ["PartialData", "PartialData", "Complete"]
    assert sorted(t for page in pages for t in page["Timestamps"]) == [
        start + timedelta(minutes=n) for n in range(5)
    ]


def test_metric_math_computes_a_rate_and_refuses_functions_by_name(kit):
    kit.endpoint(red=1)
    start = to_the_minute(kit)
    for _ in range(3):
        kit.invoke()
    call_and_fail(kit, 500)
    kit.stack.advance(180)
    queries = [
        {**query("Invocations", "Sum", id_="calls"), "ReturnData": False},
        {**query("Invocation5XXErrors", "Sum", id_="errors"), "ReturnData": False},
        {"Id": "rate", "Expression": "100 * errors / calls"},
    ]
    end = start + timedelta(minutes=1)
    (result,) = data(kit, queries, start, end)["MetricDataResults"]
    assert (result["Id"], result["Values"]) == ("rate", [25.0])
    queries[-1]["Expression"] = "FILL(errors, 0)"
    with pytest.raises(ClientError, match=r"FILL\(\)"):
        data(kit, queries, start, end)
    with pytest.raises(ClientError, match="p999x"):
        data(kit, [query("Invocations", "p999x")], start, end)


def test_percentiles_work_in_namespaces_of_ones_own(kit):
    start = to_the_minute(kit)
    numbers = [float(n) for n in range(1, 101)]
    kit.cloudwatch.put_metric_data(
        Namespace="shop",
        MetricData=[{"MetricName": "price", "Value": n, "Unit": "Count"} for n in numbers],
    )
    kit.stack.advance(60)
    metric = {"Namespace": "shop", "MetricName": "price"}
    queries = [
        {"Id": f"m{n}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": stat}}
        for n, stat in enumerate(("p99", "p50", "Average", "tc90"))
    ]
    p99, p50, average, counted = (
        r["Values"][0] for r in data(kit, queries, start, kit.stack.now())["MetricDataResults"]
    )
    assert p99 == pytest.approx(99.01)
    assert p50 == average == mean(numbers)
    assert counted == 90
    plain = data(kit, queries[2:3], start - timedelta(minutes=1), kit.stack.now())[
        "MetricDataResults"
    ][0]
    assert plain["Values"] == [mean(numbers)]  # moto's own answer


def test_list_metrics_has_the_variants_metrics_once_they_are_to_be_seen(kit):
    kit.endpoint(red=1)
    kit.invoke()
    assert kit.cloudwatch.list_metrics(Namespace="AWS/SageMaker")["Metrics"] == []
    kit.stack.advance(180)
    found = kit.cloudwatch.list_metrics(
        Namespace="AWS/SageMaker", MetricName="ModelLatency", Dimensions=[{"Name": "EndpointName"}]
    )["Metrics"]
    by_config = [*of("red"), {"Name": "EndpointConfigName", "Value": "ranker-1"}]
    assert [metric["Dimensions"] for metric in found] == [of("red"), by_config]


def test_a_variants_calls_are_counted_by_configuration_too(kit):
    """AWS's guardrail notebooks read them so."""
    kit.endpoint(red=1)
    start = to_the_minute(kit)
    kit.invoke()
    kit.config("ranker-2", red=1)
    kit.sagemaker.update_endpoint(EndpointName="ranker", EndpointConfigName="ranker-2")
    kit.stack.advance(120)
    assert kit.settled()["EndpointConfigName"] == "ranker-2"
    kit.invoke()
    kit.invoke()
    kit.stack.advance(180)
    window = {
        "StartTime": start,
        "EndTime": kit.stack.now(),
        "Period": 86_400,
        "Statistics": ["Sum"],
    }

    def total(*more):
        dimensions = [
            *of("red"),
            *({"Name": "EndpointConfigName", "Value": config} for config in more),
        ]
        found = kit.cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker", MetricName="Invocations", Dimensions=dimensions, **window
        )
        return sum(point["Sum"] for point in found["Datapoints"])

    assert (total("ranker-1"), total("ranker-2"), total(), total("ranker-3")) == (1.0, 2.0, 3.0, 0)


@pytest.mark.parametrize(
    ("hours", "taken"), [(-24 * 14 + 1, True), (-24 * 14 - 1, False), (1.9, True), (2.1, False)]
)
def test_metrics_are_put_within_two_weeks_and_two_hours_of_now(kit, hours, taken):
    data = [
        {"MetricName": "m", "Value": 1},
        {"MetricName": "m", "Value": 1, "Timestamp": kit.stack.now() + timedelta(hours=hours)},
    ]
    if taken:
        kit.cloudwatch.put_metric_data(Namespace="shop", MetricData=data)
        return
    with pytest.raises(
        ClientError, match=r"MetricData\.member\.2\.Timestamp must specify a time"
    ) as error:
        kit.cloudwatch.put_metric_data(Namespace="shop", MetricData=data)
    assert error.value.response["Error"]["Code"] == "InvalidParameterValue"


def alarm(kit, **more):
    wanted = {
        "AlarmName": "slow",
        "Namespace": "shop",
        "MetricName": "price",
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 2,
        "Threshold": 10,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    kit.cloudwatch.put_metric_alarm(**{**wanted, **more})


def state(kit):
    (found,) = kit.cloudwatch.describe_alarms(AlarmNames=["slow"])["MetricAlarms"]
    return found["StateValue"]


def put(kit, value):
    kit.cloudwatch.put_metric_data(
        Namespace="shop", MetricData=[{"MetricName": "price", "Value": value}]
    )
    kit.stack.advance(60)


def test_an_alarm_needs_m_of_n_and_comes_back(kit):
    to_the_minute(kit)
    alarm(kit)
    assert state(kit) == "INSUFFICIENT_DATA"
    put(kit, 1)
    kit.stack.advance(10)
    assert state(kit) == "OK"
    for value, expected in ((50, "OK"), (1, "OK"), (50, "ALARM"), (1, "OK"), (1, "OK")):
        put(kit, value)
        kit.stack.advance(1)
        assert (value, state(kit)) == (value, expected)


def test_an_alarm_on_a_percentile_and_one_on_metric_math_are_evaluated(kit):
    to_the_minute(kit)
    kit.cloudwatch.put_metric_alarm(
        AlarmName="slow",
        Namespace="shop",
        MetricName="price",
        ExtendedStatistic="p90",
        Period=60,
        EvaluationPeriods=1,
        Threshold=10,
        ComparisonOperator="GreaterThanThreshold",
    )
    kit.cloudwatch.put_metric_alarm(
        AlarmName="double",
        EvaluationPeriods=1,
        Threshold=60,
        ComparisonOperator="GreaterThanThreshold",
        Metrics=[
            {
                "Id": "m",
                "MetricStat": {
                    "Metric": {"Namespace": "shop", "MetricName": "price"},
                    "Period": 60,
                    "Stat": "Maximum",
                },
                "ReturnData": False,
            },
            {"Id": "twice", "Expression": "2 * m", "ReturnData": True},
        ],
    )
    for value in (1, 1, 1, 1, 1, 1, 1, 1, 40, 40):
        kit.cloudwatch.put_metric_data(
            Namespace="shop", MetricData=[{"MetricName": "price", "Value": value}]
        )
    kit.stack.advance(70)
    found = {
        a["AlarmName"]: a["StateValue"] for a in kit.cloudwatch.describe_alarms()["MetricAlarms"]
    }
    assert found == {"slow": "ALARM", "double": "ALARM"}


def test_a_state_set_by_hand_lasts_until_the_next_evaluation(kit):
    alarm(kit)
    kit.cloudwatch.set_alarm_state(AlarmName="slow", StateValue="ALARM", StateReason="a drill")
    kit.stack.advance(30)
    assert state(kit) == "ALARM"
    kit.stack.advance(60)
    assert state(kit) == "INSUFFICIENT_DATA"


def test_an_alarm_that_cloudwatch_refuses_is_refused(kit):
    for wrong in (
        {"ComparisonOperator": "Above"},
        {"TreatMissingData": "maybe"},
        {"DatapointsToAlarm": 4},
    ):
        with pytest.raises(ClientError):
            alarm(kit, **wrong)
    assert kit.cloudwatch.describe_alarms()["MetricAlarms"] == []


def test_an_alarm_on_an_expression_that_cannot_be_computed_is_refused_by_name(kit):
    metric = {
        "Id": "m",
        "MetricStat": {
            "Metric": {"Namespace": "shop", "MetricName": "price"},
            "Period": 60,
            "Stat": "Sum",
        },
    }
    for expression in ("((", "m + other", "SUM(METRICS())"):
        with pytest.raises(ClientError, match="Error in expression 'e'"):
            kit.cloudwatch.put_metric_alarm(
                AlarmName="math",
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="GreaterThanThreshold",
                Metrics=[
                    {**metric, "ReturnData": False},
                    {"Id": "e", "Expression": expression, "ReturnData": True},
                ],
            )
    assert kit.cloudwatch.describe_alarms()["MetricAlarms"] == []
