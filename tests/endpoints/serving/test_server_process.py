"""A model server as a process of its own: what it does with few descriptors, and when and how it
ends by itself.
"""

import signal
import socket
import subprocess
import sys

import pytest

from isthmus.tests.endpoints.serving.served import Caller, loaded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("process") / "model"


RUN = """
import re, resource, sys
from isthmus.endpoints.serving import predictions, server
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
sys.exit(server.main(sys.argv[1:]))
"""
DIES = RUN.replace("sys.exit(", "predictions.Predictions._predict = None\nsys.exit(")
HOLDS = RUN.replace(
    "sys.exit(",
    "predictions._GRACE = 0.2\npredictions.answer = lambda *_: re.match('(a+)+$', 'a' * 60 + "
    "'b')\nsys.exit(",
)


@pytest.fixture
def process(folder):
    """Starts a server in a process of its own, which may have 128 descriptors."""
    begun = []

    def start(*arguments, code=RUN):
        loaded(folder)
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
            command = [
                sys.executable,
                "-c",
                code,
                "--model",
                str(folder),
                "--fd",
                str(listening.fileno()),
                *arguments,
            ]
            one = subprocess.Popen(
                command, pass_fds=[listening.fileno()], stderr=subprocess.PIPE, text=True
            )
            begun.append(one)
            return one, listening.getsockname()[1]

    yield start
    for one in begun:
        one.kill()
        one.communicate()


def test_300_idle_connections_on_128_descriptors_lock_nobody_out(process):
    _, port = process()
    idle = [Caller(port) for _ in range(300)]
    for _ in range(20):
        caller = Caller(port)
        assert caller.post().answer()[0] == 200
        caller.close()
    for each in idle:
        each.close()


def test_a_prediction_beyond_its_time_limit_is_504_those_behind_it_503_and_the_process_ends(
    process,
):
    one, port = process("--predict-timeout", "3")
    assert Caller(port).post().answer()[0] == 200
    hangs, behind = Caller(port), Caller(port)
    hangs.post(b'[{"sleep": 600}]')
    behind.post()
    status, _, answer = hangs.answer()
    assert (status, answer["error"]) == (504, "PredictionTimeout")
    assert behind.answer()[0] == 503
    assert one.wait(120) == 70
    told = one.stderr.read()
    assert "toy_ranker.py" in told  # where it hangs
    assert told.splitlines()[-1] == "error: a prediction took longer than 3 s, so this process ends"


def test_a_process_whose_predicting_thread_has_failed_ends_and_leaves_nobody_waiting(process):
    one, port = process(code=DIES)
    assert Caller(port).post().is_ended()
    assert one.wait(120) == 1


def test_a_prediction_that_lets_no_other_thread_run_ends_its_process_too(process):
    one, port = process("--predict-timeout", "0.5", code=HOLDS)
    assert Caller(port).post().is_ended()
    assert one.wait(120) == -signal.SIGALRM
