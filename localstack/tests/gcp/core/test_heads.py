"""What is read once of equal heads of requests, and what has to be parsed each time."""

import socket

import pytest

from isthmus_stack.gcp.core.server import heads

POST = b"POST /v1/x?a=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"


def test_a_head_that_has_been_read_says_the_same_again_and_leaves_the_body():
    head, body = heads.read_head(POST + b"{}")
    assert (head.method, head.host, head.path, head.query_lists) == (
        "POST",
        "localhost",
        "/v1/x",
        {"a": ["1"]},
    )
    assert (head.headers["host"], head.size, head.keep, head.programs, body) == (
        "localhost",
        2,
        True,
        True,
        b"{}",
    )
    assert heads.read_head(POST)[0] is head
    assert not heads.read_head(POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))[0].keep
    assert not heads.read_head(POST.replace(b"localhost", b"other.example"))[0].programs
    assert not heads.read_head(POST.replace(b"\r\n\r\n", b"\r\nOrigin: http://localhost\r\n\r\n"))[
        0
    ].programs


@pytest.mark.parametrize(
    "data",
    [
        POST[:-2],
        POST.replace(b"POST", b"GET"),
        POST.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        POST.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 3"),
        POST.replace(b"Content-Length: 2", b"Content-Length: 2\r\nExpect: 100-continue"),
        POST.replace(b"Content-Length: 2", b"Content-Length: 100000"),
        POST.replace(b"Content-Length: 2", b"X: y"),
        POST.replace(b"localhost", b"x" * 5000),
        POST.replace(b"/v1/x?a=1", b"http://:x/"),
        b"\r\n" + POST,
    ],
)
def test_a_head_that_says_more_than_the_size_of_a_small_body_is_parsed(data):
    assert heads.read_head(data) is None


def test_requests_that_come_in_any_pieces_are_answered_in_their_order(gcp):
    """Each is a POST that nobody answers to, so its answer names it."""
    several = b"".join(
        b"POST /storage/v1/%d HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n%s" % (number, size, body)
        for number, (size, body) in enumerate(
            [
                (b"Content-Length: 3", b"abc"),
                (b"Content-Length: 0", b""),
                (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
            ]
            * 2
        )
    )
    host, port = gcp.url.removeprefix("http://").split(":")
    for step in (1, 7, 61, len(several)):
        with socket.create_connection((host, int(port)), timeout=60) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(several), step):
                client.sendall(several[at : at + step])
            answers = b""
            while answers.count(b"HTTP/1.1 501") < 6 or b"/storage/v1/5 " not in answers:
                data = client.recv(65536)
                assert data, answers
                answers += data
        places = [answers.index(b"POST /storage/v1/%d " % number) for number in range(6)]
        assert places == sorted(places)


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_first_line_that_is_no_url_is_answered_400(gcp, method):
    host, port = gcp.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(
            b"%s http://:x/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n" % method
        )
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
