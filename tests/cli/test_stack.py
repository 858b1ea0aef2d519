import json
import os
import signal
import subprocess
import sys
import urllib.request
from unittest.mock import patch

import boto3
import pytest
from botocore.config import Config

from isthmus.tests.cli import running
from isthmus.tests.cli.running import at_terminal, too_wide
from isthmus.tests.docs.shown import block_of
from isthmus_stack.aws import coverage
from isthmus_stack.client import Stack
from isthmus_stack.core.images import anchored
from isthmus_stack.core.keys import keys_of
from isthmus_stack.run import environment_for
from isthmus_stack.testing import stacks
from isthmus_stack.testing.keys_kit import keys

pytestmark = pytest.mark.slow

ISTHMUS = [sys.executable, "-m", "isthmus"]


@pytest.fixture
def example_stack():
    stack = Stack(stacks.shared("real").url)
    stack.reset()
    return stack


def client(stack, service, attempts=1):
    config = Config(retries={"total_max_attempts": attempts, "mode": "standard"})
    return boto3.client(
        service, endpoint_url=stack.url, region_name="us-east-1", config=config, **keys(stack.url)
    )


def neutral(more=None):
    """This process's variables without AWS's, and `more`."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **(more or {}),
    }


def isthmus(*words, cwd):
    """A command whose own command writes to its streams: in a process of its own."""
    return subprocess.run(
        [*ISTHMUS, "stack", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=neutral(),
        check=False,
    )


def here(*words, cwd, env=None):
    """A command in this process, whose stacks are forked."""
    with patch.dict(os.environ, neutral(env), clear=True):
        return running.isthmus(cwd, "stack", *words, ok=False)


def answers(url):
    try:
        with urllib.request.urlopen(f"{url}/_stack/health", timeout=120) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_up_prints_what_to_export_and_the_true_counts_and_ends_at_ctrl_c(tmp_path):
    process = subprocess.Popen(
        [*ISTHMUS, "stack", "up", "aws", "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first, second = process.stdout.readline(), process.stdout.readline()
    counted = coverage.count(coverage.coverage())
    url = second.split("AWS_ENDPOINT_URL=")[1].split()[0]
    assert first.startswith(
        f"AWS on {url.removeprefix('http://')}   sagemaker s3 glue athena kinesis firehose "
        "cloudwatch   "
    )
    assert first.rstrip().endswith(
        f"{counted.executes} operations execute, {counted.stores} only store"
    )
    pair = keys_of(url).pair
    assert second.strip() == (
        f"export AWS_ENDPOINT_URL={url} AWS_ACCESS_KEY_ID={pair.access_key} "
        f"AWS_SECRET_ACCESS_KEY={pair.secret_key} "
        "AWS_DEFAULT_REGION=us-east-1"
    )
    assert answers(url)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0
    assert not answers(url)
    process.communicate()


def test_up_says_in_its_first_line_that_motos_answers_are_on(tmp_path):
    with subprocess.Popen(
        [*ISTHMUS, "stack", "up", "aws", "--port", "0", "--moto-answers"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    assert "--moto-answers" in first
    assert "--open" in first


def test_run_with_motos_answers_says_so_and_reaches_the_stack(tmp_path):
    code = (
        "import boto3; "
        "print(boto3.client('sagemaker-runtime').invoke_endpoint(EndpointName='nobody', "
        "Body=b'x')['Body'].read())"
    )
    done = isthmus("run", "--moto-answers", "aws", "--", sys.executable, "-c", code, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "b'body'\n"), done.stderr
    assert "--moto-answers is on" in done.stderr
    assert (
        "Endpoint nobody of account"
        in isthmus("run", "aws", "--", sys.executable, "-c", code, cwd=tmp_path).stderr
    )


def test_up_on_a_port_that_is_taken_says_so(tmp_path, example_stack):
    done = here("up", "aws", "--port", example_stack.url.rpartition(":")[2], cwd=tmp_path)
    assert done.code == 1
    assert "did not start on port" in done.err
    assert "--port 0 takes any free port" in done.err


def test_run_gives_the_command_a_stack_and_passes_its_exit_code_on(tmp_path):
    code = (
        "import boto3, os, sys; boto3.client('s3').create_bucket(Bucket='bucket'); "
        "print(os.environ['AWS_ENDPOINT_URL']); sys.exit(7)"
    )
    done = isthmus("run", "aws", "--", sys.executable, "-c", code, cwd=tmp_path)
    assert done.returncode == 7, done.stderr
    assert not answers(done.stdout.strip())


def test_run_with_a_home_goes_on_with_what_the_run_before_left(tmp_path):
    home = ("--home", str(tmp_path / "home"))
    code = (
        "import boto3; s3 = boto3.client('s3'); s3.create_bucket(Bucket='bucket'); "
        "s3.put_object(Bucket='bucket', Key='key', Body=b'kept')"
    )
    assert here("run", *home, "aws", "--", sys.executable, "-c", code, cwd=tmp_path).code == 0
    code = "import boto3; boto3.client('s3').download_file('bucket', 'key', 'copy')"
    assert here("run", *home, "aws", "--", sys.executable, "-c", code, cwd=tmp_path).code == 0
    assert (tmp_path / "copy").read_bytes() == b"kept"
    assert here("run", "aws", "--", sys.executable, "-c", code, cwd=tmp_path).code == 1


def test_a_folder_that_is_no_home_is_refused_with_the_reason(tmp_path):
    done = here("run", "--home", ".", "aws", "--", "true", cwd=tmp_path)
    assert done.code == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    done = isthmus("run", "--home", "other", "aws", "--", "true", cwd=tmp_path)
    assert done.returncode == 1
    assert "holds something else than a stack's home" in done.stderr
    assert "the offline AWS did not start" in done.stderr


def test_run_of_a_command_that_is_not_there_is_an_error(tmp_path):
    done = here("run", "aws", "--", "no-such-command", cwd=tmp_path)
    assert done.code == 1
    assert "no-such-command cannot be run" in done.err


def test_a_commands_environment_leads_nowhere_else():
    found = environment_for(
        "http://127.0.0.1:1",
        {
            "AWS_PROFILE": "me",
            "AWS_SESSION_TOKEN": "t",
            "AWS_ENDPOINT_URL_S3": "https://elsewhere",
            "PATH": "p",
            "NO_PROXY": "a,b",
        },
    )
    assert found["PATH"] == "p"
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"} & set(found)
    assert found["NO_PROXY"] == "a,b,127.0.0.1,localhost"
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"


def test_faults_are_added_listed_and_cleared(tmp_path, example_stack):
    env = {"AWS_ENDPOINT_URL": example_stack.url}
    added = here(
        "fault",
        "add",
        "throttle",
        "--service",
        "sagemaker",
        "--operation",
        "ListModels",
        "--times",
        "2",
        cwd=tmp_path,
        env=env,
    )
    assert added.out.split() == ["1", "throttle", "sagemaker:ListModels", "2", "times"]
    assert here("fault", "list", cwd=tmp_path, env=env).out == added.out
    assert (
        client(example_stack, "sagemaker", attempts=3).list_models()["ResponseMetadata"][
            "RetryAttempts"
        ]
        == 2
    )
    here("fault", "clear", cwd=tmp_path, env=env)
    for command in (
        "add throttle --service sagemaker --times 3",
        "add cut-after --operation UpdateEndpointWeightsAndCapacities",
        "list",
    ):
        printed = here("fault", *command.split(), cwd=tmp_path, env=env).out
        assert printed.splitlines() == block_of("offline-aws.md", f"isthmus-stack fault {command}")
    assert here("fault", "add", "error", "--times", "0", cwd=tmp_path, env=env).out.endswith(
        "everything   until it is cleared\n"
    )
    assert here("fault", "clear", cwd=tmp_path, env=env).code == 0
    assert example_stack.faults() == ()


def test_a_fault_that_is_none_is_refused_with_those_that_are(tmp_path):
    done = here("fault", "add", "slow", cwd=tmp_path)
    assert done.code == 1
    assert "slow is not a fault" in done.err
    assert "cut-before" in done.err


def test_policy_prints_a_document_for_iam(tmp_path, example_stack):
    client(example_stack, "sagemaker").list_endpoints()
    done = here("policy", cwd=tmp_path, env={"AWS_ENDPOINT_URL": example_stack.url})
    assert json.loads(done.out) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["sagemaker:ListEndpoints"], "Resource": ["*"]}
        ],
    }


def test_a_command_without_a_stack_says_how_to_get_one(tmp_path):
    done = here("policy", "--url", "http://127.0.0.1:9", cwd=tmp_path)
    assert done.code == 1
    assert "no stack answers at http://127.0.0.1:9" in done.err
    assert "isthmus stack up aws" in done.err


@pytest.mark.parametrize("arguments", [(), ("--service", "s3")])
def test_coverage_lists_every_operation_with_its_level(tmp_path, arguments):
    done = here("coverage", "aws", *arguments, "--json", cwd=tmp_path)
    found = json.loads(done.out)["items"]
    assert len(found) == len(coverage.coverage(arguments[1] if arguments else None))
    assert {"service": "s3", "operation": "PutObject", "level": "executes", "by": "moto"} in found
    assert here("coverage", "aws", "--service", "nothing", cwd=tmp_path).code == 1


@pytest.mark.parametrize("words", [("coverage", "aws", "--service", "firehose"), ("status",)])
def test_a_table_fits_a_terminal_of_80_columns(tmp_path, words, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    _, seen = at_terminal(tmp_path, "stack", *words)
    assert too_wide(seen) == []


def test_down_without_a_stack_is_no_error(tmp_path):
    done = here("down", cwd=tmp_path)
    assert (done.code, done.out) == (0, "no offline stack of this project runs\n")
    assert not (tmp_path / ".isthmus").exists()


def test_run_takes_its_options_on_both_sides_of_the_cloud_and_leaves_the_commands_own_alone(
    tmp_path,
):
    code = "import os, sys; print(sys.argv[1:], 'AWS_ENDPOINT_URL' in os.environ)"
    done = isthmus(
        "run",
        "--clock",
        "manual",
        "aws",
        "--image",
        "a=true",
        "--",
        sys.executable,
        "-c",
        code,
        "--image",
        "b",
        cwd=tmp_path,
    )
    assert done.stdout == "['--image', 'b'] True\n", done.stderr


def test_a_mistyped_option_of_run_is_not_the_command(tmp_path):
    done = isthmus("run", "aws", "--imag", "a=true", "--", "true", cwd=tmp_path)
    assert done.returncode != 0
    assert "No such option '--imag'" in done.stderr


def test_an_images_command_names_files_where_the_stack_was_started(tmp_path):
    (tmp_path / "job.py").write_text("print('here')")
    assert (
        anchored("python job.py --model {model}", tmp_path)
        == f"python {tmp_path}/job.py --model '{{model}}'"
    )
    assert anchored("python -m job {port}", tmp_path) == "python -m job {port}"
