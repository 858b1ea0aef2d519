"""`isthmus-stack`, as somebody types it who has nothing else of Isthmus."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

import boto3
import pytest

from isthmus_stack.cli import verbs
from isthmus_stack.cli.main import main
from isthmus_stack.core import launch
from isthmus_stack.run import StackFailed, read_ready, start_aws
from isthmus_stack.testing import stacks
from isthmus_stack.testing.jobs_kit import until
from isthmus_stack.testing.keys_kit import keys

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "isthmus_stack"]


def neutral():
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GCP_"))
    }


def here(*words):
    """Exit code, output and errors of a command in this process, whose stacks are forked."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, neutral(), clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main([str(word) for word in words])
        except SystemExit as leaving:
            return leaving.code, out.getvalue(), err.getvalue()
    raise AssertionError


@pytest.fixture
def stack():
    running = stacks.shared("real")
    verbs.ask((running.url,), lambda asked: asked.reset())
    return running


def test_up_says_what_to_export_and_ends_at_ctrl_c(tmp_path):
    with subprocess.Popen(
        [*COMMAND, "up", "aws", "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=neutral(),
    ) as process:
        first, second = process.stdout.readline(), process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
    url = second.split("AWS_ENDPOINT_URL=")[1].split()[0]
    assert first.startswith(f"AWS on {url.removeprefix('http://')}   sagemaker s3 ")


def test_run_gives_a_command_a_stack_and_passes_its_exit_code_on():
    code = "import boto3, sys; boto3.client('s3').create_bucket(Bucket='bucket'); sys.exit(7)"
    assert here("run", "aws", "--clock", "manual", "--", sys.executable, "-c", code)[0] == 7
    assert here("run", "aws")[0] == 1
    assert "there is no command after --" in here("run", "aws", "--")[2]


def test_what_cannot_be_is_said_with_what_to_do():
    assert here("up", "azure")[0] == 2
    assert "the offline GCP has no --home" in here("up", "gcp", "--home", "kept")[2]
    assert "write --image NAME=COMMAND" in here("run", "aws", "--image", "a", "--", "true")[2]
    code, _, err = here("policy", "--url", "http://127.0.0.1:9")
    assert code == 1
    assert "no stack answers at http://127.0.0.1:9" in err
    assert "isthmus-stack up aws" in err


def test_what_is_not_installed_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr("isthmus_stack.aws.core.environment.NEEDS", ("no_such_moto",))
    code, _, err = here("up", "aws")
    assert code == 1
    assert "the offline AWS needs no_such_moto" in err
    assert 'pip install "isthmus-stack[aws] @ git+' in err


def test_faults_are_added_listed_and_cleared(stack):
    url = ("--url", stack.url)
    assert here("fault", "add", "throttle", "--service", "sagemaker", "--times", "3", *url)[
        1
    ].split() == [
        "1",
        "throttle",
        "sagemaker",
        "3",
        "times",
    ]
    assert json.loads(here("fault", "list", "--json", *url)[1])["items"][0]["kind"] == "throttle"
    assert here("fault", "clear", "1", *url)[1] == "fault 1 is taken back\n"
    assert here("fault", "list", *url)[1] == "no faults\n"


def test_policy_and_coverage_are_printed(stack):
    boto3.client(
        "sagemaker", endpoint_url=stack.url, region_name="us-east-1", **keys(stack.url)
    ).list_endpoints()
    assert json.loads(here("policy", "--url", stack.url)[1])["Statement"][0]["Action"] == [
        "sagemaker:ListEndpoints"
    ]
    lines = here("coverage", "aws", "--service", "s3")[1].splitlines()
    assert any(line.split() == ["s3", "PutObject", "executes", "moto"] for line in lines)
    assert "operations execute" in lines[-1]
    assert here("coverage", "aws", "--service", "nothing")[0] == 1


def test_a_stack_is_found_and_ended_by_its_url(monkeypatch):
    monkeypatch.setattr(
        launch, "subprocess", subprocess
    )  # none that is forked: it is known by its command line
    with start_aws() as running:
        code, out, _ = here("status", "--url", running.url, "--json")
        assert (code, json.loads(out)["items"][0]["pid"]) == (0, running.pid)
        assert here("down", "--url", running.url) == (0, "the stack is stopped\n", "")
        assert running.wait() == 0
    assert here("down", "--url", running.url) == (0, "no stack runs there\n", "")
    assert here("status", "--url", running.url)[1] == "no stack runs there\n"


def test_a_stack_is_found_and_ended_by_its_home_which_keeps_what_it_holds(tmp_path):
    home = tmp_path / "home"
    with start_aws(home=home) as running:
        boto3.client(
            "s3", endpoint_url=running.url, region_name="us-east-1", **keys(running.url)
        ).create_bucket(Bucket="kept")
        assert f"process {running.pid}" in here("status", "--home", home)[1]
        assert here("down", "--home", home)[1] == "the stack is stopped\n"
        assert running.wait() == 0
    assert not (home / "listening.json").exists()
    assert here("down", "--home", home)[1] == "no stack runs there\n"
    with start_aws(home=home) as again:
        buckets = boto3.client(
            "s3", endpoint_url=again.url, region_name="us-east-1", **keys(again.url)
        ).list_buckets()["Buckets"]
    assert [bucket["Name"] for bucket in buckets] == ["kept"]


def test_a_home_that_somebody_else_wrote_is_refused_until_it_is_trusted(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
    with start_aws(home=home) as running:
        boto3.client(
            "s3", endpoint_url=running.url, region_name="us-east-1", **keys(running.url)
        ).create_bucket(Bucket="kept")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "ours"))
    with pytest.raises(StackFailed, match="isthmus-stack trust --home"):
        start_aws(home=home)
    assert here("trust", "--home", home)[0] == 0
    assert "is not a stack's home" in here("trust", "--home", tmp_path)[2]
    with start_aws(home=home) as again:
        assert verbs.status(home=home)[0].pid == again.pid


def test_a_home_that_names_somebody_elses_process_ends_nothing(tmp_path, stack):
    home = tmp_path / "home"
    with start_aws(home=home) as running:
        (tmp_path / "copy").mkdir()
        (tmp_path / "copy" / "listening.json").write_text(
            json.dumps({"schema": 1, "url": stack.url, "pid": stack.pid})
        )
        assert read_ready(home / "listening.json").pid == running.pid
    assert here("down", "--home", tmp_path / "copy")[1] == "no stack runs there\n"
    assert here("status", "--home", tmp_path / "copy")[1] == "no stack runs there\n"
    assert verbs.status(url=stack.url) != []


class Pretender(BaseHTTPRequestHandler):
    """It says that it is a stack, and this process."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"pid": os.getpid()}).encode())

    def log_message(self, *_):
        pass


def test_what_is_no_stack_of_this_user_is_not_ended():
    with ThreadingHTTPServer(("127.0.0.1", 0), Pretender) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code, _, err = here("down", "--url", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert code == 1
    assert "no stack of this user" in err


def test_a_stack_that_a_release_of_before_started_is_ended(tmp_path):
    """Its command line has the package's name of then."""
    script = (
        "import sys; from isthmus_stack.aws.__main__ import main; from isthmus_stack.core.process "
        "import leave; leave(main(sys.argv[2:]))"
    )
    ready = tmp_path / "ready.json"
    words = [
        sys.executable,
        "-c",
        script,
        "isthmus.localstack.aws",
        "--port",
        "0",
        "--ready",
        str(ready),
    ]
    with subprocess.Popen(words, env=neutral()) as process:
        until(lambda: process.poll() is not None or ready.exists(), seconds=120)
        assert verbs.down(url=read_ready(ready).url)
        assert process.wait(120) == 0
