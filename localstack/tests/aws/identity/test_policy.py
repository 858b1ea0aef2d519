import json

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.aws.core.policy.evaluation import AccessRequest, document, grants, narrowed

ACCOUNT, REGION = "123456789012", "us-east-1"


def of(service, operation, **params):
    return {
        (action, resource)
        for action, resource, _ in grants(
            AccessRequest(
                service=service, operation=operation, params=params, account=ACCOUNT, region=REGION
            )
        )
    }


@pytest.mark.parametrize(
    ("service", "operation", "params", "expected"),
    [
        (
            "sagemaker",
            "DescribeEndpoint",
            {"EndpointName": "Ranker"},
            {("sagemaker:DescribeEndpoint", "sagemaker:endpoint/ranker")},
        ),
        (
            "sagemaker",
            "CreateEndpoint",
            {"EndpointName": "e", "EndpointConfigName": "c"},
            {
                ("sagemaker:CreateEndpoint", "sagemaker:endpoint/e"),
                ("sagemaker:CreateEndpoint", "sagemaker:endpoint-config/c"),
            },
        ),
        (
            "sagemaker-runtime",
            "InvokeEndpoint",
            {"EndpointName": "e"},
            {("sagemaker:InvokeEndpoint", "sagemaker:endpoint/e")},
        ),
        (
            "sagemaker-featurestore-runtime",
            "BatchGetRecord",
            {"Identifiers": [{"FeatureGroupName": "g"}, {"FeatureGroupName": "h"}]},
            {
                ("sagemaker:BatchGetRecord", "sagemaker:feature-group/g"),
                ("sagemaker:BatchGetRecord", "sagemaker:feature-group/h"),
            },
        ),
        (
            "athena",
            "StartQueryExecution",
            {},
            {("athena:StartQueryExecution", "athena:workgroup/primary")},
        ),
        (
            "kinesis",
            "PutRecords",
            {"StreamName": "s"},
            {("kinesis:PutRecords", "kinesis:stream/s")},
        ),
        (
            "cloudwatch",
            "DeleteAlarms",
            {"AlarmNames": ["A"]},
            {("cloudwatch:DeleteAlarms", "cloudwatch:alarm:A")},
        ),
    ],
)
def test_a_call_needs_its_action_on_what_it_names(service, operation, params, expected):
    def full(resource):
        prefix, _, rest = resource.partition(":")
        return f"arn:aws:{prefix}:{REGION}:{ACCOUNT}:{rest}"

    assert of(service, operation, **params) == {
        (action, full(resource)) for action, resource in expected
    }


@pytest.mark.parametrize(
    ("operation", "params", "expected"),
    [
        ("ListBuckets", {}, {("s3:ListAllMyBuckets", "*")}),
        ("HeadObject", {"Bucket": "b", "Key": "k/x"}, {("s3:GetObject", "arn:aws:s3:::b/k/x")}),
        ("ListObjectsV2", {"Bucket": "b"}, {("s3:ListBucket", "arn:aws:s3:::b")}),
        ("UploadPart", {"Bucket": "b", "Key": "k"}, {("s3:PutObject", "arn:aws:s3:::b/k")}),
        (
            "CopyObject",
            {"Bucket": "b", "Key": "k", "CopySource": "from/a%20b"},
            {("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:GetObject", "arn:aws:s3:::from/a b")},
        ),
        (
            "DeleteObjects",
            {"Bucket": "b", "Delete": {"Objects": [{"Key": "x"}]}},
            {("s3:DeleteObject", "arn:aws:s3:::b/x")},
        ),
    ],
)
def test_s3s_rights_are_the_actions_that_iam_knows(operation, params, expected):
    assert of("s3", operation, **params) == expected


def test_scaling_a_variant_needs_its_callers_rights_on_endpoints_and_alarms():
    assert of(
        "application-autoscaling", "RegisterScalableTarget", ServiceNamespace="sagemaker"
    ) == {
        ("application-autoscaling:RegisterScalableTarget", "*"),
        ("iam:CreateServiceLinkedRole", "*"),
        ("sagemaker:DescribeEndpoint", "*"),
        ("sagemaker:DescribeEndpointConfig", "*"),
        ("sagemaker:UpdateEndpointWeightsAndCapacities", "*"),
    }
    assert ("cloudwatch:PutMetricAlarm", "*") in of(
        "application-autoscaling", "PutScalingPolicy", ServiceNamespace="sagemaker"
    )
    assert of("application-autoscaling", "PutScalingPolicy", ServiceNamespace="ecs") == {
        ("application-autoscaling:PutScalingPolicy", "*")
    }


def test_glue_needs_the_whole_path_to_a_table():
    base = f"arn:aws:glue:{REGION}:{ACCOUNT}:"
    found = of("glue", "CreateTable", DatabaseName="d", TableInput={"Name": "t"})
    assert {resource for _, resource in found} == {
        f"{base}catalog",
        f"{base}database/d",
        f"{base}table/d/t",
    }
    assert (f"{base}table/d/*") in {
        resource for _, resource in of("glue", "GetTables", DatabaseName="d")
    }


def test_a_role_that_is_handed_over_needs_pass_role_for_that_service_alone():
    role = "arn:aws:iam::123456789012:role/ranker"
    asked = AccessRequest(
        service="sagemaker",
        operation="CreateModel",
        params={"ModelName": "m", "ExecutionRoleArn": role},
        account=ACCOUNT,
        region=REGION,
    )
    (statement,) = [
        s for s in document(set(grants(asked)))["Statement"] if s["Action"] == ["iam:PassRole"]
    ]
    assert statement["Resource"] == [role]
    assert statement["Condition"] == {
        "StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}
    }


def test_asking_who_one_is_needs_no_right():
    assert of("sts", "GetCallerIdentity") == set()


def test_many_objects_become_their_common_prefix():
    keys = {f"arn:aws:s3:::b/state/runs/{n}.json" for n in range(9)}
    assert narrowed(keys | {"arn:aws:s3:::b", "arn:aws:s3:::c/k"}) == (
        "arn:aws:s3:::b",
        "arn:aws:s3:::b/state/runs/*",
        "arn:aws:s3:::c/k",
    )


def test_an_id_that_is_made_new_each_time_is_left_open():
    fresh = {
        "arn:aws:s3:::b/scratch/52307a351ad84eacba33c12ae2c37255/notes/*",
        "arn:aws:s3:::b/r/0b4efc2e-8f0a-4ce5-9d2a-0d5e6f1a2b3c.csv",
    }
    assert narrowed(fresh) == ("arn:aws:s3:::b/r/*", "arn:aws:s3:::b/scratch/*")
    assert narrowed({"arn:aws:s3:::b/r/*", "arn:aws:s3:::b/r/x"}) == ("arn:aws:s3:::b/r/*",)
    jobs = "arn:aws:sagemaker:us-east-1:123456789012:processing-job"
    assert narrowed({f"{jobs}/pipelines-o2oa5lg447tx-rows-kmcZH4z4mB", f"{jobs}/own"}) == (
        f"{jobs}/own",
        f"{jobs}/pipelines-*",
    )


@given(
    st.sets(
        st.text("ab/-", min_size=1, max_size=6).map(lambda key: f"arn:aws:s3:::bucket/{key}"),
        min_size=1,
        max_size=12,
    )
)
def test_narrowing_covers_everything_and_never_leaves_its_bucket(resources):
    kept = narrowed(resources)
    assert all(
        any(r == k or (k.endswith("*") and r.startswith(k[:-1])) for k in kept) for r in resources
    )
    assert all(k.startswith("arn:aws:s3:::bucket/") for k in kept)


def test_the_policy_of_a_stack_names_what_was_called_and_nothing_else(aws, example_stack):
    s3, sagemaker = aws("s3"), aws("sagemaker")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="a/b", Body=b"1")
    sagemaker.list_endpoints()
    with pytest.raises(ClientError):
        sagemaker.describe_model(
            ModelName="none"
        )  # refused, but asked for: the right to ask was needed
    with pytest.raises(ClientError, match="NotImplemented"):
        sagemaker.list_devices()
    aws("sts").get_caller_identity()
    found = example_stack.policy()
    assert found["Version"] == "2012-10-17"
    allowed = {
        (action, resource)
        for s in found["Statement"]
        for action in s["Action"]
        for resource in s["Resource"]
    }
    assert allowed == {
        ("s3:CreateBucket", "arn:aws:s3:::bucket"),
        ("s3:PutObject", "arn:aws:s3:::bucket/a/b"),
        ("sagemaker:ListEndpoints", "*"),
        ("sagemaker:DescribeModel", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/none"),
    }
    assert len(json.dumps(found)) < 6144  # the limit of a managed policy
    example_stack.reset()
    assert example_stack.policy()["Statement"] == []
