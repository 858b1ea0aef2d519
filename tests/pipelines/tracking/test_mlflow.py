"""Runs in MLflow, judged by a real server of it on SQLite."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import msgspec
import pytest

if (
    find_spec("mlflow") is None
):  # not imported here: that is 1.2 s of CPU in each worker that collects
    pytest.skip("the extra isthmus[mlflow] is not installed", allow_module_level=True)

import isthmus
from isthmus.errors import Invalid
from isthmus.pipelines.models import predictor
from isthmus.pipelines.run_pages import notes, records
from isthmus.pipelines.runs.document import local_path
from isthmus.pipelines.tracking import pyfunc
from isthmus.pipelines.tracking import server as tracking
from isthmus.pipelines.tracking.export import mirror
from isthmus.pipelines.training import promotion
from isthmus.tests.pipelines import trained
from isthmus_stack.core.http.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """`mlflow server` on a free port: its URI. On a busy machine its first answers take longer than
    the 20 s that the product gives it.
    """
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    command = [
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    places = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    env = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # its jobs are seven processes
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command, *places],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=env,
            start_new_session=True,
        )
    try:
        wait_for(f"{uri}/health", process, folder / "log.txt")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
            yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its workers, too
        process.wait(60)


def wait_for(url, process, log):
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"mlflow server did not come up:\n{log.read_text()}")


@pytest.fixture(scope="module")
def client(server):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=server, registry_uri=server)


@pytest.fixture(scope="module")
def shop(tmp_path_factory, server):
    """A project with a run that ended, tracked by the server."""
    folder = trained.make_project(tmp_path_factory.mktemp("project") / "shop")
    (folder / "profiles.yaml").write_text(f"tracking: {{mlflow: {server}}}\n")
    with pytest.MonkeyPatch.context() as patch, trained.open_project(folder) as project:
        trained.run_here(project, "good", trained.data(), patch)
        yield project


def runs_of(client, name="r1"):
    """What MLflow has under a run's name."""
    experiment = client.get_experiment_by_name("shop")
    return client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")


def test_an_export_copies_a_run_and_twice_exported_is_one_run(shop, client):
    notes.note(shop, "r1", "not in MLflow yet")
    first, again = isthmus.runs.export(shop, "r1"), isthmus.runs.export(shop, "r1")
    assert [(row.run, row.state) for row in first + again] == [
        ("r1", "written"),
        ("r1", "unchanged"),
    ]
    (copied,) = runs_of(client)
    record = records.fetch(shop.target.blobs, "r1")
    auc = record.evaluation.auc
    assert copied.info.run_name == "r1"
    assert copied.info.status == "FINISHED"
    assert copied.info.end_time == record.ended.timestamp() * 1000
    assert copied.data.params["sign"] == "1"
    assert copied.data.params["window.start"] == "2020-01-01T00:00:00Z"
    figures = copied.data.metrics
    assert (figures["auc"], figures["auc_min"], figures["auc_max"]) == pytest.approx(
        (auc.value, auc.low, auc.high)
    )
    assert copied.data.tags["isthmus.version"] == "ranker@1"
    (used,) = copied.inputs.dataset_inputs
    assert used.dataset.digest == record.data.digest[:36]
    assert {file.path for file in client.list_artifacts(copied.info.run_id)} >= {
        "record.json",
        "report.html",
        "good.yaml",
    }


def test_what_was_cut_is_completed_and_not_copied_beside_it(shop, client, monkeypatch):
    from mlflow import MlflowClient

    isthmus.runs.export(shop)
    (before,) = runs_of(client)
    client.delete_tag(before.info.run_id, "isthmus.digest")

    def cut(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifacts", cut)
        with pytest.raises(KeyboardInterrupt):
            isthmus.runs.export(shop)
    (exported,) = isthmus.runs.export(shop, "r1")
    (after,) = runs_of(client)
    assert (exported.state, after.info.run_id) == ("written", before.info.run_id)


class TooLarge(BaseHTTPRequestHandler):
    """What stands before a server and limits a body's length."""

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(413)

    def log_message(self, *_):
        pass


def test_an_artifact_that_is_refused_before_it_reaches_mlflow_is_an_error_of_ours(shop):
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    with ThreadingHTTPServer(("127.0.0.1", 0), TooLarge) as limit:
        threading.Thread(target=limit.serve_forever).start()
        uri = f"http://127.0.0.1:{limit.server_port}"
        try:
            with (
                pytest.raises(Invalid, match=f"MLflow at {uri}: 413 Client Error"),
                tracking.client(shop, uri),
            ):
                HttpArtifactRepository(f"{uri}/api/2.0/mlflow-artifacts/artifacts").log_artifact(
                    __file__
                )
        finally:
            limit.shutdown()


def test_a_note_that_changed_is_copied_and_nothing_else_is_new(shop, client):
    isthmus.runs.export(shop)
    notes.note(shop, "r1", "the first")
    notes.tag(shop, "r1", ["cold-start"])
    assert [row.state for row in isthmus.runs.export(shop, "r1")] == ["written"]
    (copied,) = runs_of(client)
    assert copied.data.tags["mlflow.note.content"] == "the first"
    assert copied.data.tags["isthmus.tags"] == "cold-start"
    assert len(client.get_metric_history(copied.info.run_id, "auc")) == 1


def test_a_run_that_was_deleted_in_mlflow_stays_deleted(shop, client):
    isthmus.runs.export(shop)
    (copied,) = runs_of(client)
    client.delete_run(copied.info.run_id)
    assert [row.state for row in isthmus.runs.export(shop, "r1")] == ["deleted"]
    assert runs_of(client) == []
    client.restore_run(copied.info.run_id)


def test_a_dry_run_changes_nothing_and_the_command_says_where_a_run_is(shop, client):
    from isthmus.tests.cli.running import isthmus as command

    isthmus.runs.export(shop)
    (before,) = runs_of(client)
    client.delete_tag(before.info.run_id, "isthmus.digest")
    dry = command(shop.folder, "runs", "export", "--to", "mlflow", "--dry-run")
    assert dry.out.startswith(
        "local   export all runs to mlflow\ndry run: would call mlflow.copy on http"
    )
    assert "isthmus.digest" not in client.get_run(before.info.run_id).data.tags
    exported = command(shop.folder, "runs", "export", "--to", "mlflow", "--json")
    told = exported.json[0]  # MLflow itself says nothing
    assert (told["state"], exported.err) == ("written", "")
    assert told["url"].endswith(f"/runs/{before.info.run_id}")


ALONE = """
import sys
sys.modules["isthmus"] = None  # not even by its editable install
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/local.shop.ranker@champion")
print(model.metadata.signature.inputs.to_json())
print(list(model.predict(pandas.DataFrame({"item_ctr": [0.1, None, 0.35]}))))
"""


def test_a_registered_version_is_loaded_by_mlflow_alone_and_predicts_the_same(shop, server, client):
    isthmus.runs.export(shop)
    (version,) = client.search_model_versions("name = 'local.shop.ranker'")
    assert version.tags["isthmus.version"] == "ranker@1"
    env = os.environ | {"MLFLOW_TRACKING_URI": server, "MLFLOW_DISABLE_TELEMETRY": "true"}
    loaded = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, env=env, cwd="/", check=False
    )
    assert loaded.returncode == 0, loaded.stderr
    *_, inputs, predictions = loaded.stdout.splitlines()
    assert inputs == '[{"type": "double", "name": "item_ctr", "required": false}]'
    registered = shop.target.registry.get("ranker", 1)
    ours = predictor.load(local_path(registered.uri)).predictor.predict(
        [{"item_ctr": 0.1}, {"item_ctr": None}, {"item_ctr": 0.35}]
    )
    assert predictions == str(ours)


def test_an_alias_that_moved_is_moved_in_mlflow(shop, client):
    isthmus.runs.export(shop)
    promotion.promote(shop, "ranker", 1, "fallback")
    assert [row.state for row in isthmus.runs.export(shop, "r1")] == ["unchanged"]
    aliases = client.get_registered_model("local.shop.ranker").aliases
    assert aliases.keys() == {"champion", "fallback"}


def test_a_run_is_mirrored_as_it_ends_and_the_same_content_is_one_version(
    shop, client, monkeypatch
):
    isthmus.runs.export(shop)
    again = trained.run_here(shop, "good", trained.data(), monkeypatch)
    mirror(shop, again)
    assert [len(runs_of(client, name)) for name in ("r1", "r2")] == [1, 1]
    assert [row.state for row in isthmus.runs.export(shop)] == ["unchanged", "unchanged"]
    assert len(client.search_model_versions("name = 'local.shop.ranker'")) == 1


def test_a_run_that_failed_is_copied_with_its_failure(shop, client):
    blobs = shop.target.blobs
    failure = {
        "status": "failed",
        "failure": "fit: no such column",
        "data": None,
        "evaluation": None,
        "version": None,
    }
    records.keep(blobs, msgspec.structs.replace(records.fetch(blobs, "r1"), name="r9", **failure))
    try:
        isthmus.runs.export(shop, "r9")
    finally:
        blobs.delete(records.record_uri(blobs, "r9"))
    (copied,) = runs_of(client, "r9")
    assert (copied.info.status, copied.data.tags["isthmus.failure"]) == (
        "FAILED",
        "fit: no such column",
    )
    assert "auc" not in copied.data.metrics


def test_a_signature_has_the_features_types_and_what_a_call_may_set():
    features = [
        {"name": "seen", "view": "items", "type": "int64"},
        {"name": "sold", "view": "items", "type": "int64"},
        {"name": "at", "type": "timestamp"},
    ]
    about = {
        "model": "ranker",
        "configuration": "good",
        "predictor": "P",
        "module": "m",
        "kept": "json",
        "code": "slice",
    }
    taken = {"blend": {"type": "float", "default": 0.5}}
    manifest = msgspec.convert(
        about | {"schema": 2, "features": features, "predict_parameters": taken},
        predictor.ModelManifest,
    )
    told = pyfunc.signature(manifest, frozenset({"items.sold"}))
    assert [(one.name, one.type.name, one.required) for one in told.inputs.inputs] == [
        ("seen", "long", True),
        ("sold", "double", False),
        ("at", "datetime", True),
    ]
    assert [(one.name, one.dtype.name, one.default) for one in told.params.params] == [
        ("blend", "double", 0.5)
    ]
