"""The router over raw sockets: answers in JSON to whatever comes.

The variant answers at once, or when told.
"""

import random
import socket
import threading

import pytest

from isthmus.core import logs

from .router_kit import GOOD, MOST, answers, asked, connect, read_all, request, serving, wait

CASES = {
    "a page of another site": (request(origin=b"https://evil.example"), 403),
    "a cross-site form": (request(**{"sec-fetch-site": b"cross-site"}), 403),
    "a name of somebody else's for this address": (request(host=b"evil.example"), 403),
    "a body that a page may send without asking": (request(**{"content-type": b"text/plain"}), 415),
    "a body without a type": (request(**{"content-type": None}), 415),
    "jsonlines": (request(**{"content-type": b"application/jsonlines"}), 200),
    "CSV": (request(**{"content-type": b"text/csv; charset=utf-8"}), 200),
    "two hosts": (
        request().replace(b"content-type:", b"host: evil.example\r\ncontent-type:", 1),
        400,
    ),
    "a request in the packet of one that ends the connection": (
        GOOD.replace(b"host:", b"host: a\r\nhost:", 1) + GOOD,
        400,
    ),
    "another path": (request(path=b"/predict"), 404),
    "a query": (request(path=b"/invocations?a=1"), 200),
    "another method": (request(method=b"PUT"), 405),
    "a probe without a Host": (b"GET /ping HTTP/1.1\r\nconnection: close\r\n\r\n", 200),
    "the control routes without their key": (
        request(path=b"/_isthmus/state", **{"x-isthmus-key": b"guess"}),
        403,
    ),
    "the control routes": (request(path=b"/_isthmus/state", **{"x-isthmus-key": b"secret"}), 200),
    "another endpoint's connection": (request(**{"x-isthmus-instance": b"other"}), 421),
    "a variant that is not there": (request(**{"x-amzn-sagemaker-target-variant": b"nobody"}), 400),
    "a long URL": (b"GET /" + b"a" * 8_192 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414),
    "long headers": (b"GET /ping HTTP/1.1\r\n" + b"a: %s\r\n" % (b"b" * 1000) * 66 + b"\r\n", 431),
    "one long header that does not end": (b"GET /ping HTTP/1.1\r\na: " + b"b" * 100_000, 431),
    "many small headers": (b"GET /ping HTTP/1.1\r\n" + b"a:b\r\n" * 14_000 + b"\r\n", 431),
    "headers after the body that do not end": (
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: "
        b"chunked\r\n\r\n0\r\na: " + b"b" * 200_000,
        400,
    ),
    "a length that is no number": (
        b"POST /invocations HTTP/1.1\r\ncontent-length: ten\r\n\r\n",
        400,
    ),
    "a length below nothing": (b"POST /invocations HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
    "a length beyond all numbers": (
        b"POST /invocations HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        400,
    ),
    "two lengths": (
        b"POST /invocations HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        400,
    ),
    "a body above the limit": (request(body=b"a" * (MOST + 1)), 413),
    "a body above the limit that waits to be let in": (
        b"POST /invocations HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: "
        b"100001\r\n\r\n".replace(b"host: a", b"host: localhost\r\ncontent-type: text/csv"),
        413,
    ),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a chunk without a size": (
        (
            b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: "
            b"chunked\r\n\r\nzz\r\n"
        ),
        400,
    ),
    "a web socket": (
        (
            b"GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: "
            b"websocket\r\n\r\n"
        ),
        400,
    ),
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
    found = [
        (record.fields["method"], record.fields["path"], record.fields["status"])
        for record in caplog.records
    ]
    assert found == [("POST", "/nowhere", 404), ("POST", "/invocations", 200), ("", "", 400)]


@pytest.mark.parametrize(
    "data", [b"POST /invocations HT", GOOD[:-1], GOOD[:40]], ids=["line", "body", "headers"]
)
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
    (status, body), *_ = asked(
        served, request(path=b"/_isthmus/follow", **{"x-isthmus-key": b"secret"})
    )
    assert (status, body) == (500, {"error": "OSError", "message": "the disk is full"})
    assert asked(served, request())[0][0] == 200


def test_a_line_that_cannot_be_logged_loses_no_answer(served, capfd):
    lines, served.logged = served.logged, None
    assert [status for status, _ in asked(served, GOOD + request())] == [200, 200]
    served.logged = lines


def test_a_thousand_requests_at_once_are_answered_in_order_without_recursion(served):
    data = b"GET /nowhere HTTP/1.1\r\nhost: localhost\r\n\r\n" * 5_000 + request()
    assert [status for status, _ in asked(served, data)] == [404] * 5_000 + [200]


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
        assert all(
            status != 500 and (status == 200 or body.keys() == {"error", "message"})
            for status, body in found
        ), bytes(data)
    assert asked(served, request())[0][0] == 200
