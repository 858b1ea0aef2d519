"""A request like the one before it is known by its head, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.endpoints.http.door import Refusal
from isthmus.endpoints.serving.connections import Request
from isthmus.endpoints.serving.repeated import head_of
from isthmus.tests.endpoints.serving.served import post


def request_of(body):
    request = Request(None)
    request.method, request.path, request.headers = (
        b"POST",
        b"/invocations",
        {b"content-type": b"application/json"},
    )
    request.body, request.size, request.keep = body, len(body), True
    return request


HEAD = head_of(request_of(b"[1]"), post(b"[1]"))


@given(st.binary(max_size=2_000))
def test_it_is_known_whatever_the_body(body):
    assert HEAD.body(post(body)) == body
    again = HEAD.again(None, body)
    assert (again.method, again.path, again.headers, again.body, again.size, again.keep) == (
        *(b"POST", b"/invocations", {b"content-type": b"application/json"}),
        *(body, len(body), True),
    )


@given(st.binary(max_size=50), st.integers(0, 200), st.binary(max_size=5))
def test_what_is_changed_anywhere_in_its_head_or_length_is_another(body, place, noise):
    data = post(body)
    place = min(place, len(data) - len(body) - 1)
    changed = data[:place] + noise + data[place + len(noise) :]
    if changed[: len(data) - len(body)] != data[: len(data) - len(body)]:
        known = HEAD.body(changed)
        assert known is None or changed == post(known)  # a length that is the right one, too
    assert HEAD.body(data + b"P") is None
    assert HEAD.body(data[:-1]) is None


@pytest.mark.parametrize(
    "digits", [b"", b"+3", b" 3", b"3 ", b"03a", b"1" * 5_000, "\u0663".encode()]
)
def test_a_length_that_is_no_plain_number_is_left_to_who_knows_http(digits):
    assert HEAD.body(post(b"[1]").replace(b"length: 3", b"length: " + digits)) is None


def test_of_what_is_refused_ends_its_connection_or_came_in_parts_nothing_is_known():
    refused, ends, asks = (request_of(b"[1]") for _ in range(3))
    refused.refused, ends.keep, asks.expects = Refusal(403, "Forbidden", "no"), False, True
    assert [head_of(request, post(b"[1]")) for request in (refused, ends, asks)] == [None] * 3
    assert head_of(request_of(b"[1]"), post(b"[1]")[:60]) is None
    assert (
        head_of(
            request_of(b"[1]"),
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n",
        )
        is None
    )
