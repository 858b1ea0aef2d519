"""Metrics of endpoints in CloudWatch, metrics of one's own, and alarms."""

from datetime import timedelta
from functools import cache

from isthmus_stack.tests.aws.statements.account import refusal, variant
from isthmus_stack.tests.aws.statements.table import Page, guide, promises

ENDPOINT = guide("Amazon SageMaker AI metrics in Amazon CloudWatch", "monitoring-cloudwatch")
GUARDRAILS = guide(
    "Auto-rollback configuration and monitoring", "deployment-guardrails-configuration"
)


def cloudwatch(name):
    return Page(name, f"AmazonCloudWatch/latest/APIReference/API_{name}")


ALARM_GUIDE = Page(
    "Using Amazon CloudWatch alarms", "AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail"
)
CONCEPTS = Page("Metrics concepts", "AmazonCloudWatch/latest/monitoring/cloudwatch_concepts")


def measured(
    aws,
    metric,
    statistic,
    *,
    endpoint=None,
    which="main",
    namespace="AWS/SageMaker",
    period=3600,
    **dimensions,
):
    """The datapoints of a variant's metric of the last hours."""
    now = aws.stack.now()
    wanted = {"EndpointName": endpoint or asked(aws), "VariantName": which, **dimensions}
    return aws.cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in wanted.items()],
        StartTime=now - timedelta(hours=2),
        EndTime=now + timedelta(hours=1),
        Period=period,
        Statistics=[statistic],
    )["Datapoints"]


def total(aws, metric, statistic="Sum", **more):
    return sum(point[statistic] for point in measured(aws, metric, statistic, **more))


@cache
def asked(aws):
    """An endpoint of two instances that was asked ten times: eight answers, a 400 and a 500."""
    endpoint = aws.endpoint(variant("main", aws.blue, count=2))
    for _ in range(8):
        aws.ask(endpoint)
    for status in (400, 500):
        assert "ModelError" in refusal(aws.ask, endpoint=endpoint, body=b"status %d" % status)
    return endpoint


@promises("The Sum of Invocations is the number of requests.", ENDPOINT)
def invocations_are_counted(aws):
    assert total(aws, "Invocations") == 10


@promises(
    "Invocation4XXErrors sends 1 for a 4xx answer of the model and 0 for another, so that "
    "its Average is the rate.",
    ENDPOINT,
)
def client_errors_are_a_rate(aws):
    assert total(aws, "Invocation4XXErrors") == 1
    rates, counts = (
        measured(aws, "Invocation4XXErrors", statistic, period=86400)
        for statistic in ("Average", "SampleCount")
    )
    requests = {
        point["Timestamp"]: point["SampleCount"] for point in counts
    }  # two days, where midnight was among them
    assert (
        round(sum(point["Average"] * requests[point["Timestamp"]] for point in rates) / 10, 9)
        == 0.1
    )


@promises("Invocation5XXErrors sends 1 for a 5xx answer of the model.", ENDPOINT)
def server_errors_are_counted(aws):
    assert total(aws, "Invocation5XXErrors") == 1


@promises("InvocationModelErrors counts every answer of a model that is not 2xx.", ENDPOINT)
def model_errors_are_counted(aws):
    assert total(aws, "InvocationModelErrors") == 2


@promises(
    "InvocationsPerInstance sends one over the number of instances for each request.", ENDPOINT
)
def invocations_are_told_per_instance(aws):
    assert total(aws, "InvocationsPerInstance") == 5


@promises("ModelLatency is in microseconds.", ENDPOINT)
def latency_is_in_microseconds(aws):
    points = measured(aws, "ModelLatency", "Maximum")
    assert {point["Unit"] for point in points} == {"Microseconds"}
    assert max(point["Maximum"] for point in points) > 100


@promises(
    "OverheadLatency is what SageMaker adds to the model's latency, a sample for each request.",
    ENDPOINT,
)
def overhead_is_told(aws):
    assert total(aws, "OverheadLatency", "SampleCount") >= 8


@promises("The metrics of an endpoint have the dimensions EndpointName and VariantName.", ENDPOINT)
def metrics_have_two_dimensions(aws):
    wanted = [
        {"Name": "EndpointName", "Value": asked(aws)},
        {"Name": "VariantName", "Value": "main"},
    ]
    listed = aws.cloudwatch.list_metrics(
        Namespace="AWS/SageMaker", MetricName="Invocations", Dimensions=wanted
    )["Metrics"]
    assert wanted in [
        sorted(metric["Dimensions"], key=lambda item: item["Name"]) for metric in listed
    ]


@promises(
    "They can be read by EndpointConfigName, too, to tell the new fleet from the old one.",
    GUARDRAILS,
)
def metrics_are_read_by_configuration(aws):
    config = aws.described(asked(aws))["EndpointConfigName"]
    assert total(aws, "Invocations", EndpointConfigName=config) == 10
    assert total(aws, "Invocations", EndpointConfigName=aws.config(variant("main", aws.blue))) == 0


@promises(
    "VariantName AllTraffic stands for all variants of an endpoint.",
    GUARDRAILS,
    differs="only for a variant of that name, which the SDKs give; whether the service adds up "
    "others is not documented elsewhere",
)
def all_traffic_is_a_variant(aws):
    assert total(aws, "Invocations", which="AllTraffic") == 10


@promises(
    "CPUUtilization and MemoryUtilization of an endpoint's instances are in "
    "/aws/sagemaker/Endpoints.",
    ENDPOINT,
    differs="not measured: a container's processes share this machine with everything else, and a "
    "made-up number is worse than none",
)
def instances_are_measured(aws):
    assert measured(aws, "CPUUtilization", "Average", namespace="/aws/sagemaker/Endpoints")


@promises(
    "CPUUtilization of a job is in /aws/sagemaker/TrainingJobs, by Host.",
    ENDPOINT,
    differs="not measured, for the same reason",
)
def jobs_are_measured(aws):
    assert aws.trained["TrainingJobStatus"] == "Completed"
    assert aws.cloudwatch.list_metrics(
        Namespace="/aws/sagemaker/TrainingJobs", MetricName="CPUUtilization"
    )["Metrics"]


def put(aws, name, *values, **more):
    now = aws.stack.now()
    data = [{"MetricName": name, "Value": value, "Timestamp": now, **more} for value in values]
    aws.cloudwatch.put_metric_data(Namespace="Shop", MetricData=data)


def own(aws, name, period=3600, **more):
    now = aws.stack.now()
    return aws.cloudwatch.get_metric_statistics(
        Namespace="Shop",
        MetricName=name,
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=period,
        **more,
    )["Datapoints"]


@promises(
    "Statistics of a metric of one's own are computed from what was put.",
    cloudwatch("GetMetricStatistics"),
)
def own_metrics_are_computed(aws):
    name = aws.fresh("metric")
    put(aws, name, 1.0, 3.0)
    points = own(
        aws, name, period=86400, Statistics=["Sum", "Average", "Minimum", "Maximum", "SampleCount"]
    )
    told = [(p["Sum"], p["Average"], p["Minimum"], p["Maximum"], p["SampleCount"]) for p in points]
    assert told == [(4.0, 2.0, 1.0, 3.0, 2.0)]


@promises("Percentiles are asked for as ExtendedStatistics.", cloudwatch("GetMetricStatistics"))
def percentiles_are_extended_statistics(aws):
    name = aws.fresh("metric")
    put(aws, name, *range(1, 101))
    (point,) = own(aws, name, period=86400, ExtendedStatistics=["p50"])
    assert 49 <= point["ExtendedStatistics"]["p50"] <= 52


@promises("A data point is at most two weeks old and two hours ahead.", cloudwatch("PutMetricData"))
def data_points_are_of_these_days(aws):
    for away in (timedelta(days=-15), timedelta(hours=3)):
        data = [{"MetricName": "m", "Value": 1, "Timestamp": aws.stack.now() + away}]
        assert "InvalidParameterValue" in refusal(
            aws.cloudwatch.put_metric_data, Namespace="Shop", MetricData=data
        )


@promises("A metric is told apart by its dimensions.", CONCEPTS)
def dimensions_make_another_metric(aws):
    name = aws.fresh("metric")
    put(aws, name, 1.0, Dimensions=[{"Name": "shop", "Value": "a"}])
    put(aws, name, 5.0, Dimensions=[{"Name": "shop", "Value": "b"}])
    assert [
        point["Sum"]
        for point in own(aws, name, Statistics=["Sum"], Dimensions=[{"Name": "shop", "Value": "a"}])
    ] == [1.0]
    assert own(aws, name, Statistics=["Sum"]) == []


@promises("Metric math computes from the results of other queries.", cloudwatch("GetMetricData"))
def metric_math_computes(aws):
    name, now = aws.fresh("metric"), aws.stack.now()
    put(aws, name, 2.0)
    metric = {"Metric": {"Namespace": "Shop", "MetricName": name}, "Period": 86400, "Stat": "Sum"}
    queries = [
        {"Id": "a", "MetricStat": metric, "ReturnData": False},
        {"Id": "twice", "Expression": "a * 2"},
    ]
    answer = aws.cloudwatch.get_metric_data(
        MetricDataQueries=queries,
        StartTime=now - timedelta(days=1),
        EndTime=now + timedelta(days=1),
    )
    assert [(result["Id"], result["Values"]) for result in answer["MetricDataResults"]] == [
        ("twice", [4.0])
    ]


def watched(aws, **more):
    name, metric = aws.fresh("alarm"), aws.fresh("metric")
    settings = {"Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1, **more}
    aws.cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Shop",
        MetricName=metric,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        **settings,
    )
    return name, metric


def minute_begins(aws):
    """Periods are whole minutes, and the stack's clock began at any second."""
    now = aws.stack.now()
    aws.stack.advance(61 - now.second)


def state(aws, name):
    return aws.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]


@promises(
    "An alarm goes to ALARM when its metric breaches the threshold for its periods, and back "
    "to OK.",
    ALARM_GUIDE,
    clock="manual",
)
def an_alarm_goes_off_and_back(aws):
    minute_begins(aws)
    name, metric = watched(aws, TreatMissingData="notBreaching")
    put(aws, metric, 3.0)
    aws.stack.advance(70)
    assert state(aws, name) == "ALARM"
    aws.stack.advance(600)
    assert state(aws, name) == "OK"


@promises(
    "An alarm without data is INSUFFICIENT_DATA unless TreatMissingData says otherwise.",
    ALARM_GUIDE,
    clock="manual",
)
def missing_data_is_insufficient(aws):
    minute_begins(aws)
    plain, metric = watched(aws)
    breaching, _ = watched(aws, TreatMissingData="breaching")
    put(aws, metric, 0.0)
    aws.stack.advance(70)
    assert (state(aws, plain), state(aws, breaching)) == ("OK", "ALARM")
    aws.stack.advance(600)
    assert (state(aws, plain), state(aws, breaching)) == ("INSUFFICIENT_DATA", "ALARM")


@promises(
    "With DatapointsToAlarm M of EvaluationPeriods N, M breaching points of N are enough.",
    ALARM_GUIDE,
    clock="manual",
)
def m_of_n_points_are_enough(aws):
    minute_begins(aws)
    name, metric = watched(
        aws, EvaluationPeriods=3, DatapointsToAlarm=2, TreatMissingData="notBreaching"
    )
    put(aws, metric, 3.0)
    aws.stack.advance(70)
    assert state(aws, name) == "OK"
    put(aws, metric, 3.0)
    aws.stack.advance(60)
    assert state(aws, name) == "ALARM"


@promises(
    "SetAlarmState sets a state until the next evaluation.",
    cloudwatch("SetAlarmState"),
    clock="manual",
)
def a_state_that_is_set_is_temporary(aws):
    minute_begins(aws)
    name, _ = watched(aws, TreatMissingData="notBreaching")
    aws.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    assert state(aws, name) == "ALARM"
    aws.stack.advance(120)
    assert state(aws, name) == "OK"


@promises("DatapointsToAlarm is not above EvaluationPeriods.", cloudwatch("PutMetricAlarm"))
def an_alarm_needs_no_more_points_than_it_has(aws):
    assert "Validation" in refusal(watched, aws=aws, EvaluationPeriods=1, DatapointsToAlarm=2)
