"""What is to be seen of an endpoint's requests: a shadow's copies, captured calls, the containers'
lines.
"""

import json
import time
from datetime import timedelta

import pytest

from isthmus_stack.testing import endpoints_kit, stacks

pytestmark = pytest.mark.slow


@pytest.fixture
def kit():
    kit = endpoints_kit.Kit(stacks.shared("manual").url)
    kit.stack.reset()
    return kit


def test_a_shadow_gets_copies_and_answers_nobody(kit):
    kit.bucket()
    kit.model("red")
    kit.model("dark")
    kit.config("one", red=1, shadow={"dark": 1})
    kit.sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName="one")
    kit.stack.advance(60)
    assert {kit.invoke()[0] for _ in range(30)} == {"red"}
    assert kit.describe()["ShadowProductionVariants"][0]["VariantName"] == "dark"
    deadline = time.monotonic() + 60
    while invocations(kit, "dark") < 30:
        assert time.monotonic() < deadline
        kit.stack.advance(180)
    assert invocations(kit, "red") == 30


def invocations(kit, variant):
    now = kit.stack.now()
    found = kit.cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[
            {"Name": "EndpointName", "Value": "ranker"},
            {"Name": "VariantName", "Value": variant},
        ],
        StartTime=now - timedelta(days=14),
        EndTime=now,
        Period=3600,
        Statistics=["Sum"],
    )
    return sum(d["Sum"] for d in found["Datapoints"])


def test_captured_calls_are_json_lines_in_sagemakers_layout(kit):
    kit.bucket()
    kit.model("red")
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://models/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }
    kit.config("one", red=1, capture=capture)
    kit.sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName="one")
    kit.stack.advance(60)
    at = kit.stack.now()
    for number in range(3):
        kit.invoke(b'{"n": %d}' % number, InferenceId=f"call-{number}")
    kit.invoke(b"1,2", ContentType="text/csv", Accept="application/json")
    kit.stack.advance(15)
    listed = kit.s3.list_objects_v2(Bucket="models", Prefix="captured/")["Contents"]
    lines = []
    for item in listed:
        assert item["Key"].startswith(f"captured/ranker/red/{at:%Y/%m/%d/%H}/")
        assert item["Key"].endswith(".jsonl")
        lines += [
            json.loads(line)
            for line in kit.s3.get_object(Bucket="models", Key=item["Key"])["Body"]
            .read()
            .splitlines()
        ]
    assert [line["eventMetadata"].get("inferenceId") for line in lines] == [
        "call-0",
        "call-1",
        "call-2",
        None,
    ]
    first, last = lines[0], lines[-1]
    assert first["eventVersion"] == "0"
    assert first["captureData"]["endpointInput"] == {
        "observedContentType": "application/json",
        "mode": "INPUT",
        "data": '{"n": 0}',
        "encoding": "JSON",
    }
    assert json.loads(first["captureData"]["endpointOutput"]["data"])["model"] == "red"
    assert last["captureData"]["endpointInput"] == {
        "observedContentType": "text/csv",
        "mode": "INPUT",
        "data": "MSwy",
        "encoding": "BASE64",
    }
    assert kit.describe()["DataCaptureConfig"]["CaptureStatus"] == "Started"


def test_the_containers_lines_are_in_cloudwatch_logs(kit):
    kit.endpoint(red=1)
    logs = kit.client("logs")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        events = logs.filter_log_events(logGroupName="/aws/sagemaker/Endpoints/ranker")["events"]
        if any("serving red ['serve']" in event["message"] for event in events):
            assert events[0]["logStreamName"].startswith("red/i-")
            return
        time.sleep(0.05)
    pytest.fail("the container's line did not arrive")
