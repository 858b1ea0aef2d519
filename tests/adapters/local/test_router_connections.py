"""The router over raw sockets: who has gone, waits, dawdles, or sends and does not read.

The variant answers at once, or when told.
"""

import json
import socket
import struct

import msgspec
import pytest

from isthmus.endpoints.http import asgi_limits, requests

from .router_kit import GOOD, answers, asked, connect, read_all, read_one, request, serving, wait


def test_a_client_that_pipelines_without_waiting_is_not_read_further(served):
    """Its requests stay in the kernel's buffers: the router holds what one packet may hold, however
    much is sent.
    """
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
        wait(lambda: served.variant.asked)
        (only,) = served.connections.open
        assert len(served.variant.asked) == 1
        assert len(only.pipeline) <= asgi_limits._SLICE // len(GOOD) + 1
        assert len(only._unparsed) < 1_000_000
    served.variant.hold = False
    served.call(lambda: served.variant.answer(served.variant.asked[0]))
    wait(lambda: not served.connections.open)


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
        wait(lambda: any(line._unread for line in served.connections.open))
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


def test_idle_connections_lock_nobody_out(served):
    with serving(connections=20) as small:
        silent = [connect(small) for _ in range(60)]
        assert asked(small, request())[0][0] == 200
        for connection in silent:
            connection.close()


def test_whoever_is_refused_and_sends_half_a_body_locks_nobody_out(served):
    with serving(connections=20) as small:
        assert asked(small, request())[0][0] == 200  # its loop runs
        refused = [connect(small) for _ in range(20)]
        for connection in refused:
            connection.sendall(
                b"POST /invocations HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 9\r\n\r\nhalf"
            )
            assert read_one(connection)[0] == 403
        assert asked(small, request())[0][0] == 200
        for connection in refused:
            connection.close()


def test_where_every_connection_works_the_next_is_told_so(served):
    with serving(connections=3) as small:
        small.variant.hold = True
        busy = [connect(small) for _ in range(3)]
        for connection in busy:
            connection.sendall(GOOD)
        wait(lambda: len(small.variant.asked) == 3)
        assert [(status, body["error"]) for status, body in asked(small, request())] == [
            (503, "Busy")
        ]
        small.call(lambda: [small.variant.answer(exchange) for exchange in small.variant.asked])
        assert [read_one(connection)[0] for connection in busy] == [200, 200, 200]
        small.variant.hold = False
        assert asked(small, request())[0][0] == 200
        for connection in busy:
            connection.close()


def test_a_client_that_dawdles_is_ended_and_told():
    with serving() as quick:
        shared = quick.connections
        shared.limits = msgspec.structs.replace(shared.limits, head_seconds=0.1, body_seconds=0.1)
        with connect(quick) as connection:
            connection.sendall(GOOD + GOOD[:30])
            assert [status for status, _ in answers(read_all(connection))] == [200, 408]
        with connect(quick) as connection:
            connection.sendall(GOOD[:-1])
            assert [status for status, _ in answers(read_all(connection))] == [408]
        # not before: a busy machine may take longer from connecting to sending
        shared.limits = msgspec.structs.replace(shared.limits, idle_seconds=0.1)
        with connect(quick) as connection:
            assert read_all(connection) == b"", "it never asked anything"


def test_large_requests_are_kept_up_to_a_sum_and_given_back(served, monkeypatch):
    monkeypatch.setattr(requests, "MOST_BODIES", 150_000)
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
    wait(lambda: served.connections.bytes == 0)
