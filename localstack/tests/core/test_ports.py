import os
import socket
from pathlib import Path

import pytest

from isthmus_stack.core.http import ports


@pytest.fixture
def process():
    """The ports of a process that asks for the first time."""
    asked = ports._Ports()
    yield asked
    asked.close()


def test_a_process_that_is_told_its_port_gets_none_that_the_kernel_gives_to_others():
    kernels = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not kernels.exists():
        pytest.skip("nothing tells the kernel's own ports here")
    low, high = map(int, kernels.read_text().split())
    if low < 32_768:
        pytest.skip("the kernel's own ports are set to more than Linux's usual")
    assert not {ports.free_port() for _ in range(20)} & set(range(low, high + 1))


def test_no_port_is_told_twice_and_none_that_is_taken(process):
    first, second = process.free(), process.free()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", second + 1))
        assert len({first, second, second + 1, process.free()}) == 4


def test_two_processes_that_ask_at_once_are_told_different_ports_before_anybody_listens_there(
    process,
):
    other = ports._Ports()
    told = [
        asked.free() for _ in range(150) for asked in (process, other)
    ]  # more than a block each
    other.close()
    assert len(set(told)) == len(told)


def test_a_process_that_was_forked_is_told_other_ports(process, monkeypatch):
    monkeypatch.setattr(ports, "_ours", process)
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(writing, " ".join(str(ports.free_port()) for _ in range(150)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    told = {ports.free_port() for _ in range(150)}
    with os.fdopen(reading) as answer:
        forked = {int(port) for port in answer.read().split()}
    os.waitpid(child, 0)
    assert len(forked) == len(told) == 150
    assert not forked & told
