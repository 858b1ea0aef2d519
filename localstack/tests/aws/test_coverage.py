import re

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.aws import coverage
from isthmus_stack.aws.core.protocol import moto_operations


@pytest.mark.parametrize("service", sorted(coverage.MOTO_EXECUTES))
def test_what_is_said_to_execute_below_is_an_operation_that_moto_has(service):
    assert set(moto_operations.operations_of(service)) >= coverage.MOTO_EXECUTES[service]
    assert moto_operations.moto_has(service) >= coverage.MOTO_EXECUTES[service]


@pytest.mark.parametrize("service", sorted(moto_operations._MOTO_ELSEWHERE))
def test_what_is_said_to_be_elsewhere_in_moto_is_an_operation_without_a_method_of_its_name(service):
    assert set(moto_operations.operations_of(service)) >= moto_operations._MOTO_ELSEWHERE[service]


def test_every_operation_of_every_service_has_exactly_one_level():
    found = coverage.coverage()
    assert len({(item.service, item.operation) for item in found}) == len(found)
    counted = coverage.count(found)
    assert counted.executes + counted.stores + counted.missing == len(found)
    assert {item.service for item in found} == {
        service for services in coverage.FAMILIES.values() for service in services
    }
    assert all(bool(item.by) == (item.level != "not there") for item in found)


def test_the_page_says_the_same_numbers_and_every_covered_operation_once():
    page, found = coverage.page(), coverage.coverage()
    counted = coverage.count(found)
    assert (
        f"{counted.executes} operations execute, {counted.stores} only store, "
        f"{counted.missing} are not there" in page
    )
    assert all(re.search(rf"\b{item.operation}\b", page) for item in found if item.by)
    assert page == coverage.page()


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("sagemaker", "list_models", {}),
        ("sagemaker", "list_workforces", {}),
        (
            "sagemaker-featurestore-runtime",
            "get_record",
            {"FeatureGroupName": "g", "RecordIdentifierValueAsString": "1"},
        ),
        ("glue", "get_databases", {}),
        ("glue", "list_ml_transforms", {}),
        ("cloudwatch", "describe_alarms", {}),
        ("cloudwatch", "describe_anomaly_detectors", {}),
        ("kinesis", "list_streams", {}),
        ("firehose", "list_delivery_streams", {}),
        ("dynamodb", "list_tables", {}),
        ("dynamodb", "list_backups", {}),
        ("athena", "list_engine_versions", {}),
    ],
)
def test_the_list_agrees_with_what_a_client_meets(aws, service, operation, arguments):
    client = aws(service)
    name = client.meta.method_to_api_mapping[operation]
    (level,) = {
        item.level
        for item in coverage.coverage()
        if (item.service, item.operation) == (service, name)
    }
    try:
        getattr(client, operation)(**arguments)
        code = ""
    except ClientError as error:
        code = error.response["Error"]["Code"]
    assert (code == "NotImplemented") == (level == "not there")
