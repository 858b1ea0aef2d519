"""The plugin in a suite of its own, in another process: as somebody who installed the package meets
it.
"""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SUITE = """
import os, subprocess, sys
import boto3, pytest
from botocore.exceptions import ClientError

def test_one(aws_stack):
    assert os.environ["AWS_ENDPOINT_URL"] == aws_stack.url
    assert "AWS_PROFILE" not in os.environ
    fixed = boto3.client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com")
    assert fixed.get_caller_identity()["Account"] == "123456789012"
    boto3.client("s3").create_bucket(Bucket="bucket")
    code = "import boto3; print(boto3.client('s3').list_buckets()['Buckets'][0]['Name'])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "bucket"

def test_two_starts_empty(aws_stack):
    assert boto3.client("s3").list_buckets()["Buckets"] == []
    aws_stack.fault(kind="error", operation="ListBuckets", code="AccessDenied")
    with pytest.raises(ClientError, match="AccessDenied"):
        boto3.client("s3").list_buckets()
    assert [call.operation for call in aws_stack.calls()] == ["ListBuckets", "ListBuckets"]
    assert aws_stack.health()["clock"] == "manual"
    assert aws_stack.health()["images"] == {"ranker": "python -m ranker"}
    assert aws_stack.health()["moto_answers"] is True

def test_three_has_its_environment_back():
    assert os.environ.get("AWS_ENDPOINT_URL") is None
    assert os.environ["AWS_PROFILE"] == "somebody"
"""


def run(folder, suite, *, config="[pytest]\n", env=None):
    import os

    (folder / "test_suite.py").write_text(suite)
    (folder / "pytest.ini").write_text(config)
    neutral = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PYTEST_"))
    }
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
        ],  # pytest-randomly imports numpy where it is
        cwd=folder,
        capture_output=True,
        text=True,
        env={**neutral, **(env or {})},
        check=False,
    )


def test_the_fixture_gives_an_empty_aws_to_boto3_here_and_in_subprocesses(tmp_path):
    config = (
        "[pytest]\naws_stack_clock = manual\naws_stack_moto_answers = true\naws_stack_images =\n "
        "   ranker=python -m ranker\n"
    )
    done = run(tmp_path, SUITE, config=config, env={"AWS_PROFILE": "somebody"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_a_suite_that_does_not_use_it_loads_nothing_of_it(tmp_path):
    suite = (
        "import sys\ndef test_it():\n"
        "    assert not {m for m in ('moto', 'boto3', 'msgspec', 'isthmus_stack.run', "
        "'isthmus_stack.aws') if m in sys.modules}\n"
        "    assert 'isthmus_stack.pytest_plugin' in sys.modules"
    )
    done = run(tmp_path, suite)
    assert done.returncode == 0, done.stdout + done.stderr


FROZEN = """
import datetime, sys
from freezegun import freeze_time

@freeze_time("2020-01-01")
def test_it():
    assert datetime.date.today() == datetime.date(2020, 1, 1)
    ours = {name for name in sys.modules if name.split(".")[0] == "isthmus_stack"}
    assert ours == {"isthmus_stack", "isthmus_stack.pytest_plugin"}
    assert not {"pandas", "pyarrow", "numpy", "duckdb"} & set(sys.modules)
"""


def test_time_can_be_frozen_where_the_package_is_and_nothing_is_loaded_by_it(tmp_path):
    done = run(tmp_path, FROZEN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_a_line_that_is_no_image_is_said(tmp_path):
    done = run(
        tmp_path,
        "def test_it(aws_stack): pass",
        config="[pytest]\naws_stack_images =\n    ranker\n",
    )
    assert done.returncode != 0
    assert "'ranker' is not NAME=COMMAND" in done.stdout
