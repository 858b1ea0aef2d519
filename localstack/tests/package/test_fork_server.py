"""Processes that are forked from a template end, fail and are interrupted as genuine ones would
(testing/fork_server.py).
"""

import os
import signal
import socket
import subprocess
import sys

import pytest

from isthmus_stack.testing import fork_server

pytestmark = pytest.mark.slow

# A template of a module `toy`, which says where and what it is, and ends with the number that it
# reads.
TEMPLATE = """
import os, socket, sys
from pathlib import Path
from isthmus_stack.testing import fork_server

def toy(arguments):
    print(os.getpid(), *arguments, os.environ["TOLD"], os.getcwd(), os.getsid(0) == os.getpid(), flush=True)
    return int(sys.stdin.readline())

toys = lambda: {"toy": toy}
fork_server.serve("__main__:toys", socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
"""


@pytest.fixture
def template(tmp_path, monkeypatch):
    """The template's process, in a group of its own."""
    place = tmp_path / "toy.lock"
    with fork_server._socket() as listening:
        listening.bind(fork_server._address(place))
        listening.listen()
        command = [sys.executable, "-c", TEMPLATE, str(listening.fileno()), str(place)]
        process = subprocess.Popen(
            command, pass_fds=[listening.fileno()], process_group=0, stderr=subprocess.PIPE
        )
    monkeypatch.setattr(fork_server, "shared", lambda: tmp_path)
    made = fork_server._Template("__main__:toy")
    monkeypatch.setattr(fork_server, "_template", lambda _template: made)
    yield process
    made._socket.close()
    assert process.wait(120) in (0, -signal.SIGKILL)
    process.stderr.close()


def toy(folder, *, session=False):
    command = [sys.executable, "-m", "toy", "a", "b"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return fork_server.Forked(
        "__main__:toys",
        command,
        **pipes,
        env={"TOLD": "yes"},
        cwd=folder,
        start_new_session=session,
    )


@pytest.mark.parametrize("session", [False, True])
def test_it_has_its_arguments_environment_folder_session_streams_and_exit_code(
    template, tmp_path, session
):
    process = toy(tmp_path, session=session)
    assert process.stdout.readline().decode() == f"{process.pid} a b yes {tmp_path} {session}\n"
    assert process.poll() is None
    process.stdin.write(b"7\n")
    process.stdin.close()
    assert process.wait(120) == 7
    process.stdout.close()


def test_ctrl_c_interrupts_what_was_forked_and_not_the_template(template, tmp_path):
    process = toy(tmp_path)
    process.stdout.readline()
    os.killpg(template.pid, signal.SIGINT)
    assert process.wait(120) == 1
    other = toy(tmp_path)
    other.stdin.close()
    assert other.wait(120) == 1, "no number is none"


def test_where_the_template_is_killed_nobody_ended_well_and_who_asks_for_another_is_told(
    template, tmp_path
):
    process = toy(tmp_path)
    process.stdout.readline()
    template.kill()
    assert process.wait(120) == process.poll() == -signal.SIGKILL
    process.stdin.close()
    with pytest.raises(RuntimeError, match="has ended"):
        toy(tmp_path)


def test_who_is_interrupted_while_it_waits_for_a_pid_leaves_it_to_nobody(
    template, tmp_path, monkeypatch
):
    """As a test is by its time-out."""

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "recv", interrupted)
        with pytest.raises(KeyboardInterrupt):
            toy(tmp_path)
    process = toy(tmp_path)
    assert process.stdout.readline().split()[0].decode() == str(process.pid)
    process.stdin.close()
    process.stdout.close()
    process.wait(120)
