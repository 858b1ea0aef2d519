"""The threads of a WSGI front: each reads a request and answers it, and one always reads on."""

import socket
import threading
from contextlib import ExitStack, contextmanager

import pytest

from isthmus_stack.core.http.wsgi_server import Channel, WsgiServer

REQUEST = b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n"
AT_ONCE = 32  # requests that the server answers
MANY = 50
PATIENCE = 120


class Application:
    """It answers /held once it is let go, and others at once."""

    def __init__(self):
        self.held = threading.Semaphore(0)  # released by each request that waits
        self.let_go = threading.Event()
        self.threads = []

    def __call__(self, environ, start_response):
        self.threads.append(threading.current_thread())
        if environ["PATH_INFO"] == "/held":
            self.held.release()
            self.let_go.wait(PATIENCE)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]


@contextmanager
def serving(application, channel=Channel):
    server = WsgiServer(application, "127.0.0.1", 0, channel)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    with ExitStack() as clients:
        yield server, lambda: clients.enter_context(_client(server.port))
        server.close(0)


def _client(port):
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def is_answered(client):
    received = b""
    while not received.endswith(b"\r\n\r\nok"):
        part = client.recv(1 << 16)
        if not part:
            return False
        received += part
    return True


def test_the_thread_that_reads_a_request_answers_it():
    application, readers = Application(), []

    class Noting(Channel):
        def received(self, data):
            readers.append(threading.current_thread())
            return super().received(data)

    with serving(application, Noting) as (_, connect):
        client = connect()
        for _ in range(MANY):  # the first ones may come before all threads have started
            client.sendall(REQUEST % b"/")
            assert is_answered(client)
    assert application.threads[-1] is readers[-1]
    assert sum(a is b for a, b in zip(application.threads, readers, strict=True)) > MANY / 2


def test_requests_are_read_while_all_threads_answer_and_answered_once_one_is_free():
    application, read = Application(), threading.Semaphore(0)

    class Noting(Channel):
        def received(self, data):
            read.release()
            return super().received(data)

    with serving(application, Noting) as (_, connect):
        clients = [connect() for _ in range(MANY)]
        for client in clients:
            client.sendall(REQUEST % b"/held")
        for _ in clients:
            assert read.acquire(timeout=PATIENCE)
        for _ in range(AT_ONCE):
            assert application.held.acquire(timeout=PATIENCE)
        assert len(application.threads) == AT_ONCE
        application.let_go.set()
        assert all(is_answered(client) for client in clients)


def test_a_server_that_closes_waits_for_what_it_answers_and_begins_nothing_more():
    application = Application()
    with serving(application) as (server, connect):
        under_way, later = connect(), connect()
        under_way.sendall(REQUEST % b"/held")
        assert application.held.acquire(timeout=PATIENCE)
        closing = threading.Thread(target=server.close, args=(PATIENCE,), daemon=True)
        closing.start()
        while not server._threads._closed:
            threading.Event().wait(0.01)
        later.sendall(REQUEST % b"/")
        application.let_go.set()
        assert is_answered(under_way)
        closing.join(PATIENCE)
        assert not closing.is_alive()
    assert len(application.threads) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_fails_ends_the_server():
    server = WsgiServer(Application(), "127.0.0.1", 0, Channel)

    def failing():
        raise OSError("no descriptors are left")

    server._server.readable = failing
    running = threading.Thread(target=server.run, daemon=True)
    running.start()
    running.join(PATIENCE)
    assert not running.is_alive()
