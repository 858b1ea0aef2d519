"""The fixture `gcp_stack` in a suite of its own, in another process: as somebody who installed the
package meets it.
"""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SUITE = """
import os, subprocess, sys
from google.api_core.exceptions import Forbidden
from google.cloud import storage
import pytest

def test_one(gcp_stack):
    assert os.environ["GCP_ENDPOINT_URL"] == gcp_stack.url
    assert "CLOUDSDK_CONFIG" not in os.environ
    storage.Client().create_bucket("shop")
    code = "from google.cloud import storage; print([b.name for b in storage.Client().list_buckets()])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "['shop']"

def test_two_starts_empty(gcp_stack):
    client = storage.Client()
    assert list(client.list_buckets()) == []
    gcp_stack.fault(kind="error", operation="storage.buckets.list", code="PERMISSION_DENIED")
    with pytest.raises(Forbidden):
        list(client.list_buckets())
    assert [call.operation for call in gcp_stack.calls()] == ["storage.buckets.list", "storage.buckets.list"]
    assert gcp_stack.health()["clock"] == "manual"
    assert gcp_stack.health()["images"] == {"ranker": "python -m ranker"}

def test_three_has_its_environment_back():
    assert "GCP_ENDPOINT_URL" not in os.environ
    assert os.environ["CLOUDSDK_CONFIG"] == "/somebody"
"""


def test_the_fixture_gives_an_empty_gcp_to_googles_clients_here_and_in_subprocesses(tmp_path):
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\ngcp_stack_clock = manual\ngcp_stack_images =\n    ranker=python -m ranker\n"
    )
    neutral = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GCP_", "GOOGLE_", "PYTEST_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"],
        cwd=tmp_path,
        env={**neutral, "CLOUDSDK_CONFIG": "/somebody"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
