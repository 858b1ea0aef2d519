"""Names, lengths, ranges and choices, as the service's own model has them: genuine boto3, which
sends most of what breaks them.
"""

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.aws import handler_modules
from isthmus_stack.aws.core.in_process import operation_model
from isthmus_stack.aws.core.protocol.patterns import compile_pattern
from isthmus_stack.aws.core.registry import OPERATIONS
from isthmus_stack.testing.jobs_kit import (
    ROLE,
    definition,
    processing_request,
    step,
    training_request,
)

NAME = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
CONTAINER = {"Image": "shell"}
VARIANT = {
    "VariantName": "a",
    "ModelName": "m",
    "InstanceType": "ml.m5.large",
    "InitialInstanceCount": 1,
}
# operation, its member of the name, the rest of the request, the pattern as the service shows it
NAMED = [
    ("create_training_job", "TrainingJobName", training_request("true"), NAME),
    ("create_processing_job", "ProcessingJobName", processing_request("true"), NAME),
    (
        "create_model",
        "ModelName",
        {"PrimaryContainer": CONTAINER, "ExecutionRoleArn": ROLE},
        r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?",
    ),
    ("create_endpoint_config", "EndpointConfigName", {"ProductionVariants": [VARIANT]}, NAME),
    ("create_endpoint", "EndpointName", {"EndpointConfigName": "c"}, NAME),
    (
        "create_pipeline",
        "PipelineName",
        {
            "PipelineDefinition": definition(step("A")),
            "RoleArn": ROLE,
            "ClientRequestToken": "t" * 32,
        },
        "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}",
    ),
    ("create_model_package_group", "ModelPackageGroupName", {}, NAME),
]


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


@pytest.mark.parametrize(("operation", "member", "rest", "pattern"), NAMED)
@pytest.mark.parametrize("name", ["my_name", "-name", "name-", "näme", "a name", "a/b"])
def test_a_name_that_breaks_the_services_pattern_is_refused_in_its_words(
    aws, operation, member, rest, pattern, name
):
    path = member[0].lower() + member[1:]
    assert refusal(getattr(aws("sagemaker"), operation), **{member: name}, **rest) == (
        "ValidationException",
        (
            f"1 validation error detected: Value '{name}' at '{path}' failed to satisfy "
            f"constraint: Member must satisfy regular expression pattern: {pattern}"
        ),
    )


@pytest.mark.parametrize(("operation", "member", "rest", "_pattern"), NAMED)
def test_a_name_that_is_too_long_is_refused(aws, operation, member, rest, _pattern):
    most = 256 if member == "PipelineName" else 63
    code, message = refusal(
        getattr(aws("sagemaker"), operation), **{member: "a" * (most + 1)}, **rest
    )
    assert code == "ValidationException"
    assert message.endswith(
        f"failed to satisfy constraint: Member must have length less than or equal to {most}"
    )


def test_what_was_refused_is_not_there(aws):
    sagemaker = aws("sagemaker")
    refusal(sagemaker.create_training_job, TrainingJobName="my_job", **training_request("true"))
    assert sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


def test_all_that_is_wrong_is_said_at_once(aws):
    variant = {**VARIANT, "VariantName": "a_b", "InstanceType": "ml.none"}
    code, message = refusal(
        aws("sagemaker").create_endpoint_config,
        EndpointConfigName="c_d",
        ProductionVariants=[variant],
    )
    assert code == "ValidationException"
    assert message.startswith(
        "3 validation errors detected: Value 'c_d' at 'endpointConfigName' failed"
    )
    assert "; Value 'a_b' at 'productionVariants.1.member.variantName' failed" in message
    assert "; Value 'ml.none' at 'productionVariants.1.member.instanceType' failed" in message


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "code", "words"),
    [
        (
            "sagemaker",
            "list_training_jobs",
            {"SortBy": "Age"},
            "ValidationException",
            "enum value set: [Name, CreationTime, Status]",
        ),
        (
            "sagemaker",
            "list_training_jobs",
            {"MaxResults": 101},
            "ValidationException",
            "value less than or equal to 100",
        ),
        (
            "sagemaker",
            "create_training_job",
            {
                "TrainingJobName": "job",
                **training_request("true", HyperParameters={"k": "x" * 2501}),
            },
            "ValidationException",
            (
                "at 'hyperParameters' failed to satisfy constraint: Map value must satisfy "
                "constraint: [Member must have length less than"
            ),
        ),
        (
            "sagemaker",
            "create_processing_job",
            {"ProcessingJobName": "job", **processing_request("x" * 257)},
            "ValidationException",
            (
                "'appSpecification.containerArguments' failed to satisfy constraint: Member must "
                "satisfy constraint: [Member must have length"
            ),
        ),
        (
            "sagemaker",
            "add_tags",
            {
                "ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:model/m",
                "Tags": [{"Key": "a#b", "Value": "x"}],
            },
            "ValidationException",
            (
                r"at 'tags.1.member.key' failed to satisfy constraint: Member must satisfy "
                r"regular expression pattern: ([\p{L}"
            ),
        ),
        (
            "sagemaker-runtime",
            "invoke_endpoint",
            {"EndpointName": "a_b", "Body": b"x"},
            "ValidationError",
            "at 'endpointName' failed",
        ),
        (
            "sagemaker-runtime",
            "invoke_endpoint",
            {"EndpointName": "a", "Body": b"x" * 6291457},
            "ValidationError",
            (
                "Value at 'body' failed to satisfy constraint: Member must have length less than "
                "or equal to 6291456"
            ),
        ),
        (
            "firehose",
            "delete_delivery_stream",
            {"DeliveryStreamName": "a b"},
            "ValidationException",
            "at 'deliveryStreamName' failed",
        ),
        (
            "kinesis",
            "create_stream",
            {"StreamName": "a b", "ShardCount": 1},
            "ValidationException",
            "at 'streamName' failed",
        ),
    ],
)
def test_every_service_refuses_with_its_own_code(aws, service, operation, arguments, code, words):
    refused, message = refusal(getattr(aws(service), operation), **arguments)
    assert refused == code
    assert words in message


def test_a_list_that_the_url_does_not_name_is_not_an_empty_one(aws):
    code, message = refusal(
        aws("sagemaker-featurestore-runtime").get_record,
        FeatureGroupName="nobodys",
        RecordIdentifierValueAsString="a",
    )
    assert "validation error" not in message
    assert code == "ResourceNotFound"


def test_tags_may_be_in_any_script(aws):
    sagemaker = aws("sagemaker")
    arn = sagemaker.create_model_package_group(
        ModelPackageGroupName="g", Tags=[{"Key": "größe", "Value": "κόσμος 日本"}]
    )["ModelPackageGroupArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "größe", "Value": "κόσμος 日本"}
    ]


def _patterns():
    """Every pattern of the input of an operation that we handle."""
    handler_modules.load()
    patterns = set()
    for service, operation in OPERATIONS:
        waiting, seen = [operation_model(service, operation).input_shape], set()
        while waiting:
            shape = waiting.pop()
            if shape is None or shape.name in seen:
                continue
            seen.add(shape.name)
            patterns.add(shape.metadata.get("pattern"))
            waiting += getattr(shape, "members", {}).values()
            waiting += [getattr(shape, part, None) for part in ("member", "key", "value")]
    return patterns - {None}


def test_every_pattern_of_the_models_can_be_matched():
    patterns = _patterns()
    assert len(patterns) > 100
    for pattern in patterns:
        compile_pattern(pattern).fullmatch("x")


@given(st.text())
def test_javas_properties_are_unicodes_categories(text):
    import unicodedata

    categories = {unicodedata.category(letter)[0] for letter in text}
    assert (compile_pattern(r"[\p{L}\p{Z}\p{N}]*").fullmatch(text) is not None) == (
        categories <= {"L", "Z", "N"}
    )
    assert (compile_pattern(r"\p{ASCII}*").fullmatch(text) is not None) == text.isascii()
