"""STS, IAM, and tags."""

import json

import boto3
from botocore.config import Config

from isthmus_stack.testing.jobs_kit import ROLE
from isthmus_stack.tests.aws.statements.account import refusal
from isthmus_stack.tests.aws.statements.table import Page, promises, reference


def sts(name):
    return Page(name, f"STS/latest/APIReference/API_{name}")


def iam(name):
    return Page(name, f"IAM/latest/APIReference/API_{name}")


LOGIC = Page("Policy evaluation logic", "IAM/latest/UserGuide/reference_policies_evaluation-logic")
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


def role(aws):
    name = aws.fresh("role")
    return aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]


def session(aws, **more):
    answer = aws.sts.assume_role(RoleArn=role(aws)["Arn"], RoleSessionName="a-session", **more)
    return answer["Credentials"], answer["AssumedRoleUser"]


def other(aws, service, credentials):
    """A client with other keys."""
    return boto3.client(
        service,
        endpoint_url=aws.url,
        region_name="us-east-1",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials.get("SessionToken"),
        config=Config(retries={"total_max_attempts": 1}),
    )


@promises(
    "GetCallerIdentity tells account, ARN and user id of the caller.", sts("GetCallerIdentity")
)
def the_caller_is_told(aws):
    told = aws.sts.get_caller_identity()
    assert told["Account"] == "123456789012"
    assert told["Arn"].startswith("arn:aws:")
    assert told["UserId"]


@promises("AssumeRole gives keys that expire, with a session token.", sts("AssumeRole"))
def a_session_has_its_keys(aws):
    credentials, _ = session(aws)
    assert credentials["SessionToken"]
    assert credentials["Expiration"] > aws.stack.now()


@promises("A session is told as arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION.", sts("AssumeRole"))
def a_session_has_its_identity(aws):
    credentials, user = session(aws)
    told = other(aws, "sts", credentials).get_caller_identity()["Arn"]
    assert told == user["Arn"]
    assert ":assumed-role/" in told


@promises("Keys of a session need their session token.", sts("AssumeRole"))
def a_session_needs_its_token(aws):
    credentials, _ = session(aws)
    without = {key: value for key, value in credentials.items() if key != "SessionToken"}
    assert refusal(other(aws, "sts", without).get_caller_identity)


@promises(
    "A key that nobody has is InvalidClientTokenId.",
    Page("Common errors", "STS/latest/APIReference/CommonErrors"),
)
def an_unknown_key_is_refused(aws):
    unknown = {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "x"}
    assert "InvalidClientTokenId" in refusal(other(aws, "sts", unknown).get_caller_identity)


@promises(
    "A request that another secret signed is SignatureDoesNotMatch.",
    Page("Troubleshoot Signature Version 4", "IAM/latest/UserGuide/reference_sigv-troubleshooting"),
)
def another_secret_is_refused(aws):
    user = aws.fresh("user")
    aws.iam.create_user(UserName=user)
    key = aws.iam.create_access_key(UserName=user)["AccessKey"]
    assert "SignatureDoesNotMatch" in refusal(
        other(aws, "sts", {**key, "SecretAccessKey": "x" * 40}).get_caller_identity
    )


@promises("An inactive access key is refused.", iam("UpdateAccessKey"))
def an_inactive_key_is_refused(aws):
    user = aws.fresh("user")
    aws.iam.create_user(UserName=user)
    key = aws.iam.create_access_key(UserName=user)["AccessKey"]
    assert other(aws, "sts", key).get_caller_identity()["Arn"].endswith(f":user/{user}")
    aws.iam.update_access_key(UserName=user, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert "InvalidClientTokenId" in refusal(other(aws, "sts", key).get_caller_identity)


@promises(
    "The name of a role is unique: EntityAlreadyExists; a missing one is NoSuchEntity.",
    iam("CreateRole"),
)
def role_names_are_unique(aws):
    name = role(aws)["RoleName"]
    assert "EntityAlreadyExists" in refusal(
        aws.iam.create_role, RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST)
    )
    assert "NoSuchEntity" in refusal(aws.iam.get_role, RoleName="nobodys")


@promises(
    "What no policy allows is denied, and an explicit Deny comes before every Allow.",
    LOGIC,
    clock="manual",
)
def a_deny_comes_first(aws):
    user = aws.fresh("user")
    aws.iam.create_user(UserName=user)
    key = aws.iam.create_access_key(UserName=user)["AccessKey"]
    allow = {"Effect": "Allow", "Action": "sagemaker:List*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "sagemaker:ListModels", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow, deny]})
    aws.iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=policy)
    client = other(aws, "sagemaker", key)
    aws.stack.enforce()
    try:
        assert client.list_endpoints()["Endpoints"] is not None
        assert "AccessDenied" in refusal(client.list_models)
        assert "AccessDenied" in refusal(client.delete_model, ModelName="m")
    finally:
        aws.stack.enforce(1_000_000)


def tagged(aws):
    name = aws.fresh("model")
    container = {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/toy:1"}
    tags = [{"Key": "team", "Value": "ranking"}]
    return aws.sm.create_model(
        ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE, Tags=tags
    )["ModelArn"]


@promises(
    "Tags of a creation are there; AddTags adds and replaces, DeleteTags removes.",
    reference("AddTags"),
)
def tags_are_added_and_removed(aws):
    arn = tagged(aws)
    aws.sm.add_tags(
        ResourceArn=arn,
        Tags=[{"Key": "team", "Value": "search"}, {"Key": "stage", "Value": "test"}],
    )
    aws.sm.delete_tags(ResourceArn=arn, TagKeys=["stage"])
    assert aws.sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "search"}]


@promises("A resource has 50 tags at most.", reference("AddTags"))
def a_resource_has_fifty_tags(aws):
    arn = tagged(aws)
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    assert refusal(aws.sm.add_tags, ResourceArn=arn, Tags=many)
    aws.sm.add_tags(ResourceArn=arn, Tags=many[:49])
    assert refusal(aws.sm.add_tags, ResourceArn=arn, Tags=[{"Key": "one-more", "Value": "v"}])


@promises(
    "GetResources finds resources by their tags.",
    Page("GetResources", "resourcegroupstagging/latest/APIReference/API_GetResources"),
)
def resources_are_found_by_tag(aws):
    arn = tagged(aws)
    aws.sm.add_tags(ResourceArn=arn, Tags=[{"Key": "only", "Value": "here"}])
    listed = aws.resourcegroupstaggingapi.get_resources(
        TagFilters=[{"Key": "only", "Values": ["here"]}]
    )["ResourceTagMappingList"]
    assert [item["ResourceARN"] for item in listed] == [arn]
