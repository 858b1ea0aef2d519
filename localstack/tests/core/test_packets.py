"""What a front's server and the client of model servers send comes in one piece: each more wakes its
reader once more.
"""

import socket
import threading

from isthmus_stack.core.http.wsgi_server import Channel, WsgiServer
from isthmus_stack.serving.connections import Connections

REPEATED = 30
LARGE = b"x" * 300_000  # more than is copied to go out with the head


def application(environ, start_response):
    """Answer the body that was sent."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def request(body):
    return b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def read_until(client, end):
    received = b""
    while not received.endswith(end):
        received += client.recv(1 << 20)
    return received


def test_an_answer_comes_with_its_head_in_one_piece_and_a_large_one_whole():
    server = WsgiServer(application, "127.0.0.1", 0, Channel)
    threading.Thread(target=server.run, daemon=True).start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
            for _ in range(REPEATED):
                client.sendall(request(b"small"))
                assert client.recv(1 << 20).endswith(b"\r\n\r\nsmall")
            client.sendall(request(LARGE + b"end"))
            assert read_until(client, b"end").endswith(b"\r\n\r\n" + LARGE + b"end")
    finally:
        server.close(0)


def test_a_model_server_gets_head_and_body_in_one_piece():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        pieces = []

        def serve():
            client = listening.accept()[0]
            with client:
                for _ in range(REPEATED):
                    pieces.append(client.recv(1 << 20))
                    if not pieces[-1].endswith(b"\r\n\r\nbody"):
                        return
                    client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        connections = Connections(listening.getsockname()[1])
        try:
            answers = [connections.ask("POST", "/", b"body").body for _ in range(REPEATED)]
        finally:
            connections.close()
        thread.join(120)
    assert answers == [b"ok"] * REPEATED
    assert len(pieces) == REPEATED
