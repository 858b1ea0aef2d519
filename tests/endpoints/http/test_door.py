"""Who may come in, by headers alone."""

import pytest

from isthmus.endpoints.http.door import PROVIDERS, door, refusal, without_port

OURS = door(listen="127.0.0.1")
JSON = {b"host": b"localhost:8800", b"content-type": b"application/json"}


def status(at, headers, method=b"POST", path=b"/rank"):
    refused = refusal(at, method, path, headers)
    return refused.status if refused else None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({b"content-type": b"application/json; charset=utf-8"}, None),
        ({b"host": b"127.0.0.1:1"}, None),
        ({b"host": b"[::1]:8800"}, None),
        ({b"origin": b"http://localhost:8800"}, None),
        ({b"sec-fetch-site": b"same-origin"}, None),
        ({b"origin": b"http://localhost:9999"}, 403),
        ({b"origin": b"https://evil.example"}, 403),
        ({b"origin": b"null"}, 403),
        ({b"sec-fetch-site": b"cross-site"}, 403),
        ({b"sec-fetch-site": b"same-site"}, 403),
        ({b"host": b"evil.example"}, 403),
        ({b"host": b"localhost.evil.example"}, 403),
        ({b"host": b""}, 403),
        ({b"content-type": b"text/plain"}, 415),
        ({b"content-type": b"application/x-www-form-urlencoded"}, 415),
        ({b"content-type": b"multipart/form-data; boundary=application/json"}, 415),
        ({b"content-type": b""}, 415),
    ],
)
def test_a_server_of_ours_answers_programs_on_its_own_hosts_with_json(changed, expected):
    assert status(OURS, JSON | changed) == expected


@pytest.mark.parametrize("path", [b"/health", b"/ping"])
def test_a_probe_needs_neither_host_nor_token(path):
    beyond = door(listen="0.0.0.0", token="secret")
    assert status(beyond, {b"host": b"10.0.0.7:8800"}, b"GET", path) is None
    assert status(beyond, {b"host": b"10.0.0.7:8800"}, b"POST", path) == 403
    assert (
        status(beyond, {b"host": b"10.0.0.7", b"origin": b"https://evil.example"}, b"GET", path)
        == 403
    )


def test_beyond_loopback_a_token_is_asked_for():
    with pytest.raises(ValueError, match="ISTHMUS_TOKEN"):
        door(listen="0.0.0.0")
    beyond = door(listen="0.0.0.0", allow_hosts=["Rank.Example"], token="secret")
    sent = JSON | {b"host": b"rank.example:80"}
    assert status(beyond, sent) == 401
    assert status(beyond, sent | {b"authorization": b"Bearer secret"}) is None
    assert status(beyond, sent | {b"authorization": b"bearer  secret"}) is None
    assert status(beyond, sent | {b"x-api-key": b"secret"}) is None
    assert status(beyond, sent | {b"authorization": b"Basic secret"}) == 401
    assert status(beyond, sent | {b"x-api-key": b"secre"}) == 401
    assert status(beyond, sent | {b"host": b"other.example", b"x-api-key": b"secret"}) == 403


def test_the_address_that_it_listens_on_is_a_host_of_its_own():
    assert (
        status(
            door(listen="10.0.0.7", token="s"),
            JSON | {b"host": b"10.0.0.7:8800", b"x-api-key": b"s"},
        )
        is None
    )


@pytest.mark.parametrize("name", ["rank.example", " Rank.Example:8800", "rank.example:"])
def test_an_allowed_host_may_be_written_with_its_port(name):
    assert (
        status(door(listen="127.0.0.1", allow_hosts=[name]), JSON | {b"host": b"rank.example:80"})
        is None
    )


@pytest.mark.parametrize("name", ["2001:db8::7", "[2001:DB8::7]"])
def test_an_allowed_address_may_be_of_ipv6(name):
    assert (
        status(door(listen="127.0.0.1", allow_hosts=[name]), JSON | {b"host": b"[2001:db8::7]:80"})
        is None
    )


@pytest.mark.parametrize(
    "name",
    ["https://rank.example", "rank.example/rank", "*", "*.example", "rank.example:http", ":8800"],
)
def test_an_allowed_host_that_no_caller_can_send_is_refused(name):
    with pytest.raises(ValueError, match="is no name"):
        door(listen="127.0.0.1", allow_hosts=[name])


def test_white_space_around_a_token_is_not_part_of_it():
    beyond = door(listen="0.0.0.0", allow_hosts=["a"], token="secret\n")
    assert status(beyond, JSON | {b"host": b"a", b"x-api-key": b"secret"}) is None
    with pytest.raises(ValueError, match="ISTHMUS_TOKEN"):
        door(listen="0.0.0.0", token=" \n")


def test_a_refused_host_is_named():
    refused = refusal(OURS, b"GET", b"/metrics", {b"host": b"shop.internal"})
    assert refused is not None
    assert "'shop.internal'" in refused.message
    assert "--allow-host" in refused.message


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({b"host": b"anything.example", b"content-type": b"text/csv"}, None),
        ({b"sec-fetch-site": b"none"}, None),
        ({b"origin": b"http://localhost:8800"}, 403),
        ({b"sec-fetch-site": b"cross-site"}, 403),
    ],
)
def test_a_providers_wire_takes_any_host_and_no_web_page(changed, expected):
    assert status(PROVIDERS, JSON | changed) == expected


def test_a_host_is_compared_without_its_port():
    assert [without_port(host) for host in (b"[::1]:80", b"[::1]", b"a:1", b"a")] == [
        b"[::1]",
        b"[::1]",
        b"a",
        b"a",
    ]
