"""An MLflow server that is not there, or not to be told; no server is needed for it."""

import socket
from types import SimpleNamespace

import pytest

import isthmus
from isthmus.errors import IsthmusWarning, MissingDependency, NotFound, Refused, Unavailable
from isthmus.pipelines.tracking import server
from isthmus.pipelines.tracking.export import mirror
from isthmus.target import Packages
from isthmus.tests.pipelines import trained


@pytest.fixture
def away():
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def shop(tmp_path, away):
    folder = trained.make_project(tmp_path / "shop")
    (folder / "profiles.yaml").write_text(f"tracking: {{mlflow: {away}}}\ntargets: {{}}\n")
    return folder


def test_a_server_that_is_away_is_told_with_what_to_run_then(shop, away):
    pytest.importorskip("mlflow")
    with trained.open_project(shop) as project:
        there = server.client(project, away)
        with pytest.raises(Unavailable, match=f"MLflow at {away} does not answer") as told, there:
            pass
    assert "isthmus runs export --to mlflow" in told.value.remedy


def test_a_project_without_a_server_is_told_how_to_name_one(shop):
    (shop / "profiles.yaml").unlink()
    with (
        trained.open_project(shop) as project,
        pytest.raises(NotFound, match=r"profiles\.yaml names no server") as told,
    ):
        isthmus.runs.export(project)
    assert "tracking: {mlflow:" in told.value.remedy


def test_without_mlflow_the_pip_line_is_told(shop, away, monkeypatch):
    monkeypatch.setattr(
        server, "NEEDS", Packages(modules=("no_such_mlflow",), install="isthmus[mlflow]")
    )
    with (
        trained.open_project(shop) as project,
        pytest.raises(MissingDependency) as told,
        server.client(project, away),
    ):
        pass
    assert told.value.remedy == 'pip install "isthmus[mlflow]"'


def test_an_offline_stack_tells_nothing_to_a_server_elsewhere(shop, monkeypatch):
    cloud = "targets: {aws: {adapter: sagemaker, region: eu-west-1, bucket: 's3://shop'}}\n"
    (shop / "profiles.yaml").write_text(
        f"tracking: {{mlflow: 'https://tracker.example.com'}}\n{cloud}"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with isthmus.open(shop, target="aws") as project:
        there = server.client(project, server.uri(project))
        with pytest.raises(Refused, match="not on this machine"), there:
            pass


def test_a_run_is_whole_whatever_breaks_as_it_is_mirrored(shop, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(server, "client", full)
    with (
        trained.open_project(shop) as project,
        pytest.warns(
            IsthmusWarning, match="r7 is not in MLflow: OSError.*No space left.*runs export"
        ),
    ):
        mirror(project, SimpleNamespace(name="r7"))
