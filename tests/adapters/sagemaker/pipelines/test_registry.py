"""The model registry on the wire: lost replies, throttling, packages that others made."""

import pytest

from isthmus.errors import OutcomeUnknown, Throttled
from isthmus.tests.adapters.sagemaker.ml_kit import asked

URI = "s3://conformance/conf/models/ranker/d1"


def register(target, digest="d1"):
    return target.registry.register("ranker", uri=URI, digest=digest, image="ranker:1")


def test_a_lost_reply_is_made_good_by_the_sdks_own_repeat(target, stack):
    stack.fault(kind="cut-after", service="sagemaker", operation="CreateModelPackage")
    assert register(target).version == 1
    assert asked(stack, "CreateModelPackage") == 2
    assert len(target.registry.versions("ranker")) == 1


@pytest.mark.parametrize("kind", ["cut-after", "cut-before"])
def test_replies_that_stay_lost_are_an_unknown_outcome_and_a_repeat_makes_one_version(
    target, stack, kind
):
    stack.fault(kind=kind, service="sagemaker", operation="CreateModelPackage", times=None)
    with pytest.raises(OutcomeUnknown):
        register(target)
    stack.clear_faults()
    assert register(target).version == 1
    assert len(target.registry.versions("ranker")) == 1


def test_throttling_that_does_not_end_says_that_nothing_was_done(target, stack):
    register(target)
    stack.fault(kind="throttle", service="sagemaker", operation="AddTags", times=None)
    with pytest.raises(Throttled):
        target.registry.set_alias("ranker", "champion", 1)
    stack.clear_faults()
    assert target.registry.get("ranker", 1).aliases == frozenset()


def test_the_digest_is_looked_for_before_anything_is_made(target, stack):
    register(target)
    stack.clear_calls()
    register(target)
    assert not [call for call in stack.calls() if call.mutating]


def test_a_model_is_tagged_by_the_call_that_makes_it(target, stack):
    register(target)
    assert asked(stack, "AddTags") == 0
    client = target.native.client("sagemaker")
    arn = client.describe_model_package_group(ModelPackageGroupName="conf-ranker")[
        "ModelPackageGroupArn"
    ]
    tags = {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=arn)["Tags"]}
    assert tags == {"isthmus:project": "conf", "isthmus:kind": "model", "isthmus:name": "ranker"}


def test_the_model_folder_is_registered_uncompressed(target):
    register(target)
    client = target.native.client("sagemaker")
    (summary,) = client.list_model_packages(ModelPackageGroupName="conf-ranker")[
        "ModelPackageSummaryList"
    ]
    (container,) = client.describe_model_package(ModelPackageName=summary["ModelPackageArn"])[
        "InferenceSpecification"
    ]["Containers"]
    assert container["ModelDataSource"]["S3DataSource"] == {
        "S3Uri": f"{URI}/",
        "S3DataType": "S3Prefix",
        "CompressionType": "None",
    }


def test_a_package_that_somebody_else_registered_is_a_version_without_a_digest(target):
    register(target)
    target.native.client("sagemaker").create_model_package(
        ModelPackageGroupName="conf-ranker",
        InferenceSpecification={
            "Containers": [{"Image": "theirs:2", "ModelDataUrl": "s3://theirs/model.tar.gz"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )
    theirs = target.registry.get("ranker", 2)
    assert (theirs.digest, theirs.uri, theirs.image, theirs.approval) == (
        "",
        "s3://theirs/model.tar.gz",
        "theirs:2",
        "pending",
    )
    assert register(target, "d2").version == 3
