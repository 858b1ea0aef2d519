"""What the HTTP port takes at most: bytes of a head and of a body, and time."""

from types import SimpleNamespace

import pytest

from isthmus_stack.core.http.connection_limits import BODY_SILENT, HEAD_WITHIN
from isthmus_stack.gcp.core.server import http
from isthmus_stack.gcp.core.server.connections import Connections
from isthmus_stack.gcp.core.server.http import Connection

KIB = 1 << 10
POST = b"POST /storage/v1/b HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Transport:
    def __init__(self):
        self.written, self.closed, self.aborted = b"", False, False

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    def abort(self):
        self.aborted = True


class Loop:
    """A clock that a test moves; what is called at once is called by hand."""

    def __init__(self):
        self.now, self.sweep = 0.0, None

    def time(self):
        return self.now

    def call_soon_threadsafe(self, function):
        self.sweep = function

    def create_task(self, answering):
        answering.close()

    def call_later(self, _seconds, function):
        self.sweep = function

    def move(self, seconds):
        self.now += seconds
        self.sweep()


@pytest.fixture
def client(monkeypatch):
    """A client's connection: `requests` are those that wait for their answer."""
    loop = Loop()
    connection = Connection(SimpleNamespace(), loop, Connections(loop))
    transport = Transport()
    connection.connection_made(transport)
    return SimpleNamespace(
        send=connection.data_received,
        loop=loop,
        transport=transport,
        requests=connection._waiting,
        connection=connection,
    )


def status(client):
    return int(client.transport.written.split()[1]) if client.transport.written else None


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        (b"GET /", b"a" * KIB),
        (POST, b"x: " + b"a" * KIB + b"\r\n"),
        (POST + b"x: ", b"a" * KIB),
        (POST, b"a" * KIB),
    ],
    ids=["first line", "headers", "one value", "one name"],
)
def test_a_head_that_does_not_end_is_refused_before_it_fills_the_memory(client, beginning, piece):
    client.send(beginning)
    sent = 0
    while not client.transport.closed:
        client.send(piece)
        sent += len(piece)
        assert sent < 200 * KIB
    assert status(client) == 431
    client.send(piece)  # what was under way already
    assert not client.requests


def test_a_head_within_the_limit_is_read_in_whatever_pieces(client):
    head = POST + b"X-Long: " + b"a" * 60 * KIB + b"\r\nContent-Length: 0\r\n\r\n"
    for first in range(0, len(head), 7 * KIB):
        client.send(head[first : first + 7 * KIB])
    assert len(client.requests) == 1
    client.send(b"".join([POST, b"Content-Length: 100000\r\n\r\n", b"a" * 100_000, head]))
    assert [len(body) for _, body in client.requests] == [0, 100_000, 0]
    assert status(client) is None


@pytest.mark.parametrize("most", [10, 100_000])
def test_a_body_has_at_most_so_many_bytes_of_known_size_and_in_chunks(client, monkeypatch, most):
    monkeypatch.setattr(http, "_BODY", most)
    client.send(POST + b"Content-Length: %d\r\n\r\n" % most + b"a" * most)
    client.send(CHUNKED + b"%x\r\n" % most + b"a" * most + b"\r\n0\r\n\r\n")
    assert [len(body) for _, body in client.requests] == [most, most]
    client.send(CHUNKED + b"%x\r\n" % (most + 1) + b"a" * (most + 1))
    assert (status(client), client.transport.closed) == (413, True)
    assert len(client.requests) == 2


def test_a_larger_body_of_known_size_is_refused_once_it_is_too_large(client, monkeypatch):
    monkeypatch.setattr(http, "_BODY", 100_000)
    client.send(POST + b"Content-Length: 100001\r\n\r\n" + b"a" * 100_000)
    assert status(client) is None
    client.send(b"a")
    assert (status(client), len(client.requests)) == (413, 0)


def test_a_head_has_ten_seconds_however_it_trickles(client):
    client.send(b"G")
    for letter in b"ET / HTTP":
        client.loop.move(HEAD_WITHIN / 10)
        client.send(bytes([letter]))
        assert not client.transport.aborted
    client.loop.move(HEAD_WITHIN / 10 + 0.1)
    assert client.transport.aborted


@pytest.mark.parametrize("head", [POST + b"Content-Length: 9\r\n\r\n", CHUNKED])
def test_a_body_may_be_slow_but_not_stand_still(client, head):
    client.send(head)
    for part in [b"1", b"\r\n", b"a"] if head is CHUNKED else [b"a"] * 3:
        client.loop.move(BODY_SILENT)
        assert not client.transport.aborted
        client.send(part)
    client.loop.move(BODY_SILENT + 0.1)
    assert client.transport.aborted


def test_a_connection_without_a_request_may_wait(client):
    client.send(POST + b"Content-Length: 0\r\n\r\n")
    client.connection.busy = False  # it is answered
    client.loop.move(10 * BODY_SILENT)
    assert not client.transport.aborted
