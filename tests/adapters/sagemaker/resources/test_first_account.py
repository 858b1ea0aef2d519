"""What `doctor --first-account` says of an account: the stack's, and a moto server's.

No account of AWS was tried.
"""

import json

import boto3
import msgspec
import pytest

from isthmus.adapters import targets
from isthmus.adapters.sagemaker.resources.first_account import FIRST
from isthmus.target import Profile
from isthmus.tests.conformance.places import aws_stack, moto_server
from isthmus_stack.aws.core.environment import STRAY
from isthmus_stack.client import Stack
from isthmus_stack.testing.keys_kit import keys

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ranker"
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/ranker:1"
OPTIONS = {
    "account": ACCOUNT,
    "region": "us-east-1",
    "bucket": "s3://example-ranker",
    "role": ROLE,
    "image": IMAGE,
}
RIGHTS = {
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "sagemaker:CreateEndpoint"],
            "Resource": ["*"],
        }
    ]
}


def trust(*services):
    return json.dumps(
        {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRole",
                    "Principal": {"Service": list(services)},
                }
            ]
        }
    )


def account(url, pair):
    """`client`: of what stands for an account at `url`."""
    return lambda service: boto3.client(service, endpoint_url=url, region_name="us-east-1", **pair)


@pytest.fixture
def led(monkeypatch):
    """As on an account: the SDK's own credential chain, which the environment leads to a server."""

    def lead(url, pair):
        for name in STRAY:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", pair["aws_access_key_id"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", pair["aws_secret_access_key"])
        return account(url, pair)

    return lead


@pytest.fixture
def client(led):
    url = aws_stack().url
    Stack(url).reset()
    return led(url, keys(url))


def looked(policy=None, **options):
    """name -> its check."""
    target = targets.load(
        Profile(name="sagemaker", adapter="sagemaker", project="shop", options=OPTIONS | options)
    )
    return {check.name: check for check in FIRST.checks(target, policy)}


def statuses(checks):
    return {name: check.status for name, check in checks.items()}


def ready(client, *services):
    client("iam").create_role(RoleName="ranker", AssumeRolePolicyDocument=trust(*services))
    client("s3").create_bucket(Bucket="example-ranker")
    client("ecr").create_repository(repositoryName="ranker")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "layers": [],
    }
    client("ecr").put_image(
        repositoryName="ranker", imageManifest=json.dumps(manifest), imageTag="1"
    )


def test_an_account_that_has_nothing_is_told_what_to_make_and_nothing_is_made(client):
    stack = Stack(aws_stack().url)
    stack.clear_calls()
    checks = looked()
    assert statuses(checks) == {
        "credentials": "ok", "region": "ok", "role": "fails", "bucket": "fails", "queries": "ok", "image": "fails",
        "quotas": "unknown", "rights": "unknown",
    }  # fmt: skip
    assert checks["bucket"].remedy == "aws s3 mb s3://example-ranker --region us-east-1"
    assert "there is no role ranker" in checks["role"].detail
    assert all(check.remedy for check in checks.values() if check.status != "ok")
    assert [call for call in stack.calls() if call.mutating] == []


def test_an_account_that_is_ready_is_ok_but_for_what_the_stack_does_not_tell(client):
    ready(client, "sagemaker.amazonaws.com", "firehose.amazonaws.com")
    assert {name for name, status in statuses(looked()).items() if status != "ok"} == {
        "quotas",
        "rights",
    }


def test_a_role_that_firehose_may_not_assume_fails(client):
    ready(client, "sagemaker.amazonaws.com")
    role = looked()["role"]
    assert (role.status, role.detail) == (
        "fails",
        "ranker cannot be assumed by firehose.amazonaws.com",
    )


def test_credentials_of_another_account_end_the_checks(client):
    (check,) = looked(account="210987654321").values()
    assert (check.name, check.status) == ("credentials", "fails")
    assert "pinned to 210987654321" in check.detail


def test_what_the_profile_says_wrong_is_said(client):
    for options, name, words in (
        (
            {"image": IMAGE.replace("us-east-1", "eu-west-1")},
            "image",
            "is in eu-west-1, the target in us-east-1",
        ),
        ({"image": "docker.io/ranker:1"}, "image", "is in no ECR repository"),
        ({"image": None}, "image", "has no image"),
        ({"role": None}, "role", "has no role"),
        ({"workgroup": "nobodys"}, "queries", "Athena has no workgroup nobodys"),
        ({"region": "xx-north-9"}, "region", "SageMaker is not in xx-north-9"),
    ):
        check = looked(**options)[name]
        assert words in check.detail
        assert check.status != "ok"
        assert check.remedy


def user(client, **policy):
    """The keys of a user with one policy."""
    iam = client("iam")
    iam.create_user(UserName="jane")
    iam.put_user_policy(
        UserName="jane",
        PolicyName="own",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [policy]}),
    )
    key = iam.create_access_key(UserName="jane")["AccessKey"]
    return {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
    }


def test_rights_of_the_printed_policy_that_the_caller_lacks_are_named(client, led):
    led(aws_stack().url, user(client, Effect="Allow", Action=["s3:*", "iam:*"], Resource="*"))
    rights = looked(RIGHTS)["rights"]
    assert (rights.status, rights.detail) == (
        "fails",
        "1 of the policy's actions are denied: sagemaker:CreateEndpoint",
    )
    assert rights.remedy == f"attach the policy to arn:aws:iam::{ACCOUNT}:user/jane"


def test_rights_count_for_the_service_that_a_role_is_passed_to(client, led):
    only = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    led(
        aws_stack().url,
        user(client, Effect="Allow", Action="iam:PassRole", Resource="*", Condition=only),
    )

    def passed_to(service):
        condition = {"StringEquals": {"iam:PassedToService": service}}
        statement = {
            "Effect": "Allow",
            "Action": ["iam:PassRole"],
            "Resource": [ROLE],
            "Condition": condition,
        }
        return looked({"Statement": [statement]})["rights"].status

    assert passed_to("sagemaker.amazonaws.com") == "ok"
    assert passed_to("firehose.amazonaws.com") == "fails"


def test_a_quota_below_what_the_profile_needs_fails(client, monkeypatch):
    quotas = {
        "ml.m5.large for endpoint usage": 0.0,
        "ml.m5.large for processing job usage": 2.0,
        "ml.m5.large for training job usage": 2.0,
    }

    def told(self, operation, params):
        if operation == "ListServiceQuotas":
            return {
                "Quotas": [{"QuotaName": name, "Value": value} for name, value in quotas.items()]
            }
        return asked(self, operation, params)

    asked = boto3.client("s3").__class__.__mro__[1]._make_api_call
    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", told)
    assert (looked()["quotas"].status, looked()["quotas"].detail) == (
        "fails",
        "ml.m5.large for endpoint usage is 0",
    )
    quotas["ml.m5.large for endpoint usage"] = 1.0
    assert looked()["quotas"].status == "ok"
    del quotas["ml.m5.large for endpoint usage"]
    assert looked()["quotas"].status == "unknown"


@pytest.mark.slow
def test_a_moto_server_is_an_account_like_another_and_what_it_cannot_tell_is_unknown(led):
    pair = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    with moto_server() as url:
        ready(led(url, pair), "sagemaker.amazonaws.com", "firehose.amazonaws.com")
        checks = looked(RIGHTS)
    assert {name: status for name, status in statuses(checks).items() if status != "ok"} == {
        "quotas": "unknown",
        "rights": "unknown",
    }
    assert "the answer is none of AWS's" in checks["rights"].detail


def test_the_round_costs_less_than_two_of_the_machines_that_are_counted():
    profile = Profile(name="sagemaker", adapter="sagemaker", project="shop", options=OPTIONS)
    assert FIRST.trial is not None
    small = FIRST.trial.smallest(profile)
    assert small.options["serving"] == {"instance": "ml.t2.medium", "count": 1}
    own = msgspec.structs.replace(
        profile, options=OPTIONS | {"database": "theirs", "adopted": {"round": "prod"}}
    )
    assert FIRST.trial.smallest(own) == small, (
        "the round touches neither their database nor their endpoints"
    )
    assert str(FIRST.trial.hourly(small).hourly_cost) == "0.230"
    elsewhere = msgspec.structs.replace(profile, options=OPTIONS | {"region": "sa-east-1"})
    assert FIRST.trial.hourly(elsewhere).hourly_cost is None
