"""`isthmus predict` gives the same predictions on a laptop and on both offline clouds."""

import os

import pytest

import isthmus as im
from isthmus.tests.cli.running import create
from isthmus.tests.conformance.places import aws_stack, gcp_stack
from isthmus.tests.pipelines.scoring.test_predict import DECLARED, ROWS
from isthmus_stack.aws.core.environment import STRAY
from isthmus_stack.client import Stack
from isthmus_stack.gcp.environment import stray as stray_of_google

pytestmark = pytest.mark.slow

PROFILES = """default: local
targets:
  local: {}
  sagemaker:
    account: "123456789012"
    region: us-east-1
    bucket: s3://example-ranker
    role: arn:aws:iam::123456789012:role/ranker
  vertex:
    project: example-ranker
    location: us-central1
    bucket: gs://example-ranker
"""
READ = "SELECT * FROM ranking_nightly ORDER BY item_id"


def scored(folder, target):
    with im.open(folder / "project.yaml", target=target, offline=target != "local") as project:
        im.apply(project)
        im.ingest(project)
        im.materialize(project)
        im.train(project, "models/history.yaml")
        first, again = im.predict(project, "nightly"), im.predict(project, "nightly")
        rows = im.query(project, READ).to_pylist()
        assert first.rows == again.rows == len(rows) == 10
        assert (again.cached, again.batch) == (2, first.batch)
        return [
            {k: v for k, v in row.items() if k not in ("scored_timestamp", "dt")} for row in rows
        ]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = create(tmp_path_factory.mktemp("predict") / "shop")
    (folder / "profiles.yaml").write_text(PROFILES)
    (folder / "predictions").mkdir()
    (folder / "predictions" / "nightly.sql").write_text(ROWS)
    with (folder / "project.yaml").open("a") as file:
        file.write(DECLARED.replace("shards: 4", "shards: 2"))
    return folder


@pytest.fixture(scope="module")
def on_a_laptop(shop):
    return scored(shop, "local")


def test_the_offline_aws_gives_the_laptops_rows(shop, on_a_laptop, monkeypatch):
    for name in STRAY:
        monkeypatch.delenv(name, raising=False)
    running = aws_stack()
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
    Stack(running.url).reset()
    assert scored(shop, "sagemaker") == on_a_laptop


def test_the_offline_google_gives_the_laptops_rows(shop, on_a_laptop, monkeypatch):
    for name in filter(stray_of_google, list(os.environ)):
        monkeypatch.delenv(name)
    running = gcp_stack()
    monkeypatch.setenv("GCP_ENDPOINT_URL", running.url)
    Stack(running.url, "gcp").reset()
    assert scored(shop, "vertex") == on_a_laptop
