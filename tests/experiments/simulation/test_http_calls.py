"""The simulated visitors' calls: each is sent once, and what went wrong is a reply that says so."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from isthmus.experiments.simulation.http_calls import HttpCalls


@pytest.fixture
def gateway():
    """Answers what it was asked; "lost" ends the connection, "page" is no JSON."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            server.asked.append((self.path, self.headers["content-type"], json.loads(body)))
            if body == b'"lost"':
                self.close_connection = True
                return
            answer = b"<html>" if body == b'"page"' else b'{"error": %b}' % body
            self.send_response(400)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.daemon_threads = [], True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_replies_come_in_the_order_of_their_bodies(gateway):
    bodies = [f"number {number}" for number in range(40)]
    with HttpCalls(f"http://127.0.0.1:{gateway.server_port}", threads=4) as calls:
        replies = calls.post("/assign", bodies)
    assert [(reply.status, reply.error) for reply in replies] == [(400, body) for body in bodies]
    assert sorted(gateway.asked) == sorted(("/assign", "application/json", body) for body in bodies)


@pytest.mark.parametrize("body", ["lost", "page"])
def test_a_call_without_a_readable_answer_is_not_repeated_and_the_next_one_is_answered(
    gateway, body
):
    with HttpCalls(f"http://127.0.0.1:{gateway.server_port}") as calls:
        (reply,) = calls.post("/track", [body])
        assert (reply.status, reply.fields) == (0, {})
        assert "Error" in reply.error
        (answered,) = calls.post("/track", ["good"])
    assert answered.error == "good"
    assert [asked[2] for asked in gateway.asked] == [body, "good"]


def test_where_nobody_listens_the_reply_says_so(gateway):
    gateway.shutdown()
    gateway.server_close()
    with HttpCalls(f"http://127.0.0.1:{gateway.server_port}") as calls:
        (reply,) = calls.post("/assign", [{}])
    assert reply.status == 0
    assert "refused" in reply.error
