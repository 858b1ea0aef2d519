"""Who may ask the offline GCP: whoever has a token of its account, and its user's own programs;
nobody else on this machine.
"""

import contextlib
import ctypes
import http.client
import json
import os
import socket
import threading
from urllib.parse import urlencode, urlsplit

import google.auth.crypt
import google.auth.jwt
import grpc
import pytest
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession, Request
from google.cloud import pubsub_v1
from google.oauth2 import service_account

from isthmus_stack.core.http import peers
from isthmus_stack.core.state import Stack
from isthmus_stack.gcp.core.environment import ACCOUNT
from isthmus_stack.gcp.core.http_messages import HttpRequest
from isthmus_stack.gcp.core.identity.callers import Callers, peer_of
from isthmus_stack.gcp.core.identity.keys import Keys

from ..conftest import PARENT, PROJECT

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOPIC = f"projects/{PROJECT}/topics/orders"


def other_users_socket(port):
    """Connected to a port of this machine; the kernel says that it is user 4711's."""
    libc = ctypes.CDLL(None)
    libc.setfsuid(4711)  # this thread's alone, and for a socket what counts
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=60)
    finally:
        libc.setfsuid(os.getuid())


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")


@contextlib.contextmanager
def passed_on(port):
    """The address of a door that leads to the port by another user's socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def relay():
            inner, outer = server.accept()[0], other_users_socket(port)
            threading.Thread(target=copied, args=(outer, inner), daemon=True).start()
            copied(inner, outer)

        threading.Thread(target=relay, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def copied(source, goal):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            goal.sendall(data)
    for end in (source, goal):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def over_http(connection, method, path, headers=None):
    connection.request(method, path, headers=headers or {})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read().decode()


def create_topic(address, token=None):
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        client = pubsub_v1.PublisherClient(
            transport=pubsub_v1.PublisherClient.get_transport_class("grpc")(channel=channel)
        )
        metadata = [("authorization", f"Bearer {token}")] if token else []
        return client.create_topic(
            request={"name": TOPIC}, metadata=metadata, retry=None, timeout=60
        )


def test_a_token_that_the_stack_did_not_give_is_refused_over_both_transports_before_anything_is_done(
    gcp,
):
    connection = http.client.HTTPConnection(urlsplit(gcp.url).netloc, timeout=60)
    with contextlib.closing(connection):
        path = f"/v1/{PARENT}/endpoints"
        status, headers, body = over_http(
            connection, "GET", path, {"Authorization": "Bearer ya29.somebody"}
        )
        error = json.loads(body)["error"]
        assert (status, error["status"], error["errors"][0]["reason"]) == (
            401,
            "UNAUTHENTICATED",
            "authError",
        )
        assert headers["WWW-Authenticate"].startswith("Bearer ")
        assert "GOOGLE_APPLICATION_CREDENTIALS" in error["message"]
        assert "--open" in error["message"]
        assert over_http(connection, "GET", path, {"Authorization": "Basic b2ZmbGluZTo="})[0] == 401
        assert over_http(connection, "GET", path)[0] == 200, "as the SDKs' emulator variables ask"
    with pytest.raises(Exception, match="invalid authentication credentials") as refused:
        create_topic(gcp.grpc_address, "ya29.somebody")
    assert refused.value.grpc_status_code is grpc.StatusCode.UNAUTHENTICATED
    assert not [call for call in gcp.calls() if call.service == "pubsub"]
    publisher = gcp.client(pubsub_v1.PublisherClient)
    with pytest.raises(Exception, match="not found"):
        publisher.get_topic(topic=TOPIC)


def test_googles_own_client_of_a_service_account_is_let_in_with_the_token_that_it_asks_for_and_with_the_one_that_it_signs(
    gcp,
):
    ours = gcp.credentials()
    session = AuthorizedSession(ours)
    session.trust_env = False
    assert session.get(f"{gcp.url}/v1/{PARENT}/endpoints").status_code == 200
    assert ours.token != "offline"
    assert create_topic(gcp.grpc_address, ours.token).name == TOPIC
    signed = ours.with_always_use_jwt_access(True)
    signed._create_self_signed_jwt("https://aiplatform.googleapis.com/")
    signed.refresh(Request())
    own_jwt = signed.token
    connection = http.client.HTTPConnection(urlsplit(gcp.url).netloc, timeout=60)
    with contextlib.closing(connection):
        assert (
            over_http(
                connection, "GET", f"/v1/{PARENT}/endpoints", {"Authorization": f"Bearer {own_jwt}"}
            )[0]
            == 200
        )
        flipped = own_jwt[:-8] + own_jwt[-8:].swapcase()
        assert (
            over_http(
                connection, "GET", f"/v1/{PARENT}/endpoints", {"Authorization": f"Bearer {flipped}"}
            )[0]
            == 401
        )


def test_another_key_gets_no_token_and_is_told_so_in_googles_words(gcp, tmp_path):
    other = Keys(tmp_path / "other", f"{gcp.url}/token")
    with pytest.raises(RefreshError, match="Invalid JWT Signature"):
        service_account.Credentials.from_service_account_file(
            other.account, scopes=[SCOPE]
        ).refresh(Request())


@needs_root
def test_another_users_process_is_refused_at_every_door_and_let_in_with_a_token(gcp):
    port = urlsplit(gcp.url).port
    connection = http.client.HTTPConnection("127.0.0.1", port)
    with contextlib.closing(connection):
        connection.sock = other_users_socket(port)
        path = f"/v1/{PARENT}/endpoints"
        status, _, body = over_http(connection, "GET", path)
        assert (status, json.loads(body)["error"]["status"]) == (401, "UNAUTHENTICATED")
        assert over_http(connection, "POST", "/token")[0] == 400
        ours = gcp.credentials()
        ours.refresh(Request())
        assert (
            over_http(connection, "GET", path, {"Authorization": f"Bearer {ours.token}"})[0] == 200
        )
    with contextlib.closing(other_users_socket(port)) as door:
        door.sendall(b"CONNECT us-central1-aiplatform.googleapis.com:443 HTTP/1.1\r\n\r\n")
        assert door.recv(4096).startswith(b"HTTP/1.1 403 ")
    with (
        passed_on(int(gcp.grpc_address.rpartition(":")[2])) as address,
        pytest.raises(Exception, match="missing required auth") as refused,
    ):
        create_topic(address)
    assert refused.value.grpc_status_code is grpc.StatusCode.UNAUTHENTICATED
    assert not [call for call in gcp.calls() if call.service == "pubsub"]
    with passed_on(int(gcp.grpc_address.rpartition(":")[2])) as address:
        assert create_topic(address, ours.token).name == TOPIC


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path / "keys", "http://127.0.0.1:1/token")


@pytest.fixture
def callers(keys):
    return Callers(_stack(any_key=False), keys.account_key)


def _stack(*, any_key):
    unused = dict.fromkeys(("clock", "faults", "images", "home", "query_memory", "state"))
    return Stack(**unused, any_key=any_key)


def form(assertion, grant="urn:ietf:params:oauth:grant-type:jwt-bearer"):
    body = urlencode({"grant_type": grant, "assertion": assertion}).encode()
    return HttpRequest(method="POST", host="", path="/token", query_lists={}, headers={}, body=body)


def assertion(keys, **claims):
    signer = google.auth.crypt.RSASigner.from_service_account_file(keys.account)
    return google.auth.jwt.encode(signer, {"iss": ACCOUNT, **claims}).decode()


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iat": -7300, "exp": -3700}, "short-lived token"),
        ({"iat": 0, "exp": 4000}, "short-lived token"),
        ({"iat": 1200, "exp": 3600}, "short-lived token"),
        (
            {"iat": 0, "exp": 3600, "iss": "other@offline-project.iam.gserviceaccount.com"},
            "account not found",
        ),
        ({"exp": 3600}, "Invalid JWT Signature"),
    ],
)
def test_a_jwt_whose_time_or_account_is_wrong_is_none(callers, keys, claims, words, monkeypatch):
    now = 1_800_000_000.0
    monkeypatch.setattr("isthmus_stack.gcp.core.identity.callers.time.time", lambda: now)
    jwt = assertion(
        keys,
        **{
            name: value + now if isinstance(value, int) else value for name, value in claims.items()
        },
    )
    answer = callers.token(form(jwt))
    assert answer.status == 400
    assert words in json.loads(answer.body)["error_description"]
    assert callers.refusal(f"Bearer {jwt}", lambda: True) is not None
    assert callers.token(form(jwt, grant="password")).status == 400


def test_a_token_is_good_for_an_hour(callers, keys, monkeypatch):
    now = [1_800_000_000.0]
    monkeypatch.setattr("isthmus_stack.gcp.core.identity.callers.time.time", lambda: now[0])
    jwt = assertion(keys, iat=now[0], exp=now[0] + 3600)
    token = json.loads(callers.token(form(jwt)).body)["access_token"]
    for bearer in (token, jwt):
        assert callers.refusal(f"Bearer {bearer}", lambda: False) is None
    now[0] += 3601
    for bearer in (token, jwt):
        assert callers.refusal(f"Bearer {bearer}", lambda: True) is not None


@pytest.mark.parametrize("authorization", ["", "Bearer owner"])
def test_what_an_emulators_client_sends_is_nobodys_and_needs_a_process_of_ones_own(
    callers, authorization
):
    assert callers.refusal(authorization, lambda: True) is None
    assert callers.refusal(authorization, lambda: False).status == "UNAUTHENTICATED"


def test_where_nobody_says_whose_a_connection_is_a_token_is_needed_and_with_open_none_is(
    callers, keys, monkeypatch
):
    peer = peer_of("ipv4:127.0.0.1:40000")
    assert peer == ("127.0.0.1", 40000)
    assert peer_of("unix:/somewhere") is None
    monkeypatch.setattr(peers, "_owner", lambda *_: None)  # as on macOS
    assert not callers.is_own(peer, 1)
    assert callers.refusal("", lambda: callers.is_own(peer, 1)).status == "UNAUTHENTICATED"
    opened = Callers(_stack(any_key=True), keys.account_key)
    assert opened.refusal("", lambda: False) is None
    assert opened.refusal("Bearer anything", lambda: False) is None


def test_the_doors_own_connection_to_grpc_does_not_pass_for_its_unknown_client(
    callers, monkeypatch
):
    class Transport:
        def set_write_buffer_limits(self, high):
            pass

        def get_extra_info(self, _):
            return ("127.0.0.1", 40000)

        def close(self):
            pass

    monkeypatch.setattr(peers, "_owner", lambda *_: os.getuid())
    assert callers.is_own(("127.0.0.1", 40000), 1)
    way = callers.grpc_pipe(False)(Transport())
    way.connection_made(Transport())
    assert not callers.is_own(("127.0.0.1", 40000), 1)
    way.connection_lost(None)
    assert callers.is_own(("127.0.0.1", 40000), 1)
