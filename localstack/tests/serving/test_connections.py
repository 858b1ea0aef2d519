"""The clients of model servers, in threads and in event loops, against a server of scripted bytes."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from isthmus_stack.serving.async_connections import AsyncConnections
from isthmus_stack.serving.connections import Connections, NotReached, TimedOut

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CLOSE, SILENCE = object(), object()


class Server:
    """Answers each request with the next of a script, and keeps what was asked.

    CLOSE ends the connection, as does the end of a script; SILENCE answers nothing.
    """

    def __init__(self, *script):
        self.requests, self.connections = [], 0
        self._script, self._silent = list(script), []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                client = self._socket.accept()[0]
            except OSError:
                return
            self.connections += 1
            with client, client.makefile("rb") as received:
                while self._script and self._answer(client, received):
                    pass

    def _answer(self, client, received):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = received.readline()
            if not line:
                return False
            head += line
        lines = head.decode("latin-1").lower().split("\r\n")
        size = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
        self.requests.append((head, received.read(size)))
        for part in self._script.pop(0):
            if part is CLOSE:
                return False
            if part is SILENCE:
                received.read()  # until the client has gone
                return False
            client.sendall(part)
        return True

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)  # which ends the thread's accept
        self._socket.close()


@pytest.fixture
def serve():
    servers = []

    def serve(*script):
        servers.append(Server(*script))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


class InThreads:
    """urllib3's client, with the other's shape."""

    def __init__(self, port):
        self._connections = Connections(port)

    def post(self, path="/predict", body=b"{}", headers=(), within=60.0):
        return self._connections.ask("POST", path, body, headers, within=within)

    def close(self):
        self._connections.close()


class InLoop:
    """aiohttp's client in a loop of its own."""

    def __init__(self, port):
        self._port, self._connections, self._ends = port, AsyncConnections(), []
        self._runner = asyncio.Runner()

    def post(self, path="/predict", body=b"{}", headers=(), within=60.0):
        return self._runner.run(
            self._connections.post(
                self._port, path, body, headers, within=within, on_stop=self._ends.append
            )
        )

    def close(self):
        async def stop():
            for end in self._ends:
                await asyncio.wrap_future(end())

        self._runner.run(stop())
        self._runner.close()


@pytest.fixture(params=[InThreads, InLoop])
def connect(request):
    clients = []

    def connect(server):
        clients.append(request.param(server.port))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def lines_of(request):
    return sorted(line.lower() for line in request[0].split(b"\r\n")[1:] if line)


def test_a_request_has_the_headers_that_it_was_given_and_no_others(serve, connect):
    server = serve([OK])
    answer = connect(server).post("/v1/models/m:predict?a=%201", b"body", (("X-One", "a\r\nb: c"),))
    assert (answer.status, answer.body) == (200, b"ok")
    assert server.requests[0][0].startswith(b"POST /v1/models/m:predict?a=%201 HTTP/1.1\r\n")
    assert server.requests[0][1] == b"body"
    host = f"host: 127.0.0.1:{server.port}".encode()
    assert lines_of(server.requests[0]) == [b"content-length: 4", host, b"x-one: a  b: c"]


@pytest.mark.parametrize("body", [b"", b"x" * 3_000_000])
def test_a_body_of_any_size_arrives_with_its_length(serve, connect, body):
    server = serve([OK])
    connect(server).post(body=body)
    assert server.requests[0][1] == body


def test_headers_beyond_ascii_arrive_as_the_bytes_they_were_and_what_has_none_as_a_mark(
    serve, connect
):
    server = serve([OK])
    utf8 = "Zoë".encode().decode("latin-1")  # as a server reads a caller's UTF-8
    connect(server).post(headers=(("x-name", utf8), ("x-kind", "\N{SNOWMAN}")))
    assert "x-name: Zoë".encode() in server.requests[0][0]
    assert b"x-kind: ?" in server.requests[0][0]


def test_of_an_answers_repeated_headers_the_last_counts_in_lower_case_and_as_latin_1(
    serve, connect
):
    server = serve(
        [
            b"HTTP/1.1 418 No\r\nX-A: 1\r\nx-a: caf\xe9\r\nContent-Encoding: gzip\r\n",
            b"content-length: 2\r\n\r\n\x1f\x8b",
        ]
    )
    answer = connect(server).post()
    assert (answer.status, answer.headers["x-a"]) == (418, "caf\xe9")
    assert answer.body == b"\x1f\x8b"


def test_a_redirect_is_an_answer(serve, connect):
    head = b"HTTP/1.1 307 Elsewhere\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n"
    server = serve([head])
    assert connect(server).post().status == 307
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "script",
    [
        [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwh", b"ole"[:2]],
        [
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nwh\r\n",
            b"2\r\nol\r\n0\r\n\r\n",
        ],
        [b"HTTP/1.0 200 OK\r\n\r\nwh", b"ol", CLOSE],
        [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwhol"],
    ],
    ids=["length", "chunked", "until the end", "after 100 Continue"],
)
def test_an_answer_is_read_however_its_end_is_told(serve, connect, script):
    assert connect(serve(script)).post().body == b"whol"


@pytest.mark.parametrize(
    "script",
    [
        [CLOSE],
        [b"HTTP/1.1 200 OK\r\ncontent-le", CLOSE],
        [b"HTTP/1.1 200 OK\r\nserver: x\r\n", CLOSE],
        [b"HTTP/1.1 200 OK\r\nno header\r\ncontent-length: 0\r\n\r\n", CLOSE],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwh", CLOSE],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nwh\r\n", CLOSE],
        [b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", CLOSE],
        [b"nonsense\r\n\r\n", CLOSE],
    ],
    ids=[
        "nothing",
        "half a line",
        "half a head",
        "a bad line",
        "half a body",
        "half the chunks",
        "101",
        "nonsense",
    ],
)
def test_what_is_no_whole_answer_is_not_reached_and_not_asked_again(serve, connect, script):
    server = serve([OK], script, [OK])
    client = connect(server)
    client.post()
    with pytest.raises(NotReached, match=r"^the con[a-z ]*\b(?!.*Error)"):  # in words
        client.post()
    assert len(server.requests) == 2
    assert client.post().body == b"ok"


def test_a_kept_connection_is_used_again_and_one_that_was_closed_is_replaced_unasked(
    serve, connect
):
    server = serve([OK], [OK, CLOSE], [OK])
    client = connect(server)
    client.post()
    client.post()
    assert server.connections == 1
    if isinstance(client, InLoop):  # let the loop see the end
        client._runner.run(asyncio.sleep(0.05))
    assert client.post().status == 200
    assert (server.connections, len(server.requests)) == (2, 3)


def test_each_exchange_over_a_kept_connection_has_its_own_time_limit(serve, connect):
    server = serve([OK], [SILENCE], [OK])
    client = connect(server)
    assert client.post(within=3600).body == b"ok"
    with pytest.raises(TimedOut, match=r"within 0\.05 seconds"):
        client.post(within=0.05)
    assert client.post().body == b"ok"


def test_where_nobody_listens_nothing_is_reached(serve, connect):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(NotReached, match=f"nothing listens on 127.0.0.1:{port}"):
        connect(SimpleNamespace(port=port)).post()


def test_after_the_end_nothing_is_reached(serve, connect):
    server = serve([OK])
    client = connect(server)
    client.post()
    if isinstance(client, InThreads):
        client.close()
    else:
        client._runner.run(client._connections._session.close())
    with pytest.raises(NotReached):
        client.post()
    assert len(server.requests) == 1


def test_one_pool_serves_many_threads():
    server = Server(*[[OK]] * 20)  # it takes one connection at a time
    connections = Connections(server.port)
    with ThreadPoolExecutor(1) as one:
        assert list(one.map(lambda _: connections.ask("GET", "/").status, range(20))) == [200] * 20
    assert server.connections == 1
    connections.close()
    server.close()


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        (b"transfer-encoding: chunked\r\n", [b"2\r\nab\r\n", b"3\r\ncde\r\n", b"0\r\n\r\n"]),
        (b"content-length: 5\r\n", [b"ab", b"cde"]),
    ],
)
def test_a_stream_yields_each_part_before_the_next_is_sent_and_keeps_its_connection(
    serve, head, parts
):
    goes_on = threading.Event()

    def script():
        yield b"HTTP/1.1 200 OK\r\n" + head + b"\r\n"
        yield parts[0]
        assert goes_on.wait(60)
        yield from parts[1:]

    server = serve(script(), [OK])
    connections = Connections(server.port)
    answer, stream = connections.stream("POST", "/", b"", ())
    assert (answer.status, next(stream)) == (200, b"ab")
    goes_on.set()
    assert b"".join(stream) == b"cde"
    assert connections.ask("POST", "/").body == b"ok"
    assert server.connections == 1
    connections.close()


def test_a_stream_that_breaks_is_not_reached_and_one_that_nobody_reads_on_is_closed(serve):
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"
    server = serve([head, CLOSE], [head, SILENCE], [OK])
    connections = Connections(server.port)
    _, stream = connections.stream("POST", "/", b"", ())
    assert next(stream) == b"ab"
    with pytest.raises(NotReached):
        next(stream)
    _, stream = connections.stream("POST", "/", b"", ())
    assert next(stream) == b"ab"
    stream.close()
    assert connections.ask("POST", "/").body == b"ok"  # the server takes it once the other ended
    connections.close()
