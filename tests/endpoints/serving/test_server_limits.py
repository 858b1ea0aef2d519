"""What a connection of the model server may send, how much of it waits, and how long anything may
take.
"""

import socket
import sys
from concurrent.futures import Future
from threading import Event

import msgspec
import pytest

from isthmus.endpoints.http import asgi_limits, requests
from isthmus.endpoints.serving import predictions
from isthmus.endpoints.serving import server as model_server
from isthmus.tests.conformance.toy_models import until
from isthmus.tests.endpoints.serving.served import PING, Caller, Gate, loaded, post, running


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("limits") / "model"


@pytest.fixture(scope="module")
def live(folder):
    with running(loaded(folder)) as server:
        yield server


@pytest.fixture
def caller(live):
    one = Caller(live.port)
    yield one
    one.close()


def hurry(live, **seconds):
    """Shorten these time limits of a server that runs, and no others, which a busy machine would
    not keep.
    """
    shared = live.connections
    shared.limits = msgspec.structs.replace(shared.limits, **seconds)


def ping(url=b"/ping", headers=b""):
    return b"GET %s HTTP/1.1\r\nhost: a\r\n%s\r\n" % (url, headers)


def test_a_url_of_8_kib_is_read_and_a_longer_one_is_414(caller):
    url = b"/ping?" + b"a" * (8192 - 6)
    assert caller.send(ping(url)).answer()[0] == 200
    status, _, answer = caller.send(ping(url + b"a")).answer()
    assert (status, answer["error"]) == (414, "UrlTooLong")
    assert caller.is_ended()


def test_headers_of_64_kib_are_read_and_longer_ones_are_431(caller):
    most = 65_536 - len("hosta") - 4
    value = b"a" * (most - len("x-a") - 4)
    assert caller.send(ping(headers=b"x-a: %s\r\n" % value)).answer()[0] == 200
    status, _, answer = caller.send(ping(headers=b"x-a: %sa\r\n" % value)).answer()
    assert (status, answer["error"]) == (431, "HeadersTooLarge")
    assert caller.is_ended()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 20_000_000, 414),
        (b"GET /ping HTTP/1.1\r\nx: " + b"a" * 20_000_000, 431),
        (b"GET /ping HTTP/1.1\r\n" + b"x: a\r\n" * 3_000_000, 431),
        (
            b"POST /invocations HTTP/1.1\r\ncontent-length: 20000000\r\n\r\n" + b" " * 20_000_000,
            413,
        ),
        (
            b"POST /invocations HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1312D00\r\n"
            + b" " * 20_000_000,
            413,
        ),
        (
            b"POST /invocations HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;"
            + b"a" * 20_000_000,
            400,
        ),
        (
            b"POST /invocations HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\n \r\n0\r\nx: "
            + b"a" * 20_000_000,
            400,
        ),
        (b"no HTTP at all\r\n\r\n", 400),
    ],
    ids=["url", "header", "headers", "length", "chunked", "chunk's name", "trailer", "garbage"],
)
def test_who_sends_too_much_in_one_go_still_reads_why_it_is_refused(caller, data, status):
    assert caller.send(data).answer()[0] == status
    assert caller.is_ended()


def test_a_request_that_asks_first_is_told_to_go_on_or_refused_before_it_sends(caller):
    head = (
        b"POST /invocations HTTP/1.1\r\nexpect: 100-continue\r\ncontent-type: "
        b"application/json\r\ncontent-length: %d\r\n\r\n"
    )
    caller.send(head % 10)
    assert caller.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert caller.send(b'[{"x": 1}]').answer()[0] == 200
    assert caller.send(head % 10_000_001).answer()[0] == 413


def test_who_is_refused_by_its_headers_is_told_before_it_sends_and_a_small_body_ends_nothing(
    caller,
):
    small = post(b"[]", origin="http://a.example")
    assert caller.send(small + PING).answer()[0] == 403
    assert caller.answer()[0] == 200
    assert (
        caller.send(
            post(b"", origin="http://a.example").replace(
                b"content-length: 0", b"content-length: 70000"
            )
        ).answer()[0]
        == 403
    )
    assert caller.is_ended()


def test_a_header_that_decides_and_is_there_twice_is_refused(caller):
    status, _, answer = caller.send(ping(headers=b"origin: a\r\norigin: b\r\n")).answer()
    assert (status, answer["message"]) == (400, "the request has origin twice")
    assert caller.is_ended()


def test_who_sends_no_more_is_told_that_its_request_is_not_whole(caller):
    caller.send(PING + PING[:-2]).socket.shutdown(socket.SHUT_WR)
    assert [caller.answer()[0] for _ in range(2)] == [200, 400]
    assert caller.is_ended()


def test_pipelined_requests_are_answered_in_order(caller):
    caller.send(post(b'[{"x": 1}]') + PING + post(b"no") + post(b'[{"x": 2}]') + ping(b"/none"))
    assert [caller.answer()[0] for _ in range(5)] == [200, 200, 400, 200, 404]


def test_who_sends_on_without_reading_is_made_to_wait(live):
    caller = Caller(live.port)
    caller.socket.settimeout(0.3)
    sent, block = 0, PING * 10_000
    waiting: list[asgi_limits.Bounded] = []
    while not waiting and sent < 40_000_000:  # more than the kernel keeps
        try:
            sent += caller.socket.send(block)
        except TimeoutError:  # it waits for its answers to be read, or the machine is busy
            waiting = [each for each in live.connections.open if each._unparsed]
    assert sent < 40_000_000
    (served,) = waiting
    assert len(served.pipeline) <= 4096 // len(PING) + 1
    assert len(served._unparsed) < 1_000_000
    caller.socket.settimeout(120)
    for _ in range(1000):
        assert caller.answer()[0] == 200
    caller.close()


@pytest.mark.parametrize(
    ("part", "limit", "words"),
    [
        (b"GET /ping HTT", "head_seconds", "head did not come"),
        (post(b"[{}]")[:-1], "body_seconds", "body did not come"),
    ],
    ids=["headers", "body"],
)
def test_a_request_that_does_not_come_whole_is_408(folder, part, limit, words):
    with running(loaded(folder)) as live:
        caller = Caller(live.port).send(PING)
        assert caller.answer()[0] == 200
        hurry(live, **{limit: 0.1})
        status, _, answer = caller.send(part).answer()
        assert status == 408
        assert words in answer["message"]
        assert caller.is_ended()


def test_an_idle_connection_is_closed_and_one_that_waits_for_its_prediction_is_not(folder):
    gate = Gate()
    with running(loaded(folder, gate)) as live:
        waits = Caller(live.port).post()
        assert gate.begun.wait(120)
        hurry(live, idle_seconds=0.1, head_seconds=0.1, body_seconds=0.1, write_seconds=0.1)
        assert Caller(live.port).is_ended()
        gate.open.set()
        assert waits.answer()[0] == 200


def test_who_does_not_read_its_answer_is_dropped(folder):
    asked = Event()

    class Long:
        def predict(self, rows):
            asked.set()
            return ["a" * 9_000_000 for _ in rows]

    with running(loaded(folder, Long())) as live:
        hurry(live, write_seconds=0.1)
        caller = Caller(live.port).post()
        assert asked.wait(120)
        until(lambda: not live.connections.open)
        assert live.connections.bytes == 0
        caller.close()


def test_an_answer_that_the_socket_takes_in_parts_comes_whole_and_before_the_next(folder):
    class Long:
        def predict(self, rows):
            return ["a" * 2_000_000 + str(row["x"]) for row in rows]

    with running(loaded(folder, Long())) as live:
        caller = Caller(live.port).send(b"".join(post(b'[{"x": %d}]' % x) + PING for x in range(2)))
        answers = [caller.answer() for _ in range(4)]
        assert [status for status, _, _ in answers] == [200] * 4
        assert [body["predictions"][0].lstrip("a") for _, _, body in answers[::2]] == ["0", "1"]


def test_an_answer_for_who_has_left_does_not_reach_who_came_instead(folder):
    gate = Gate()
    with running(loaded(folder, gate)) as live:
        leaves = Caller(live.port).post(b'[{"x": 1}]')
        assert gate.begun.wait(120)
        leaves.close()
        until(lambda: not live.connections.open)
        instead = [
            Caller(live.port).send(PING) for _ in range(3)
        ]  # one of them has the descriptor of who left
        gate.open.set()
        assert [each.answer()[2] for each in instead] == [{"status": "ready"}] * 3
        assert [each.post(b'[{"x": 2}]').answer()[2] for each in instead] == [
            {"predictions": [2]}
        ] * 3


def test_a_connection_of_http_1_0_ends_with_its_answer_whatever_it_asks_for(caller):
    assert (
        caller.send(
            PING.replace(b"1.1", b"1.0").replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
        ).answer()[0]
        == 200
    )
    assert caller.is_ended()


def test_an_idle_connection_gives_its_place_to_a_new_one(folder, monkeypatch):
    monkeypatch.setattr(model_server, "MOST_CONNECTIONS", 4)
    with running(loaded(folder)) as live:
        idle = [Caller(live.port).send(PING) for _ in range(4)]
        assert [each.answer()[0] for each in idle] == [200] * 4
        idle += [Caller(live.port) for _ in range(20)]
        assert Caller(live.port).post().answer()[0] == 200
        assert len(live.connections.open) <= 4


def test_where_no_connection_is_idle_a_new_one_is_told_503(folder, monkeypatch):
    monkeypatch.setattr(model_server, "MOST_CONNECTIONS", 4)
    gate = Gate()
    with running(loaded(folder, gate)) as live:
        busy = [Caller(live.port).post() for _ in range(4)]
        until(lambda: len(live._predictions.under_way) == 4)
        for _ in range(10):
            status, _, answer = Caller(live.port).post().answer()
            assert (status, answer) == (
                503,
                {"error": "Busy", "message": "every connection is at work"},
            )
        gate.open.set()
        assert [each.answer()[0] for each in busy] == [200] * 4
        assert Caller(live.port).post().answer()[0] == 200


def test_ping_answers_while_a_prediction_runs(folder):
    gate = Gate()
    with running(loaded(folder, gate)) as live:
        slow = Caller(live.port).post()
        assert gate.begun.wait(120)
        assert Caller(live.port).send(PING).answer()[0] == 200
        gate.open.set()
        assert slow.answer()[0] == 200


def test_more_requests_than_may_wait_are_told_503(folder, monkeypatch):
    monkeypatch.setattr(predictions, "MOST_WAITING", 3)
    gate = Gate()
    with running(loaded(folder, gate)) as live:
        first = [Caller(live.port).post() for _ in range(3)]
        until(lambda: len(live._predictions.under_way) == 3)
        status, _, answer = Caller(live.port).post().answer()
        assert (status, answer["error"]) == (503, "Busy")
        assert "3 requests wait already" in answer["message"]
        gate.open.set()
        assert [each.answer()[0] for each in first] == [200] * 3


def test_bodies_that_are_too_much_together_are_told_503(folder, monkeypatch):
    monkeypatch.setattr(requests, "MOST_BODIES", 100)
    gate = Gate()
    with running(loaded(folder, gate)) as live:
        first = Caller(live.port).post(b'[{"x": 1}]' + b" " * 80)
        until(lambda: live.connections.bytes == 90)
        status, _, answer = Caller(live.port).post().answer()
        assert (status, answer["message"]) == (
            503,
            "the requests that are here have 100 bytes together",
        )
        gate.open.set()
        assert first.answer()[0] == 200
        until(
            lambda: live.connections.bytes == 0
        )  # the caller may read its answer before the loop has counted it
        assert Caller(live.port).post().answer()[0] == 200
        until(lambda: live.connections.bytes == 0)


def test_of_a_body_that_is_on_its_way_hardly_more_is_kept_than_is_counted(folder):
    data = post(b"a" * 1_000_000)
    with running(loaded(folder)) as live:  # of its own: others' connections may still linger
        caller = Caller(live.port).send(data[:300_000])
        until(lambda: live.connections.bytes > 0)
        (connection,) = live.connections.open

        def kept():
            """Ask the loop, which sees no half of a change."""
            size: Future[int] = Future()
            connection.loop.call_soon_threadsafe(
                lambda: size.set_result(len(connection._unparsed) + len(connection.cycle.body))
            )
            return size.result(120)

        # a piece is there for a moment before the application counts it
        until(lambda: kept() <= asgi_limits._READ_AHEAD)
        until(lambda: live.connections.bytes + kept() > 290_000)  # all but the head
        assert kept() <= asgi_limits._READ_AHEAD
        assert caller.send(data[300_000:]).answer()[0] == 400
        caller.close()


def test_what_somebody_sent_and_left_is_not_kept_until_its_prediction(folder):
    gate = Gate()
    with running(loaded(folder, gate)) as live:
        first = Caller(live.port).post()
        assert gate.begun.wait(120)
        left = [Caller(live.port).post(b'[{"x": 1}]' + b" " * 100_000) for _ in range(3)]
        until(lambda: len(live._predictions.under_way) == 4)
        for each in left:
            each.close()
        until(lambda: live.connections.bytes < 100)
        assert sum(len(request.body) for request in live._predictions.under_way) < 100
        gate.open.set()
        assert first.answer()[0] == 200
        assert len(gate.rows) == 1


def test_a_body_in_very_small_pieces_takes_no_more_than_in_one(folder):
    gate = Gate()
    with running(loaded(folder, gate)) as live:
        body = b'[{"x": 1}]' + b" " * 5_000
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
        caller = Caller(live.port).send(
            b"POST /invocations HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
            + chunks
            + b"0\r\n\r\n"
        )
        assert gate.begun.wait(120)
        (request,) = live._predictions.under_way
        assert bytes(request.body) == body
        assert sys.getsizeof(request.body) < 2 * len(body)
        gate.open.set()
        assert caller.answer()[0] == 200


def test_a_body_that_comes_with_a_wish_to_upgrade_is_refused_by_name(caller):
    """Java's HttpClient asks for h2c unless it is told not to; httptools then gives no body."""
    status, _, answer = caller.post(
        b'[{"x": 1}]', connection="Upgrade, HTTP2-Settings", upgrade="h2c"
    ).answer()
    assert status == 400
    assert "set your client to HTTP/1.1" in answer["message"]
    assert caller.is_ended()


def test_an_answer_that_is_too_large_is_an_error_of_the_model(folder, monkeypatch):
    monkeypatch.setattr(predictions, "MOST_ANSWER", 24)
    with running(loaded(folder)) as live:
        assert Caller(live.port).post(b'[{"x": 1}]').answer()[0] == 200
        status, _, answer = Caller(live.port).post(b'[{"x": 1}, {"x": 2}]').answer()
        assert (status, answer["error"]) == (500, "AnswerTooLarge")


def test_nobody_predicts_for_who_has_left(folder):
    gate = Gate()
    with running(loaded(folder, gate)) as live:
        stays = Caller(live.port).post(b'[{"x": 1}]')
        assert gate.begun.wait(120)
        leaves = Caller(live.port).post(b'[{"x": 2}]')
        until(lambda: len(live._predictions.under_way) == 2)
        leaves.close()
        until(lambda: len(live.connections.open) == 1)
        also = Caller(live.port).post(b'[{"x": 3}]')
        until(lambda: len(live._predictions.under_way) == 3)
        gate.open.set()
        assert stays.answer()[0] == also.answer()[0] == 200
        assert [row["x"] for row in gate.rows] == [1, 3]


def test_who_asks_it_to_stop_gets_what_is_under_way_finished(folder):
    gate = Gate()
    with running(loaded(folder, gate)) as live:
        idle = Caller(live.port)
        asked = [Caller(live.port).post() for _ in range(2)]
        until(lambda: len(live._predictions.under_way) == 2)
        live.stop()
        assert idle.is_ended()
        gate.open.set()
        for each in asked:
            status, headers, _ = each.answer()
            assert (status, headers["connection"]) == (200, "close")
        until(live.ended)
