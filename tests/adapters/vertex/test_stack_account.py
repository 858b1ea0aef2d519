"""Offline, where the kernel does not say whose process asks: each call brings a token of the
stack's own account.
"""

from types import SimpleNamespace

import pytest
from google.auth.credentials import AnonymousCredentials

from isthmus.adapters.vertex import backend, session, stack_account
from isthmus.errors import Denied
from isthmus_stack.gcp.core.identity.keys import Keys


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.setattr(stack_account, "sys", SimpleNamespace(platform="darwin"))


@pytest.mark.slow
def test_calls_over_grpc_and_http_bring_a_token_that_the_stack_takes(target, elsewhere):
    google = session.session_of(target)
    assert list(google.endpoints.list_endpoints(parent=google.parent)) == []
    assert google.http().get(f"{google.endpoint_url}/v1/{google.parent}/endpoints").json() == {}
    assert google._credentials_and_project()[0].token


@pytest.mark.slow
def test_the_token_of_another_account_is_refused(target, elsewhere, tmp_path, monkeypatch):
    google = session.session_of(target)
    other = Keys(tmp_path / "keys", f"{google.endpoint_url}/token")
    monkeypatch.setattr(backend, "account", lambda _: str(other.account))
    with pytest.raises(Denied, match="Invalid JWT Signature"), session.translated("listing"):
        google.endpoints.list_endpoints(parent=google.parent)


def test_a_stack_of_another_user_is_named_before_anything_is_asked(
    elsewhere, monkeypatch, tmp_path
):
    monkeypatch.setattr(backend, "account", lambda _: str(tmp_path / "none.json"))
    with pytest.raises(Denied, match="another user's"):
        stack_account.credentials("http://127.0.0.1:4600")


def test_on_linux_nobodys_credentials_do():
    if stack_account.sys.platform != "linux":
        pytest.skip("elsewhere a token is brought")
    nobody = stack_account.credentials("http://127.0.0.1:4600")
    assert isinstance(nobody, AnonymousCredentials)
    assert stack_account.with_token("a channel", nobody) == "a channel"
