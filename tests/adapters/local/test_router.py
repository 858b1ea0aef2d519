"""The router over raw sockets: limits, back-pressure, and answers in JSON to whatever comes. The variant answers at once, or when told."""

import json
import random
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress

import pytest
import uvloop

from isthmus import logs
from isthmus.adapters.local.endpoints.backend import Answer
from isthmus.adapters.local.endpoints.router import Router
from isthmus.endpoints import connection as http
from isthmus.endpoints import connections

MOST = 100_000
GOOD = b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Variant:
    """In the place of a balancer."""

    def __init__(self):
        self.asked = []
        self.hold = False
        self.reply = b"{}"

    def send(self, exchange):
        self.asked.append(exchange)
        if not self.hold:
            self.answer(exchange)

    def answer(self, exchange):
        exchange.done(Answer(200, self.reply))


class Served:
    """A router in a thread of its own."""

    def __init__(self, **options):
        self.variant = Variant()
        self.logged = []
        self.broken = False
        self.ready = threading.Event()
        self.options = options
        self.thread = threading.Thread(target=lambda: uvloop.run(self._run()))
        self.thread.start()
        assert self.ready.wait(60)

    async def _run(self):
        import asyncio

        self.loop = asyncio.get_running_loop()
        self.done = asyncio.Event()
        self.router = Router(
            instance="i", key="secret", max_bytes=MOST, control=self._control, log=lambda *line: self.logged.append(line), **self.options
        )
        self.router.balancers = {"champion": self.variant}
        self.router.split([("champion", 10_000)])
        server = await self.loop.create_server(self.router.protocol, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.done.wait()
        server.close()

    def _control(self, _method, path):
        if self.broken:
            raise OSError("the disk is full")
        return 200, b'{"asked": "%s"}' % path.encode()

    def call(self, act):
        self.loop.call_soon_threadsafe(act)

    def end(self):
        self.call(self.done.set)
        self.thread.join(60)


@pytest.fixture(scope="module")
def shared():
    served = Served()
    yield served
    served.end()


@pytest.fixture
def served(shared):
    shared.variant.asked.clear()
    shared.variant.hold, shared.variant.reply, shared.broken = False, b"{}", False
    return shared


@contextmanager
def serving(**options):
    served = Served(**options)
    try:
        yield served
    finally:
        served.end()


def connect(served):
    return socket.create_connection(("127.0.0.1", served.port), timeout=60)


def read_all(connection):
    answer = b""
    while part := connection.recv(65_536):
        answer += part
    return answer


def read_one(connection):
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < size:
        body += connection.recv(65_536)
    return int(head[9:12]), body


def asked(served, data, *, end=False):
    """Every answer on a connection of its own that it then closes: (status, JSON)."""
    with connect(served) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # it was answered before all was sent
            connection.sendall(data)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return answers(read_all(connection))


def answers(data):
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        found.append((int(head[9:12]), json.loads(rest[:size])))
        data = rest[size:]
    return found


def request(*, method=b"POST", path=b"/invocations", body=b"{}", **headers):
    lines = {"host": b"localhost", "content-type": b"application/json", "connection": b"close"} | headers
    text = b"".join(b"%s: %s\r\n" % (name.replace("_", "-").encode(), value) for name, value in lines.items() if value is not None)
    return b"%s %s HTTP/1.1\r\n%scontent-length: %d\r\n\r\n%s" % (method, path, text, len(body), body)


CASES = {
    "a page of another site": (request(origin=b"https://evil.example"), 403),
    "a cross-site form": (request(**{"sec-fetch-site": b"cross-site"}), 403),
    "a name of somebody else's for this address": (request(host=b"evil.example"), 403),
    "a body that a page may send without asking": (request(**{"content-type": b"text/plain"}), 415),
    "a body without a type": (request(**{"content-type": None}), 415),
    "jsonlines": (request(**{"content-type": b"application/jsonlines"}), 200),
    "CSV": (request(**{"content-type": b"text/csv; charset=utf-8"}), 200),
    "two hosts": (request().replace(b"content-type:", b"host: evil.example\r\ncontent-type:", 1), 400),
    "a request in the packet of one that ends the connection": (GOOD.replace(b"host:", b"host: a\r\nhost:", 1) + GOOD, 400),
    "another path": (request(path=b"/predict"), 404),
    "a query": (request(path=b"/invocations?a=1"), 200),
    "another method": (request(method=b"PUT"), 405),
    "a probe without a Host": (b"GET /ping HTTP/1.1\r\nconnection: close\r\n\r\n", 200),
    "the control routes without their key": (request(path=b"/_isthmus/state", **{"x-isthmus-key": b"guess"}), 403),
    "the control routes": (request(path=b"/_isthmus/state", **{"x-isthmus-key": b"secret"}), 200),
    "another endpoint's connection": (request(**{"x-isthmus-instance": b"other"}), 421),
    "a variant that is not there": (request(**{"x-amzn-sagemaker-target-variant": b"nobody"}), 400),
    "a long URL": (b"GET /" + b"a" * 8_192 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414),
    "long headers": (b"GET /ping HTTP/1.1\r\n" + b"a: %s\r\n" % (b"b" * 1000) * 66 + b"\r\n", 431),
    "one long header that does not end": (b"GET /ping HTTP/1.1\r\na: " + b"b" * 100_000, 431),
    "many small headers": (b"GET /ping HTTP/1.1\r\n" + b"a:b\r\n" * 14_000 + b"\r\n", 431),
    "headers after the body that do not end": (
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: " + b"b" * 200_000,
        400,
    ),
    "a length that is no number": (b"POST /invocations HTTP/1.1\r\ncontent-length: ten\r\n\r\n", 400),
    "a length below nothing": (b"POST /invocations HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
    "a length beyond all numbers": (b"POST /invocations HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n", 400),
    "two lengths": (b"POST /invocations HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
    "a body above the limit": (request(body=b"a" * (MOST + 1)), 413),
    "a body above the limit that waits to be let in": (
        b"POST /invocations HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 100001\r\n\r\n".replace(
            b"host: a", b"host: localhost\r\ncontent-type: text/csv"
        ),
        413,
    ),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a chunk without a size": (b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
    "a web socket": (b"GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 400),
}


@pytest.mark.parametrize("case", CASES)
def test_whatever_comes_is_answered_in_json_with_its_status(served, case):
    data, status = CASES[case]
    found = asked(served, data)
    assert [number for number, _ in found] == [status]
    if status != 200:
        assert found[0][1].keys() == {"error", "message"}
    assert len(served.variant.asked) == (status == 200 and b"/invocations" in data)


def test_it_logs_a_line_a_request_when_asked_also_of_what_is_refused(caplog):
    with caplog.at_level("INFO", logs.LOGGER), serving() as served:
        asked(served, GOOD.replace(b"/invocations", b"/nowhere") + GOOD + CASES["TLS"][0])
    found = [(record.fields["method"], record.fields["path"], record.fields["status"]) for record in caplog.records]
    assert found == [("POST", "/nowhere", 404), ("POST", "/invocations", 200), ("", "", 400)]


@pytest.mark.parametrize("data", [b"POST /invocations HT", GOOD[:-1], GOOD[:40]], ids=["line", "body", "headers"])
def test_a_request_that_ends_before_it_is_whole_is_answered(served, data):
    assert [status for status, _ in asked(served, data, end=True)] == [400]


def test_what_is_answered_before_a_client_ends_its_side_still_reaches_it(served):
    assert [status for status, _ in asked(served, GOOD * 3, end=True)] == [200, 200, 200]


def test_what_is_malformed_is_answered_after_what_came_before_it(served):
    served.variant.hold = True
    with connect(served) as connection:
        connection.sendall(GOOD + b"nonsense\r\n\r\n")
        wait(lambda: served.variant.asked)
        served.call(lambda: served.variant.answer(served.variant.asked[0]))
        assert [status for status, _ in answers(read_all(connection))] == [200, 400]


def test_a_client_that_sends_a_hundred_megabytes_of_url_is_refused_and_hears_it(served):
    with connect(served) as connection:
        sender = threading.Thread(target=_pour, args=(connection, b"GET /" + b"a" * 50_000_000))
        sender.start()
        assert [status for status, _ in answers(read_all(connection))] == [414]
        sender.join(60)


def _pour(connection, data):
    try:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_a_mistake_in_a_control_route_is_an_answer_and_the_requests_go_on(served, capfd):
    served.broken = True
    (status, body), *_ = asked(served, request(path=b"/_isthmus/follow", **{"x-isthmus-key": b"secret"}))
    assert (status, body) == (500, {"error": "OSError", "message": "the disk is full"})
    assert asked(served, request())[0][0] == 200


def test_a_line_that_cannot_be_logged_loses_no_answer(served, capfd):
    lines, served.logged = served.logged, None
    assert [status for status, _ in asked(served, GOOD + request())] == [200, 200]
    served.logged = lines


def test_a_thousand_requests_at_once_are_answered_in_order_without_recursion(served):
    data = b"GET /nowhere HTTP/1.1\r\nhost: localhost\r\n\r\n" * 5_000 + request()
    assert [status for status, _ in asked(served, data)] == [404] * 5_000 + [200]


def test_a_client_that_pipelines_without_waiting_is_not_read_further(served):
    """Its requests stay in the kernel's buffers: the router holds what one packet may hold, however much is sent."""
    served.variant.hold = True
    with connect(served) as connection:
        connection.settimeout(0.5)
        sent = 0
        try:
            while sent < 100_000_000:
                sent += connection.send(GOOD * 1000)
        except TimeoutError:
            pass
        assert sent < 100_000_000
        (only,) = served.router.connections.open
        assert len(served.variant.asked) == 1
        assert len(only._waiting) <= http._SLICE // len(GOOD) + 1
        assert len(only._unparsed) < 1_000_000
    served.variant.hold = False
    served.call(lambda: served.variant.answer(served.variant.asked[0]))
    wait(lambda: not served.router.connections.open)


def _kill(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _half_close(connection):
    connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("leave", [_kill, socket.socket.close, _half_close])
def test_who_has_gone_does_not_stand_in_a_queue(served, leave):
    """Half a close looks like a whole one until something is written."""
    served.variant.hold = True
    with connect(served) as connection:
        connection.sendall(GOOD)
        wait(lambda: served.variant.asked)
        leave(connection)
        wait(lambda: served.variant.asked[0].request.gone)


def test_a_client_that_does_not_read_its_answers_gets_no_more_of_them(served):
    served.variant.reply = b'"%s"' % (b"a" * 1_000_000)
    with connect(served) as connection:
        connection.sendall(GOOD * 30)
        wait(lambda: any(line._unread for line in served.router.connections.open))
        assert len(served.variant.asked) < 30
        body = json.dumps("a" * 1_000_000).encode()
        for _ in range(30):  # and all of them when it does
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connection.recv(1)
            left = len(body)
            while left:
                left -= len(connection.recv(min(left, 262_144)))
    assert len(served.variant.asked) == 30


def wait(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_idle_connections_lock_nobody_out(served):
    with serving(connections=20) as small:
        silent = [connect(small) for _ in range(60)]
        assert asked(small, request())[0][0] == 200
        for connection in silent:
            connection.close()


def test_where_every_connection_works_the_next_is_told_so(served):
    with serving(connections=3) as small:
        small.variant.hold = True
        busy = [connect(small) for _ in range(3)]
        for connection in busy:
            connection.sendall(GOOD)
        wait(lambda: len(small.variant.asked) == 3)
        assert [(status, body["error"]) for status, body in asked(small, request())] == [(503, "Busy")]
        small.call(lambda: [small.variant.answer(exchange) for exchange in small.variant.asked])
        assert [read_one(connection)[0] for connection in busy] == [200, 200, 200]
        small.variant.hold = False
        assert asked(small, request())[0][0] == 200
        for connection in busy:
            connection.close()


def test_a_client_that_dawdles_is_ended_and_told(served, monkeypatch):
    monkeypatch.setattr(connections, "SWEEP", 0.05)
    monkeypatch.setattr(http, "HEADERS_WITHIN", 0.1)
    monkeypatch.setattr(http, "BODY_WITHIN", 0.1)
    monkeypatch.setattr(http, "IDLE", 0.3)
    with serving() as quick:
        with connect(quick) as connection:
            connection.sendall(GOOD + GOOD[:30])
            assert [status for status, _ in answers(read_all(connection))] == [200, 408]
        with connect(quick) as connection:
            connection.sendall(GOOD[:-1])
            assert [status for status, _ in answers(read_all(connection))] == [408]
        with connect(quick) as connection:
            assert read_all(connection) == b"", "it never asked anything"


def test_large_requests_are_kept_up_to_a_sum_and_given_back(served, monkeypatch):
    monkeypatch.setattr(connections, "MOST_BODIES", 150_000)
    body = b"a" * 90_000
    served.variant.hold = True
    with connect(served) as first:
        first.sendall(request(body=body))
        wait(lambda: served.variant.asked)
        (status, refused), *_ = asked(served, request(body=body))
        assert (status, refused["error"]) == (503, "Busy")
        served.call(lambda: served.variant.answer(served.variant.asked[0]))
        assert read_one(first)[0] == 200
    served.variant.hold = False
    assert asked(served, request(body=body))[0][0] == 200
    wait(lambda: served.router.connections.bytes == 0)


def test_random_bytes_and_mutations_never_end_in_silence_or_a_plain_500(served):
    rng = random.Random(20)
    words = [
        GOOD,
        b"\r\n",
        b"\0",
        b"content-length: 5\r\n",
        b"transfer-encoding: chunked\r\n",
        b"GET / HTTP/1.1\r\n",
        b"a" * 300,
        b"\xff\xfe",
    ]
    for _ in range(150):
        data = bytearray(b"".join(rng.choice(words) for _ in range(rng.randint(1, 6))))
        for _ in range(rng.randint(0, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        found = asked(served, bytes(data), end=True)
        if data.strip(b"\r\n"):
            assert found, bytes(data)
        assert all(status != 500 and (status == 200 or body.keys() == {"error", "message"}) for status, body in found), bytes(data)
    assert asked(served, request())[0][0] == 200
