"""CloudFormation by boto3: models, endpoint configurations and endpoints go through SageMaker's
handlers; others are refused.
"""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

import json
import time

import boto3
import pytest
from botocore.exceptions import ClientError

from isthmus_stack.testing import stacks
from isthmus_stack.testing.endpoints_kit import IMAGE, ROLE, Kit
from isthmus_stack.tests.aws.data_kit import BUCKET, aws, instant_process

GROUP = {
    "Type": "AWS::SageMaker::ModelPackageGroup",
    "Properties": {"ModelPackageGroupName": "group"},
}


def template(**resources):
    return json.dumps({"Resources": resources})


def stack_of(bucket):
    return {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}


def serving(data, *, outputs=True, **config):
    """A model, its configuration and an endpoint, as templates have them: by references, a number
    as text.
    """
    variant = {"VariantName": "one", "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]}, "InitialInstanceCount": {"Ref": "Count"},
               "InstanceType": "ml.m5.large", "InitialVariantWeight": "1"}  # fmt: skip
    resources = {
        "Endpoint": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {
                "EndpointName": "ranker",
                "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
            },
        },
        "Config": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {"ProductionVariants": [variant], **config},
        },
        "Model": {
            "Type": "AWS::SageMaker::Model",
            "Properties": {
                "ExecutionRoleArn": ROLE,
                "PrimaryContainer": {
                    "Image": IMAGE,
                    "ModelDataUrl": f"s3://models/{data}/model.tar.gz",
                },
            },
        },
        "Bucket": stack_of("beside"),
    }
    told = {
        "Arn": {"Value": {"Ref": "Endpoint"}},
        "Name": {"Value": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}},
    }
    return json.dumps(
        {
            "Parameters": {"Count": {"Type": "Number", "Default": "1"}},
            "Resources": resources,
            "Outputs": told if outputs else {},
        }
    )


class Deployed(Kit):
    """A stack of a template, and what it has made."""

    def __init__(self, url):
        super().__init__(url)
        self.cloudformation = self.client("cloudformation")
        self.bucket()
        for data in ("old", "new"):
            self.model(data)
            self.sagemaker.delete_model(ModelName=data)

    def ended(self, status, seconds=60):
        """The stack in its final status."""
        deadline = time.monotonic() + seconds
        while (stack := self.cloudformation.describe_stacks(StackName="shop")["Stacks"][0])[
            "StackStatus"
        ].endswith("_IN_PROGRESS"):
            assert time.monotonic() < deadline, stack
            time.sleep(0.05)
        assert stack["StackStatus"] == status, self.events()
        return stack

    def events(self):
        found = self.cloudformation.describe_stack_events(StackName="shop")["StackEvents"]
        return [
            (event["LogicalResourceId"], event["ResourceStatus"], event.get("ResourceStatusReason"))
            for event in found
        ]

    def there(self):
        """Models, configurations, endpoints and buckets, by their names without what is made up."""
        names = [model["ModelName"] for model in self.sagemaker.list_models()["Models"]]
        names += [
            config["EndpointConfigName"]
            for config in self.sagemaker.list_endpoint_configs()["EndpointConfigs"]
        ]
        names += [
            endpoint["EndpointName"] for endpoint in self.sagemaker.list_endpoints()["Endpoints"]
        ]
        names += [
            bucket["Name"]
            for bucket in self.s3.list_buckets()["Buckets"]
            if bucket["Name"] != "models"
        ]
        return sorted(name.partition("-")[0] for name in names)

    def gone(self, seconds=60):
        deadline = time.monotonic() + seconds
        while self.cloudformation.describe_stacks()["Stacks"]:
            assert time.monotonic() < deadline, self.events()
            time.sleep(0.05)


@pytest.fixture
def deployed(instant_process):
    kit = Kit(instant_process.url)
    kit.stack.reset()
    return Deployed(instant_process.url)


ALL = ["Config", "Model", "beside", "ranker"]


def test_a_template_s_endpoint_serves_is_updated_with_its_model_and_goes_with_its_stack(deployed):
    change = {"StackName": "shop", "ChangeSetName": "first"}
    deployed.cloudformation.create_change_set(
        **change,
        ChangeSetType="CREATE",
        TemplateBody=serving("old"),
        Tags=[{"Key": "a", "Value": "b"}],
    )
    assert deployed.there() == []
    deployed.cloudformation.execute_change_set(**change)
    stack = deployed.ended("CREATE_COMPLETE")
    arn = deployed.describe()["EndpointArn"]
    assert {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]} == {
        "Arn": arn,
        "Name": "ranker",
    }
    assert deployed.invoke()[1]["model"] == "old"
    assert deployed.there() == ALL
    assert deployed.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]

    deployed.cloudformation.update_stack(StackName="shop", TemplateBody=serving("new"))
    deployed.ended("UPDATE_COMPLETE")
    assert deployed.invoke()[1]["model"] == "new"
    assert deployed.there() == ALL  # what was replaced is gone
    listed = deployed.cloudformation.describe_stack_resources(StackName="shop")["StackResources"]
    names = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"].rpartition("/")[2]
        for resource in listed
    }
    assert names["Config"] == deployed.describe()["EndpointConfigName"]

    deployed.cloudformation.delete_stack(StackName="shop")
    deployed.gone()
    assert deployed.there() == []


def test_who_looks_at_a_stack_needs_no_rights_to_make_it(deployed):
    clients = {}
    for name, action in (("builder", "*"), ("watcher", "cloudformation:DescribeStacks")):
        iam = deployed.client("iam")
        iam.create_user(UserName=name)
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}],
        }
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
        clients[name] = session.client("cloudformation", endpoint_url=deployed.url)
    deployed.stack.enforce()
    clients["builder"].create_stack(StackName="shop", TemplateBody=serving("old"))
    deployed.cloudformation = clients["watcher"]
    deployed.ended("CREATE_COMPLETE")


def test_an_endpoint_that_does_not_come_up_takes_its_stack_back(deployed):
    deployed.cloudformation.create_stack(StackName="shop", TemplateBody=serving("missing"))
    stack = deployed.ended("ROLLBACK_COMPLETE")
    assert (
        stack["StackStatusReason"]
        == "The following resource(s) failed to create: [Endpoint]. Rollback requested by user."
    )
    failed = next(
        reason
        for name, status, reason in deployed.events()
        if (name, status) == ("Endpoint", "CREATE_FAILED")
    )
    assert "did not stabilize" in failed
    assert "missing" in failed
    assert deployed.there() == []
    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        deployed.cloudformation.update_stack(StackName="shop", TemplateBody=serving("old"))


def test_an_update_that_fails_goes_back_to_what_served(deployed):
    deployed.cloudformation.create_stack(StackName="shop", TemplateBody=serving("old"))
    deployed.ended("CREATE_COMPLETE")
    config = deployed.describe()["EndpointConfigName"]
    deployed.cloudformation.update_stack(StackName="shop", TemplateBody=serving("missing"))
    assert (
        "failed to update: [Endpoint]"
        in deployed.ended("UPDATE_ROLLBACK_COMPLETE")["StackStatusReason"]
    )
    assert deployed.describe()["EndpointConfigName"] == config
    assert deployed.invoke()[1]["model"] == "old"
    assert deployed.there() == ALL


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"EndpointConfigNames": "x"}, "Encountered unsupported property EndpointConfigNames"),
        ({"ProductionVariants": []}, "Value '[]' at 'productionVariants'"),
        ({"EnableNetworkIsolation": "perhaps"}, "expected type: Boolean, found: perhaps"),
    ],
)
def test_what_sagemaker_refuses_rolls_back_with_its_words(deployed, config, reason):
    deployed.cloudformation.create_stack(StackName="shop", TemplateBody=serving("old", **config))
    deployed.ended("ROLLBACK_COMPLETE")
    assert any(name == "Config" and reason in why for name, _, why in deployed.events() if why), (
        deployed.events()
    )
    assert deployed.there() == []


def test_who_wants_no_rollback_keeps_what_was_made(deployed):
    deployed.cloudformation.create_stack(
        StackName="shop",
        TemplateBody=serving("old", EndpointConfigNames="x"),
        OnFailure="DO_NOTHING",
    )
    deployed.ended("CREATE_FAILED")
    assert deployed.there() == ["Model", "beside"]


@pytest.mark.parametrize("operation", ["create_stack", "create_change_set", "by_url"])
def test_other_resources_of_sagemaker_are_refused_by_name_before_anything_is_made(aws, operation):
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


def test_stacks_without_sagemaker_are_made_as_ever(aws):
    aws.cloudformation.create_stack(
        StackName="stack", TemplateBody=template(Bucket=stack_of("made"))
    )
    assert [stack["StackStatus"] for stack in aws.cloudformation.describe_stacks()["Stacks"]] == [
        "CREATE_COMPLETE"
    ]
    assert "made" in [bucket["Name"] for bucket in aws.s3.list_buckets()["Buckets"]]
    aws.cloudformation.delete_stack(StackName="stack")
    assert "made" not in [bucket["Name"] for bucket in aws.s3.list_buckets()["Buckets"]]
