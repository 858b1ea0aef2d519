import re
import time

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.core.calls import is_mutating, names
from isthmus_stack.core.faults import KINDS, Fault, Faults
from isthmus_stack.testing.jobs_kit import until


def hubs(client):
    return [hub["HubName"] for hub in client.list_hubs()["HubSummaries"]]


def test_a_cut_before_the_effect_leaves_nothing_done(aws, example_stack):
    example_stack.fault(kind="cut-before", service="sagemaker", operation="CreateHub")
    with pytest.raises(ConnectionClosedError):
        aws("sagemaker").create_hub(HubName="one", HubDescription="d")
    assert hubs(aws("sagemaker")) == []


def test_a_cut_after_the_effect_leaves_it_done(aws, example_stack):
    example_stack.fault(kind="cut-after", service="sagemaker", operation="CreateHub")
    with pytest.raises(ConnectionClosedError):
        aws("sagemaker").create_hub(HubName="one", HubDescription="d")
    assert hubs(aws("sagemaker")) == ["one"]


def test_a_cut_after_motos_effect_leaves_it_done_too(aws, example_stack):
    aws("s3").create_bucket(Bucket="bucket")
    example_stack.fault(kind="cut-after", service="s3", operation="PutObject")
    with pytest.raises(ConnectionClosedError):
        aws("s3").put_object(Bucket="bucket", Key="k", Body=b"1")
    assert aws("s3").get_object(Bucket="bucket", Key="k")["Body"].read() == b"1"


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("sagemaker", "list_endpoints", "ThrottlingException"),
        ("s3", "list_buckets", "SlowDown"),
        ("cloudwatch", "list_metrics", "Throttling"),
        ("athena", "list_work_groups", "TooManyRequestsException"),
        ("kinesis", "list_streams", "ProvisionedThroughputExceededException"),
        ("dynamodb", "list_tables", "ProvisionedThroughputExceededException"),
        ("sts", "get_caller_identity", "ThrottlingException"),
    ],
)
def test_throttling_is_in_the_services_words_and_an_sdk_with_retries_gets_over_it(
    aws, example_stack, service, operation, code
):
    example_stack.fault(kind="throttle", service=service, times=2)
    with pytest.raises(ClientError) as caught:
        getattr(aws(service), operation)()
    assert caught.value.response["Error"]["Code"] == code
    assert getattr(aws(service, attempts=3), operation)()["ResponseMetadata"]["RetryAttempts"] == 1
    assert [call.error for call in example_stack.calls()] == [code, code, None]


def test_an_error_is_a_500_that_sdks_try_again_unless_it_has_its_own_code(aws, example_stack):
    example_stack.fault(kind="error", operation="ListHubs")
    found = aws("sagemaker", attempts=2).list_hubs()
    assert found["ResponseMetadata"]["RetryAttempts"] == 1
    example_stack.fault(kind="error", operation="ListHubs", code="AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDeniedException") as caught:
        aws("sagemaker", attempts=2).list_hubs()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_latency_is_added_to_one_call(aws, example_stack):
    example_stack.fault(kind="latency", operation="ListHubs", seconds=0.3)
    client = aws("sagemaker")
    assert _seconds(client.list_hubs) >= 0.3
    until(lambda: _seconds(client.list_hubs) < 0.3)


def _seconds(call):
    started = time.monotonic()
    call()
    return time.monotonic() - started


def test_a_fault_fits_by_service_operation_and_name_and_is_used_up(aws, example_stack):
    example_stack.fault(
        kind="error", service="sagemaker", operation="CreateHub", name="two", code="Bad", times=1
    )
    client = aws("sagemaker")
    client.create_hub(HubName="one", HubDescription="d")
    with pytest.raises(ClientError, match="Bad"):
        client.create_hub(HubName="two", HubDescription="d")
    assert example_stack.faults() == ()
    client.create_hub(HubName="two", HubDescription="d")


def test_a_handler_asks_for_what_only_it_can_act_out(aws, example_stack):
    example_stack.fault(kind="silent-rollback", name="buckety")
    assert aws("sagemaker").describe_hub(HubName="other-bucket")["HubDescription"] == "as asked"
    assert aws("sagemaker").describe_hub(HubName="buckety")["HubDescription"] == "rolled back"
    assert example_stack.faults() == ()


def test_faults_are_listed_and_cleared_one_by_one_or_all(example_stack):
    first = example_stack.fault(kind="throttle", times=None)
    second = example_stack.fault(kind="error", times=3)
    assert [fault.id for fault in example_stack.faults()] == [first.id, second.id]
    example_stack.clear_faults(first.id)
    assert example_stack.faults() == (second,)
    example_stack.clear_faults()
    assert example_stack.faults() == ()
    with pytest.raises(ValueError, match="rubbish"):
        example_stack.fault(kind="rubbish")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"service": "sagmaker"}, "there is no service sagmaker; did you mean sagemaker?"),
        (
            {"service": "sagemaker", "operation": "CreateEndpont"},
            "no operation CreateEndpont of sagemaker; did you mean CreateEndpoint?",
        ),
        (
            {"operation": "updateEndpoint"},
            "no operation updateEndpoint; did you mean UpdateEndpoint?",
        ),
        (
            {"service": "s3", "operation": "CreateEndpoint"},
            "there is no operation CreateEndpoint of s3",
        ),
        ({"times": 0}, "times is 0"),
        ({"seconds": 1e9}, "between 0 and 3600"),
        ({"status": 200}, "between 400 and 599"),
    ],
)
def test_a_fault_that_could_never_fit_is_refused_with_what_was_meant(example_stack, fault, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        example_stack.fault(kind="throttle", **fault)
    assert example_stack.faults() == ()


def test_the_log_says_what_was_asked_how_it_ended_and_which_fault_it_met(aws, example_stack):
    client = aws("sagemaker")
    client.create_hub(HubName="one", HubDescription="d")
    example_stack.fault(kind="cut-after", operation="ListHubs")
    with pytest.raises(ConnectionClosedError):
        client.list_hubs()
    created, listed = example_stack.calls()
    assert (
        created.service,
        created.operation,
        created.names,
        created.mutating,
        created.status,
    ) == (
        "sagemaker",
        "CreateHub",
        ("one",),
        True,
        200,
    )
    assert (listed.mutating, listed.status, listed.fault) == (False, 0, "cut-after")
    assert created.at <= listed.at
    example_stack.clear_calls()
    assert example_stack.calls() == ()


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 4)), max_size=8))
def test_every_fault_is_taken_exactly_as_often_as_it_says(rules):
    faults = Faults()
    for kind, times in rules:
        faults.add(Fault(kind=kind, times=times))
    for kind in KINDS:
        expected = sum(times for wanted, times in rules if wanted == kind)
        taken = sum(
            faults.take((kind,), "s3", "PutObject") is not None for _ in range(expected + 2)
        )
        assert taken == expected
    assert faults.list() == ()


@pytest.mark.parametrize(
    "operation",
    [
        "CreateHub",
        "UpdateEndpoint",
        "PutObject",
        "StartQueryExecution",
        "BatchWriteRecord",
        "AddTags",
    ],
)
def test_what_changes_something_counts_as_mutating(operation):
    assert is_mutating(operation)


@pytest.mark.parametrize(
    "operation",
    ["ListHubs", "DescribeEndpoint", "GetObject", "HeadObject", "InvokeEndpoint", "BatchGetRecord"],
)
def test_what_only_looks_does_not(operation):
    assert not is_mutating(operation)


def test_names_are_the_strings_that_name_something():
    assert names(
        {"EndpointName": "e", "Body": "b", "Bucket": "k", "Tags": [], "RoleArn": "arn"}
    ) == ("e", "k", "arn")
