"""What starts an endpoint's processes and ends them: its lock, its port, and whom it kills."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.adapters.local.endpoints import supervision
from isthmus.adapters.local.endpoints.rows import SupervisorAddress, endpoint_folder
from isthmus.adapters.local.processes import members

HOLDER = (
    "import fcntl, sys; fcntl.flock(file := open(sys.argv[1], 'ab'), fcntl.LOCK_EX); "
    "print('held', flush=True); sys.stdin.read()"
)


class Clock:
    """In the place of `time`: moves by the pauses, and does `then` in the hundredth one."""

    def __init__(self, then):
        self.now, self.pauses, self.then = 0.0, 0, then

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.pauses += 1
        if self.pauses == 100:
            self.then()


@pytest.fixture
def lock(tmp_path):
    with (tmp_path / "supervisor.lock").open("ab") as lock:
        yield lock


def test_who_starts_it_waits_for_those_who_only_look_whether_it_lives(lock, monkeypatch):
    """A busy machine stops a process at any place: also between the moments in which it takes the
    lock and gives it back.
    """
    with Path(lock.name).open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        monkeypatch.setattr(supervision, "time", Clock(lambda: fcntl.flock(reader, fcntl.LOCK_UN)))
        assert supervision._try_lock(lock.fileno())


def test_who_starts_what_another_has_started_is_told_at_once(lock, monkeypatch):
    with Path(lock.name).open("ab") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        monkeypatch.setattr(supervision, "time", clock := Clock(pytest.fail))
        assert not supervision._try_lock(lock.fileno())
        assert clock.pauses == 0


def test_the_port_of_an_endpoint_that_is_ending_is_waited_for_and_one_of_somebody_else_is_not_for_ever(
    monkeypatch,
):
    with socket.create_server(("127.0.0.1", 0)) as before:
        port = before.getsockname()[1]
        monkeypatch.setattr(supervision, "time", Clock(before.close))
        with supervision.listen(port) as listening:
            assert listening.getsockname()[1] == port
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(supervision, "time", Clock(lambda: None))
        with supervision.listen(other.getsockname()[1]) as listening:
            assert listening.getsockname()[1] != other.getsockname()[1]


def test_the_end_of_an_endpoint_waits_for_the_processes_that_it_kills(tmp_path, monkeypatch):
    """They die when the system comes to it, which may be later than the signal."""
    folder = endpoint_folder(tmp_path, "ranker")
    folder.mkdir(parents=True)
    command = [sys.executable, "-I", "-S", "-c", HOLDER, str(folder / "supervisor.lock")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            assert process.stdout.readline() == b"held\n"
            address = SupervisorAddress(
                port=1,
                key="k",
                instance="i",
                home=str(tmp_path),
                pid=process.pid,
                group=process.pid,
            )
            supervision.write_address(folder, address)
            signals, killpg = [], os.killpg
            monkeypatch.setattr(os, "killpg", lambda *signal: signals.append(signal))

            def looked(group):
                if signals:
                    killpg(*signals.pop())
                return members(group)

            monkeypatch.setattr(supervision, "members", looked)
            supervision.end(tmp_path, "ranker", within=0)
            assert (members(process.pid), folder.exists()) == ([], False)
        finally:
            process.kill()
