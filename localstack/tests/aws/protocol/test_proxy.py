"""The offline AWS's door: fixed addresses of AWS by the genuine SDK, and everything else by
sockets.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config

from isthmus_stack.aws.core.protocol import proxy
from isthmus_stack.core.http.tunnel import end_tls
from isthmus_stack.run import environment_for
from isthmus_stack.testing.jobs_kit import until
from isthmus_stack.testing.keys_kit import keys

SET = ("HTTPS_PROXY", "https_proxy", "AWS_CA_BUNDLE")


@pytest.fixture(scope="module")
def echo():
    """The port of a server that says the first bytes of its client back."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client:
                        client.sendall(client.recv(100))

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def door(echo, tmp_path_factory):
    stack = SimpleNamespace(
        home=tmp_path_factory.mktemp("home"),
        url=f"http://127.0.0.1:{echo}",
        allow_hosts={"no-such.amazonaws.com"},
    )
    opened = proxy.Proxy(stack)
    yield opened.variables()["HTTPS_PROXY"]
    opened.close()


def answer(door, request, more=b""):
    """The door's first line, and what comes through it."""
    with socket.create_connection(
        ("127.0.0.1", int(door.rpartition(":")[2])), timeout=60
    ) as client:
        client.sendall(request)
        head = client.recv(1000).decode().partition("\r\n")[0]
        if more:
            client.sendall(more)
        return head, client.recv(100) if more else b""


def test_a_fixed_address_of_aws_leads_to_the_stack(example_stack):
    env = environment_for(example_stack.url, {})
    sts = boto3.client(
        "sts",
        endpoint_url="https://sts.us-east-1.amazonaws.com",
        region_name="us-east-1",
        verify=env["AWS_CA_BUNDLE"],
        config=Config(proxies={"https": env["HTTPS_PROXY"]}, retries={"total_max_attempts": 1}),
        **keys(example_stack.url),
    )
    assert sts.get_caller_identity()["Arn"].startswith(
        "arn:aws:sts::123456789012:assumed-role/AmazonSageMaker-ExecutionRole/"
    )


def test_other_hosts_are_reached_as_they_are(door, echo):
    head, came = answer(door, f"CONNECT 127.0.0.1:{echo} HTTP/1.1\r\n\r\n".encode(), b"as it is")
    assert (head, came) == ("HTTP/1.1 200 Connection established", b"as it is")


def test_a_host_that_is_let_through_is_not_the_stack(door):
    assert (
        answer(door, b"CONNECT no-such.amazonaws.com:443 HTTP/1.1\r\n\r\n")[0]
        == "HTTP/1.1 502 Bad Gateway"
    )
    assert (
        answer(door, b"CONNECT another.amazonaws.com:443 HTTP/1.1\r\n\r\n")[0]
        == "HTTP/1.1 200 Connection established"
    )


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET http://x/ HTTP/1.1\r\n\r\n", 405),
        (b"CONNECT  HTTP/1.1\r\n\r\n", 405),
        (b"CONNECT " + b"x" * 20_000, 431),
    ],
)
def test_what_is_no_connect_is_refused(door, request_, status):
    assert answer(door, request_)[0].split()[1] == str(status)


def test_a_client_that_leaves_while_its_certificate_is_made_is_waited_for_no_longer():
    async def leave():
        ours, theirs = socket.socketpair()
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, sock=ours
        )

        def context():
            theirs.close()
            until(transport.is_closing)
            return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

        await asyncio.wait_for(end_tls(transport, context, None), 60)

    asyncio.run(leave())


def test_another_users_process_is_refused(door, echo, monkeypatch):
    monkeypatch.setattr(proxy, "is_other_user", lambda *_: True)
    assert (
        answer(door, f"CONNECT 127.0.0.1:{echo} HTTP/1.1\r\n\r\n".encode())[0]
        == "HTTP/1.1 403 Forbidden"
    )


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_is_set_already_stays(example_process, name):
    found = environment_for(example_process.url, {name: "http://proxy.example:3128"})
    assert found[name] == "http://proxy.example:3128"
    assert not set(SET).difference({name}) & set(found)


def test_an_outer_stacks_door_is_left_behind(example_process):
    outer = dict.fromkeys((*SET, "ISTHMUS_STACK_DOOR"), "http://127.0.0.1:1")
    assert environment_for(example_process.url, outer) == environment_for(example_process.url, {})
