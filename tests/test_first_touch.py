"""What is loaded of Isthmus, and when: in processes of their own, as somebody who installed it
meets it.
"""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

FROZEN = """
import datetime, sys
from freezegun import freeze_time
import isthmus

@freeze_time("2020-01-01")
def test_it():
    assert datetime.date.today() == datetime.date(2020, 1, 1)
    assert {name for name in sys.modules if name.split(".")[0] == "isthmus"} == {"isthmus"}
    assert not {"pandas", "pyarrow", "numpy", "duckdb"} & set(sys.modules)
"""


def run(folder, suite):
    (folder / "test_suite.py").write_text(suite)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
    ]  # pytest-randomly imports numpy where it is
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PYTEST_"))
    }
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env, check=False)


def test_time_can_be_frozen_where_isthmus_is_imported_and_nothing_is_loaded_by_it(tmp_path):
    done = run(tmp_path, FROZEN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_time_can_be_frozen_after_verbs_were_used(tmp_path):
    suite = """
import isthmus, sys
isthmus.plan
from freezegun import freeze_time

@freeze_time("2020-01-01")
def test_it():
    assert "plan" in dir(isthmus)
    assert "isthmus.endpoints.gateway.gateway" not in sys.modules
"""
    done = run(tmp_path, suite)
    assert done.returncode == 0, done.stdout + done.stderr


def test_whoever_types_is_offered_every_name():
    code = (
        "import sys; sys.ps1 = '>>> '; import isthmus; assert dir(isthmus) == "
        "sorted(isthmus.__all__); assert 'pyarrow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
