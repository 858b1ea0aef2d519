"""The power fails after an answer or between two syncs: what was said to be durable is there.

And the rest can be done again. A few places each, drawn with a fixed seed; all of them, and the
verbs that take long, with ISTHMUS_EVERY_POWER_CUT=1. Each mutant of unsynced.py is tried on the
test that it names, so that these are known to fail: four of them, or all with
ISTHMUS_EVERY_MUTANT=1.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from isthmus.tests.cli.running import CHILD, create, isthmus
from isthmus.tests.faults.preloaded.acknowledged import STORES
from isthmus.tests.faults.preloaded.commands import COMPILER
from isthmus.tests.faults.preloaded.power_cut import MUTANT, Commands, Kept, Verb, lose
from isthmus.tests.faults.preloaded.unsynced import MUTANTS
from isthmus_stack.core import launch as run
from isthmus_stack.testing.jobs_kit import Aws

pytestmark = [
    pytest.mark.soak,
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or COMPILER is None,
        reason="builds a library for LD_PRELOAD: needs Linux and cc",
    ),
]

EVERY = bool(os.environ.get("ISTHMUS_EVERY_POWER_CUT"))  # `make test-often` sets both
EVERY_MUTANT = bool(os.environ.get("ISTHMUS_EVERY_MUTANT"))
QUICK = ("apply", "ingest", "materialize", "destroy")
WHOLE = (
    "blobs",
    "documents",
    "a page's file",
)  # tried at every sync, as what is left in part shows at one of them alone
LONG = (
    "train",
    "promote",
    "note",
    "deploy",
    "traffic",
    "rollout-start",
    "rollout-abort",
    "experiment-start",
    "experiment-stop",
)
LONGER = pytest.mark.skipif(not EVERY, reason="half a minute and more: make test-often")
SAMPLE = ("SQLite is OFF", "no folder is synced", "no rows.parquet is synced", "all three")
SYNCS = "fsync,fdatasync,sync_file_range,msync,syncfs,sync,open,openat"


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    with Commands(tmp_path_factory.mktemp("library")) as running:
        yield running


def places(syncs, name, count):
    """Some of the syncs, or all."""
    return (
        range(1, syncs + 1)
        if EVERY
        else sorted(random.Random(name).sample(range(1, syncs + 1), min(count, syncs)))
    )


@pytest.mark.parametrize("name", STORES)
def test_what_a_store_acknowledged_outlives_a_power_cut(commands, tmp_path, name):
    syncs = lose(commands, name, tmp_path)
    for at in places(syncs, name, syncs if name in WHOLE else 3):
        lose(commands, name, tmp_path, at)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=LONGER) for name in LONG)])
def test_what_a_verb_answered_outlives_a_power_cut_and_one_that_it_stopped_can_be_run_again(
    commands, tmp_path, name
):
    verb = Verb(name, commands, tmp_path)
    verb.cut()
    for at in places(verb.calls, name, 1):
        verb.cut(at)


def test_what_an_offline_aws_stack_answered_outlives_a_power_cut(commands, tmp_path, monkeypatch):
    commands.plan.arm(tmp_path)
    home = tmp_path / "new" / "home"
    with monkeypatch.context() as patch:
        patch.setattr(run, "subprocess", subprocess)  # a forked one has no library
        stack = run.start_aws(home=home, clock="instant", env=commands.preloaded)
    try:
        aws = Aws(stack.url)
        aws.s3.create_bucket(Bucket="bucket")
        for key, body in (
            ("a/b", b"a"),
            ("changed", b"old"),
            ("changed", b"new"),
            ("gone", b"old"),
        ):
            aws.s3.put_object(Bucket="bucket", Key=key, Body=body)
        aws.s3.delete_object(Bucket="bucket", Key="gone")
        aws.client("sagemaker").create_model_package_group(ModelPackageGroupName="ranker")
        aws.client("kinesis").create_stream(StreamName="clicks", ShardCount=1)
        commands.plan.cut()
        os.kill(stack.pid, signal.SIGKILL)
    finally:
        stack.stop()
    for kept in Kept if EVERY else (Kept.NOTHING,):
        commands.plan.restore(kept)
        stack = run.start_aws(home=home, clock="instant")
        try:
            _look_at(Aws(stack.url))
        finally:
            stack.stop()


def _look_at(aws):
    bodies = {
        key: aws.s3.get_object(Bucket="bucket", Key=key)["Body"].read()
        for key in ("a/b", "changed")
    }
    assert bodies == {"a/b": b"a", "changed": b"new"}
    with pytest.raises(ClientError, match="NoSuchKey"):
        aws.s3.get_object(Bucket="bucket", Key="gone")
    groups = aws.client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    assert [group["ModelPackageGroupName"] for group in groups] == ["ranker"]
    assert aws.client("kinesis").list_streams()["StreamNames"] == ["clicks"]


@pytest.mark.skipif(
    shutil.which("strace") is None, reason="what goes past the library needs strace"
)
def test_nothing_of_ours_syncs_past_the_library(commands, tmp_path):
    """In an ingest Python, SQLite, DuckDB and Arrow write; no sync of theirs reaches the kernel."""
    shop, log = create(tmp_path / "shop"), tmp_path / "strace.txt"
    isthmus(shop, "apply")
    commands.plan.arm(shop)
    traced = [
        "strace",
        "-f",
        "-y",
        "-s",
        "0",
        "-e",
        f"trace={SYNCS}",
        "-o",
        log,
        sys.executable,
        "-c",
        CHILD,
        "ingest",
    ]
    done = subprocess.run(
        traced, cwd=shop, env=commands.environment, capture_output=True, text=True, check=False
    )
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    past = [
        line
        for line in log.read_text().splitlines()
        if re.search(r" (\w*sync\w*)\(|O_SYNC|O_DSYNC", line)
    ]
    assert not past
    assert commands.plan.seen > 20


@pytest.mark.skipif(MUTANT in os.environ, reason="a mutant is tried here")
@pytest.mark.parametrize("name", MUTANTS if EVERY_MUTANT else SAMPLE)
def test_the_named_test_fails_where_a_sync_is_left_out(name):
    """In a run of its own, by an assertion of its own."""
    test = f"{__file__}::{MUTANTS[name].test}"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", test]
    long = {"ISTHMUS_EVERY_POWER_CUT": "1"} if MUTANTS[name].test.endswith("[deploy]") else {}
    done = subprocess.run(
        command, env=os.environ | {MUTANT: name} | long, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, f"{name} is not caught by {test}\n{done.stdout}{done.stderr}"
    assert "1 failed" in done.stdout, done.stdout
    assert re.search(r"^E .*(kept|NoSuch|ClientError)", done.stdout, re.MULTILINE), done.stdout


def test_promises_md_has_every_store_that_is_tried_here():
    page = (Path(__file__).parents[2] / "docs" / "promises.md").read_text()
    table = page.partition("## Stores\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"\[([^\]]+)\]", table)) == set(STORES)
