"""The verbs on Vertex AI: who is asked first, what a first line says, what it costs, what goes at
`destroy`; and the deploy script.
"""

import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import isthmus as im
from isthmus.core.runtime import stacks
from isthmus.core.user_state import kept_for, known_id
from isthmus.errors import Refused
from isthmus.lifecycle.resources.plan import plan
from isthmus.tests.cli.running import create, edit, isthmus
from isthmus.tests.conformance.places import gcp_stack
from isthmus.tests.conformance.toy_models import until
from isthmus_stack.client import Stack
from isthmus_stack.gcp.environment import stray
from isthmus_stack.run import environment_for, read_ready

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "deploy" / "vertex.py"
PROFILES = """default: local
targets:
  local: {}
  vertex:
    project: example-ranker
    location: us-central1
    bucket: gs://example-ranker
    serving: {machine: n1-standard-2, replicas: 1..3}
    budget: 1.00 USD/h
"""
FIRST_LINE = "vertex  project example-ranker  us-central1  offline   gs://example-ranker\n"


@pytest.fixture
def stack(monkeypatch):
    """An empty GCP, to which GCP_ENDPOINT_URL leads."""
    for name in filter(stray, list(os.environ)):
        monkeypatch.delenv(name)
    running = gcp_stack()
    monkeypatch.setenv("GCP_ENDPOINT_URL", running.url)
    stack = Stack(running.url, "gcp")
    stack.reset()
    return stack


@pytest.fixture
def shop(tmp_path):
    folder = create(tmp_path / "shop")
    (folder / "profiles.yaml").write_text(PROFILES)
    return folder


def test_without_credentials_plan_says_what_it_looked_for_and_calls_nothing(shop, monkeypatch):
    for name in filter(stray, list(os.environ)):
        monkeypatch.delenv(name)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(shop))
    monkeypatch.setenv(
        "NO_GCE_CHECK", "true"
    )  # or google-auth asks the network whether this is a machine of Google's
    said = isthmus(shop, "plan", "--target", "vertex", ok=False)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "error  no Google credentials: environment none; gcloud login none; this machine none\n"
        "       gcloud auth application-default login       or, with no account: isthmus "
        "plan --target vertex --offline\n"
        "       no cloud call was made\n"
    )


def test_every_command_begins_with_where_it_is_and_plan_shows_what_exists_and_its_cost(shop, stack):
    said = isthmus(shop, "plan", "--target", "vertex", "--offline")
    assert said.out == (
        FIRST_LINE + "  + event table    impression, click              apply\n"
        "  + feature view   item_history                   apply\n"
        "  . endpoint       home: waits for ranker@champion (train, then deploy)\n"
        "cost    0.00 USD/h   (0.11 once deployed: 1 x n1-standard-2 without the online "
        "store's nodes, price table of 2026-06)\n"
        "next   isthmus apply --target vertex --offline\n"
    )
    changes = [
        call.operation
        for call in stack.calls()
        if call.mutating and not call.operation.endswith(("jobs.query", "jobs.insert"))
    ]
    assert changes == ["storage.buckets.insert"], (
        "the stack starts empty: the profile's bucket is made first"
    )
    for command in (["apply"], ["ingest"], ["plan"]):
        said = isthmus(shop, *command, "--target", "vertex", "--offline")
        assert said.out.startswith(FIRST_LINE), command
        assert said.out.count(FIRST_LINE) == 1
    assert "cost    unknown: 0.00 USD/h and 1 online store, not in the price table" in said.out
    edit(shop / "profiles.yaml", "budget: 1.00 USD/h", "budget: 0.10 USD/h")
    said = isthmus(shop, "plan", "--target", "vertex", "--offline", ok=False)
    assert "  ! budget         vertex: 0.11 USD/h once deployed" in said.out
    with (
        im.open(shop / "project.yaml", target="vertex", offline=True) as project,
        pytest.raises(Refused, match="nothing was changed"),
    ):
        im.apply(project)
    gone = isthmus(shop, "destroy", "--yes", "--target", "vertex", "--offline")
    assert gone.out.startswith(FIRST_LINE)
    assert "- 1 online store" in gone.out


def test_the_deploy_script_goes_from_raw_files_to_a_served_ranking_and_destroy_takes_it_all(
    shop, stack
):
    command = [
        sys.executable,
        str(SCRIPT),
        "--project",
        str(shop),
        "--bucket",
        "gs://elsewhere",
        "--offline",
        "--yes",
    ]
    done = subprocess.run(
        command,
        env=environment_for(stack.url, cloud="gcp"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gs://elsewhere/shop/runs/r1/report.html" in done.stdout
    assert "20 of 20 requests answered; split read back 100" in done.stdout
    with im.open(
        shop / "project.yaml", target="vertex", bucket="gs://elsewhere", offline=True
    ) as project:
        assert plan(project).known_cost == Decimal("0.1095")
        gone = im.destroy(project)
        assert {r.kind for r in gone.resources} == {
            "endpoint",
            "pipeline",
            "online_view",
            "online_store",
            "stream",
            "view",
            "table",
        }
        assert [r.kind for r in project.target.inventory.list("shop")] == ["model"]
        assert im.destroy(project).resources == ()


def test_a_projects_own_stack_is_met_again_and_one_that_was_killed_is_told_of_and_followed_by_an_empty_one(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.delenv("GCP_ENDPOINT_URL", raising=False)
    gcp = stacks.clouds()["gcp"]
    try:
        options = stacks.options(tmp_path, gcp)
        assert set(options) == {"endpoint_url", "grpc_address"}
        assert stacks.options(tmp_path, gcp) == options
        assert (
            stacks.record(tmp_path, gcp)
            == kept_for(known_id(tmp_path / ".isthmus")) / "stack" / "gcp.json"
        )
        killed = read_ready(stacks.record(tmp_path, gcp)).pid
        os.kill(killed, signal.SIGKILL)
        until(
            lambda: (
                stacks.record(tmp_path, gcp).with_suffix(".ended").exists()
                and not stacks.running_urls(tmp_path)
            )
        )
        stacks.options(tmp_path, gcp)
        assert read_ready(stacks.record(tmp_path, gcp)).pid != killed
        news = capsys.readouterr().err
        assert "killed by SIGKILL" in news
        assert "what it held is gone: the next one starts empty" in news
    finally:
        stacks.stop(tmp_path)
    assert stacks.running(tmp_path) == {}
