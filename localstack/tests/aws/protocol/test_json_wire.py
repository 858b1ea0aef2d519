"""Answers in JSON: what is written here is what moto's serializer writes, and the rest is left to
it.
"""

import json
from datetime import UTC, datetime
from itertools import count

import pytest
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model

from isthmus_stack.aws.core.protocol import json_wire

_VALUES = {
    "string": "text é\n",
    "integer": 3,
    "long": 1 << 40,
    "boolean": True,
    "float": 0.25,
    "double": 1.0,
}
_PROTOCOLS = {
    "sagemaker-featurestore-runtime": "rest-json",
    "kinesis": "json",
    "athena": "json",
    "sagemaker": "json",
}


def _value(shape, numbers):
    """One of every member; of a list two, which differ in what they leave out."""
    if shape.type_name == "list":
        return [_value(shape.member, numbers), _value(shape.member, numbers)]
    if shape.type_name == "structure":
        return {
            key: None if next(numbers) % 7 == 6 else _value(member, numbers)
            for key, member in shape.members.items()
        } | {"Unknown": 1}
    return _VALUES[shape.type_name]


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("sagemaker-featurestore-runtime", "BatchGetRecord"),
        ("sagemaker-featurestore-runtime", "ListRecords"),
        ("kinesis", "PutRecords"),
        ("kinesis", "PutRecord"),
        ("athena", "GetQueryResults"),
        ("athena", "StartQueryExecution"),
        ("sagemaker", "CreateEndpoint"),
    ],
)
def test_an_answer_is_that_of_moto_s_serializer(service, operation):
    model, protocol = get_service_model(service).operation_model(operation), _PROTOCOLS[service]
    for result in (_value(model.output_shape, count()), _value(model.output_shape, count(3)), {}):
        ours = json_wire.answer(service, protocol, model, result)
        theirs = get_serializer_class(service, protocol)(operation_model=model).serialize(result)
        assert (ours.status, dict(ours.headers)) == (theirs["status_code"], theirs["headers"])
        assert json.loads(ours.body) == json.loads(theirs["body"])


@pytest.mark.parametrize(
    ("service", "operation", "result"),
    [
        (
            "sagemaker",
            "DescribeEndpoint",
            {"EndpointName": "a", "CreationTime": datetime(2026, 11, 29, tzinfo=UTC)},
        ),
        ("sagemaker", "CreateEndpoint", {"EndpointArn": 5}),
        ("sagemaker", "CreateEndpoint", {"EndpointArn": "\ud800"}),
        ("kinesis", "PutRecords", {"FailedRecordCount": "0", "Records": []}),
        ("kinesis", "PutRecords", {"FailedRecordCount": True, "Records": []}),
        ("kinesis", "GetRecords", {"Records": [{"Data": b"blob"}]}),
        ("kinesis", "AddTagsToStream", {}),
        ("sagemaker-featurestore-runtime", "PutRecord", {}),
    ],
)
def test_what_is_of_another_type_is_left_to_moto_s_serializer(service, operation, result):
    model = get_service_model(service).operation_model(operation)
    assert json_wire.answer(service, _PROTOCOLS[service], model, result) is None
