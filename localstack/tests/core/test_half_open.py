"""Clients that connect and do not ask lock nobody out of a stack, whatever part of a request they
have sent.
"""

import contextlib
import resource
import socket
import urllib.request

import boto3
import pytest
from botocore.config import Config

from isthmus_stack.run import start
from isthmus_stack.testing.keys_kit import keys

pytestmark = pytest.mark.slow
HALVES = [
    b"",
    b"PUT /b/k HTTP/1.1\r\nho",
    b"PUT /b/k HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\nhalf",
]
DESCRIPTORS = 256  # of the stack, which gives half of them to clients


def list_buckets(url):
    config = Config(connect_timeout=60, read_timeout=60, retries={"total_max_attempts": 1})
    return boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", config=config, **keys(url)
    ).list_buckets()["Buckets"]


def list_google_buckets(url):
    with urllib.request.urlopen(f"{url}/storage/v1/b?project=p", timeout=60) as answer:
        return answer.status


@contextlib.contextmanager
def started(cloud):
    """A stack that may open few files, so that few clients are many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
    try:
        stack = start(cloud)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with stack:
        yield stack


@pytest.mark.parametrize(("cloud", "ask"), [("aws", list_buckets), ("gcp", list_google_buckets)])
def test_half_open_connections_lock_nobody_out(cloud, ask):
    with started(cloud) as stack, contextlib.ExitStack() as held:
        for half in HALVES:
            for _ in range(DESCRIPTORS):
                client = held.enter_context(
                    socket.create_connection(
                        ("127.0.0.1", int(stack.url.rpartition(":")[2])), timeout=60
                    )
                )
                with contextlib.suppress(ConnectionError):  # its place was given to another
                    client.sendall(half)
            assert ask(stack.url) in ([], 200), half


def test_a_head_that_does_not_come_in_time_ends_its_connection():
    """It takes the ten seconds that a head has."""
    with start("aws") as aws, start("gcp") as gcp, contextlib.ExitStack() as held:
        ports = [int(stack.url.rpartition(":")[2]) for stack in (aws, gcp)]
        clients = [
            held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=120))
            for port in ports
        ]
        for client in clients:
            client.sendall(HALVES[1])
        assert [client.recv(1024) for client in clients] == [b"", b""]
