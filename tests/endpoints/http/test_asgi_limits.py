"""What one connection may cost a server of ours: raw bytes against uvicorn with our limits."""

import asyncio
import contextlib
import json
import socket
import threading
from functools import partial

import pytest
import uvicorn

from isthmus.endpoints.http.asgi_limits import CALLER, Bounded, Connections, Limits
from isthmus.tests.conformance.toy_models import until

LIMITS = Limits(head_seconds=60, body_seconds=60, write_seconds=60, connections=6)
SILENT = Limits(head_seconds=0.3, body_seconds=60, write_seconds=60, connections=6)
HALF = Limits(
    head_seconds=60, body_seconds=0.3, write_seconds=0.3, connections=6
)  # a busy machine may take long between connecting and sending
HELLO = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"


async def application(scope, receive, send):
    """/wait answers when its body is whole and the gate is open, /large with 64 MB; the rest at
    once.
    """
    SEEN[:] = scope["headers"]
    if scope["path"] == "/wait":
        AT_WORK.append(scope["extensions"][CALLER])
        while (await receive()).get("more_body"):
            pass
        await GATE.wait()
    body = b"." * 64_000_000 if scope["path"] == "/large" else b"hello"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


GATE = asyncio.Event()
SEEN = []  # headers
AT_WORK = []  # the callers of /wait


class Server:
    def __init__(self, limits):
        self.shared = Connections(limits)
        http = partial(Bounded, shared=self.shared)
        config = uvicorn.Config(
            application, http=http, ws="none", lifespan="off", log_level="critical", loop="uvloop"
        )
        self.server = uvicorn.Server(config)
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.loop = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        async def serve():
            self.loop = asyncio.get_running_loop()
            await self.server.serve(sockets=[self.socket])

        with asyncio.Runner(loop_factory=self.server.config.get_loop_factory()) as runner:
            runner.run(serve())

    def open_gate(self):
        self.loop.call_soon_threadsafe(GATE.set)

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.settimeout(60)
        return connection

    def end(self):
        self.open_gate()
        self.server.should_exit = self.server.force_exit = True
        self.thread.join()


def serving(limits):
    GATE.clear()
    server = Server(limits)
    server.connect().close()
    return server


@pytest.fixture(scope="module")
def server():
    server = serving(LIMITS)
    yield server
    server.end()


@pytest.fixture(scope="module")
def hasty():
    """Of a head, and of a body or an answer."""
    servers = {"head": serving(SILENT), "body": serving(HALF)}
    yield servers
    for server in servers.values():
        server.end()


def all_of(connection):
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def asked(server, sent):
    """The answer's status and JSON; the connection must end by itself."""
    with server.connect() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        reply = all_of(connection)
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    return int(head.split()[1]), json.loads(body)["error"]


def hello(connection, request=HELLO):
    connection.sendall(request)
    reply = b""
    while not reply.endswith(b"hello"):
        part = connection.recv(65_536)
        assert part, reply
        reply += part
    return reply


@pytest.mark.parametrize(
    ("sent", "status", "word"),
    [
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n\r\n", 414, "8,192"),
        (b"GET /" + b"a" * 3_000_000, 414, "8,192"),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 80_000 + b"\r\n\r\n", 431, "65,536"),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n", 431, "65,536"),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 3_000_000, 431, "65,536"),
        (b"\r\n" * 100_000, 431, "65,536"),
        (b"hello?\r\n\r\n", 400, "not HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "not HTTP"),
        (b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n", 400, "not HTTP"),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 400, "not HTTP"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400, "not HTTP"),
        (b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n", 400, "not HTTP"),
        (
            (
                b"POST / HTTP/1.1\r\nconnection: Upgrade\r\nupgrade: h2c\r\ncontent-length: "
                b"2\r\n\r\nab"
            ),
            400,
            "set your client to HTTP/1.1",
        ),
        (b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", 400, "not HTTP"),
    ],
)
def test_what_is_too_long_or_no_http_is_refused_in_json(server, sent, status, word):
    refused, error = asked(server, sent)
    assert refused == status
    assert word in error
    with server.connect() as connection:
        assert hello(connection), "and others are served"


def test_what_is_sent_behind_a_body_is_no_header(server):
    SEEN.clear()
    with server.connect() as connection:
        connection.sendall(
            b"POST /hello HTTP/1.1\r\nhost: x\r\ntransfer-encoding: "
            b"chunked\r\n\r\n1\r\nx\r\n0\r\nhost: y\r\n\r\n"
        )
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
    assert SEEN == [(b"host", b"x"), (b"transfer-encoding", b"chunked")]


def test_a_connection_serves_many_requests_also_when_they_are_sent_at_once(server):
    with server.connect() as connection:
        for _ in range(3):
            hello(connection)
        connection.sendall(HELLO * 200)
        reply = b""
        while reply.count(b"hello") < 200:
            reply += connection.recv(65_536)
        assert reply.count(b"HTTP/1.1 200 OK") == 200


def test_what_follows_an_answer_under_way_and_is_no_http_is_refused_after_that_answer(server):
    """An error sent at once would be taken for the first request's answer."""
    with server.connect() as connection:
        connection.sendall(
            b"POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\nrubbish\r\n\r\n"
        )
        server.open_gate()
        first, second = all_of(connection).split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200 OK")
    assert first.endswith(b"hello")
    assert second.startswith(b"400 ")
    server.loop.call_soon_threadsafe(GATE.clear)


def test_idle_and_slow_connections_make_room_for_new_ones(server):
    """Six places: silent ones, ones with half a head, and kept ones. Every newcomer is served."""
    idle = [server.connect() for _ in range(2)]
    for half in (server.connect(), server.connect()):
        half.sendall(b"GET / HTTP/1.1\r\nx: ")
        idle.append(half)
    kept = [server.connect() for _ in range(2)]
    for connection in kept:
        hello(connection)
    newcomers = []
    for _ in range(20):
        newcomers.append(server.connect())
        assert hello(newcomers[-1])
    for connection in (*idle, *kept, *newcomers):
        connection.close()


def test_whoever_is_answered_before_the_body_is_whole_and_sends_no_more_locks_nobody_out(server):
    """As one is who is refused: a stranger, or one without the token."""
    half = [server.connect() for _ in range(6)]
    for connection in half:
        connection.sendall(b"POST /hello HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 OK")
    with server.connect() as newcomer:
        assert hello(newcomer)
    for connection in half:
        connection.close()


def test_when_every_place_is_at_work_a_newcomer_is_told_503_and_served_afterwards(server):
    server.loop.call_soon_threadsafe(GATE.clear)
    AT_WORK.clear()
    at_work = [server.connect() for _ in range(6)]
    for connection in at_work:
        connection.sendall(b"POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
    until(
        lambda: len(AT_WORK) == 6, what="six requests under way"
    )  # before that a newcomer takes the place of one that is not read yet
    with server.connect() as newcomer:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            newcomer.sendall(HELLO.replace(b"host: x", b"connection: close"))
        assert "at work" in all_of(newcomer).decode()
    server.open_gate()
    for connection in at_work:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 OK")
        connection.close()
    with server.connect() as newcomer:
        assert hello(newcomer)


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (b"", "head"),
        (b"\r\n", "head"),
        (b"GET / HTTP/1.1\r\nx: y\r\n", "head"),
        (b"POST /wait HTTP/1.1\r\ncontent-length: 9\r\n\r\nab", "body"),
    ],
)
def test_who_does_not_send_in_time_is_told_so(hasty, sent, what):
    status, error = asked(hasty[what], sent)
    assert (status, error) == (408, f"the request's {what} did not come within 0.3 s")


def test_who_does_not_read_his_answer_is_cut_off(hasty):
    server = hasty["body"]
    SEEN.clear()
    with server.connect() as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        until(lambda: SEEN, what="the request")
        until(lambda: not server.server.server_state.connections, what="the end of the connection")
        assert len(all_of(connection)) < 64_000_000


def test_a_caller_who_asks_ahead_and_resets_the_connection_makes_no_error(server, caplog):
    """A request that waits behind another is the protocol's last: the one at work has to hear of
    the end, too.
    """
    GATE.clear()
    AT_WORK.clear()
    ended = len(server.server.server_state.tasks)
    with caplog.at_level("ERROR", logger="uvicorn.error"):
        connection = server.connect()
        connection.sendall(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n" * 3)
        until(lambda: AT_WORK)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        connection.close()
        until(lambda: not server.server.server_state.connections)
        server.open_gate()
        until(lambda: len(server.server.server_state.tasks) == ended)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 20_000_000, 414),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 20_000_000, 431),
        (
            b"POST /wait HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"a" * 20_000_000,
            400,
        ),
    ],
    ids=["url", "header", "chunk's name"],
)
def test_who_sends_on_after_its_answer_still_reads_it(server, data, status):
    with server.connect() as connection:
        connection.sendall(data)
        assert all_of(connection).startswith(b"HTTP/1.1 %d " % status)


def test_what_is_sent_between_the_chunks_of_a_body_may_not_be_more_than_the_body(server):
    head = b"POST /wait HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    status, error = asked(server, head + b"1;" + b"a" * 200_000)
    assert (status, error) == (400, "more is sent between the chunks of the body than in them")


def test_a_body_above_the_limit_of_heads_keeps_its_connection(server):
    large = b"POST /hello HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n" + b"a" * 900_000
    with server.connect() as connection:
        for _ in range(3):
            assert hello(connection, large).startswith(b"HTTP/1.1 200")


def test_who_sends_no_more_has_what_can_be_answered_at_once_and_has_gone_for_the_rest(server):
    with server.connect() as connection:
        connection.sendall(HELLO * 30)
        connection.shutdown(socket.SHUT_WR)
        assert all_of(connection).count(b"HTTP/1.1 200") == 30
    with server.connect() as connection:
        connection.sendall(HELLO + HELLO[:-2])
        connection.shutdown(socket.SHUT_WR)
        first, second = all_of(connection).split(b"HTTP/1.1 ")[1:]
        assert first.startswith(b"200 ")
        assert b"400 " in second
        assert b"the request ended before it was whole" in second
    server.loop.call_soon_threadsafe(GATE.clear)
    AT_WORK.clear()
    with server.connect() as connection:
        connection.sendall(b"POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        until(lambda: AT_WORK)
        assert not AT_WORK[0].gone
        connection.shutdown(socket.SHUT_WR)
        until(lambda: AT_WORK[0].gone)
    server.open_gate()


def test_unread_answers_are_counted_and_who_reads_some_of_one_is_not_cut_off(server):
    def look():
        looked = threading.Event()
        server.loop.call_soon_threadsafe(lambda: (served._look_at_reader(), looked.set()))
        assert looked.wait(60)
        return server.shared.bytes

    with server.connect() as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        until(lambda: server.shared.bytes > 10_000_000)
        (served,) = (each for each in server.shared.open if each._unread)
        before = server.shared.bytes
        left = 40_000_000
        while left > 0:
            left -= len(connection.recv(1_000_000))
        assert 0 < look() < before
        until(lambda: look() == 0, what="its end, as it reads no more")
        assert len(all_of(connection)) < 24_000_000
    assert server.shared.bytes == 0
