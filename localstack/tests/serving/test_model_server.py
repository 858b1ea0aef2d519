"""The model server under a contract that is not SageMaker's: as another cloud's stack calls it."""

import os
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import pytest

from isthmus_stack.core.state import State
from isthmus_stack.jobs import process_group
from isthmus_stack.serving import model_server as serving
from isthmus_stack.serving.connections import Connections, NotReached
from isthmus_stack.serving.model_server import Contract, ModelServer, Program

CONTRACT = Contract(
    mount="/opt/served",
    model="/opt/served/weights",
    health="/healthy",
    predict="/v1/models/m:predict",
    arguments=("--quiet",),
    variables={"HTTP_PORT": "{port}", "STORAGE": "{model}"},
)
SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(b"", 200 if self.path == "/healthy" else 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        weights = Path(os.environ["STORAGE"], "weights.txt").read_bytes()
        words = [word.encode() for word in sys.argv[1:]]
        self.answer(b" ".join([self.path.encode(), weights, body, *words]))

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

print("listening", flush=True)
HTTPServer(("127.0.0.1", int(os.environ["HTTP_PORT"])), Handler).serve_forever()
"""


class Lines:
    def __init__(self):
        self.last = deque(maxlen=20)
        self.ended = threading.Event()

    def follow(self, output, first, _stopping):
        self.last.extend(first)
        self.last.extend(line.decode().rstrip() for line in output)
        output.close()
        self.ended.set()


@pytest.fixture
def state():
    state = State()
    yield state
    state.stop()


def model_server(state, folder, code, lines, **variables):
    return ModelServer(
        state,
        CONTRACT,
        Program(
            image="served",
            command=[sys.executable, "-c", code, "--weights={model}"],
            variables=variables,
        ),
        folder=folder,
        log=lambda: lines,
        remarks=lambda container: [f"files are at {container.root}"],
    )


def fill(folder):
    (folder / "weights.txt").write_text("0.25")


def answers(connections):
    try:
        return connections.ask("GET", "/healthy").status == 200
    except NotReached:
        return False


def test_a_model_server_keeps_the_paths_arguments_and_variables_of_any_contract(state, tmp_path):
    lines = Lines()
    server = model_server(state, tmp_path / "one", SERVER, lines)
    assert server.start(fill, 30) is None
    answer = server.predict(b"body")
    assert answer.status == 200
    path, weights, body, own, argument = answer.body.decode().split()
    assert (path, weights, body, argument) == ("/v1/models/m:predict", "0.25", "body", "--quiet")
    assert own.startswith("--weights=/")
    assert own.endswith("/weights")
    server.kill()
    assert lines.ended.wait(120)
    assert "listening" in lines.last
    assert lines.last[0].startswith("files are at /")
    with pytest.raises(NotReached):
        server.predict(b"body")
    assert not (tmp_path / "one").exists()


def test_the_models_own_variables_win_over_the_contracts(state, tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "weights.txt").write_text("0.75")
    server = model_server(state, tmp_path / "one", SERVER, Lines(), STORAGE=str(other))
    assert server.start(fill, 30) is None
    assert b" 0.75 " in server.predict(b"body").body


def test_a_request_that_was_given_longer_than_the_drain_is_answered_by_a_server_that_is_given_up(
    state, tmp_path, monkeypatch
):
    monkeypatch.setattr(serving, "_DRAIN", 0.0)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    code = SERVER.replace(
        "        body =", "        open(os.environ['GATE']).read()\n        body ="
    )
    server = model_server(state, tmp_path / "one", code, Lines(), GATE=str(gate))
    assert server.start(fill, 30) is None
    assert server.enter()

    def ask():
        try:
            return server.predict(b"body", seconds=60)
        finally:
            server.leave()

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        wait = server._changed.wait
        with gate.open("w") as closed:  # once the container reads it
            monkeypatch.setattr(
                server._changed, "wait", lambda left: (closed.close(), wait(left))
            )  # once the server drains
            server.retire()
            assert answer.result(60).status == 200


def test_a_container_that_ends_at_once_is_told_with_its_code(state, tmp_path):
    problem = model_server(
        state, tmp_path / "one", "raise SystemExit('no weights')", Lines()
    ).start(fill, 30)
    assert problem is not None
    assert problem.startswith("the container exited with code 1")


def test_the_end_of_the_stack_ends_its_model_servers(tmp_path):
    state = State()
    server = model_server(state, tmp_path / "one", SERVER, Lines())
    assert server.start(fill, 30) is None
    state.stop()
    with pytest.raises(NotReached):
        server.predict(b"body")


def test_a_server_that_is_given_up_while_it_starts_again_leaves_no_process(
    state, tmp_path, monkeypatch
):
    server = model_server(state, tmp_path / "served", SERVER, Lines())
    assert server.start(fill, 60.0) is None
    server._process.kill()
    server._process.wait()
    start, processes = process_group.start, []

    def late(*arguments, **options):
        processes.append(start(*arguments, **options))
        probe, deadline = Connections(int(options["env"]["HTTP_PORT"])), time.monotonic() + 120
        while not answers(probe):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.kill()  # which knows the process before
        return processes[0]

    monkeypatch.setattr(process_group, "start", late)
    server.revive()
    deadline = time.monotonic() + 120
    while not processes or processes[0].poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
