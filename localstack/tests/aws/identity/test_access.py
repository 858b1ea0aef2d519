"""Enforcement: callers held to their IAM policies, on moto's operations and on ours, with what each
operation implies.
"""

import json

import boto3
import pytest
from botocore.exceptions import ClientError

from isthmus_stack.aws.core.policy.enforcement import is_allowed
from isthmus_stack.aws.core.policy.evaluation import AccessRequest, grants

ACCOUNT, REGION = "123456789012", "us-east-1"
TAGS = [{"Key": "k", "Value": "v"}]
STREAM = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/s"


def allow(actions, resources="*", **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


@pytest.fixture
def somebody(aws, example_stack):
    """somebody(statement, ...): clients of a user with these statements alone, enforcement being
    on.
    """

    def clients(*statements):
        iam = aws("iam")
        iam.create_user(UserName="u")
        if statements:
            policy = {"Version": "2012-10-17", "Statement": list(statements)}
            iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName="u")["AccessKey"]
        example_stack.enforce()
        session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)
        return lambda service: session.client(service, endpoint_url=example_stack.url)

    return clients


def refused(call, action):
    with pytest.raises(ClientError) as error:
        call()
    found = error.value.response["Error"]
    assert found["Code"] in ("AccessDenied", "AccessDeniedException")
    assert f"is not authorized to perform: {action} on resource: " in found["Message"]
    return found


def test_nobody_is_asked_before_enforcement_and_after_a_reset(aws, example_stack, somebody):
    aws("s3").create_bucket(Bucket="bucket")
    somebody()
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        aws("s3").list_buckets()
    example_stack.reset()
    assert aws("s3").list_buckets()["Buckets"] == []


def test_so_many_calls_pass_before_it_begins(aws, example_stack):
    example_stack.enforce(after=2)
    aws("s3").create_bucket(Bucket="bucket")
    aws("s3").list_buckets()
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        aws("s3").list_buckets()


def test_a_right_holds_for_its_resource_alone_on_motos_operations_and_ours(aws, somebody):
    aws("s3").create_bucket(Bucket="bucket")
    user = somebody(
        allow("s3:PutObject", "arn:aws:s3:::bucket/mine/*"),
        allow("sagemaker:DescribeModel", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/m"),
    )
    user("s3").put_object(Bucket="bucket", Key="mine/x", Body=b"1")
    refused(
        lambda: user("s3").put_object(Bucket="bucket", Key="yours/x", Body=b"1"), "s3:PutObject"
    )
    refused(lambda: user("sagemaker").describe_model(ModelName="other"), "sagemaker:DescribeModel")
    with pytest.raises(ClientError, match=r"Could not find|does not exist"):
        user("sagemaker").describe_model(ModelName="m")  # let in
    assert user("sts").get_caller_identity()["Arn"].endswith("user/u")  # which needs no right


def test_what_is_refused_is_not_done(aws, somebody, example_stack):
    user = somebody(allow("kinesis:CreateStream"))
    refused(
        lambda: user("kinesis").create_stream(StreamName="s", ShardCount=1, Tags={"k": "v"}),
        "kinesis:AddTagsToStream",
    )
    example_stack.enforce(after=10)
    assert aws("kinesis").list_streams()["StreamNames"] == []


CREATE_MODEL = {
    "ModelName": "m",
    "PrimaryContainer": {"Image": "i"},
    "ExecutionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/r",
}


@pytest.mark.parametrize(
    ("statements", "missing"),
    [
        ([], "sagemaker:CreateModel"),
        ([allow("sagemaker:CreateModel")], "sagemaker:AddTags"),
        ([allow(["sagemaker:CreateModel", "sagemaker:AddTags"])], "iam:PassRole"),
        (
            [
                allow("sagemaker:*"),
                allow(
                    "iam:PassRole",
                    Condition={"StringEquals": {"iam:PassedToService": "firehose.amazonaws.com"}},
                ),
            ],
            "iam:PassRole",
        ),
        (
            [
                allow("sagemaker:*"),
                allow("iam:*"),
                {"Effect": "Deny", "Action": "iam:Pass*", "Resource": "*"},
            ],
            "iam:PassRole",
        ),
        (
            [
                allow("sagemaker:*"),
                allow(
                    "iam:PassRole",
                    Condition={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
                ),
            ],
            None,
        ),
    ],
)
def test_a_model_with_tags_needs_three_rights(somebody, statements, missing):
    user = somebody(*statements)

    def create():
        return user("sagemaker").create_model(**CREATE_MODEL, Tags=TAGS)

    if missing:
        refused(create, missing)
    else:
        assert create()["ModelArn"].endswith("model/m")


def test_an_assumed_role_is_held_to_its_own_policies(aws, example_stack):
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}],
    }
    arn = aws("iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))["Role"][
        "Arn"
    ]
    policy = {"Version": "2012-10-17", "Statement": [allow("s3:ListAllMyBuckets")]}
    aws("iam").put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(policy))
    keys = aws("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    example_stack.enforce()
    role = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], REGION)
    assert role.client("s3", endpoint_url=example_stack.url).list_buckets()["Buckets"] == []
    refused(
        lambda: role.client("s3", endpoint_url=example_stack.url).create_bucket(Bucket="bucket"),
        "s3:CreateBucket",
    )


def athena(*, tables="*"):
    base = f"arn:aws:glue:{REGION}:{ACCOUNT}:"
    return [
        allow(["athena:*", "s3:*"]),
        allow(
            ["glue:GetDatabase", "glue:GetTable", "glue:GetPartitions"],
            [f"{base}catalog", f"{base}database/db", f"{base}table/db/{tables}"],
        ),
    ]


def test_athena_reads_with_its_callers_rights(aws, somebody, example_stack):
    aws("s3").create_bucket(Bucket="bucket")
    aws("s3").put_object(Bucket="bucket", Key="t/x", Body=b"1\n")
    aws("glue").create_database(DatabaseInput={"Name": "db"})
    serde = {"SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"}
    for name in ("t", "u"):
        storage = {
            "Columns": [{"Name": "n", "Type": "int"}],
            "Location": "s3://bucket/t/",
            "SerdeInfo": serde,
        }
        aws("glue").create_table(
            DatabaseName="db",
            TableInput={"Name": name, "TableType": "EXTERNAL_TABLE", "StorageDescriptor": storage},
        )
    user = somebody(*athena(tables="t"))("athena")

    def run(sql):
        started = user.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": "db"},
            ResultConfiguration={"OutputLocation": "s3://bucket/results/"},
        )["QueryExecutionId"]
        example_stack.advance(1)
        return finished(user, started)

    assert run("SELECT n FROM t")["State"] == "SUCCEEDED"
    status = run("SELECT n FROM u")
    assert status["State"] == "FAILED"
    assert "is not authorized to perform: glue:GetTable" in status["StateChangeReason"]


def finished(client, started):
    import time

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = client.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"]
        if status["State"] not in ("QUEUED", "RUNNING"):
            return status
        time.sleep(0.02)
    raise AssertionError("the query has not ended")


@pytest.mark.parametrize(
    ("service", "operation", "params", "implied"),
    [
        (
            "kinesis",
            "CreateStream",
            {"StreamName": "s", "Tags": {"k": "v"}},
            ("kinesis:AddTagsToStream", STREAM),
        ),
        (
            "firehose",
            "CreateDeliveryStream",
            {"DeliveryStreamName": "d", "Tags": TAGS},
            ("firehose:TagDeliveryStream", f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/d"),
        ),
        (
            "sagemaker",
            "CreateFeatureGroup",
            {"FeatureGroupName": "g", "Tags": TAGS},
            ("sagemaker:AddTags", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:feature-group/g"),
        ),
        (
            "athena",
            "StartQueryExecution",
            {"ResultConfiguration": {"OutputLocation": "s3://b/r/"}},
            ("s3:PutObject", "arn:aws:s3:::b/r/*"),
        ),
        (
            "athena",
            "StartQueryExecution",
            {"ResultConfiguration": {"OutputLocation": "s3://b/"}},
            ("s3:GetBucketLocation", "arn:aws:s3:::b"),
        ),
        (
            "athena",
            "GetTableMetadata",
            {"DatabaseName": "d", "TableName": "t"},
            ("glue:GetTable", f"arn:aws:glue:{REGION}:{ACCOUNT}:table/d/t"),
        ),
    ],
)
def test_an_operation_implies_rights(service, operation, params, implied):
    asked = AccessRequest(
        service=service, operation=operation, params=params, account=ACCOUNT, region=REGION
    )
    assert (*implied, "") in set(grants(asked))


def test_setting_tags_alone_needs_one_right():
    asked = AccessRequest(
        service="kinesis",
        operation="AddTagsToStream",
        params={"StreamName": "s", "Tags": {}},
        account=ACCOUNT,
        region=REGION,
    )
    assert {action for action, _, _ in grants(asked)} == {"kinesis:AddTagsToStream"}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (allow("*"), True),
        (allow("KINESIS:put*"), True),
        (allow("kinesis:PutRecor?"), True),
        (allow("kinesis:PutRecord?"), False),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, True),
        ({"Effect": "Allow", "Action": "*", "NotResource": STREAM}, False),
        (allow("*", Condition={"Bool": {"aws:SecureTransport": "true"}}), False),
    ],
)
def test_a_statement_fits_as_iam_reads_it(statement, expected):
    assert is_allowed([statement], ("kinesis:PutRecord", STREAM, "")) is expected
