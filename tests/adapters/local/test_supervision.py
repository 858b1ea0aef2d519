"""What starts an endpoint's processes: its lock, and its port."""

import fcntl
import socket
from pathlib import Path

import pytest

from isthmus.adapters.local.endpoints import supervision


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
    """A busy machine stops a process at any place: also between the moments in which it takes the lock and gives it back."""
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


def test_the_port_of_an_endpoint_that_is_ending_is_waited_for_and_one_of_somebody_else_is_not_for_ever(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as before:
        port = before.getsockname()[1]
        monkeypatch.setattr(supervision, "time", Clock(before.close))
        with supervision.listen(port) as listening:
            assert listening.getsockname()[1] == port
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(supervision, "time", Clock(lambda: None))
        with supervision.listen(other.getsockname()[1]) as listening:
            assert listening.getsockname()[1] != other.getsockname()[1]
