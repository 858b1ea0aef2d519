"""Asynchronous invocation by boto3 on the default clock: the model's answer is an object in S3."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.aws.services.cloudwatch.queue_metrics import Level, _samples
from isthmus_stack.testing import endpoints_kit, stacks

pytestmark = pytest.mark.slow
OUTPUT = {"S3OutputPath": "s3://models/answers/", "S3FailurePath": "s3://models/failures"}


class Async(endpoints_kit.Kit):
    def ask(self, body=b"{}", *, key="in/x.json", kind="application/json", **more):
        """The answer to an invocation whose input is an object."""
        self.s3.put_object(Bucket="models", Key=key, Body=body, ContentType=kind)
        return self.runtime.invoke_endpoint_async(
            EndpointName="ranker", **{"InputLocation": f"s3://models/{key}", **more}
        )

    def object(self, uri):
        """Once it is there."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.s3.get_waiter("object_exists").wait(
            Bucket=bucket, Key=key, WaiterConfig={"Delay": 0.02, "MaxAttempts": 3000}
        )
        return self.s3.get_object(Bucket=bucket, Key=key)

    def seen(self, answer):
        return json.loads(self.object(answer["OutputLocation"])["Body"].read())

    def stored(self):
        return {
            item["Key"] for item in self.s3.list_objects_v2(Bucket="models").get("Contents", ())
        }

    def statistics(self, metric, stat, *, variant=None, minutes=10):
        dimensions = [
            {"Name": "EndpointName", "Value": "ranker"},
            *([{"Name": "VariantName", "Value": variant}] if variant else ()),
        ]
        now = self.stack.now()
        found = self.cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=dimensions,
            StartTime=now - timedelta(minutes=minutes),
            EndTime=now + timedelta(minutes=1),
            Period=600,
            Statistics=[stat],
        )
        values = [point[stat] for point in found["Datapoints"]]
        return {"Sum": sum, "Maximum": max, "SampleCount": sum}[stat](values) if values else None

    def begun(self):
        """How many requests an instance has been given so far."""
        return self.statistics("TimeInBacklog", "SampleCount", variant="red", minutes=1440) or 0


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def process():
    return stacks.shared("instant")


@pytest.fixture(scope="module")
def served(process):
    """An endpoint of one instance that has one request at a time."""
    kit = Async(process.url)
    kit.stack.reset()
    kit.bucket()
    kit.model("red")
    kit.config(
        "one",
        asynchronous={
            "OutputConfig": OUTPUT,
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1},
        },
        red=1,
    )
    kit.config("direct", red=1)
    kit.sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName="one")
    assert kit.settled()["EndpointStatus"] == "InService"
    return kit


@pytest.fixture
def gate(tmp_path):
    """What the model is asked for and cannot answer before the test opens it."""
    yield tmp_path / "gate"
    (tmp_path / "gate").touch()


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]


def test_an_invocation_is_taken_at_once_and_the_models_answer_is_in_s3(served):
    answer = served.ask(b"12345", kind="text/csv")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["OutputLocation"] == f"s3://models/answers/{answer['InferenceId']}.out"
    assert answer["FailureLocation"] == f"s3://models/failures/{answer['InferenceId']}-error.out"
    seen = served.seen(answer)
    assert (seen["model"], seen["bytes"], seen["type"]) == (
        "red",
        5,
        "text/csv",
    )  # the object's own type
    named = {
        "InferenceId": "mine",
        "ContentType": "application/x-mine",
        "S3OutputPathExtension": "a/b",
        "Filename": "c.json",
    }
    seen = served.seen(served.ask(b"12", **named))
    assert (seen["bytes"], seen["type"]) == (2, "application/x-mine")
    assert "answers/a/b/c.json" in served.stored()
    inline = served.runtime.invoke_endpoint_async(
        EndpointName="ranker", Body=b"123", ContentType="text/csv", Accept="text/plain"
    )
    assert served.object(inline["OutputLocation"])["ContentType"] == "text/plain"
    described = served.describe()
    assert described["AsyncInferenceConfig"]["OutputConfig"] == OUTPUT


def test_a_failure_is_an_object_with_what_the_model_said_and_a_line_in_the_data_log(served):
    answer = served.ask(b"status 418", InferenceId="teapot")
    failure = served.object(answer["FailureLocation"])
    assert json.loads(failure["Body"].read())["model"] == "red"
    assert "answers/teapot.out" not in served.stored()
    missing = served.runtime.invoke_endpoint_async(
        EndpointName="ranker", InputLocation="s3://models/in/nobody"
    )
    assert (
        b"Failed to download s3://models/in/nobody"
        in served.object(missing["FailureLocation"])["Body"].read()
    )
    logs = served.client("logs")
    group = "/aws/sagemaker/Endpoints/ranker"
    line = "[teapot] ClientError: Received client error (418) from model."
    until(
        lambda: any(
            line in event["message"]
            for event in logs.filter_log_events(logGroupName=group)["events"]
        )
    )
    streams = {
        stream["logStreamName"]
        for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]
    }
    assert any(name.startswith("red/i-") and name.endswith("/data-log") for name in streams)


def test_an_instance_has_as_many_requests_as_it_may_and_the_others_wait(served, gate):
    slow = [
        served.ask(body, key=f"in/{number}")
        for number, body in enumerate((b"until %b" % bytes(gate), b"sleep 0.4", b"sleep 0.4"))
    ]
    assert served.statistics("ApproximateBacklogSize", "Maximum") >= 2
    gate.touch()
    for answer in slow:
        served.object(answer["OutputLocation"])
    written = [served.object(answer["OutputLocation"])["LastModified"] for answer in slow]
    assert written == sorted(written)
    until(lambda: (served.statistics("TotalProcessingTime", "Maximum", variant="red") or 0) >= 800)
    assert served.statistics("TimeInBacklog", "Maximum", variant="red") >= 400_000
    assert served.statistics("Invocations", "Sum", variant="red") is None
    names = {
        metric["MetricName"]
        for metric in served.cloudwatch.list_metrics(Namespace="AWS/SageMaker")["Metrics"]
    }
    assert {
        "ApproximateBacklogSizePerInstance",
        "HasBacklogWithoutCapacity",
        "InvocationsProcessed",
        "ModelLatency",
    } <= names


def test_what_waits_or_is_processed_for_too_long_fails(served, gate):
    before = served.begun()
    busy = served.ask(b"until %b" % bytes(gate), key="in/busy", InvocationTimeoutSeconds=600)
    waits = served.ask(b"{}", key="in/waits", RequestTTLSeconds=600)
    until(lambda: served.begun() > before)
    served.stack.advance(1201)  # what others did is out of the metrics' window
    assert b"RequestTTLSeconds (600)" in served.object(waits["FailureLocation"])["Body"].read()
    assert (
        b"InvocationTimeoutSeconds (600)" in served.object(busy["FailureLocation"])["Body"].read()
    )
    until(lambda: served.statistics("ExpiredRequests", "Sum", variant="red") == 1.0)
    gate.touch()
    served.seen(served.ask(b"{}", key="in/after"))  # the instance has room again
    assert (
        not {"answers/" + answer["InferenceId"] + ".out" for answer in (busy, waits)}
        & served.stored()
    )


def test_what_waits_behind_a_crash_waits_for_the_model_to_start_again(served):
    crash, *behind = [
        served.ask(body, key=f"in/crash{number}")
        for number, body in enumerate((b"die", b"{}", b"{}"))
    ]
    assert b"closed the connection" in served.object(crash["FailureLocation"])["Body"].read()
    for answer in behind:
        assert served.seen(answer)["model"] == "red"


def test_each_kind_of_endpoint_refuses_the_other_kind_of_invocation(served):
    wrong = refusal(served.runtime.invoke_endpoint, EndpointName="ranker", Body=b"x")
    assert (wrong["Code"], "use InvokeEndpointAsync" in wrong["Message"]) == (
        "ValidationError",
        True,
    )
    served.sagemaker.create_endpoint(EndpointName="direct", EndpointConfigName="direct")
    served.settled("direct")
    wrong = refusal(
        served.runtime.invoke_endpoint_async,
        EndpointName="direct",
        InputLocation="s3://models/in/x",
    )
    assert (wrong["Code"], "has no AsyncInferenceConfig" in wrong["Message"]) == (
        "ValidationError",
        True,
    )
    for wrong in ({"InputLocation": "s3://models/x", "Body": b"x"}, {}):
        assert (
            "Exactly one"
            in refusal(served.runtime.invoke_endpoint_async, EndpointName="ranker", **wrong)[
                "Message"
            ]
        )
    assert (
        "not found"
        in refusal(
            served.runtime.invoke_endpoint_async,
            EndpointName="nobody",
            InputLocation="s3://models/x",
        )["Message"]
    )
    elsewhere = refusal(
        served.runtime.invoke_endpoint_async,
        EndpointName="ranker",
        InputLocation="https://models.example.com/x",
    )
    assert "s3://bucket/key" in elsewhere["Message"]


TOPIC = "arn:aws:sns:us-east-1:123456789012:done"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"OutputConfig": {**OUTPUT, "NotificationConfig": {"SuccessTopic": TOPIC}}},
            "NotificationConfig",
        ),
        ({"OutputConfig": {"S3FailurePath": "s3://models/x"}}, "S3OutputPath"),
        ({"OutputConfig": {**OUTPUT, "S3FailurePath": "https://x/y"}}, "s3://"),
    ],
)
def test_a_configuration_that_cannot_be_kept_is_refused_by_name(served, config, words):
    with pytest.raises(ClientError, match=words):
        served.config("other", asynchronous=config, red=1)


def test_what_waits_ends_with_the_endpoint_and_without_instances_everything_waits(served, gate):
    served.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ranker",
        DesiredWeightsAndCapacities=[{"VariantName": "red", "DesiredInstanceCount": 0}],
    )
    assert served.settled()["ProductionVariants"][0]["CurrentInstanceCount"] == 0
    waits = served.ask(b"{}", key="in/late")
    assert served.statistics("HasBacklogWithoutCapacity", "Maximum") == 1.0
    served.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ranker",
        DesiredWeightsAndCapacities=[{"VariantName": "red", "DesiredInstanceCount": 2}],
    )
    served.seen(waits)
    served.settled()
    before = served.begun()
    slow = [served.ask(b"until %b" % bytes(gate), key=f"in/last-{number}") for number in range(4)]
    assert served.statistics("ApproximateBacklogSizePerInstance", "Maximum") >= 2
    until(lambda: served.begun() == before + 2)
    served.sagemaker.delete_endpoint(EndpointName="ranker")
    gate.touch()
    served.object(slow[0]["OutputLocation"])
    served.object(slow[1]["OutputLocation"])  # two instances had one each
    assert not {f"answers/{answer['InferenceId']}.out" for answer in slow[2:]} & served.stored()


def test_a_queue_is_measured_when_a_minute_begins_and_at_each_change():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    levels = [
        Level(at=start + timedelta(seconds=at), size=size, oldest=None, instances=1)
        for at, size in ((10, 0), (70, 1), (80, 2))
    ]
    minutes = [start + timedelta(minutes=number) for number in range(4)]
    seen = [(minute, level.size) for minute, _, level in _samples(levels, minutes[0], minutes[3])]
    assert seen == [
        (minutes[0], 0),
        (minutes[1], 0),
        (minutes[1], 1),
        (minutes[1], 2),
        (minutes[2], 2),
    ]
    assert list(_samples([], minutes[0], minutes[3])) == []
