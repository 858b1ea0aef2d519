"""Which stack `--offline` uses, and its life as a process of its own."""

import os
import signal
import threading

import pytest

from isthmus.errors import Invalid, Refused, Unsupported
from isthmus.lifecycle import offline
from isthmus.localstack.client import Stack
from isthmus.localstack.run import running
from isthmus.project.load import load
from isthmus.project.profiles import profile
from isthmus.project.scaffold import create

pytestmark = pytest.mark.slow

AWS = offline.clouds()["aws"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    yield tmp_path
    offline.stop(tmp_path)


def test_the_variable_names_the_stack_when_it_stays_on_this_machine(folder, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4599")
    assert offline.endpoint(folder, AWS) == "http://127.0.0.1:4599"
    assert not offline.record(folder, AWS).exists()


@pytest.mark.parametrize("url", ["https://sagemaker.us-east-1.amazonaws.com", "http://127.0.0.1.example.com", "nonsense"])
def test_a_variable_that_leads_off_this_machine_is_refused(folder, monkeypatch, url):
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(Invalid, match="not on this machine"):
        offline.endpoint(folder, AWS)


def test_a_projects_stack_starts_once_is_used_again_and_ends_at_stop(folder):
    url = offline.endpoint(folder, AWS)
    Stack(url).fault(kind="error", times=None)
    assert offline.endpoint(folder, AWS) == url
    assert offline.running_urls(folder) == (url,)
    assert len(Stack(url).faults()) == 1  # the same process, with what it holds
    assert offline.stop(folder)
    assert offline.running_urls(folder) == ()
    assert not offline.stop(folder)


def test_two_commands_at_once_start_one_stack(folder):
    found = []
    threads = [threading.Thread(target=lambda: found.append(offline.endpoint(folder, AWS))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1


def test_a_stack_that_was_killed_is_started_again(folder):
    url = offline.endpoint(folder, AWS)
    Stack(url).fault(kind="error", times=None)
    os.kill(running(offline.record(folder, AWS)).pid, signal.SIGKILL)
    again = offline.endpoint(folder, AWS)
    assert Stack(again).faults() == ()


def test_a_stack_of_a_newer_version_is_neither_used_nor_forgotten(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    ready = offline.record(tmp_path, AWS)
    ready.parent.mkdir(parents=True)
    ready.write_text('{"schema": 9, "socket": "/run/stack"}')
    for use in (lambda: offline.endpoint(tmp_path, AWS), lambda: offline.stop(tmp_path), lambda: offline.running_urls(tmp_path)):
        with pytest.raises(Refused, match=r"aws.json was written by a newer Isthmus \(format 9; this one reads up to 1\)"):
            use()
    assert ready.read_text() == '{"schema": 9, "socket": "/run/stack"}'


def test_our_image_has_every_name_that_the_projects_profiles_give_it(tmp_path):
    create(tmp_path / "shop", example="openbandit")
    (tmp_path / "shop" / "profiles.yaml").write_text(
        "targets:\n  sagemaker:\n    bucket: s3://example-ranker\n    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/ranker:7\n"
    )
    found = offline.images(tmp_path / "shop", AWS)
    assert set(found) == {"isthmus", "123456789012.dkr.ecr.us-east-1.amazonaws.com/ranker:7"}
    assert all("-m isthmus.endpoints.server --host 127.0.0.1 --model {model} --port {port}" in command for command in found.values())


def test_offline_puts_the_stacks_url_into_a_sagemaker_targets_options(tmp_path):
    create(tmp_path / "shop", example="openbandit")
    (tmp_path / "shop" / "profiles.yaml").write_text("targets:\n  aws:\n    adapter: sagemaker\n    bucket: s3://example-ranker\n")
    description = load(tmp_path / "shop" / "project.yaml")
    asked = []

    def stack(offline):
        asked.append(offline.cloud)
        return "http://127.0.0.1:1"

    found = profile(description, target="aws", offline=True, options={}, stack=stack)
    assert found.options["endpoint_url"] == "http://127.0.0.1:1"
    assert asked == ["aws"]
    assert "endpoint_url" not in profile(description, target="aws", offline=False, options={}, stack=stack).options
    assert "endpoint_url" not in profile(description, target="local", offline=True, options={}, stack=stack).options
    with pytest.raises(Unsupported):
        profile(description, target="aws", offline=True, options={})
    assert asked == ["aws"]


def test_the_command_line_uses_one_stack_until_destroy_offline_ends_it(tmp_path, monkeypatch):
    import subprocess
    import sys

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    create(tmp_path / "shop", example="openbandit")
    (tmp_path / "shop" / "profiles.yaml").write_text("targets:\n  sagemaker:\n    bucket: s3://example-ranker\n")

    def isthmus(*words):
        done = subprocess.run([sys.executable, "-m", "isthmus", *words], cwd=tmp_path / "shop", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        isthmus("plan", "--target", "sagemaker", "--offline")
        (first,) = offline.running_urls(tmp_path / "shop")
        isthmus("plan", "--target", "sagemaker", "--offline")
        assert offline.running_urls(tmp_path / "shop") == (first,)
        assert {call.service for call in Stack(first).calls()} >= {"s3", "glue"}
        assert "the offline stack is stopped" in isthmus("destroy", "--target", "sagemaker", "--offline", "--yes")
        assert offline.running_urls(tmp_path / "shop") == ()
    finally:
        offline.stop(tmp_path / "shop")
