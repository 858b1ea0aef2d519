"""The policy that `isthmus stack policy` prints: a user with exactly these rights takes a project
from plan to a ranking.
"""

import json

import boto3
import pytest

import isthmus as im
from isthmus.adapters import targets
from isthmus.adapters.sagemaker.storage import counters
from isthmus.core.runtime.project import Project
from isthmus.errors import Denied
from isthmus.project.load import load
from isthmus.target import Profile
from isthmus.tests.cli.running import create
from isthmus.tests.conformance.places import aws_stack
from isthmus_stack.aws.core.environment import STRAY
from isthmus_stack.client import Stack
from isthmus_stack.testing.keys_kit import keys

ACCOUNT = "123456789012"
BUCKET = "example-ranker"
REFUSALS = {
    "AccessDenied",
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
}


@pytest.fixture(scope="module")
def process():
    return aws_stack()


@pytest.fixture
def stack(process, monkeypatch):
    for name in STRAY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", process.url)
    for limit in ("_WITHIN", "_PATIENCE"):  # an account's; the stack shares its machine
        monkeypatch.setattr(counters, limit, counters._OFFLINE)
    stack = Stack(process.url)
    become(monkeypatch, *keys(stack.url).values())
    fresh(stack)
    yield stack
    stack.reset()  # nobody is held to a policy any more


def become(monkeypatch, key, secret):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)


def fresh(stack):
    stack.reset()
    client("s3", stack).create_bucket(Bucket=BUCKET)
    stack.clear_calls()


def client(service, stack):
    return boto3.client(service, endpoint_url=stack.url, region_name="us-east-1", **keys(stack.url))


def user(stack, policy):
    """The keys of a user who has this policy and no other."""
    iam = client("iam", stack)
    iam.create_user(UserName="ranker")
    arn = iam.create_policy(PolicyName="printed", PolicyDocument=json.dumps(policy))["Policy"][
        "Arn"
    ]
    iam.attach_user_policy(UserName="ranker", PolicyArn=arn)
    key = iam.create_access_key(UserName="ranker")["AccessKey"]
    stack.clear_calls()
    return key["AccessKeyId"], key["SecretAccessKey"]


def hold(stack, policy):
    """Give the user this policy in the other's place."""
    arn = f"arn:aws:iam::{ACCOUNT}:policy/printed"
    client("iam", stack).create_policy_version(
        PolicyArn=arn, PolicyDocument=json.dumps(policy), SetAsDefault=True
    )


def opened(folder):
    """The project as on an account: the SDK's own credential chain."""
    options = {
        "account": ACCOUNT,
        "region": "us-east-1",
        "bucket": f"s3://{BUCKET}",
        "image": "isthmus",
        "role": f"arn:aws:iam::{ACCOUNT}:role/ranker",
        "serving": {"instance": "ml.m5.large", "count": 1},
    }
    target = targets.load(
        Profile(name="sagemaker", adapter="sagemaker", project="shop", options=options)
    )
    return Project(load(folder / "project.yaml"), target)


def capped(folder):
    """A project whose gateway counts."""
    file = create(folder) / "project.yaml"
    rule = "    rules:\n      - cap: {by: item_id, max: 3, per: unit, in: 24h}\n"
    assert "    objective: ctr\n" in file.read_text()
    file.write_text(file.read_text().replace("    objective: ctr\n", f"    objective: ctr\n{rule}"))
    return folder


def flow(folder):
    """From nothing to a ranking."""
    with opened(folder) as project:
        im.plan(project)
        im.apply(project)
        im.ingest(project)
        im.materialize(project)
        im.train(project, "models/history.yaml")
        im.deploy(project, "home")
    return rank(folder)


def rank(folder):
    with opened(folder) as project:
        ranking = im.Gateway(project, "home").rank({"visitor_id": "v1", "item_id": [1, 2, 3]})
    assert ranking.problems == (), "what it may not count it tells"
    return ranking


def denied(stack):
    return {
        f"{call.service}:{call.operation} {call.names}"
        for call in stack.calls()
        if call.error in REFUSALS
    }


def without(policy, action):
    statements = [
        {**s, "Action": [a for a in s["Action"] if a != action]} for s in policy["Statement"]
    ]
    assert statements != policy["Statement"], f"the policy has no {action}"
    return {**policy, "Statement": [s for s in statements if s["Action"]]}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_printed_policy_suffices_and_without_one_of_its_rights_something_is_denied(
    stack, tmp_path, monkeypatch
):
    first, second = capped(tmp_path / "first"), capped(tmp_path / "second")
    assert len(flow(first).items) == 3
    policy = stack.policy()
    assert len(json.dumps(policy)) < 6144  # the limit of a managed policy

    fresh(stack)
    become(monkeypatch, *user(stack, policy))
    stack.enforce()
    assert len(flow(second).items) == 3
    assert denied(stack) == {"pricing:GetProducts ()"}, (
        "the stack has no price list, so its policy has no right to it: plan does without"
    )

    stack.enforce(after=10**9)
    hold(stack, without(policy, "sagemaker:InvokeEndpoint"))
    stack.enforce()
    with pytest.raises(Denied, match="sagemaker:InvokeEndpoint"):
        rank(second)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_tags_roles_and_the_catalogue_need_rights_of_their_own(stack, tmp_path, monkeypatch):
    folder = create(tmp_path / "shop")
    with opened(folder) as project:
        im.apply(project)
    policy = stack.policy()
    for action in (
        "kinesis:AddTagsToStream",
        "firehose:TagDeliveryStream",
        "sagemaker:AddTags",
        "iam:PassRole",
        "glue:CreateTable",
    ):
        become(monkeypatch, *keys(stack.url).values())
        fresh(stack)
        become(monkeypatch, *user(stack, without(policy, action)))
        stack.enforce()
        with opened(folder) as project, pytest.raises(Denied, match=action):
            im.apply(project)
