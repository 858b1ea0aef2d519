"""The model server answers both clouds' container protocols, and says what is wrong with a request."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from functools import reduce
from pathlib import Path

import msgspec
import pytest

import isthmus
from isthmus.core import logs
from isthmus.endpoints.serving import server
from isthmus.pipelines.models import predictor
from isthmus.tests.conformance.toy_models import model_folder, until
from isthmus.tests.endpoints.serving.served import PING, Caller, loaded, post, running
from isthmus_stack.core.http.ports import free_port


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("served") / "model"
    model_folder(place, 1.0)
    return place


@pytest.fixture(scope="module")
def served(folder):
    """Sends one request to a server in this process."""
    with running(
        loaded(folder),
        environ={"AIP_HEALTH_ROUTE": "/v1/health", "AIP_PREDICT_ROUTE": "/v1/predict"},
    ) as live:

        def call(method, path, body=b"", kind="application/json"):
            caller = Caller(live.port)
            caller.send(post(body, path, content_type=kind).replace(b"POST", method.encode(), 1))
            status, _, answer = caller.answer()
            caller.close()
            return status, answer

        yield call


@pytest.mark.parametrize("path", ["/ping", "/v1/health"])
def test_both_clouds_health_routes_answer(served, path):
    assert served("GET", path)[0] == 200


@pytest.mark.parametrize("path", ["/invocations", "/v1/predict"])
def test_both_clouds_predict_routes_answer(served, path):
    assert served("POST", path, b'{"instances": [{"x": 1}, {"x": 2.5}]}') == (
        200,
        {"predictions": [2.0, 3.5]},
    )


def test_it_logs_a_line_a_request_when_asked_and_none_else(folder, caplog):
    def asked():
        with running(loaded(folder)) as live:
            for request in (post(b'{"instances": [{"x": 1}]}'), post(b"{not json"), PING):
                caller = Caller(live.port)
                caller.send(request)
                caller.answer()
                caller.close()
        return [
            (record.fields["method"], record.fields["path"], record.fields["status"])
            for record in caplog.records
        ]

    assert asked() == []
    with caplog.at_level("INFO", logs.LOGGER):
        assert asked() == [
            ("POST", "/invocations", 200),
            ("POST", "/invocations", 400),
            ("GET", "/ping", 200),
        ]
    assert all(0 <= record.fields["ms"] < 60_000 for record in caplog.records)


def test_sagemaker_takes_a_bare_list_and_json_lines(served):
    assert served("POST", "/invocations", b'[{"x": 1}]') == (200, {"predictions": [2.0]})
    assert served(
        "POST", "/invocations", b'{"x": 1}\n\n{"x": 2}\n', kind="application/jsonlines"
    ) == (200, {"predictions": [2.0, 3.0]})


@pytest.mark.parametrize(
    "body", [b"y,x\na,1\nb,2\n", b"1,a\n2,b\n", b"\xef\xbb\xbfx,y\r\n1,a\r\n2,b\r\n"]
)
def test_csv_comes_with_a_header_or_in_the_manifests_order(served, body):
    assert served("POST", "/invocations", body, kind="text/csv; charset=utf-8") == (
        200,
        {"predictions": [2.0, 3.0]},
    )


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"{not json", "application/json", "the body is not JSON"),
        (b"\xff\xfe", "application/json", "the body is not JSON"),
        (b'["\xff"]', "application/json", "the body is not JSON"),
        (b"[" * 200_000, "application/json", "the body is nested too deeply"),
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


@pytest.mark.parametrize(
    ("parameters", "prediction"),
    [
        ("null", 2.0),
        ("{}", 2.0),
        ('{"blend": 0.5}', 2.5),
        ('{"blend": 2, "scale": 3.0}', 10.0),
        ('{"unread": [null]}', 2.0),
    ],
)
def test_a_predictor_gets_those_parameters_that_it_accepts_and_its_defaults_else(
    served, parameters, prediction
):
    body = b'{"instances": [{"x": 1}], "parameters": %s}' % parameters.encode()
    assert served("POST", "/invocations", body) == (200, {"predictions": [prediction]})


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("[1]", "parameters is a list, not an object of name: value"),
        ('"blend"', "parameters is a string, not an object"),
        ('{"blend": "much"}', "the parameter blend is 'much', not a number"),
        ('{"blend": true}', "the parameter blend is True, not a number"),
        ('{"blend": null}', "the parameter blend is None, not a number"),
        ('{"scale": 0.5}', "the parameter scale is 0.5, not a whole number"),
        ('{"scale": 1e300}', "not a whole number up to 2^53"),
        ('{"scale": %s}' % ("9" * 500), "not a whole number up to 2^53"),
        ('{"blend": %s}' % ("9" * 500), "not a number"),
    ],
)  # fmt: skip
def test_parameters_that_are_wrong_are_told(served, parameters, words):
    status, answer = served(
        "POST", "/invocations", b'{"instances": [{"x": 1}], "parameters": %s}' % parameters.encode()
    )
    assert (status, answer["error"]) == (400, "BadRequest")
    assert words in answer["message"]


def test_a_model_that_was_saved_without_parameters_has_none_passed_to_it(folder):
    class Old:
        def predict(self, rows):
            return [0.5 for _ in rows]

    model = loaded(folder, Old())
    manifest = msgspec.structs.replace(model.manifest, predict_parameters=msgspec.UNSET)
    with running(msgspec.structs.replace(model, manifest=manifest)) as live:
        assert Caller(live.port).post(b'{"instances": [{}], "parameters": {"blend": 1}}').answer()[
            2
        ] == {"predictions": [0.5]}


def test_requests_under_way_at_once_keep_their_own_parameters(folder):
    with running(loaded(folder)) as live:
        bodies = [
            b'{"instances": [{"x": 0}], "parameters": {"blend": %d}}' % number
            for number in range(1, 20)
        ]
        callers = [Caller(live.port).post(body) for body in [*bodies, b'{"instances": [{"x": 0}]}']]
        assert [caller.answer()[2]["predictions"] for caller in callers] == [
            *([1.0 + number] for number in range(1, 20)),
            [1.0],
        ]


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


@pytest.mark.parametrize(
    ("row", "words"),
    [({"nan": True}, "not a finite number"), ({"short": True}, "1 predictions for 2 instances")],
)
def test_a_wrong_answer_of_the_model_is_an_error(served, row, words):
    status, answer = served("POST", "/invocations", json.dumps([row, row]).encode())
    assert status == 500
    assert words in answer["message"]


def test_a_predictor_that_asks_to_exit_is_an_error_and_the_server_stays(folder):
    class Quitting:
        def predict(self, _rows):
            raise SystemExit("enough")

    with running(loaded(folder, Quitting())) as live:
        for _ in range(2):
            status, _, answer = Caller(live.port).post().answer()
            assert (status, answer["error"], answer["message"]) == (500, "SystemExit", "enough")


@pytest.mark.parametrize(
    "value",
    ["\ud800", reduce(lambda deep, _: [deep], range(100_000), 0), object()],
    ids=["surrogate", "deep", "object"],
)
def test_predictions_that_have_no_json_are_an_error(folder, value):
    class Odd:
        def predict(self, _rows):
            return [value]

    with running(loaded(folder, Odd())) as live:
        assert Caller(live.port).post().answer()[0] == 500


def test_predictions_are_made_one_at_a_time_by_the_thread_that_runs(folder):
    class Threads:
        def __init__(self):
            self.seen, self.inside = set(), 0

        def predict(self, rows):
            self.inside += 1
            self.seen.add((threading.get_ident(), self.inside))
            self.inside -= 1
            return [0.0 for _ in rows]

    predictor = Threads()
    with running(loaded(folder, predictor)) as live:
        callers = [Caller(live.port).post() for _ in range(20)]
        assert [caller.answer()[0] for caller in callers] == [200] * 20
    assert len(predictor.seen) == 1


@pytest.mark.parametrize(
    "header",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}],
)
def test_a_web_page_gets_no_prediction(folder, header):
    with running(loaded(folder)) as live:
        status, _, answer = Caller(live.port).post(**header).answer()
    assert (status, answer["error"]) == (403, "Forbidden")


def test_another_content_than_the_registry_s_is_not_served(folder, capsys):
    digest = predictor.whole_manifest(folder).digest
    other = "0" * 64
    assert server.main(["--model", str(folder), "--digest", other]) == 1
    told = capsys.readouterr().err
    assert (
        f"is not the model that was registered: its digest is {digest}, the registry's is {other}"
        in told
    )


def test_the_container_s_digest_comes_from_its_environment(folder, capsys, monkeypatch):
    monkeypatch.setenv("ISTHMUS_DIGEST", "0" * 64)
    assert server.main(["--model", str(folder)]) == 1
    assert "is not the model that was registered" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_a_time_limit_that_is_none_is_refused(folder, text, capsys):
    with pytest.raises(SystemExit):
        server.main(["--model", str(folder), "--predict-timeout", text])
    assert "is not a number of seconds" in capsys.readouterr().err


def entrypoint():
    """The command of the image, with this Python."""
    dockerfile = (Path(isthmus.__file__).parent / "deploy" / "Dockerfile").read_text()
    (line,) = (line for line in dockerfile.splitlines() if line.startswith("ENTRYPOINT "))
    command = json.loads(line.removeprefix("ENTRYPOINT "))
    assert command[0] == "python"
    return [sys.executable, *command[1:]]


@pytest.mark.slow
def test_the_image_s_command_answers_both_clouds_with_any_host_and_no_token_and_ends_on_sigterm(
    folder,
):
    """Also while nothing can be written of what goes wrong."""
    port = free_port()
    environ = os.environ | {
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": "/health",
        "AIP_PREDICT_ROUTE": "/predict",
    }
    environ |= {
        "ISTHMUS_TOKEN": "a secret",
        "ISTHMUS_DIGEST": predictor.whole_manifest(folder).digest,
        "ISTHMUS_VERSION": "3",
    }
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(
            [*entrypoint(), "serve", "--model", str(folder), "--host", "127.0.0.1"],
            env=environ,
            stderr=full,
        )
    try:

        def listening():
            assert process.poll() is None
            try:
                return Caller(port)
            except OSError:
                return None

        caller = until(listening)
        for path in ("/ping", "/health"):
            caller.send(PING.replace(b"/ping", path.encode()))
            assert caller.answer()[0] == 200
        for path in ("/invocations", "/predict"):
            status, headers, answer = caller.post(path=path).answer()
            assert (status, answer) == (200, {"predictions": [2.0]})
            assert headers["x-amzn-sagemaker-custom-attributes"] == "isthmus-version=3"
        assert [caller.post(body).answer()[0] for body in (b'[{"fail": true}]', b'[{"x": 1}]')] == [
            500,
            200,
        ]
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()


def test_a_model_that_does_not_load_ends_the_process_with_a_clear_line(tmp_path, capsys):
    model_folder(tmp_path / "model", 1.0, breaks=True)
    assert server.main(["--model", str(tmp_path / "model"), "--port", "0"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"error: the model in {tmp_path / 'model'} does not load:")
    assert "Traceback" not in told


def test_a_port_that_is_taken_is_told(folder, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert server.main(["--model", str(folder), "--port", str(port)]) == 1
    assert (
        f"error: cannot listen on 127.0.0.1, port {port}: Address already in use"
        in capsys.readouterr().err
    )
