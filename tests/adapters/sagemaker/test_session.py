"""The session: where its clients go, and that no effect happens in an account that is not the
profile's.
"""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from isthmus.adapters import targets
from isthmus.adapters.sagemaker import session
from isthmus.errors import Denied, DryRun, Invalid
from isthmus.target import CallLog, Profile
from isthmus.tests.conformance.places import aws_stack
from isthmus_stack.client import Stack
from isthmus_stack.core import keys


def opened(profile, calls=None, **options):
    return targets.load(
        msgspec.structs.replace(profile, options=profile.options | options), calls=calls
    )


def online(profile, monkeypatch, **options):
    """The target as with an account: no endpoint in the profile, credentials from the environment;
    which names the stack.
    """
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_stack().url)
    for name, value in Stack(aws_stack().url).env.items():
        monkeypatch.setenv(name, value)
    rest = {name: value for name, value in profile.options.items() if name != "endpoint_url"}
    return targets.load(
        Profile(name="sagemaker", adapter="sagemaker", project="conf", options=rest | options)
    )


def test_credentials_of_another_account_are_refused_before_anything_changes(
    profile, stack, monkeypatch
):
    target = online(profile, monkeypatch, account="999999999999")
    with pytest.raises(Denied, match="999999999999"):
        target.state.put("k", b"", expect=None)
    assert not [call for call in target.calls.calls if call.mutating]
    assert {call.operation for call in stack.calls()} <= {"GetCallerIdentity"}


def test_credentials_of_the_pinned_account_are_asked_for_once(profile, stack, monkeypatch):
    target = online(profile, monkeypatch)
    target.native.client("s3").create_bucket(Bucket="conformance")
    target.state.put("k", b"", expect=None)
    target.state.put("l", b"", expect=None)
    assert [call.operation for call in stack.calls()].count("GetCallerIdentity") == 1


def test_offline_the_stacks_keys_are_found_in_its_users_file_and_a_jobs_are_its_own(monkeypatch):
    url = aws_stack().url
    pair = keys.keys_of(url).pair
    mine = {"aws_access_key_id": pair.access_key, "aws_secret_access_key": pair.secret_key}
    assert session._offline_keys(url) == mine
    for name, value in {
        "ENDPOINT_URL": url,
        "ACCESS_KEY_ID": "ASIA",
        "SECRET_ACCESS_KEY": "s",
        "SESSION_TOKEN": "t",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    assert session._offline_keys(url) == mine  # somebody's own session, which is an account's
    monkeypatch.setenv("ISTHMUS_STACK_ROLE", "arn:aws:iam::123456789012:role/job")
    assert session._offline_keys(url) == {
        "aws_access_key_id": "ASIA",
        "aws_secret_access_key": "s",
        "aws_session_token": "t",
    }
    assert session._offline_keys("http://127.0.0.1:9")["aws_access_key_id"] == "offline"


def connections(url):
    """The sockets of this process that lead to a port."""
    port = f":{urlsplit(url).port:04X}"
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    there = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(port)}
    own = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            own.add(str(descriptor.readlink()))
    return there & own


def test_a_closed_target_leaves_no_connection_open_and_connects_anew_when_it_is_asked_once_more(
    profile,
):
    url = profile.options["endpoint_url"]
    target = opened(profile)
    before = connections(url)
    target.state.put("k", b"", expect=None)
    assert connections(url) - before
    target.close()
    assert connections(url) <= before
    assert target.state.get("k").value == b""
    target.close()


def test_a_call_that_changes_an_endpoint_is_sent_once_and_given_up_within_15_s(target):
    """A rollout's lease is 60 s; an answer of a model may take longer than that."""
    control = (
        session.aws_of(target)
        .client("sagemaker", retrying=False, within=session.CONTROL)
        .meta.config
    )
    assert (
        control.connect_timeout + control.read_timeout,
        control.retries["total_max_attempts"],
    ) == (15, 1)
    answering = session.aws_of(target).client("sagemaker-runtime", retrying=False).meta.config
    assert answering.read_timeout > 60


def test_a_client_that_a_user_makes_of_the_native_session_goes_to_the_stack(target):
    target.blobs.put(f"{target.blobs.root}/runs/x", b"x")
    assert (
        target.native.client("s3")
        .get_object(Bucket="conformance", Key="conf/runs/x")["Body"]
        .read()
        == b"x"
    )
    assert [bucket.name for bucket in target.native.resource("s3").buckets.all()] == ["conformance"]


def test_two_projects_share_a_bucket_and_see_nothing_of_each_other(profile):
    first = targets.load(profile)
    second = targets.load(msgspec.structs.replace(profile, project="other"))
    first.state.put("k", b"1", expect=None)
    assert second.state.get("k") is None
    assert second.state.keys("") == ()
    assert (first.blobs.root, second.blobs.root) == (
        "s3://conformance/conf",
        "s3://conformance/other",
    )


def test_a_prefix_of_the_bucket_is_kept(profile):
    target = opened(profile, bucket="s3://conformance/some/where/")
    target.blobs.put(f"{target.blobs.root}/runs/x", b"x")
    assert target.blobs.root == "s3://conformance/some/where/conf"
    assert [blob.uri for blob in target.blobs.list(target.blobs.root + "/")] == [
        "s3://conformance/some/where/conf/runs/x"
    ]


@pytest.mark.parametrize("bucket", [None, "", "conformance", "s3://", "gs://x"])
def test_a_profile_without_a_bucket_says_what_to_write(profile, bucket):
    with pytest.raises(Invalid, match="bucket") as error:
        _ = opened(profile, bucket=bucket).blobs
    assert "profiles.yaml" in error.value.remedy


def test_a_dry_run_changes_nothing_and_says_the_call(profile, stack):
    target = opened(profile, calls=CallLog(dry_run=True))
    with pytest.raises(DryRun, match="PutObject"):
        target.state.put("k", b"", expect=None)
    assert "PutObject" not in {call.operation for call in stack.calls()}


def test_loading_the_adapter_imports_no_sdk():
    check = (
        "import sys; import isthmus.adapters.sagemaker; print([m for m in ('boto3', 'botocore', "
        "'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_target_has_one_session(target):
    assert session.aws_of(target) is session.aws_of(target)
    assert target.native is session.aws_of(target).boto3
