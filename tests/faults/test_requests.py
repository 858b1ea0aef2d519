"""Requests that cannot be served, through `endpoints serve`: the status says whose fault it is, and
the server goes on.
"""

import json
import re
import signal
import urllib.error
import urllib.request

import pytest

from isthmus.tests.cli.running import isthmus, start
from isthmus.tests.conformance.toy_models import until
from isthmus_stack.core.http.ports import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(served):
    port = free_port()
    child = start(served, "endpoints", "serve", "home", "--port", port)
    line = child.stdout.readline()
    assert re.fullmatch(
        rf"gateway of home on http://127\.0\.0\.1:{port}/rank   Ctrl-C stops it\n", line
    )
    address = f"http://127.0.0.1:{port}"
    until(lambda: answers(f"{address}/ping"), what="the gateway")
    yield address
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=120)
    assert child.returncode in (0, 130)


def answers(address):
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except OSError:
        return False


def post(url, body):
    request = urllib.request.Request(
        f"{url}/rank", data=body, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def good(url):
    return post(url, b'{"visitor_id": "v1", "item_id": [1, 2, 3]}')


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{not json", "not a JSON object"),
        (b"", "not a JSON object"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"visitor_id": "v1"}', "no key is a list"),
        (b'{"visitor_id": "v1", "item_id": ["a"]}', "is not of type int"),
    ],
)
def test_a_request_that_is_wrong_is_the_callers_fault(url, body, word):
    status, said = post(url, body)
    assert status == 400
    assert word in said["error"]
    assert good(url)[0] == 200, "and the server goes on"


def test_a_request_that_is_too_large_is_refused_and_the_server_goes_on(url):
    body = json.dumps({"visitor_id": "v1", "item_id": list(range(400_000))}).encode()
    status, said = post(url, body)
    assert status == 413
    assert "bytes" in said["error"]
    status, ranking = good(url)
    assert status == 200
    assert sorted(ranking["items"]) == [1, 2, 3]


def test_a_request_that_is_too_large_is_refused_on_the_command_line(served):
    body = json.dumps({"visitor_id": "v1", "item_id": list(range(400_000))})
    said = isthmus(served, "endpoints", "invoke", "home", "-", stdin=body, ok=False)
    assert said.code == 1
    assert "400,000 candidates are more than the 1,000 of a request" in said.err
