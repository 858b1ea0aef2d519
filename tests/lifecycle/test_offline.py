"""Which stack `--offline` uses, and its life as a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

import isthmus
from isthmus.core.runtime import stacks
from isthmus.errors import Invalid, Refused, Unavailable, Unsupported
from isthmus.project.load import load
from isthmus.project.profiles.profiles import profile
from isthmus.project.scaffold import create
from isthmus_stack.client import Stack
from isthmus_stack.core import detached as apart
from isthmus_stack.core import process
from isthmus_stack.core.detached import running
from isthmus_stack.core.home.folders import OwnedFolder
from isthmus_stack.run import read_ready
from isthmus_stack.testing.jobs_kit import Aws, alive, until

pytestmark = pytest.mark.slow

AWS = stacks.clouds()["aws"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    answer_in_time(monkeypatch)
    yield tmp_path
    stacks.stop(tmp_path)


def answer_in_time(monkeypatch):
    """What lives may take as long to answer as a busy machine needs."""
    monkeypatch.setattr(apart, "_ANSWERS", 60.0)
    monkeypatch.setattr(apart, "_HEALTH", 60.0)


def pid_of(folder):
    """Of the project's stack, whether or not it answers."""
    return read_ready(stacks.record(folder, AWS)).pid


def test_the_variable_names_the_stack_when_it_stays_on_this_machine(folder, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4599")
    assert stacks.endpoint(folder, AWS) == "http://127.0.0.1:4599"
    assert not stacks.record(folder, AWS).exists()


@pytest.mark.parametrize(
    "url", ["https://sagemaker.us-east-1.amazonaws.com", "http://127.0.0.1.example.com", "nonsense"]
)
def test_a_variable_that_leads_off_this_machine_is_refused(folder, monkeypatch, url):
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(Invalid, match="not on this machine"):
        stacks.endpoint(folder, AWS)


def test_a_projects_stack_starts_once_is_used_again_and_ends_at_stop(folder):
    url = stacks.endpoint(folder, AWS)
    Stack(url).fault(kind="error", times=None)
    assert json.loads(stacks.record(folder, AWS).read_text())["schema"] == 1
    assert stacks.endpoint(folder, AWS) == url
    assert stacks.running_urls(folder) == (url,)
    assert len(Stack(url).faults()) == 1  # the same process, with what it holds
    assert stacks.stop(folder)
    assert (stacks.running_urls(folder), stacks.ending_reports(folder)) == ((), None)
    assert not stacks.stop(folder)


def test_two_commands_at_once_start_one_stack(folder):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(stacks.endpoint(folder, AWS)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1


def buckets(url):
    return [bucket["Name"] for bucket in Aws(url).s3.list_buckets()["Buckets"]]


def test_a_stack_that_was_killed_is_started_again_with_what_it_held_until_that_is_forgotten(folder):
    url = stacks.endpoint(folder, AWS)
    Aws(url).s3.create_bucket(Bucket="bucket")
    Stack(url).fault(kind="error", service="glue", times=None)
    os.kill(pid_of(folder), signal.SIGKILL)
    until(lambda: not stacks.running_urls(folder))
    again = stacks.endpoint(folder, AWS)
    assert buckets(again) == ["bucket"]
    assert Stack(again).faults() == ()
    assert stacks.stop(folder)
    assert stacks.homes(folder) == (stacks.home(folder, AWS),)
    stacks.stop(folder, forget=True)
    assert buckets(stacks.endpoint(folder, AWS)) == []


def test_a_stack_that_cannot_go_on_with_what_was_kept_says_why_and_what_to_do(folder):
    stacks.endpoint(folder, AWS)
    stacks.stop(folder)
    about = stacks.home(folder, AWS) / "home.json"
    about.write_text(about.read_text().replace('"format":2', '"format":3'))
    with pytest.raises(Unavailable, match="was written by a newer stack") as error:
        stacks.endpoint(folder, AWS)
    assert "isthmus stack down --forget" in error.value.remedy
    stacks.stop(folder, forget=True)
    assert stacks.homes(folder) == ()


def is_told(folder):
    """Whether the watcher has written how the stack ended: who asks before waits a second for it,
    and a busy machine may take longer.
    """
    return apart._end_file(stacks.record(folder, AWS)).exists()


def test_the_next_command_tells_once_when_and_how_a_stack_was_killed(folder, capsys):
    stacks.endpoint(folder, AWS)
    killed = pid_of(folder)
    log = stacks.record(folder, AWS).with_suffix(".log")
    before = datetime.now(UTC).replace(microsecond=0)
    os.kill(killed, signal.SIGKILL)
    until(lambda: is_told(folder) and not stacks.running_urls(folder))
    with log.open("a") as file:
        file.write("its last words\n")
    stacks.endpoint(folder, AWS)
    assert pid_of(folder) != killed
    news = capsys.readouterr().err
    at = re.search(r"it ended at (\S+ \S+) UTC: killed by SIGKILL", news)
    assert before <= datetime.fromisoformat(f"{at[1]}+00:00") <= datetime.now(UTC)
    assert "by hand or by the kernel for want of memory" in news
    assert "what it held is kept" in news
    assert "its last words" in news
    assert f"its log is now {log.with_suffix('.previous.log')}" in news
    assert "its last words" in log.with_suffix(".previous.log").read_text()
    stacks.endpoint(folder, AWS)
    assert capsys.readouterr().err == ""


def test_a_stack_that_went_with_its_watcher_is_told_of_with_the_last_time_that_it_lived_and_a_restart_as_one(
    folder, monkeypatch
):
    stacks.endpoint(folder, AWS)
    pid = pid_of(folder)
    alive = datetime.fromtimestamp(stacks.record(folder, AWS).stat().st_mtime, UTC)
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    told = until(lambda: stacks.ending_reports(folder))
    assert "together with the process that watched it" in told
    at = datetime.fromisoformat(re.search(r"it was killed after (\S+ \S+) UTC", told)[1] + "+00:00")
    assert alive.replace(microsecond=0) <= at <= datetime.now(UTC)
    monkeypatch.setattr(
        "isthmus_stack.core.detached._boot_time", lambda: datetime.now(UTC).timestamp()
    )
    assert "this machine was restarted after" in stacks.ending_reports(folder)


def test_what_cannot_be_forgotten_is_an_error(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    stacks.home(folder, AWS).parent.mkdir(parents=True)
    stacks.home(folder, AWS).symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic link"):
        stacks.stop(folder, forget=True)


@pytest.fixture
def silent(folder, monkeypatch):
    """A stack that lives and does not answer: its URL and pid."""
    url = stacks.endpoint(folder, AWS)
    pid = pid_of(folder)
    monkeypatch.setattr(apart, "_ANSWERS", 0.5)
    monkeypatch.setattr(apart, "_STOPS", 0.5)
    monkeypatch.setattr(apart, "_DIES", 60.0)
    monkeypatch.setattr(apart, "_HEALTH", 0.2)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: is_stopped(pid))  # its threads go on until the one that got the signal has run
    yield url, pid
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def is_stopped(pid):
    try:
        states = [
            (task / "stat").read_text().rpartition(")")[2].split()[0]
            for task in Path(f"/proc/{pid}/task").glob("*")
        ]
    except (
        FileNotFoundError,
        ProcessLookupError,
    ):  # a thread that has ended meanwhile: others may go on, too
        return False
    return all(state == "T" for state in states)  # without /proc there is none to see


def test_a_stack_that_does_not_answer_is_not_dead_and_is_used_again_once_it_does(
    folder, silent, monkeypatch
):
    url, pid = silent
    assert running(stacks.record(folder, AWS)) is None
    assert stacks.ending_reports(folder) is None
    with pytest.raises(
        Unavailable, match=rf"the stack runs \(pid {pid}\) and does not answer"
    ) as error:
        stacks.endpoint(folder, AWS)
    assert "isthmus stack down" in error.value.remedy
    os.kill(pid, signal.SIGCONT)
    answer_in_time(monkeypatch)
    monkeypatch.setattr(apart, "_STOPS", 60.0)
    assert stacks.endpoint(folder, AWS) == url
    assert stacks.stop(folder)


def test_the_start_waits_for_a_stack_that_lives_and_does_not_answer_yet(
    folder, silent, monkeypatch
):
    url, pid = silent
    answer_in_time(monkeypatch)
    threading.Timer(1, os.kill, (pid, signal.SIGCONT)).start()
    assert stacks.endpoint(folder, AWS) == url


@pytest.mark.parametrize("home", [True, False])
def test_a_stack_that_does_not_answer_is_ended_all_the_same(folder, silent, home):
    _, pid = silent
    record = stacks.record(folder, AWS)
    if not home:
        record.write_text(json.dumps(json.loads(record.read_text()) | {"home": None}))
    assert stacks.ending_reports(folder) is None
    assert stacks.stop(folder, forget=True)
    until(lambda: not alive(pid))
    assert not record.exists()
    assert stacks.homes(folder) == ()


def test_a_home_that_an_ended_stack_lets_go_of_late_is_removed(tmp_path, monkeypatch):
    home = stacks.home(tmp_path, AWS)
    home.mkdir(parents=True)
    stacks.record(tmp_path, AWS).write_text("{}")
    monkeypatch.setattr("isthmus_stack.core.detached.stop_apart", lambda _: True)
    threading.Timer(0.5, OwnedFolder(home).leave).start()
    assert stacks.stop(tmp_path, forget=True)
    assert not home.exists()


def test_the_home_of_a_living_stack_is_never_removed(folder, silent, monkeypatch):
    """Its record is lost, or tells of a process that is no stack."""
    monkeypatch.setattr(apart, "_DIES", 0.5)
    record = stacks.record(folder, AWS)
    text = record.read_text()
    record.unlink()
    with pytest.raises(Unavailable, match="a stack still runs in"):
        stacks.stop(folder, forget=True)
    record.write_text(json.dumps(json.loads(text) | {"pid": os.getpid()}))
    with pytest.raises(Unavailable, match=f"process {os.getpid()}, of which .* is another one"):
        stacks.stop(folder, forget=True)
    assert (stacks.home(folder, AWS) / "home.json").exists()
    record.write_text(text)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stack_that_was_told_to_end_is_no_death(folder, capsys, number):
    stacks.endpoint(folder, AWS)
    os.kill(pid_of(folder), number)
    until(lambda: not stacks.record(folder, AWS).exists())
    assert stacks.ending_reports(folder) is None
    stacks.endpoint(folder, AWS)
    assert capsys.readouterr().err == ""


def test_a_stack_that_ends_slowly_leaves_the_record_of_the_one_that_began_meanwhile(folder):
    record = stacks.record(folder, AWS)
    record.parent.mkdir(parents=True)
    for pid, stays in ((os.getpid() + 1, True), (os.getpid(), False)):
        record.write_text(f'{{"schema": 1, "url": "http://127.0.0.1:9", "pid": {pid}}}')
        process._remove_ready_file(record)
        assert record.exists() == stays


def test_a_stack_that_fails_is_told_of_with_its_exit_code(folder):
    """What its watcher sees of it, by a command in the stack's place."""
    ready = stacks.record(folder, AWS)
    ready.parent.mkdir(parents=True)
    child = subprocess.Popen(
        ["sh", "-c", apart._WATCH, str(apart._end_file(ready)), "sh", "-c", "echo $$; exit 3"],
        stdout=subprocess.PIPE,
    )
    pid = int(child.communicate()[0])
    assert child.returncode == 3
    ready.write_text(f'{{"url": "http://127.0.0.1:9", "pid": {pid}}}')
    assert "it failed, with exit code 3" in stacks.ending_reports(folder)


def test_stack_down_tells_of_a_death_too(folder):
    stacks.endpoint(folder, AWS)
    os.kill(pid_of(folder), signal.SIGKILL)
    until(lambda: is_told(folder) and not stacks.running_urls(folder))
    down = [sys.executable, "-m", "isthmus", "stack", "down"]
    first, second = (
        subprocess.run(down, cwd=folder, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert "killed by SIGKILL" in first
    assert second == "no offline stack of this project runs\n"


def test_a_stack_of_a_newer_version_is_neither_used_nor_forgotten(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    ready = stacks.record(tmp_path, AWS)
    ready.parent.mkdir(parents=True)
    ready.write_text('{"schema": 9, "socket": "/run/stack"}')
    for use in (
        lambda: stacks.endpoint(tmp_path, AWS),
        lambda: stacks.stop(tmp_path),
        lambda: stacks.running_urls(tmp_path),
    ):
        with pytest.raises(
            Refused,
            match=r"aws.json was written by a newer Isthmus \(format 9; this one reads up to 1\)",
        ):
            use()
    assert ready.read_text() == '{"schema": 9, "socket": "/run/stack"}'


def test_our_image_has_every_name_that_the_projects_profiles_give_it(tmp_path):
    create(tmp_path / "shop", example="openbandit")
    (tmp_path / "shop" / "profiles.yaml").write_text(
        "targets:\n  sagemaker:\n    bucket: s3://example-ranker\n    image: "
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/ranker:7\n"
    )
    found = stacks.images(tmp_path / "shop", AWS)
    assert set(found) == {"isthmus", "123456789012.dkr.ecr.us-east-1.amazonaws.com/ranker:7"}
    assert all(
        "-m isthmus.endpoints.server --host 127.0.0.1 --model {model} --port {port}" in command
        for command in found.values()
    )


def test_offline_puts_the_stacks_url_into_a_sagemaker_targets_options(tmp_path):
    create(tmp_path / "shop", example="openbandit")
    (tmp_path / "shop" / "profiles.yaml").write_text(
        "targets:\n  aws:\n    adapter: sagemaker\n    bucket: s3://example-ranker\n"
    )
    description = load(tmp_path / "shop" / "project.yaml")
    asked = []

    def stack(offline, _server):
        asked.append(offline.cloud)
        return {"endpoint_url": "http://127.0.0.1:1"}

    found = profile(description, target="aws", offline=True, options={}, stack=stack)
    assert found.options["endpoint_url"] == "http://127.0.0.1:1"
    assert asked == ["aws"]
    assert (
        "endpoint_url"
        not in profile(description, target="aws", offline=False, options={}, stack=stack).options
    )
    assert (
        "endpoint_url"
        not in profile(description, target="local", offline=True, options={}, stack=stack).options
    )
    with pytest.raises(Unsupported):
        profile(description, target="aws", offline=True, options={})
    assert asked == ["aws"]


REMOTE = "http://localstack.example:4566"


def shop(tmp_path, offline_key):
    create(tmp_path / "shop", example="openbandit")
    (tmp_path / "shop" / "profiles.yaml").write_text(
        "targets:\n  aws:\n    adapter: sagemaker\n    bucket: s3://example-ranker\n    "
        f"offline: {offline_key}\n"
    )
    return tmp_path / "shop" / "project.yaml"


@pytest.mark.parametrize(
    "key",
    ["{endpoint_url: http://127.0.0.1:4566}", f"{{endpoint_url: {REMOTE!r}, allow_remote: true}}"],
)
def test_offline_uses_the_server_of_profiles_yaml_and_starts_no_stack(tmp_path, monkeypatch, key):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    path = shop(tmp_path, key)
    with isthmus.open(path, target="aws", offline=True) as project:
        assert project.target.profile.options["endpoint_url"] in ("http://127.0.0.1:4566", REMOTE)
        assert "offline" not in project.target.profile.options
    assert not stacks.record(path.parent, AWS).exists()


def test_a_variable_on_this_machine_comes_before_the_server_of_profiles_yaml(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4599")
    with isthmus.open(
        shop(tmp_path, "{endpoint_url: http://127.0.0.1:4566}"), target="aws", offline=True
    ) as project:
        assert project.target.profile.options["endpoint_url"] == "http://127.0.0.1:4599"


def test_without_offline_the_server_of_profiles_yaml_is_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with isthmus.open(
        shop(tmp_path, "{endpoint_url: http://127.0.0.1:4566}"), target="aws"
    ) as project:
        assert project.target.profile.options.keys().isdisjoint({"endpoint_url", "offline"})


def test_the_command_line_uses_one_stack_until_destroy_offline_ends_it(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    answer_in_time(monkeypatch)
    create(tmp_path / "shop", example="openbandit")
    (tmp_path / "shop" / "profiles.yaml").write_text(
        "targets:\n  sagemaker:\n    bucket: s3://example-ranker\n"
    )

    def isthmus(*words):
        done = subprocess.run(
            [sys.executable, "-m", "isthmus", *words],
            cwd=tmp_path / "shop",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        isthmus("plan", "--target", "sagemaker", "--offline")
        (first,) = stacks.running_urls(tmp_path / "shop")
        isthmus("plan", "--target", "sagemaker", "--offline")
        assert stacks.running_urls(tmp_path / "shop") == (first,)
        assert {call.service for call in Stack(first).calls()} >= {"s3", "glue"}
        assert "the offline stack is stopped" in isthmus(
            "destroy", "--target", "sagemaker", "--offline", "--yes"
        )
        assert stacks.running_urls(tmp_path / "shop") == ()
    finally:
        stacks.stop(tmp_path / "shop")
