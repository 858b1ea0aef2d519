"""Forked processes end, fail and are interrupted as genuine ones would (testing/fork_server.py)."""

import os
import signal
import subprocess
import sys

import pytest

from isthmus_stack.testing import fork_server

pytestmark = pytest.mark.slow
PREPARATION = "isthmus_stack.tests.package.prepared_toy"


@pytest.fixture(autouse=True)
def server():
    """A fork server of this test's own."""
    fork_server._server.cache_clear()
    yield fork_server._server(PREPARATION)
    fork_server._server.cache_clear()


def toy(folder, *, session=False):
    command = [sys.executable, "-m", "toy", "a", "b"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return fork_server.Forked(
        PREPARATION,
        command,
        **pipes,
        env={"TOLD": "yes"},
        cwd=folder,
        start_new_session=session,
    )


@pytest.mark.parametrize("session", [False, True])
def test_it_has_its_arguments_environment_folder_session_streams_and_exit_code(tmp_path, session):
    process = toy(tmp_path, session=session)
    assert process.stdout.readline().decode() == f"{process.pid} a b yes {tmp_path} {session}\n"
    assert process.poll() is None
    process.stdin.write(b"7\n")
    process.stdin.close()
    assert process.wait(120) == 7
    process.stdout.close()


def test_ctrl_c_interrupts_what_was_forked_and_not_the_server(tmp_path, server):
    process = toy(tmp_path, session=True)
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(120) == 1
    pid = server._forkserver_pid
    os.kill(pid, signal.SIGINT)
    other = toy(tmp_path)
    other.stdin.close()
    assert other.wait(120) == 1, "no number is none"
    assert server._forkserver_pid == pid


def test_where_the_server_is_killed_nobody_ended_well_and_the_next_has_another(tmp_path, server):
    process = toy(tmp_path)
    process.stdout.readline()
    os.kill(server._forkserver_pid, signal.SIGKILL)
    assert process.wait(120) == process.poll() == -signal.SIGKILL
    process.stdin.close()
    other = toy(tmp_path)
    other.stdin.write(b"3\n")
    other.stdin.close()
    assert other.wait(120) == 3


def test_a_child_hears_ctrl_c_where_who_started_the_tests_ignores_it(tmp_path):
    """A background job of a script, and `nohup`, ignore SIGINT, and every child inherits that."""
    asks = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    code = (
        "import subprocess, sys, isthmus_stack.testing.suite\n"
        f"subprocess.run([sys.executable, '-c', {asks!r}], check=True)"
    )
    process = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable, code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout == "True\n"
