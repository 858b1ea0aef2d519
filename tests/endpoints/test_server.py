"""The model server answers both clouds' container protocols, and says what is wrong with a request."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from isthmus.endpoints.server import app
from isthmus.pipelines.predictor import load
from isthmus.tests.conformance.toy_models import model_folder, until


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("served") / "model"
    model_folder(place, 1.0)
    return place


def call(application, method, path, body=b"", kind="application/json"):
    """One request through the ASGI interface, without a socket."""
    sent = []
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [(b"content-type", kind.encode())]}
    parts = [body[i : i + 1_000_000] for i in range(0, len(body), 1_000_000)] or [b""]

    async def receive():
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    asyncio.run(application(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(m.get("body", b"") for m in sent[1:]))


@pytest.fixture(scope="module")
def served(folder):
    environ = {"AIP_HEALTH_ROUTE": "/v1/health", "AIP_PREDICT_ROUTE": "/v1/predict"}
    application = app(load(folder), environ=environ)
    return lambda *arguments, **kind: call(application, *arguments, **kind)


@pytest.mark.parametrize("path", ["/ping", "/v1/health"])
def test_both_clouds_health_routes_answer(served, path):
    assert served("GET", path)[0] == 200


@pytest.mark.parametrize("path", ["/invocations", "/v1/predict"])
def test_both_clouds_predict_routes_answer(served, path):
    assert served("POST", path, b'{"instances": [{"x": 1}, {"x": 2.5}]}') == (200, {"predictions": [2.0, 3.5]})


def test_sagemaker_takes_a_bare_list_and_json_lines(served):
    assert served("POST", "/invocations", b'[{"x": 1}]') == (200, {"predictions": [2.0]})
    assert served("POST", "/invocations", b'{"x": 1}\n\n{"x": 2}\n', kind="application/jsonlines") == (200, {"predictions": [2.0, 3.0]})


@pytest.mark.parametrize("body", [b"y,x\na,1\nb,2\n", b"1,a\n2,b\n", b"\xef\xbb\xbfx,y\r\n1,a\r\n2,b\r\n"])
def test_csv_comes_with_a_header_or_in_the_manifests_order(served, body):
    assert served("POST", "/invocations", body, kind="text/csv; charset=utf-8") == (200, {"predictions": [2.0, 3.0]})


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"{not json", "application/json", "the body is not JSON"),
        (b"\xff\xfe", "application/json", "the body is not JSON"),
        (b'{"rows": []}', "application/json", 'no "instances"'),
        (b'{"instances": {"x": 1}}', "application/json", "instances is a object, not a list"),
        (b'{"instances": []}', "application/json", "instances is empty"),
        (b'{"instances": [{"x": 1}, 7]}', "application/json", "instance 1 is a number"),
        (b'{"x": 1}\n{"x": \n', "application/jsonlines", "line 2 is not JSON"),
        (b"x,y\n1\n", "text/csv", "row 0 has 1 columns, not 2"),
        (b"x,y\nmany,a\n", "text/csv", "row 0, x: 'many' is not a float64"),
        (b"x,y\n", "text/csv", "no rows"),
        (b"...", "application/x-npy", "application/x-npy is not understood"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(served, body, kind, words):
    status, answer = served("POST", "/invocations", body, kind=kind)
    assert status == 400
    assert answer["error"] == "BadRequest"
    assert words in answer["message"]


def test_a_request_above_the_limit_is_413_and_one_at_the_limit_is_read(served):
    limit = 10_000_000
    assert served("POST", "/invocations", b"a" * (limit + 1))[0] == 413
    body = b'[{"x": 1}]'
    assert served("POST", "/invocations", body + b" " * (limit - len(body)))[0] == 200


def test_a_predictor_that_raises_tells_type_message_and_line(served):
    status, answer = served("POST", "/invocations", b'[{"fail": true}]')
    assert status == 500
    assert answer["error"] == "KeyError"
    assert "item_category" in answer["message"]
    assert "toy_ranker.py" in answer["line"]
    assert "raise KeyError" in answer["line"]


@pytest.mark.parametrize(("row", "words"), [({"nan": True}, "not a finite number"), ({"short": True}, "1 predictions for 2 instances")])
def test_a_wrong_answer_of_the_model_is_an_error(served, row, words):
    status, answer = served("POST", "/invocations", json.dumps([row, row]).encode())
    assert status == 500
    assert words in answer["message"]


@pytest.mark.slow
def test_it_runs_as_a_vertex_container_does_and_ends_on_sigterm(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = os.environ | {"AIP_HTTP_PORT": str(port), "AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/predict"}
    command = [sys.executable, "-m", "isthmus.endpoints.server", "--model", str(folder), "--host", "127.0.0.1"]
    process = subprocess.Popen(command, env=environ)
    try:

        def healthy():
            assert process.poll() is None
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
            except OSError:
                return False

        until(healthy)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/predict", b'{"instances": [{"x": 1}]}', {"content-type": "application/json"}
        )
        assert json.loads(urllib.request.urlopen(request, timeout=120).read()) == {"predictions": [2.0]}
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_model_that_does_not_load_ends_the_process_with_a_clear_line(tmp_path):
    model_folder(tmp_path / "model", 1.0, breaks=True)
    command = [sys.executable, "-m", "isthmus.endpoints.server", "--model", str(tmp_path / "model"), "--port", "0"]
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert found.returncode == 1
    assert found.stderr.startswith(f"error: the model in {tmp_path / 'model'} does not load:")
    assert "Traceback" not in found.stderr
