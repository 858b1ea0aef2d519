"""The verbs on SageMaker: who is asked first, what a first line says, what goes at `destroy` and
what stays.
"""

import hashlib
import json
import re
import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

import isthmus as im
from isthmus.adapters import targets
from isthmus.core.runtime.project import Project
from isthmus.errors import Denied, Refused
from isthmus.feature_store.as_known.check import check_as_known
from isthmus.lifecycle.resources.plan import plan
from isthmus.project.load import load
from isthmus.target import Profile
from isthmus.tests.cli.running import create, edit, isthmus
from isthmus.tests.conformance.places import aws_stack
from isthmus_stack.aws.core.environment import STRAY
from isthmus_stack.client import Stack

pytestmark = pytest.mark.slow

ACCOUNT = "123456789012"
PROFILES = f"""default: local
targets:
  local: {{}}
  sagemaker:
    account: "{ACCOUNT}"
    region: us-east-1
    bucket: s3://example-ranker
    role: arn:aws:iam::{ACCOUNT}:role/ranker
    serving: {{instance: ml.m5.large, count: 2}}
    budget: 1.00 USD/h
"""
FIRST_LINE = f"sagemaker   account {ACCOUNT}  us-east-1  offline   s3://example-ranker\n"


@pytest.fixture(scope="module")
def process():
    return aws_stack()


@pytest.fixture
def stack(process, monkeypatch):
    """An empty AWS, to which AWS_ENDPOINT_URL leads."""
    for name in STRAY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", process.url)
    found = Stack(process.url)
    found.reset()
    return found


@pytest.fixture
def shop(tmp_path):
    folder = create(tmp_path / "shop")
    (folder / "profiles.yaml").write_text(PROFILES)
    return folder


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    """A home folder without a login, and nothing in the environment."""
    for name in (
        *STRAY,
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    home = tmp_path / "home"
    (home / ".aws" / "sso" / "cache").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def unreachable(monkeypatch):
    """No socket: whatever is sent off this machine fails the test.

    What is sent within it may be of a thread that another test left.
    """
    sent, on_this_machine = [], socket.socket.connect

    def connect(to, address):
        if to.family == socket.AF_UNIX or address[0].startswith("127."):
            return on_this_machine(to, address)
        sent.append(address)
        raise AssertionError(f"something was sent to {address}")

    monkeypatch.setattr("socket.socket.connect", connect)
    yield
    assert sent == []


def logged_in(home, *, ago):
    (home / ".aws" / "config").write_text(
        "[sso-session example]\nsso_start_url = "
        "https://example.awsapps.com/start\nsso_region = us-east-1\n"
    )
    file = (
        home / ".aws" / "sso" / "cache" / f"{hashlib.sha1(b'example').hexdigest()}.json"
    )  # the AWS CLI's name for it
    moment = datetime.now(UTC) - ago
    file.write_text(json.dumps({"accessToken": "old", "expiresAt": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}))


def test_without_credentials_plan_says_what_it_looked_for_and_calls_nothing(
    shop, nobody, unreachable
):
    logged_in(nobody, ago=timedelta(days=2, hours=1))
    said = isthmus(shop, "plan", "--target", "sagemaker", ok=False)
    assert said.code == 1
    assert said.out == ""
    assert said.err == (
        "error  no AWS credentials: environment none; profile default none; SSO session "
        '"example" expired 2 days ago\n'
        "       aws sso login --sso-session example       or, with no account: isthmus plan "
        "--target sagemaker --offline\n"
        "       no cloud call was made\n"
    )


@pytest.mark.parametrize(
    "command", [["apply"], ["ingest"], ["status"], ["deploy", "home"], ["destroy", "--yes"]]
)
def test_every_command_is_refused_alike_without_credentials(shop, nobody, unreachable, command):
    said = isthmus(shop, *command, "--target", "sagemaker", ok=False)
    assert said.code == 1
    assert said.err.startswith(
        "error  no AWS credentials: environment none; profile default none; SSO session none\n"
    )
    assert said.err.endswith("no cloud call was made\n")


@pytest.mark.parametrize(
    ("variables", "config", "words"),
    [
        (
            {"AWS_ACCESS_KEY_ID": "x"},
            "",
            "environment AWS_ACCESS_KEY_ID alone; profile default none; SSO session none",
        ),
        (
            {"AWS_PROFILE": "team"},
            "",
            "environment none; profile team is not in ~/.aws; SSO session none",
        ),
        (
            {"AWS_PROFILE": "team"},
            (
                "[profile team]\nsso_session = work\nsso_account_id = 1\nsso_role_name = d\n"
                "[sso-session work]\nsso_start_url = https://x\nsso_region = us-east-1\n"
            ),
            'environment none; profile team has sso_session only; SSO session "work" not logged in',
        ),
    ],
)
def test_half_of_a_login_is_said_as_what_it_is(
    shop, nobody, monkeypatch, unreachable, variables, config, words
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if config:
        (nobody / ".aws" / "config").write_text(config)
    said = isthmus(shop, "plan", "--target", "sagemaker", ok=False)
    assert said.err.splitlines()[0] == f"error  no AWS credentials: {words}"


def on_account(shop, stack, monkeypatch, account):
    """The project as on an account: the SDK's own credential chain, its endpoints led to the stack."""
    for name, value in stack.env.items():
        monkeypatch.setenv(name, value)
    options = {"account": account, "region": "us-east-1", "bucket": "s3://example-ranker"}
    target = targets.load(
        Profile(name="sagemaker", adapter="sagemaker", project="shop", options=options)
    )
    return Project(load(shop / "project.yaml"), target)


@pytest.mark.parametrize(
    "verb", [im.plan, im.apply, im.ingest, im.destroy, lambda project: im.deploy(project, "home")]
)
def test_another_accounts_credentials_are_refused_before_anything_else_is_asked(
    shop, stack, monkeypatch, verb
):
    with (
        on_account(shop, stack, monkeypatch, "210987654321") as project,
        pytest.raises(Denied, match="pinned to 210987654321"),
    ):
        verb(project)
    assert {call.operation for call in stack.calls()} == {"GetCallerIdentity"}


def test_the_pinned_accounts_credentials_are_let_in(shop, stack, monkeypatch):
    with on_account(shop, stack, monkeypatch, ACCOUNT) as project:
        project.target.native.client("s3").create_bucket(Bucket="example-ranker")
        found = plan(project)
    assert str(found).startswith(
        f"sagemaker   account {ACCOUNT}  us-east-1   s3://example-ranker\n"
    )


def test_every_command_begins_with_where_it_is_and_plan_shows_what_exists(shop, stack):
    said = isthmus(shop, "plan", "--target", "sagemaker")
    assert said.out == (
        FIRST_LINE + "  + event table    impression, click              apply\n"
        "  + feature view   item_history                   apply\n"
        "  . endpoint       home: waits for ranker@champion (train, then deploy)\n"
        "cost    0.00 USD/h   (0.23 once deployed: 2 x ml.m5.large, price table of 2026-07)\n"
        "next   isthmus apply --target sagemaker\n"
    )
    assert not [call for call in stack.calls() if re.match("Put|Update|Start", call.operation)]
    for command in (
        ["apply", "--dry-run"],
        ["apply"],
        ["ingest"],
        ["materialize"],
        ["status"],
        ["endpoints", "list"],
        ["plan"],
    ):
        said = isthmus(shop, *command, "--target", "sagemaker")
        assert said.out.startswith(FIRST_LINE), command
        assert said.out.count(FIRST_LINE) == 1
    assert "  = 3 in place\n" in said.out
    assert (
        "cost    unknown: 0.00 USD/h and 2 streams, not in the price table   (0.23 once deployed"
        in said.out
    )
    assert isthmus(shop, "plan", "--target", "sagemaker", "--json").json["unpriced"] == [
        "2 streams"
    ]
    gone = isthmus(shop, "destroy", "--yes", "--target", "sagemaker", "--offline")
    assert gone.out.startswith(FIRST_LINE)


def test_athena_finds_the_same_peeks_as_the_laptop_and_materialize_refuses_them_before_it_writes(
    shop, stack
):
    local = [isthmus(shop, command) for command in ("apply", "ingest")] and isthmus(
        shop, "features", "check"
    )
    with im.open(shop / "project.yaml", target="sagemaker", offline=True) as project:
        im.apply(project)
        im.ingest(project)
        (honest,) = check_as_known(project)
        assert str(honest) in local.out
        assert honest.peek is None
        assert honest.rows > 0
    edit(shop / "features/item_history.sql", "CURRENT ROW", "INTERVAL 1 DAY FOLLOWING")
    peek = isthmus(shop, "features", "check", "--json", ok=False).json[0]["peek"]
    with im.open(shop / "project.yaml", target="sagemaker", offline=True) as project:
        (peeking,) = check_as_known(project)
        assert json.loads(msgspec.json.encode(peeking.peek)) == peek
        before = _snapshot(project.target.native)
        with pytest.raises(Refused, match="has seen the future"):
            im.materialize(project)
        assert _snapshot(project.target.native) == before


def test_a_price_that_is_not_in_the_table_is_unknown(shop, stack):
    edit(shop / "profiles.yaml", "ml.m5.large", "ml.p6.metal")
    assert (
        "(unknown once deployed: 2 x ml.p6.metal, price table of"
        in isthmus(shop, "plan", "--target", "sagemaker").out
    )


def test_locals_plan_says_what_the_cloud_would_cost(shop):
    assert (
        "cost    0.00 USD/h   (sagemaker 0.23 once deployed: 2 x ml.m5.large, price table of"
        in isthmus(shop, "plan").out
    )


def test_above_the_budget_plan_fails_and_apply_changes_nothing(shop, stack):
    edit(shop / "profiles.yaml", "budget: 1.00 USD/h", "budget: 0.20 USD/h")
    said = isthmus(shop, "plan", "--target", "sagemaker", ok=False)
    assert said.code == 1
    assert (
        "  ! budget         sagemaker: 0.23 USD/h once deployed (2 x ml.m5.large) is above "
        "0.20 USD/h of profiles.yaml\n" in said.out
    )
    assert said.err.startswith("error  budget of sagemaker: 0.23 USD/h")
    with im.open(shop / "project.yaml", target="sagemaker", offline=True) as project:
        with pytest.raises(Refused, match="nothing was changed"):
            im.apply(project)
        assert list(project.target.inventory.list("shop")) == []


def test_destroy_takes_what_is_the_projects_and_nothing_else(shop, stack):
    with im.open(shop / "project.yaml", target="sagemaker", offline=True) as project:
        im.apply(project)
        im.ingest(project)
        im.materialize(project)
        im.train(project, "models/history.yaml")
        im.deploy(project, "home")
        foreign = _foreign(project.target.native)
        before = _snapshot(project.target.native)
        assert set(foreign) <= before
        gone = im.destroy(project)
        assert {r.kind for r in gone.resources} == {
            "endpoint",
            "pipeline",
            "online_view",
            "stream",
            "view",
            "table",
        }
        assert "keeps model ranker, runs/, reports/, raw/ and your data/" in str(gone)
        after = _snapshot(project.target.native)
        assert after >= set(foreign)
        assert {name for name in after - set(foreign) if not name.startswith("group ")} == set()
        assert [r.kind for r in project.target.inventory.list("shop")] == ["model"]

        assert im.destroy(project).resources == ()
        assert _snapshot(project.target.native) == after

        im.apply(project)
        assert [report.stored for report in im.ingest(project)] == [420, 80]
        im.materialize(project)
        assert im.deploy(project, "home").smoke.ok
        assert plan(project).hourly_cost is None
        assert plan(project).known_cost == Decimal("0.230")
        im.destroy(project)


def _foreign(session):
    """Somebody else's things in the same account, some with names that begin like ours and some
    with our tags of another project.
    """
    tags = [
        {"Key": "isthmus:project", "Value": "shop2"},
        {"Key": "isthmus:kind", "Value": "stream"},
    ]
    sagemaker, kinesis, glue = (session.client(name) for name in ("sagemaker", "kinesis", "glue"))
    kinesis.create_stream(
        StreamName="shop2-impression_raw", StreamModeDetails={"StreamMode": "ON_DEMAND"}
    )
    kinesis.add_tags_to_stream(
        StreamName="shop2-impression_raw", Tags={tag["Key"]: tag["Value"] for tag in tags}
    )
    glue.create_database(DatabaseInput={"Name": "isthmus_shop2"})
    glue.create_table(DatabaseName="isthmus_shop2", TableInput={"Name": "impression_raw"})
    role = f"arn:aws:iam::{ACCOUNT}:role/other"
    sagemaker.create_model(
        ModelName="shop-home-of-another",
        ExecutionRoleArn=role,
        PrimaryContainer={"Image": "theirs", "ModelDataUrl": "s3://theirs/m.tar.gz"},
    )
    sagemaker.create_model_package_group(ModelPackageGroupName="shop2-ranker", Tags=tags)
    session.client("s3").put_object(
        Bucket="example-ranker", Key="shop2/warehouse/impression_raw/x.parquet", Body=b"theirs"
    )
    return {
        "stream shop2-impression_raw",
        "table isthmus_shop2.impression_raw",
        "model shop-home-of-another",
        "group shop2-ranker",
        "object shop2/warehouse/impression_raw/x.parquet",
    }


def _snapshot(session):
    """By the services' own lists, not by ours. Of the bucket: what is below a warehouse."""
    sagemaker, glue, s3 = (session.client(name) for name in ("sagemaker", "glue", "s3"))
    found = {f"stream {name}" for name in session.client("kinesis").list_streams()["StreamNames"]}
    found |= {
        f"delivery {name}"
        for name in session.client("firehose").list_delivery_streams()["DeliveryStreamNames"]
    }
    found |= {
        f"endpoint {each['EndpointName']}" for each in sagemaker.list_endpoints()["Endpoints"]
    }
    found |= {
        f"config {each['EndpointConfigName']}"
        for each in sagemaker.list_endpoint_configs()["EndpointConfigs"]
    }
    found |= {f"model {each['ModelName']}" for each in sagemaker.list_models()["Models"]}
    found |= {
        f"pipeline {each['PipelineName']}"
        for each in sagemaker.list_pipelines()["PipelineSummaries"]
    }
    found |= {
        f"features {each['FeatureGroupName']}"
        for each in sagemaker.list_feature_groups()["FeatureGroupSummaries"]
    }
    found |= {
        f"group {each['ModelPackageGroupName']}"
        for each in sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
    }
    for database in glue.get_databases()["DatabaseList"]:
        found |= {
            f"table {database['Name']}.{each['Name']}"
            for each in glue.get_tables(DatabaseName=database["Name"])["TableList"]
        }
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="example-ranker")
    found |= {
        f"object {each['Key']}"
        for page in pages
        for each in page.get("Contents", ())
        if "/warehouse/" in each["Key"]
    }
    return found
