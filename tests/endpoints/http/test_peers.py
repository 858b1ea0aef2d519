"""Whose a connection of this machine is, as Linux says it; and what is so where nobody says it."""

import os
import socket
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from isthmus.endpoints.http import peers
from isthmus.storage import wait
from isthmus.ui import server
from isthmus.ui.access import access_refusal, who
from isthmus.ui.application import Application

known = pytest.mark.skipif(
    not peers.kernel_tells(), reason="this system does not tell whose a connection is"
)


@pytest.fixture(params=["127.0.0.1", "::1"])
def listening(request):
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    try:
        server = socket.create_server((request.param, 0), family=family)
    except OSError:
        pytest.skip(f"there is no {request.param} here")
    with server:
        yield server


@pytest.fixture
def ends(listening):
    with socket.create_connection(listening.getsockname()[:2]), listening.accept()[0] as accepted:
        yield accepted.getpeername(), accepted.getsockname()


@known
def test_the_kernels_answer_and_its_list_name_the_same_user_and_neither_one_that_is_not_connected(
    ends,
):
    peer, local = ends
    assert peers._owner_by_netlink(peer, local) == peers._owner_by_proc(peer, local)
    assert peers._owner(peer, local) == os.getuid()
    assert (
        peers._owner_by_netlink(peer, (local[0], 1))
        == peers._owner_by_proc(peer, (local[0], 1))
        == (0, 0)
    )


@known
def test_ones_own_connection_comes_in_and_one_that_its_client_has_closed_does_not(listening):
    client = socket.create_connection(listening.getsockname()[:2])
    accepted, _ = listening.accept()
    with accepted:
        peer, local = accepted.getpeername(), accepted.getsockname()
        assert peers.stranger(frozenset(), peer, local) is None
        client.sendall(b"a request")
        client.close()
        wait(lambda: peers.stranger(frozenset(), peer, local), bool, deadline=timedelta(seconds=60))
        assert peers.stranger(None, peer, local) is None


@known
@pytest.mark.parametrize("user", [4711, peers.UNMAPPED])
def test_another_user_comes_in_only_by_name_and_so_does_a_user_of_another_namespace(
    ends, monkeypatch, user
):
    monkeypatch.setattr(peers, "_owner", lambda *_: user)
    refused = peers.stranger(frozenset(), *ends)
    assert (refused.status, f"{peers.ALLOW_USER}=" in refused.message) == (403, True)
    assert peers.stranger(frozenset({user}), *ends) is None


@known
def test_a_connection_of_another_machine_is_the_tokens_matter():
    assert peers.stranger(frozenset(), ("198.51.100.7", 40_000), ("192.0.2.1", 8800)) is None


def test_the_setting_names_users_by_name_and_number():
    assert peers.allowed_users({}) == frozenset()
    assert peers.allowed_users({peers.ALLOW_USER: "root, 4711,"}) == {0, 4711}
    assert peers.allowed_users({peers.ALLOW_USER: "root,*"}) is None


def test_where_nobody_says_whose_a_connection_is_the_pages_draw_a_token_that_their_address_carries(
    monkeypatch,
):
    monkeypatch.setattr(server, "kernel_tells", lambda: False)
    to = server.access(host="127.0.0.1", allow_hosts=(), token=None, proxy=None, write=True)
    address = server.with_token("http://127.0.0.1:8790", to)
    token = address.removeprefix("http://isthmus:").partition("@")[0].encode()
    host = (b"host", b"127.0.0.1:8790")
    assert access_refusal(to, "GET", "/experiments", [host]).status == 401
    assert (
        access_refusal(to, "GET", "/experiments", [host, (b"authorization", b"Bearer " + token)])
        is None
    )
    assert who(to, {}) is None, "it is the user of this machine"
    client = TestClient(
        Application(lambda: None, to), base_url="http://127.0.0.1:8790", follow_redirects=False
    )
    home = client.get("/", auth=("isthmus", token.decode())).headers["location"]
    assert home == "http://127.0.0.1:8790/experiments", "without the password"
    monkeypatch.setattr(server, "kernel_tells", lambda: True)
    assert (
        server.access(
            host="127.0.0.1", allow_hosts=(), token=None, proxy=None, write=True
        ).door.token
        is None
    )
