"""The package alone, in a fresh environment: built from its folder, without Isthmus, it runs a
script of plain boto3.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import isthmus_stack

STACK = Path(isthmus_stack.__file__).parent
ROOT = STACK.parent
UV = Path(sys.executable).parent / "uv"
IGNORED = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
VERSIONS = ROOT / "requirements.lock"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not UV.exists(), reason="uv builds and installs"),
]


def call(*command, **more):
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "ISTHMUS_", "PYTEST_", "PYTHON", "VIRTUAL_ENV"))
    }
    environ["UV_BUILD_CONSTRAINT"] = str(VERSIONS)
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        **more,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    shutil.copytree(
        STACK, folder / "localstack", ignore=IGNORED
    )  # so that building leaves nothing in ours
    call(UV, "build", "--quiet", "--wheel", "--out-dir", folder / "dist", folder / "localstack")
    return next((folder / "dist").glob("isthmus_stack-*.whl"))


@pytest.fixture(scope="module")
def programs(wheel):
    """The commands of an environment that has the wheel with what AWS needs, and nothing else."""
    environment = wheel.parent / "environment"
    call(UV, "venv", "--quiet", "--python", sys.executable, environment)
    versions = ("--constraint", VERSIONS)
    call(
        UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        environment / "bin" / "python",
        *versions,
        f"{wheel}[aws]",
    )
    return environment / "bin"


def test_the_wheel_holds_the_stacks_and_none_of_their_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {
        "isthmus_stack/py.typed",
        "isthmus_stack/run.py",
        "isthmus_stack/aws/front.py",
        "isthmus_stack/gcp/core/server/front.py",
    } <= set(names)
    assert [name for name in names if re.search(r"/(tests|testing|docs)/|setup\.py", name)] == []


def test_plain_boto3_trains_serves_and_splits_its_calls(programs, tmp_path):
    shutil.copytree(ROOT / "examples" / "boto3_ab", tmp_path / "ab")
    command = [
        programs / "isthmus-stack",
        "run",
        "aws",
        "--image",
        f"ab={programs / 'python'} model.py",
        "--",
        programs / "python",
    ]
    printed = call(*command, "deploy_ab.py", cwd=tmp_path / "ab")
    splits = [
        ast.literal_eval(line.partition(" ")[2])
        for line in printed.splitlines()
        if line.startswith(("90/10", "50/50"))
    ]
    assert [sum(split.values()) for split in splits] == [500, 500]
    assert abs(splits[0]["counted"] - 450) <= 40  # six sigma of 500 at 90 %: nobody seeds these
    found = call(
        programs / "python",
        "-c",
        "from importlib.util import find_spec; print(find_spec('isthmus'))",
    )
    assert found.strip() == "None"
