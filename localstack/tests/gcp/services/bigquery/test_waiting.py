"""Queries that somebody waits for."""

import contextlib
import json
import socket
import time
from urllib.parse import urlsplit

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

WAITING = 60  # more than the stack has threads for handlers
ENDLESS = (
    "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 100000)) a, UNNEST(GENERATE_ARRAY(1, 100000)) "
    "b WHERE MOD(a * b, 7) = 1"
)
QUERIES = "/bigquery/v2/projects/shop-project/queries"


def _asked(gcp, method, path, body=b""):
    """A connection whose request the stack has read: it says so by 100 Continue, and answers when
    it answers.
    """
    address = urlsplit(gcp.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=120)
    lines = (
        f"{method} {path} HTTP/1.1",
        f"Host: {address.netloc}",
        "Connection: close",
        "Expect: 100-continue",
        f"Content-Length: {len(body)}",
    )
    head = "".join(f"{line}\r\n" for line in (*lines, ""))
    connection.sendall(head.encode() + body)
    assert connection.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return connection


def _answer(connection):
    with connection.makefile("rb") as stream:
        head, _, body = stream.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def _running(client):
    """The one job that runs, once it does: that a request has been read does not say that its job
    has begun.
    """
    deadline = time.monotonic() + 120
    while not (jobs := list(client.list_jobs(state_filter="running"))):
        assert time.monotonic() < deadline
    (job,) = jobs
    return job


@pytest.mark.parametrize("by", ["query", "getQueryResults"])
def test_sixty_that_wait_for_a_query_leave_storage_answering(gcp, client, by):
    query = {"query": ENDLESS, "useLegacySql": False, "requestId": "the-same", "timeoutMs": 200000}
    with contextlib.ExitStack() as open_:
        if by == "query":  # one request id: one job, for which each of them waits
            waiting = [
                open_.enter_context(_asked(gcp, "POST", QUERIES, json.dumps(query).encode()))
                for _ in range(WAITING)
            ]
        else:
            with _asked(
                gcp, "POST", QUERIES, json.dumps({**query, "timeoutMs": 0}).encode()
            ) as connection:
                job = _answer(connection)[1]["jobReference"]["jobId"]
            path = f"{QUERIES}/{job}?timeoutMs=200000"
            waiting = [open_.enter_context(_asked(gcp, "GET", path)) for _ in range(WAITING)]
        files = storage.Client(
            project="shop-project",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": gcp.url},
        )
        assert files.create_bucket("beside", timeout=120).name == "beside"
        client.cancel_job(_running(client).job_id)
        for connection in waiting:
            status, body = _answer(connection)
            assert (status, body["error"]["errors"][0]["reason"]) == (499, "stopped"), body


def test_a_query_that_takes_longer_than_its_timeout_is_answered_as_not_complete(gcp, client):
    with _asked(
        gcp,
        "POST",
        QUERIES,
        json.dumps({"query": ENDLESS, "useLegacySql": False, "timeoutMs": 50}).encode(),
    ) as connection:
        status, body = _answer(connection)
    assert (status, body["jobComplete"]) == (200, False)
    client.cancel_job(body["jobReference"]["jobId"])
