"""However a client's bytes are cut, and whatever is wrong with them, the model server gives the
same answers and goes on.
"""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from isthmus.tests.endpoints.serving.served import PING, Caller, loaded, post, running

REQUESTS = (
    (PING, 200),
    (post(b'[{"x": 1}]'), 200),
    (post(b'[{"x": 1}]' + b" " * 9000), 200),
    (post(b"no"), 400),
    (post(b'[{"x": 1}]', path="/none"), 404),
    (PING.replace(b"GET", b"PUT"), 405),
    (post(b'[{"x": 1}]', origin="http://a.example"), 403),
    (
        (
            b"POST /invocations HTTP/1.1\r\nhost: a\r\ntransfer-encoding: "
            b'chunked\r\n\r\n4\r\n[{"x\r\n6;a=b\r\n": 1}]\r\n0\r\nt: 1\r\n\r\n'
        ),
        200,
    ),
)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with running(loaded(tmp_path_factory.mktemp("cut") / "model")) as server:
        yield server


@given(
    st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=8),
    st.lists(st.integers(0, 20_000), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_requests_that_are_cut_anywhere_are_answered_in_their_order(live, requests, cuts):
    data = b"".join(request for request, _ in requests)
    points = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    caller = Caller(live.port)
    for start, end in pairwise(points):
        caller.send(data[start:end])
    assert [caller.answer()[0] for _ in requests] == [status for _, status in requests]
    caller.close()


@given(st.binary(max_size=300), st.sampled_from(REQUESTS), st.integers(0, 200))
@example(b"\r\n" * 100, REQUESTS[0], 0)
@settings(max_examples=100, deadline=None)
def test_whatever_is_sent_nobody_else_notices(live, noise, request, place):
    data, _ = request
    caller = Caller(live.port)
    caller.send(data[:place] + noise + data[place:])
    caller.close()
    assert Caller(live.port).post().answer()[0] == 200


def test_once_everybody_has_left_nothing_is_kept(live):
    with running(live._model) as fresh:
        callers = [
            Caller(fresh.port).send(data[: len(data) // 2] + b"\x00") for data, _ in REQUESTS
        ]
        for caller in callers:
            caller.close()
        assert Caller(fresh.port).post().answer()[0] == 200
    assert (fresh.connections.bytes, fresh.connections.open, fresh.connections.waiting) == (
        0,
        set(),
        {},
    )
