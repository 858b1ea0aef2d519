"""Who asks alone is read by the thread that predicts; whatever else comes, and whoever else asks,
is answered as ever.
"""

import errno
import threading

import pytest

from isthmus.endpoints.serving import lending
from isthmus.endpoints.serving import predictions as predicting
from isthmus.tests.conformance.toy_models import until
from isthmus.tests.endpoints.serving.served import PING, Caller, Gate, loaded, post, running

CHUNKED = (
    b'POST /invocations HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nA\r\n[{"x": '
    b"1}]\r\n0\r\n\r\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lent") / "model"


@pytest.fixture(scope="module")
def live(folder):
    with running(loaded(folder)) as server:
        yield server


def lent(live, caller):
    """Once the connection is."""
    asked = 0
    while live._predictions._loan is None:
        assert (asked := asked + 1) < 1_000
        assert caller.post().answer()[0] == 200
    return caller


@pytest.fixture
def caller(live):
    yield (one := lent(live, Caller(live.port)))
    one.close()


def test_who_asks_alone_wakes_no_other_thread(live, caller, monkeypatch):
    submitted = []
    monkeypatch.setattr(lending, "SILENT", 120.0)
    monkeypatch.setattr(live._predictions, "submit", submitted.append)
    assert [caller.post(b'[{"x": %d}]' % x).answer()[2] for x in range(50)] == [
        {"predictions": [x + 1.0]} for x in range(50)
    ]
    assert submitted == []


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (PING, [200]),
        (post(b"[]"), [400]),
        (post(b'[{"x": 1}]') * 3, [200, 200, 200]),
        (post(b'[{"x": 1}]') + PING, [200, 200]),
        (post(b'[{"x": 1}]', path="/none"), [404]),
        (post(b'[{"x": 1}]', origin="http://a.example"), [403]),
        (post(b'[{"x": 1}]' + b" " * 1_000_000), [200]),
        (CHUNKED, [200]),
        (b"no HTTP\r\n\r\n", [400]),
    ],
    ids=[
        "ping",
        "wrong",
        "three",
        "and a ping",
        "elsewhere",
        "a page",
        "large",
        "chunked",
        "garbage",
    ],
)
def test_whatever_comes_on_a_lent_connection_is_answered(caller, data, statuses):
    caller.send(data)
    assert [caller.answer()[0] for _ in statuses] == statuses


@pytest.mark.parametrize("cut", [1, 30, 95, len(post(b'[{"x": 1}]')) - 1])
def test_a_request_in_two_pieces_is_answered(caller, cut):
    data = post(b'[{"x": 1}]')
    caller.send(data[:cut])
    assert caller.send(data[cut:]).answer()[2] == {"predictions": [2.0]}


def test_a_second_caller_is_answered_and_the_first_goes_on(live, caller):
    assert Caller(live.port).post().answer()[0] == 200
    until(lambda: live._predictions._loan is None)
    assert caller.post().answer()[0] == 200
    lent(live, caller)


def test_a_second_caller_waits_for_one_prediction_of_the_first(folder):
    gate = Gate()
    gate.open.set()
    with running(loaded(folder, gate)) as live:
        first = lent(live, Caller(live.port))
        gate.open.clear()
        gate.begun.clear()
        first.post()
        assert gate.begun.wait(120)
        second = Caller(live.port).post()
        assert Caller(live.port).send(PING).answer()[0] == 200
        until(lambda: live._predictions.under_way)
        gate.open.set()
        assert first.answer()[0] == second.answer()[0] == 200


def test_what_is_no_prediction_stays_the_loop_s_whenever_the_connection_is_lent(folder):
    """It comes while one is under way, and is parsed alone once that is answered: the last head is
    then its own.
    """
    elsewhere, large = post(b'[{"x": 1}]', path="/none"), post(b'[{"x": 1}]' + b" " * 20_000)
    with running(loaded(folder)) as live:
        caller = Caller(live.port)
        for _ in range(2 * lending.ALONE):
            caller.send(large + elsewhere)
            assert [caller.answer()[0] for _ in range(2)] == [200, 404]
            assert caller.send(elsewhere).answer()[0] == 404
        caller.close()


def test_without_a_descriptor_for_it_nothing_is_lent_and_all_is_answered(folder, monkeypatch):
    tried = []

    class Loan(lending.Loan):
        def __init__(self, connection, _):
            tried.append(connection)
            raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(predicting, "Loan", Loan)
    with running(loaded(folder)) as live:
        caller = Caller(live.port)
        while len(tried) < 3:
            assert caller.post().answer()[0] == 200
        assert caller.post().answer()[0] == 200
        caller.close()


def test_a_caller_that_is_silent_is_the_loop_s_again(folder, monkeypatch):
    monkeypatch.setattr(lending, "SILENT", 0.05)
    with running(loaded(folder)) as live:
        caller = lent(live, Caller(live.port))
        until(lambda: live._predictions._loan is None and live.connections.idle)
        assert caller.post().answer()[0] == 200
        caller.close()


def test_a_caller_that_leaves_is_forgotten(live, caller):
    caller.close()
    until(lambda: live._predictions._loan is None and not live.connections.open)
    assert live.connections.bytes == 0


def test_an_answer_that_the_socket_takes_in_parts_comes_whole(folder):
    class Long:
        def predict(self, rows):
            return ["a" * (3_000_000 if row["x"] else 1) + str(row["x"]) for row in rows]

    with running(loaded(folder, Long())) as live:
        caller, asked = Caller(live.port), 0
        while live._predictions._loan is None:
            assert (asked := asked + 1) < 1_000
            caller.post(b'[{"x": 0}]').answer()
        for x in (1, 2):
            assert caller.post(b'[{"x": %d}]' % x).answer()[2]["predictions"][0].lstrip("a") == str(
                x
            )


def test_what_is_under_way_is_finished_when_the_server_stops(folder):
    gate = Gate()
    gate.open.set()
    with running(loaded(folder, gate)) as live:
        caller = lent(live, Caller(live.port))
        gate.open.clear()
        gate.begun.clear()
        caller.post()
        assert gate.begun.wait(120)
        live.stop()
        until(lambda: live.connections.stopping)
        assert live._predictions.busy  # else a hung one would keep its process for good
        gate.open.set()
        status, headers, _ = caller.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert caller.is_ended()
        until(live.ended)


def test_a_silent_caller_is_told_when_the_server_stops(folder):
    with running(loaded(folder)) as live:
        caller = lent(live, Caller(live.port))
        live.stop()
        assert caller.is_ended()
        until(live.ended)


def test_predictions_are_one_thread_s(folder):
    class Where:
        def predict(self, rows):
            return [threading.get_ident() for _ in rows]

    with running(loaded(folder, Where())) as live:
        caller = Caller(live.port)
        before = caller.post().answer()[2]
        assert lent(live, caller).post().answer()[2] == before
