"""`isthmus doctor --first-account --round`: on the offline stack as the account, recorded, and
asked again.
"""

from datetime import timedelta

import msgspec
import pytest

import isthmus as im
from isthmus.errors import AlreadyExists, IsthmusError, Unsupported
from isthmus.lifecycle.checks import first_account
from isthmus.tests.cli.running import create, edit, isthmus
from isthmus.tests.conformance.places import aws_stack
from isthmus_stack.aws.recorded import form
from isthmus_stack.client import Stack


@pytest.fixture
def stack(monkeypatch):
    stack = Stack(aws_stack().url)
    stack.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack.url)
    return stack


@pytest.fixture
def project(stack, tmp_path):
    folder = create(tmp_path / "shop")
    edit(
        folder / "profiles.yaml",
        "image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/example:1",
        "image: isthmus",
    )
    with im.open(folder / "project.yaml", target="sagemaker", offline=True) as project:
        yield project


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_round_tries_and_removes_everything_and_its_recording_is_answered_alike_but_for_a_planted_difference(
    project, stack, tmp_path
):
    """Runs a job and an endpoint, twice."""
    recorded = tmp_path / "recorded"
    done = im.first_round(project, record=recorded)
    assert [(stage.name, stage.ok) for stage in done.stages] == [
        ("storage", True), ("table", True), ("job", True), ("model", True), ("endpoint", True),
    ], str(done)  # fmt: skip
    assert (done.ok, done.remains) == (True, ())
    assert len(form.read(recorded)[1]) == done.calls > 50
    kept = (recorded / form.CALLS).read_text()
    assert not [
        word for word in (stack.url, *stack.env.values()) if word in kept and word != "us-east-1"
    ]

    lines = kept.splitlines()
    index = next(
        i for i, line in enumerate(lines) if '"operation":"DescribeEndpointConfig"' in line
    )
    lines[index] = lines[index].replace('"ml.t2.medium"', '"ml.m5.large"')
    (recorded / form.CALLS).write_text("\n".join(lines) + "\n")
    stack.reset()
    said = isthmus(tmp_path, "stack", "compare", recorded, "--url", stack.url, "--json", ok=False)
    assert said.code == 1
    assert [
        (each["where"], each["recorded"], each["here"]) for each in said.json["differences"]
    ] == [("ProductionVariants[].InstanceType", "ml.m5.large", "ml.t2.medium")], (
        "no other, as the stack answers as it did"
    )


def test_a_round_that_fails_says_where_and_leaves_nothing_behind(project, stack, monkeypatch):
    kept = {"storage": first_account._STAGES["storage"], "table": first_account._STAGES["table"]}
    monkeypatch.setattr(first_account, "_STAGES", kept)
    stack.fault(
        kind="error",
        service="athena",
        operation="StartQueryExecution",
        code="AccessDeniedException",
        times=None,
    )
    done = im.first_round(project)
    assert [(stage.name, stage.ok) for stage in done.stages] == [
        ("storage", True),
        ("table", False),
    ]
    assert "AccessDenied" in done.stages[1].detail
    assert not done.ok
    assert done.remains == ()
    assert [name for name in names(stack) if "isthmus_round" in name] == []


def test_what_a_killed_round_left_is_removed_by_the_next(project, stack, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr(first_account, "_STAGES", {"table": first_account._STAGES["table"]})
        killed.setattr(first_account, "_remove", lambda *_: ("everything",))
        assert im.first_round(project).remains == ("everything",)
    assert any("isthmus_round" in name for name in names(stack))
    monkeypatch.setattr(first_account, "_STAGES", {})
    assert im.first_round(project).ok
    assert not any("isthmus_round" in name for name in names(stack))


def test_what_may_not_be_removed_is_told_beside_what_the_stages_found(project, stack, monkeypatch):
    monkeypatch.setattr(first_account, "_STAGES", {"storage": first_account._STAGES["storage"]})
    monkeypatch.setattr(first_account, "_GOES", timedelta(0))
    stack.fault(
        kind="error", service="s3", operation="DeleteObject", code="AccessDenied", times=None
    )
    done = im.first_round(project)
    assert [(stage.name, stage.ok) for stage in done.stages] == [("storage", True)]
    (remains,) = done.remains
    assert remains.startswith("s3://example-bucket/isthmus_round/hello.txt: ")
    assert "AccessDenied" in remains


def names(stack):
    """Of databases and objects that are there."""
    import boto3

    def client(service):
        env = stack.env
        return boto3.client(
            service, endpoint_url=stack.url, region_name="us-east-1",
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"], aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip

    databases = [database["Name"] for database in client("glue").get_databases()["DatabaseList"]]
    objects = [
        item["Key"]
        for item in client("s3").list_objects_v2(Bucket="example-bucket").get("Contents", ())
    ]
    return databases + objects


def test_after_its_time_a_round_calls_nothing_but_to_remove(project, monkeypatch):
    monkeypatch.setattr(first_account, "_STAGES", {"storage": first_account._STAGES["storage"]})
    done = im.first_round(project, minutes=0)
    (stage,) = done.stages
    assert not stage.ok
    assert "the round's 0:00:00 are over" in stage.detail
    assert done.remains == ()


def test_a_folder_that_holds_something_is_not_recorded_into(project, stack, tmp_path):
    (tmp_path / "notes.txt").touch()
    stack.clear_calls()
    with pytest.raises(AlreadyExists, match="holds something already"):
        im.first_round(project, record=tmp_path)
    assert [call for call in stack.calls() if call.mutating] == []


def test_the_command_says_the_checks_and_fails_where_one_does(project, stack):
    said = isthmus(
        project.folder,
        "doctor",
        "--target",
        "sagemaker",
        "--offline",
        "--first-account",
        "--json",
        ok=False,
    )
    assert said.code == 1
    assert {check["name"]: check["status"] for check in said.json["checks"]}["role"] == "fails"
    text = isthmus(
        project.folder, "doctor", "--target", "sagemaker", "--offline", "--first-account", ok=False
    ).out
    assert "  role         fails    there is no role example\n" in text


def test_the_laptop_has_no_account_and_rights_need_a_policy(project, tmp_path):
    with im.open(project.folder / "project.yaml") as local, pytest.raises(Unsupported):
        im.first_account(local)
    (tmp_path / "policy.json").write_text("[]")
    words = (
        "doctor",
        "--target",
        "sagemaker",
        "--offline",
        "--first-account",
        "--policy",
        tmp_path / "policy.json",
    )
    assert "is no policy" in isthmus(project.folder, *words, ok=False).err
    said = isthmus(project.folder, "doctor", "--round", ok=False)
    assert (said.code, "--round goes with --first-account" in said.err) == (64, True)
    said = isthmus(project.folder, *words[:5], "--record", tmp_path / "recorded", ok=False)
    assert (said.code, "--record goes with --round" in said.err) == (64, True)


def test_what_is_no_recording_is_told_by_what_it_is(tmp_path):
    with pytest.raises(IsthmusError, match="there is no recording in"):
        im.stack.compare(tmp_path)
    about = {
        "schema": 1,
        "cloud": "gcp",
        "region": "x",
        "recorded": "2026-11-28T00:00:00Z",
        "isthmus": "0.1.0",
    }
    (tmp_path / form.CALLS).touch()
    for changed, words in (
        ({"cloud": "gcp"}, "calls of gcp"),
        ({"schema": 2}, "was written in format 2"),
        ({"cloud": 1}, "is damaged"),
    ):
        (tmp_path / form.ABOUT).write_bytes(msgspec.json.encode(about | changed))
        with pytest.raises(IsthmusError, match=words):
            im.stack.compare(tmp_path)
