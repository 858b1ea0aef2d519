"""Models, model package groups and their versions."""

from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.aws.services.sagemaker.model_packages import operations as model_packages
from isthmus_stack.aws.services.sagemaker.model_packages.records import Registry
from isthmus_stack.testing.jobs_kit import ROLE

CONTAINER = {
    "Image": "image",
    "ModelDataSource": {
        "S3DataSource": {
            "S3Uri": "s3://bucket/model/",
            "S3DataType": "S3Prefix",
            "CompressionType": "None",
        }
    },
}


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


@pytest.fixture
def sm(aws):
    return aws("sagemaker")


def register(sm, **more):
    return sm.create_model_package(
        ModelPackageGroupName="group",
        InferenceSpecification={
            "Containers": [CONTAINER],
            "SupportedContentTypes": ["application/json"],
        },
        **more,
    )["ModelPackageArn"]


def test_a_model_keeps_its_uncompressed_source_and_its_name_is_taken_once(sm):
    sm.create_model(
        ModelName="model",
        PrimaryContainer=CONTAINER,
        ExecutionRoleArn=ROLE,
        EnableNetworkIsolation=True,
    )
    found = sm.describe_model(ModelName="model")
    assert found["PrimaryContainer"] == CONTAINER
    assert found["EnableNetworkIsolation"] is True
    code, message = refusal(
        sm.create_model, ModelName="model", PrimaryContainer=CONTAINER, ExecutionRoleArn=ROLE
    )
    assert (code, "already existing model" in message) == ("ValidationException", True)
    sm.delete_model(ModelName="model")
    assert refusal(sm.describe_model, ModelName="model")[1].startswith("Could not find model")
    assert refusal(sm.delete_model, ModelName="model")[1].startswith("Could not find model")


def test_a_model_needs_a_container(sm):
    assert (
        refusal(sm.create_model, ModelName="model", ExecutionRoleArn=ROLE)[0]
        == "ValidationException"
    )


def test_versions_count_up_and_a_number_is_never_used_again(sm):
    sm.create_model_package_group(ModelPackageGroupName="group")
    first, second = register(sm), register(sm)
    sm.delete_model_package(ModelPackageName=second)
    third = register(sm)
    assert [arn.rpartition("/")[2] for arn in (first, second, third)] == ["1", "2", "3"]
    listed = sm.list_model_packages(ModelPackageGroupName="group", SortOrder="Descending")[
        "ModelPackageSummaryList"
    ]
    assert [item["ModelPackageVersion"] for item in listed] == [3, 1]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            {"ModelPackageName": "a", "ModelPackageGroupName": "group"},
            "Both ModelPackageName and ModelPackageGroupName are provided",
        ),
        ({}, "Missing ARN."),
        ({"ModelPackageGroupName": "nobody"}, "Model Package Group does not exist."),
    ],
)
def test_a_package_needs_one_name_or_a_group_that_is_there(sm, names, words):
    sm.create_model_package_group(ModelPackageGroupName="group")
    code, message = refusal(sm.create_model_package, **names)
    assert (code, words in message) == ("ValidationException", True)


def test_the_same_client_token_registers_once(sm):
    sm.create_model_package_group(ModelPackageGroupName="group")
    assert register(sm, ClientToken="t" * 36) == register(sm, ClientToken="t" * 36)
    assert register(sm, ClientToken="u" * 36).endswith("/2")


def test_an_update_changes_what_it_names_and_nothing_else(sm):
    sm.create_model_package_group(ModelPackageGroupName="group")
    arn = register(
        sm, CustomerMetadataProperties={"digest": "d", "old": "x"}, ModelApprovalStatus="Approved"
    )
    sm.update_model_package(
        ModelPackageArn=arn,
        CustomerMetadataProperties={"note": "n"},
        CustomerMetadataPropertiesToRemove=["old"],
    )
    found = sm.describe_model_package(ModelPackageName=arn)
    assert found["ModelApprovalStatus"] == "Approved"
    assert found["CustomerMetadataProperties"] == {"digest": "d", "note": "n"}
    sm.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Rejected", ApprovalDescription="worse"
    )
    found = sm.describe_model_package(ModelPackageName=arn)
    assert (found["ModelApprovalStatus"], found["ApprovalDescription"]) == ("Rejected", "worse")
    assert found["InferenceSpecification"]["Containers"] == [CONTAINER]
    assert (
        refusal(sm.update_model_package, ModelPackageArn=arn, ModelApprovalStatus="Maybe")[0]
        == "ValidationException"
    )


def test_a_group_is_made_once_and_deleted_only_when_empty(sm):
    sm.create_model_package_group(
        ModelPackageGroupName="group", Tags=[{"Key": "project", "Value": "p"}]
    )
    assert (
        refusal(sm.create_model_package_group, ModelPackageGroupName="group")[0]
        == "ValidationException"
    )
    arn = register(sm)
    assert (
        refusal(sm.delete_model_package_group, ModelPackageGroupName="group")[0]
        == "ConflictException"
    )
    sm.delete_model_package(ModelPackageName=arn)
    group = sm.describe_model_package_group(ModelPackageGroupName="group")["ModelPackageGroupArn"]
    sm.delete_model_package_group(ModelPackageGroupName="group")
    assert refusal(sm.list_tags, ResourceArn=group)[0] == "ValidationException"
    assert (
        refusal(sm.describe_model_package_group, ModelPackageGroupName="group")[0]
        == "ValidationException"
    )
    assert sm.list_model_package_groups()["ModelPackageGroupSummaryList"] == []


def test_search_finds_model_packages_as_with_moto(sm):
    sm.create_model_package_group(ModelPackageGroupName="group")
    arn = register(sm)
    found = sm.search(Resource="ModelPackage")["Results"]
    assert [item["ModelPackage"]["ModelPackageVersion"] for item in found] == [1]
    sm.delete_model_package(ModelPackageName=arn)
    assert sm.search(Resource="ModelPackage")["Results"] == []


def test_a_list_is_answered_while_another_request_registers(monkeypatch):
    """Requests run in threads: whoever lists must not walk the very dict that another writes to."""
    registry = Registry()
    registry.packages = {
        f"arn:{n}": {"ModelPackageGroupName": "group", "ModelPackageVersion": n} for n in range(3)
    }
    context = SimpleNamespace(store=lambda _kind: registry)

    def summary(package):
        registry.packages[f"arn:{len(registry.packages)}"] = package
        return {"ModelPackageVersion": package["ModelPackageVersion"]}

    monkeypatch.setattr(model_packages, "_summary", summary)
    monkeypatch.setattr(model_packages, "_page", lambda items, _params, _key: (items, {}))
    listed = model_packages.list_model_packages(context, {"ModelPackageGroupName": "group"})[
        "ModelPackageSummaryList"
    ]
    assert [package["ModelPackageVersion"] for package in listed] == [0, 1, 2]
