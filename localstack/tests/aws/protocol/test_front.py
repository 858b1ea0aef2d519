import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from importlib.metadata import version

import boto3
import pytest
from botocore.exceptions import ClientError

from isthmus_stack.aws.core import registry
from isthmus_stack.aws.core.registry import handles


def refused(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response


def test_a_handler_answers_with_what_botocore_parses_back(aws):
    hubs = aws("sagemaker")
    hubs.create_hub(HubName="one", HubDescription="d")
    (found,) = hubs.list_hubs()["HubSummaries"]
    assert found["HubName"] == "one"
    assert found["HubArn"] == "arn:aws:sagemaker:us-east-1:123456789012:hub/one"


def test_what_a_handler_has_not_goes_to_moto(aws):
    assert aws("sagemaker").list_endpoints()["Endpoints"] == []
    assert aws("sts").get_caller_identity()["Account"] == "123456789012"
    assert aws("cloudwatch").list_metrics()["Metrics"] == []


def test_s3_through_the_front_keeps_keys_bodies_conditions_and_metadata(aws):
    s3 = aws("s3")
    s3.create_bucket(Bucket="bucket")
    key, body = "a/b c%2F+ü", bytes(range(256)) * 5000
    s3.put_object(Bucket="bucket", Key=key, Body=body, Metadata={"my_key": "v", "other-key": "w"})
    found = s3.get_object(Bucket="bucket", Key=key)
    assert found["Body"].read() == body
    assert found["Metadata"] == {"my_key": "v", "other-key": "w"}
    assert [
        item["Key"] for item in s3.list_objects_v2(Bucket="bucket", Prefix="a/")["Contents"]
    ] == [key]
    assert s3.head_object(Bucket="bucket", Key=key)["ContentLength"] == len(body)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"", IfNoneMatch="*")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": key})
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == body


def test_an_error_is_the_services_own_exception(aws):
    sagemaker = aws("sagemaker")
    sagemaker.create_hub(HubName="one", HubDescription="d")
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match="one is there already"):
        sagemaker.create_hub(HubName="one", HubDescription="d")


def test_an_error_carries_its_modelled_fields_and_status(aws):
    found = refused(
        aws("sagemaker-runtime").invoke_endpoint_with_response_stream, EndpointName="e", Body=b"x"
    )
    assert found["Error"]["Code"] == "ModelError"
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (found["OriginalStatusCode"], found["OriginalMessage"], found["LogStreamArn"]) == (
        503,
        "busy",
        "arn:aws:logs:::x",
    )


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        (
            "sagemaker",
            "create_edge_deployment_plan",
            {"EdgeDeploymentPlanName": "p", "ModelConfigs": [], "DeviceFleetName": "f"},
        ),
        ("groundstation", "list_configs", {}),  # moto has no such service
        ("s3", "list_bucket_metrics_configurations", {"Bucket": "b"}),
        ("cloudwatch", "list_metric_streams", {}),
        ("sts", "get_delegated_access_token", {"TradeInToken": "t"}),
    ],
)
def test_what_nobody_has_is_said_at_once_with_the_operations_name(
    aws, service, operation, arguments
):
    found = refused(getattr(aws(service, attempts=5), operation), **arguments)
    assert found["ResponseMetadata"]["RetryAttempts"] == 0
    assert found["Error"]["Code"] == "NotImplemented"
    assert f"{service}:{operation.replace('_', '')}" in found["Error"]["Message"].lower()


def test_a_handlers_mistake_is_an_answer_and_is_not_tried_again(aws, example_process):
    found = refused(aws("sagemaker", attempts=5).list_hubs, NameContains="crash")
    assert found["Error"]["Code"] == "InternalFailure"
    assert "RuntimeError: a mistake in a handler" in found["Error"]["Message"]
    assert found["ResponseMetadata"]["RetryAttempts"] == 0
    assert "a mistake in a handler" in example_process.log.read_text()


def test_motos_mistake_is_an_answer_too(aws):
    """moto 5.2 raises TypeError for a PartiQL statement that it cannot read."""
    found = refused(aws("dynamodb", attempts=5).execute_statement, Statement="nonsense")
    assert found["Error"]["Code"] == "NotImplemented"
    assert "dynamodb:ExecuteStatement" in found["Error"]["Message"]
    assert found["ResponseMetadata"]["RetryAttempts"] == 0


def test_a_context_reaches_moto_and_the_whole_stack_without_being_logged(aws, example_stack):
    found = aws("sagemaker").describe_hub(HubName="buckety")
    assert found["HubName"] == "100"  # bytes that it wrote to S3 and read back
    assert aws("s3").list_objects_v2(Bucket="buckety")["KeyCount"] == 1
    assert [call.operation for call in example_stack.calls()] == ["DescribeHub", "ListObjectsV2"]


def test_forward_gives_a_handler_motos_own_answer_or_refusal(aws):
    found = refused(aws("sagemaker").list_devices)
    assert found["Error"]["Code"] == "NotImplemented"
    assert "sagemaker:ListDevices" in found["Error"]["Message"]


def test_accounts_and_regions_do_not_see_each_other(aws):
    aws("sagemaker").create_hub(HubName="here", HubDescription="d")
    assert aws("sagemaker", region="ap-northeast-1").list_hubs()["HubSummaries"] == []
    assert aws("sagemaker", account="210987654321").list_hubs()["HubSummaries"] == []
    assert aws("sts", account="210987654321").get_caller_identity()["Account"] == "210987654321"


def test_a_reset_leaves_nothing(aws, example_stack):
    aws("sagemaker").create_hub(HubName="here", HubDescription="d")
    aws("s3").create_bucket(Bucket="bucket")
    example_stack.reset()
    assert example_stack.calls() == ()
    assert aws("sagemaker").list_hubs()["HubSummaries"] == []
    assert aws("s3").list_buckets()["Buckets"] == []


def test_the_data_planes_that_sign_as_sagemaker_are_told_apart(aws, example_stack):
    assert aws("sagemaker-metrics").batch_get_metrics(
        MetricQueries=[
            {
                "MetricName": "m",
                "ResourceArn": "a",
                "MetricStat": "Avg",
                "Period": "OneMinute",
                "XAxisType": "Timestamp",
            }
        ]
    )["MetricQueryResults"]
    for call in ("invoke_endpoint", "invoke_endpoint_async"):
        body = {"Body": b"1"} if call == "invoke_endpoint" else {"InputLocation": "s3://b/k"}
        with pytest.raises(ClientError):
            getattr(aws("sagemaker-runtime"), call)(
                EndpointName="none", ContentType="application/x-www-form-urlencoded", **body
            )
    with pytest.raises(ClientError):
        aws("sagemaker-featurestore-runtime").get_record(
            FeatureGroupName="none", RecordIdentifierValueAsString="1"
        )
    services = {(call.service, call.operation) for call in example_stack.calls()}
    assert services == {
        ("sagemaker-metrics", "BatchGetMetrics"),
        ("sagemaker-runtime", "InvokeEndpoint"),
        ("sagemaker-runtime", "InvokeEndpointAsync"),
        ("sagemaker-featurestore-runtime", "GetRecord"),
    }


def test_twenty_clients_at_once_lose_no_call(aws, example_stack):
    sagemaker, failures = aws("sagemaker"), []

    def work(number):
        for turn in range(10):
            try:
                sagemaker.create_hub(HubName=f"h{number}-{turn}", HubDescription="d")
            except ClientError as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(sagemaker.list_hubs()["HubSummaries"]) == 200
    assert len({call.number for call in example_stack.calls()}) == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Host": "evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_web_page_cannot_steer_a_stack_that_runs_commands(example_stack, headers):
    request = urllib.request.Request(
        f"{example_stack.url}/_stack/reset", method="POST", headers=headers
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403


def test_two_handlers_for_one_operation_are_refused(monkeypatch):
    monkeypatch.setattr(registry, "OPERATIONS", {})
    handles("test-service", "Once")(dict)
    with pytest.raises(ValueError, match="test-service:Once has a handler already"):
        handles("test-service", "Once")(dict)


def test_the_stack_ends_with_the_process_that_started_it():
    code = (
        "from isthmus_stack.run import start_aws\n"
        "running = start_aws()\nprint(running.url, running.pid, flush=True)\nimport os, "
        "signal\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    url = done.stdout.split()[0]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/_stack/health", timeout=5)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return
        time.sleep(0.05)
    pytest.fail(f"{url} is still there")


def test_moto_is_the_version_whose_private_parts_the_front_uses():
    """moto.core.parse, .serialize and .routing are private: read wire.py and in_process.py again
    before this number moves.
    """
    assert version("moto").startswith("5.2.")
    from moto.core import parse, routing, serialize

    assert {"json", "query", "rest-json", "rest-xml"} <= set(parse.PROTOCOL_PARSERS)
    assert callable(routing.get_service_router("sagemaker")._get_router("json").match)
    assert hasattr(serialize.get_serializer_class("s3", "rest-xml"), "serialize")


def test_boto3_reaches_the_stack_by_the_environment_alone(example_process, example_stack):
    import os

    code = "import boto3; print(boto3.client('sagemaker').list_hubs()['HubSummaries'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **example_process.env},
    )
    assert done.stdout.strip() == "[]"
    assert boto3.__version__
