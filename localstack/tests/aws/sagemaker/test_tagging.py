"""GetResources by tag over what the stack keeps itself and what moto keeps."""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.tests.aws.data_kit import (
    BUCKET,
    ROLE,
    aws,
    instant_process,
    manual_process,
    moved,
)

TAGS = [{"Key": "isthmus:project", "Value": "shop"}, {"Key": "team", "Value": "ranking"}]
AS_MAP = {tag["Key"]: tag["Value"] for tag in TAGS}


def everything(aws):
    """One resource of every kind that an adapter's inventory looks for."""
    aws.s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": TAGS})
    aws.kinesis.create_stream(StreamName="shop-clicks", ShardCount=1, Tags=AS_MAP)
    target = {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{BUCKET}"}
    aws.firehose.create_delivery_stream(
        DeliveryStreamName="shop-clicks", ExtendedS3DestinationConfiguration=target, Tags=TAGS
    )
    sagemaker = aws.sagemaker
    sagemaker.create_feature_group(
        FeatureGroupName="shop-items",
        RecordIdentifierFeatureName="item",
        EventTimeFeatureName="at",
        FeatureDefinitions=[
            {"FeatureName": "item", "FeatureType": "String"},
            {"FeatureName": "at", "FeatureType": "String"},
        ],
        OnlineStoreConfig={"EnableOnlineStore": True},
        Tags=TAGS,
    )
    sagemaker.create_model_package_group(ModelPackageGroupName="shop-ctr", Tags=TAGS)
    definition = (
        '{"Version": "2020-12-01", "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": '
        '{"ErrorMessage": "x"}}]}'
    )
    sagemaker.create_pipeline(
        PipelineName="shop-train",
        PipelineDefinition=definition,
        RoleArn=ROLE,
        ClientRequestToken="t" * 32,
        Tags=TAGS,
    )
    image = {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/nobody:1"}
    sagemaker.create_model(
        ModelName="shop-m1", PrimaryContainer=image, ExecutionRoleArn=ROLE, Tags=TAGS
    )
    variant = {
        "VariantName": "a",
        "ModelName": "shop-m1",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName="shop-c1", ProductionVariants=[variant], Tags=TAGS
    )
    sagemaker.create_endpoint(EndpointName="shop-rank", EndpointConfigName="shop-c1", Tags=TAGS)


def names(aws, **asked):
    pages = aws.resourcegroupstaggingapi.get_paginator("get_resources").paginate(**asked)
    return sorted(
        item["ResourceARN"].split(":", 5)[2] + " " + item["ResourceARN"].split(":", 5)[5]
        for page in pages
        for item in page["ResourceTagMappingList"]
    )


def test_every_kind_is_found_by_its_tag_once(aws):
    everything(aws)
    assert names(aws, TagFilters=[{"Key": "isthmus:project", "Values": ["shop"]}]) == [
        "firehose deliverystream/shop-clicks",
        "kinesis stream/shop-clicks",
        f"s3 {BUCKET}",
        "sagemaker endpoint-config/shop-c1",
        "sagemaker endpoint/shop-rank",
        "sagemaker feature-group/shop-items",
        "sagemaker model-package-group/shop-ctr",
        "sagemaker model/shop-m1",
        "sagemaker pipeline/shop-train",
    ]


def test_filters_are_all_to_hold_and_their_values_are_alternatives(aws):
    everything(aws)
    both = [
        {"Key": "isthmus:project", "Values": ["shop", "other"]},
        {"Key": "team", "Values": ["ranking"]},
    ]
    assert len(names(aws, TagFilters=both)) == 9
    assert names(aws, TagFilters=[{"Key": "isthmus:project", "Values": ["other"]}]) == []
    assert names(aws, TagFilters=[{"Key": "nobody"}]) == []


def test_types_narrow_the_answer(aws):
    everything(aws)
    asked = {"TagFilters": [{"Key": "team"}]}
    assert names(aws, ResourceTypeFilters=["sagemaker:feature-group"], **asked) == [
        "sagemaker feature-group/shop-items"
    ]
    assert names(aws, ResourceTypeFilters=["kinesis"], **asked) == ["kinesis stream/shop-clicks"]
    assert len(names(aws, ResourceTypeFilters=["sagemaker"], **asked)) == 6


def test_what_is_deleted_or_untagged_is_not_found(aws):
    everything(aws)
    aws.sagemaker.delete_feature_group(FeatureGroupName="shop-items")
    aws.firehose.delete_delivery_stream(DeliveryStreamName="shop-clicks")
    arn = aws.sagemaker.describe_model_package_group(ModelPackageGroupName="shop-ctr")[
        "ModelPackageGroupArn"
    ]
    aws.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["isthmus:project"])
    found = names(aws, TagFilters=[{"Key": "isthmus:project"}])
    assert not {
        "sagemaker feature-group/shop-items",
        "firehose deliverystream/shop-clicks",
        "sagemaker model-package-group/shop-ctr",
    } & set(found)


def test_a_tag_that_is_added_later_is_found_with_its_last_value(aws):
    everything(aws)
    arn = aws.sagemaker.describe_feature_group(FeatureGroupName="shop-items")["FeatureGroupArn"]
    aws.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "alias", "Value": "1"}])
    answer = aws.resourcegroupstaggingapi.tag_resources(ResourceARNList=[arn], Tags={"alias": "2"})
    assert answer["FailedResourcesMap"] == {}
    assert names(aws, TagFilters=[{"Key": "alias", "Values": ["2"]}]) == [
        "sagemaker feature-group/shop-items"
    ]
    assert names(aws, TagFilters=[{"Key": "alias", "Values": ["1"]}]) == []


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (
            {"ResourceARNList": ["arn:aws:s3:::b"], "ResourceTypeFilters": ["s3"]},
            "InvalidParameterException",
        ),
        (
            {"ResourceARNList": ["arn:aws:s3:::b"], "ResourcesPerPage": 10},
            "InvalidParameterException",
        ),
        ({"TagsPerPage": 99}, "InvalidParameterException"),
        ({"ResourcesPerPage": 101}, "InvalidParameterException"),
        ({"PaginationToken": "nonsense"}, "PaginationTokenExpiredException"),
    ],
)
def test_what_get_resources_does_not_take_is_refused(aws, asked, code):
    with pytest.raises(ClientError) as error:
        aws.resourcegroupstaggingapi.get_resources(**asked)
    assert error.value.response["Error"]["Code"] == code


def test_pages_hold_so_many_resources_and_tags_in_the_order_of_creation(aws):
    made = []
    for name in ("z", "a", "m"):
        tags = [{"Key": f"{name}{number}", "Value": "v"} for number in range(40)]
        made.append(
            aws.sagemaker.create_model_package_group(ModelPackageGroupName=name, Tags=tags)[
                "ModelPackageGroupArn"
            ]
        )
    pages, token = [], ""
    while not pages or token:
        answer = aws.resourcegroupstaggingapi.get_resources(TagsPerPage=100, PaginationToken=token)
        pages.append([item["ResourceARN"] for item in answer["ResourceTagMappingList"]])
        token = answer["PaginationToken"]
    assert pages == [made[:2], made[2:]]
