"""moto underneath: one request at a time, but for those that wait for others; a body is read as
often as it must be.
"""

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from moto.iam.models import iam_backends

from isthmus_stack.aws.core.policy import managed as managed_policies
from isthmus_stack.aws.core.protocol import moto_server
from isthmus_stack.core.http.answers import WsgiAnswer

PATIENCE = 120  # seconds, for a busy machine


def incoming(service):
    return SimpleNamespace(
        service=service, operation="Do", model=None, environ={"wsgi.input": io.BytesIO(b"")}
    )


@pytest.fixture
def together(monkeypatch):
    """How many of moto's calls ran at once, at most.

    Each goes on when another has come, or is not coming.
    """
    running, most, met = [], [], threading.Barrier(2)

    def call(_app, _environ):
        running.append(1)
        most.append(len(running))
        if not moto_server.SERIAL._is_owned():
            met.wait(PATIENCE)
        running.pop()
        return WsgiAnswer(200, (), b"", None)

    monkeypatch.setattr(moto_server, "call", call)

    def ask(service):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(moto_server.answer, [incoming(service) for _ in range(2)]))
        return max(most)

    return ask


def test_moto_has_one_request_at_a_time(together):
    assert together("dynamodb") == 1


@pytest.mark.parametrize("service", ["sqs", "sns"])
def test_what_may_wait_for_another_request_holds_up_none(together, service):
    assert together(service) == 2


def test_what_moto_could_not_answer_is_read_once_more_for_the_reason(monkeypatch):
    """moto had read the body: the reason was that the client had gone."""

    def crash(_app, environ):
        environ["wsgi.input"].read()
        raise RuntimeError("moto's mistake")

    seen = []
    monkeypatch.setattr(moto_server, "call", crash)
    monkeypatch.setattr(
        moto_server,
        "malformed_error",
        lambda asked: seen.append(asked.environ["wsgi.input"].read()),
    )
    asked = incoming("glue")
    asked.environ["wsgi.input"] = io.BytesIO(b"{}")
    monkeypatch.setattr(
        moto_server,
        "refusal",
        lambda _incoming, error: WsgiAnswer(501, (), str(error).encode(), "NotImplemented"),
    )
    assert moto_server.answer(asked).status == 501
    assert seen == [b"{}"]


def test_awss_managed_policies_are_there_from_the_first_call_of_iam():
    """They take 0.1 s and 17 MB, and moto looks into IAM, into that of each partition, at every
    call.
    """
    account = "999999999999"

    def loaded(service):
        managed_policies.load(
            SimpleNamespace(service=service, account=account, region="cn-north-1")
        )
        return {
            partition: len(iam_backends[account][partition].managed_policies)
            for partition in ("aws", "aws-cn")
        }

    try:
        assert loaded("s3") == {"aws": 0, "aws-cn": 0}
        there = loaded("iam")
        assert (there["aws"], there["aws-cn"] > 1000) == (0, True)
    finally:
        iam_backends.pop(account)
