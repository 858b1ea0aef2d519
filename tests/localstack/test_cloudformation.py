"""CloudFormation by boto3: what of it would be made up is refused, and nothing of that template is made."""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

import json

import pytest
from botocore.exceptions import ClientError

from isthmus.tests.localstack.data_kit import BUCKET, aws, instant_process

GROUP = {"Type": "AWS::SageMaker::ModelPackageGroup", "Properties": {"ModelPackageGroupName": "group"}}


def template(**resources):
    return json.dumps({"Resources": resources})


def stack_of(bucket):
    return {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}


@pytest.mark.parametrize("operation", ["create_stack", "create_change_set", "by_url"])
def test_resources_of_sagemaker_are_refused_by_name_before_anything_is_made(aws, operation):
    body = template(Bucket=stack_of("made-first"), Group=GROUP)
    more = {"TemplateBody": body}
    if operation == "by_url":
        aws.s3.put_object(Bucket=BUCKET, Key="a b/t.json", Body=body)
        more = {"TemplateURL": f"https://{BUCKET}.s3.us-east-1.amazonaws.com/a%20b/t.json"}
    if operation == "create_change_set":
        more |= {"ChangeSetName": "change", "ChangeSetType": "CREATE"}
    call = getattr(aws.cloudformation, "create_stack" if operation == "by_url" else operation)
    with pytest.raises(ClientError, match="AWS::SageMaker::ModelPackageGroup") as error:
        call(StackName="stack", **more)
    assert error.value.response["Error"]["Code"] == "NotImplemented"
    assert aws.cloudformation.describe_stacks()["Stacks"] == []
    assert [bucket["Name"] for bucket in aws.s3.list_buckets()["Buckets"]] == [BUCKET]


def test_other_resources_are_made_as_ever(aws):
    aws.cloudformation.create_stack(StackName="stack", TemplateBody=template(Bucket=stack_of("made")))
    assert [stack["StackStatus"] for stack in aws.cloudformation.describe_stacks()["Stacks"]] == ["CREATE_COMPLETE"]
    assert "made" in [bucket["Name"] for bucket in aws.s3.list_buckets()["Buckets"]]
