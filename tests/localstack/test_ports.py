import itertools
import socket
from pathlib import Path

import pytest

from isthmus.localstack import ports


def test_a_process_that_is_told_its_port_gets_none_that_the_kernel_gives_to_others():
    kernels = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not kernels.exists():
        pytest.skip("nothing tells the kernel's own ports here")
    low, high = map(int, kernels.read_text().split())
    if low < 32_768:
        pytest.skip("the kernel's own ports are set to more than Linux's usual")
    assert not {ports.free_port() for _ in range(20)} & set(range(low, high + 1))


def test_no_port_is_told_twice_and_none_that_is_taken(monkeypatch):
    monkeypatch.setattr(ports, "_numbers", itertools.count())
    first, second = ports.free_port(), ports.free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        monkeypatch.setattr(ports, "_numbers", itertools.count())
        assert first != second == ports.free_port()
