"""The gateway as a service, without its server: what it answers, who may ask, what it counts."""

import asyncio
import json
import socket
import threading
from datetime import timedelta

import jsonschema
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from isthmus.adapters.local.events.log import LocalEventLog
from isthmus.endpoints.asgi import of_environment
from isthmus.endpoints.gateway.http import application as asgi
from isthmus.endpoints.gateway.http.application import MAX_BYTES, Application
from isthmus.endpoints.gateway.http.sample import Sampler
from isthmus.endpoints.gateway.http.service import Service
from isthmus.endpoints.gateway.http.service import served_endpoints as served_names
from isthmus.endpoints.http.door import door
from isthmus.endpoints.http.peers import kernel_tells
from isthmus.errors import Invalid, LimitExceeded
from isthmus.storage import wait
from isthmus.tests.cli.running import isthmus
from isthmus.tests.endpoints import mini
from isthmus.tests.endpoints.gateway.gateway_kit import deployed

pytestmark = pytest.mark.slow

JSON = {"host": "localhost:8800", "content-type": "application/json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with deployed(tmp_path_factory.mktemp("mini")) as folder:
        yield folder


class Caller:
    """An application without a server, on a loop that goes on between requests."""

    def __init__(self, application):
        self.application = application
        self.loop = asyncio.new_event_loop()

    def ask(self, method, path, body=b"", headers=JSON, server=("127.0.0.1", 8800), client=None):
        sent = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "server": server,
            "client": client,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()]
            if isinstance(headers, dict)
            else headers,
        }
        parts = [body[at : at + 65_536] for at in range(0, len(body), 65_536)] or [b""]

        async def receive():
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message):
            sent.append(message)

        self.loop.run_until_complete(self.application({**scope}, receive, send))
        text = b"".join(message.get("body", b"") for message in sent[1:])
        kind = dict(sent[0]["headers"])[b"content-type"]
        return sent[0]["status"], json.loads(text) if kind == b"application/json" else text.decode()

    def rank(self, request, **changed):
        return self.ask(
            "POST",
            "/rank",
            request if isinstance(request, bytes) else json.dumps(request).encode(),
            **changed,
        )

    def ready(self):
        self.loop.run_until_complete(self.application.warmed())

    def close(self):
        self.loop.run_until_complete(self.application.close())
        self.loop.close()


class Held:
    """A sampler that begins when it may: until then a gateway warms up."""

    def __init__(self, sampler):
        self.sampler, self.may = sampler, threading.Event()

    def sample(self, endpoint):
        assert self.may.wait(120)
        return self.sampler.sample(endpoint)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def caller(folder, shared):
    project = mini.opened(folder)
    sampler = Held(Sampler(project=str(folder / "project.yaml"), folder=str(shared)))
    made = Application(
        lambda: Service(project, (), folder=shared, slot=0, sampler=sampler),
        door(listen="127.0.0.1"),
    )
    caller = Caller(made)
    assert caller.ask("GET", "/ping") == (200, {"status": "alive"})
    status, health = caller.ask("GET", "/health")
    assert (status, health["endpoints"]["ranker"]["problem"]) == (503, "it is warming up")
    sampler.may.set()
    caller.ready()
    yield caller
    caller.close()


def test_it_ranks_and_its_answer_is_as_its_document_says(caller):
    status, ranking = caller.rank(mini.REQUEST)
    assert (status, len(ranking["items"])) == (200, 3)
    assert caller.rank({**mini.REQUEST, "endpoint": "ranker"})[0] == 200
    status, document = caller.ask("GET", "/openapi.json")
    assert status == 200
    OpenAPIV31SpecValidator(document).validate()
    schemas = document["components"]["schemas"]

    def valid(value, name):
        return jsonschema.Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        ).is_valid(value)

    assert valid(ranking, "Ranking")
    assert schemas["RankerRequest"]["oneOf"][0]["title"] == "rank items"
    assert valid(caller.ask("GET", "/health")[1], "Health")
    for request in (
        mini.REQUEST,
        {"visitor_id": 7, "segment_id": "a", "item_id": [1], "position": 2},
        {"visitor_id": "v", "segment_id": "a", "item_id": [1], "position": "first"},
        {"visitor_id": "v", "segment_id": "a", "item_id": list(range(1001))},
        {**mini.REQUEST, "endpoint": "other"},
        {**mini.REQUEST, "nothing": 1},
        {**mini.REQUEST, "slots": 0},
        {**mini.REQUEST, "item_id": []},
        {**mini.REQUEST, "item_id": ["1"]},
        {"segment_id": "a", "item_id": [1]},
        {"visitor_id": "v", "segment_id": "a", "item_id": 1},
    ):
        assert valid(request, "RankerRequest") is (caller.rank(request)[0] == 200), request


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "not a JSON object"),
        (b"[1]", 400, "not a JSON object"),
        (b'{"a": ' * 100_000, 400, "not a JSON object"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "not a JSON object"),
        (b'{"visitor_id": "\xff\xfe", "item_id": [1]}', 400, "not a JSON object"),
        (b'{"visitor_id": "v"}', 400, "no key is a list"),
        (
            b'{"visitor_id": "v", "endpoint": "other", "item_id": [1]}',
            404,
            "there is no endpoint 'other' here",
        ),
        (
            b'{"visitor_id": "v", "endpoint": ["ranker"], "item_id": [1]}',
            404,
            "there is no endpoint",
        ),
        (b"." * (MAX_BYTES + 1), 413, "1,048,576 bytes"),
    ],
)
def test_a_body_that_cannot_be_ranked_is_refused_in_json(caller, body, status, word):
    refused, answer = caller.rank(body)
    assert refused == status
    assert word in answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "changed", "status"),
    [
        ("GET", "/rank", {}, 405),
        ("POST", "/health", {}, 405),
        ("GET", "/", {}, 404),
        ("POST", "/rank", {"origin": "https://evil.example"}, 403),
        ("POST", "/rank", {"sec-fetch-site": "cross-site"}, 403),
        ("POST", "/rank", {"content-type": "text/plain"}, 415),
        ("POST", "/rank", {"host": "evil.example"}, 403),
        ("GET", "/metrics", {"host": "evil.example"}, 403),
        ("GET", "/health", {"host": "10.0.0.7"}, 200),
        ("GET", "/ping", {"host": "10.0.0.7"}, 200),
    ],
)
def test_it_answers_programs_under_its_own_names(caller, method, path, changed, status):
    assert (
        caller.ask(method, path, json.dumps(mini.REQUEST).encode(), headers=JSON | changed)[0]
        == status
    )


def test_bodies_that_are_too_much_together_are_told_503_and_counted_no_more_once_answered(
    caller, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(asgi, "MOST_BODIES", 20)
        status, answer = caller.rank(mini.REQUEST)
        assert (status, answer["error"]) == (503, "the requests that are here have 20 bytes")
    assert caller.rank(b"." * (MAX_BYTES + 1))[0] == 413
    assert caller.rank(b"[1]")[0] == 400
    assert caller.rank(mini.REQUEST)[0] == 200
    assert caller.application._bodies == 0


@pytest.mark.parametrize("name", [b"host", b"origin", b"x-api-key", b"content-type"])
def test_a_header_that_decides_and_is_there_twice_is_refused(caller, name):
    headers = [(key.encode(), value.encode()) for key, value in JSON.items()]
    status, answer = caller.ask(
        "POST",
        "/rank",
        json.dumps(mini.REQUEST).encode(),
        headers=[(name, b"evil"), (name, b"evil"), *headers],
    )
    assert (status, answer["error"]) == (400, f"the request has {name.decode()} twice")


def test_a_key_that_no_text_can_hold_is_the_callers_mistake(caller):
    """JSON may escape half of a surrogate pair, which is no character."""
    status, answer = caller.rank(b'{"visitor_id": "\\ud800", "segment_id": "a", "item_id": [1]}')
    assert status == 400, answer


def test_metrics_count_answers_by_endpoint_variant_and_status(caller):
    def count(line):
        return sum(
            int(text.rpartition(" ")[2])
            for text in caller.ask("GET", "/metrics")[1].splitlines()
            if text.startswith(line)
        )

    good, bad = (
        'isthmus_gateway_requests_total{endpoint="ranker",variant="c',
        'isthmus_gateway_requests_total{endpoint="ranker",variant="",status="400"}',
    )
    before = count(good), count(bad)
    for _ in range(5):
        caller.rank(mini.REQUEST)
    caller.rank({"visitor_id": "v"})
    assert (count(good), count(bad)) == (before[0] + 5, before[1] + 1)
    assert (
        count(
            'isthmus_gateway_request_seconds_bucket{endpoint="ranker",variant="champion",status="200",le="+Inf"}'
        )
        > 0
    )
    assert count("isthmus_gateway_undelivered_exposures_total") == 0
    assert (
        'isthmus_gateway_feature_age_seconds{view="item_history"} '
        in caller.ask("GET", "/metrics")[1]
    )


def test_rows_of_any_stream_that_are_lost_are_counted(caller):
    lost = caller.application._service._served["ranker"].gateway._writer.undelivered
    before = caller.ask("GET", "/health")[1]["undelivered_rows"]
    lost.update({"rankings": 1, "assignments": 2})
    lines = caller.ask("GET", "/metrics")[1].splitlines()
    for line in (
        'exposures_total{endpoint="ranker"} 0',
        'rows_total{endpoint="ranker",stream="exposures"} 0',
    ):
        assert f"isthmus_gateway_undelivered_{line}" in lines
    for stream in ("rankings", "assignments"):
        assert (
            f'isthmus_gateway_undelivered_rows_total{{endpoint="ranker",stream="{stream}"}} '
            f"{lost[stream]}" in lines
        )
    caller.application._looked = 0.0
    assert caller.ask("GET", "/health")[1]["undelivered_rows"] == before + 3


def test_health_says_what_is_missing_when_features_cannot_be_read(caller, monkeypatch):
    from isthmus.errors import Unavailable

    service = caller.application._service

    def silent(_request):
        raise Unavailable("the store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(service._served["ranker"].gateway, "look", silent)
        caller.application._looked = 0.0
        status, health = caller.ask("GET", "/health")
    assert (status, health["endpoints"]["ranker"]["problem"]) == (503, "the store does not answer")
    assert health["ready_workers"] == 0
    caller.application._looked = 0.0
    assert caller.ask("GET", "/health")[0] == 200


def test_health_is_not_ready_while_rows_are_being_lost_and_is_again_once_they_can_be_stored(
    caller, monkeypatch
):
    """Nobody ranks meanwhile, as nobody is sent to a gateway that is not ready."""

    def full(*_):
        raise LimitExceeded("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(LocalEventLog, "append", full)
        assert caller.rank(mini.REQUEST)[0] == 200

        def health():
            caller.application._looked = 0.0
            return caller.ask("GET", "/health")

        status, told = wait(health, lambda answer: answer[0] != 200, deadline=timedelta(minutes=2))
        assert status == 503
        assert "what it logs is being lost" in told["endpoints"]["ranker"]["problem"]
        assert "the disk is full" in told["endpoints"]["ranker"]["problem"]
        assert health()[0] == 503
    wait(health, lambda answer: answer[0] == 200, deadline=timedelta(minutes=2))


def test_any_asgi_server_may_run_it_and_no_stranger_reaches_it_without_a_token(folder):
    caller = Caller(
        of_environment(
            {"ISTHMUS_PROJECT": str(folder), "ISTHMUS_ALLOW_HOST": "ranker.example, other"}
        )
    )
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        ends = {"server": server.getsockname(), "client": client.getsockname()}
        assert caller.rank(mini.REQUEST, **ends)[0] == 200
        assert (
            caller.rank(mini.REQUEST, headers=JSON | {"host": "ranker.example"}, **ends)[0] == 200
        )
        if kernel_tells():
            for hidden in (
                None,
                ("198.51.100.7", 0),
            ):  # a server that reads it from a header, or tells none
                status, answer = caller.rank(mini.REQUEST, **ends | {"client": hidden})
                assert (status, "ISTHMUS_ALLOW_USER=*" in answer["error"]) == (403, True)
    assert caller.rank(mini.REQUEST, server=("/run/gateway.sock", None))[0] == 200, (
        "whom the socket's file lets in"
    )
    status, answer = caller.rank(mini.REQUEST, server=("10.0.0.7", 80))
    assert status == 403
    assert "set ISTHMUS_TOKEN" in answer["error"]
    assert caller.ask("GET", "/health", server=("10.0.0.7", 80))[0] in (200, 503)
    shared = caller.application._service.folder
    assert shared.exists()
    caller.close()
    assert not shared.exists()
    caller = Caller(
        of_environment({"ISTHMUS_PROJECT": str(folder / "project.yaml"), "ISTHMUS_TOKEN": "s3cret"})
    )
    assert caller.rank(mini.REQUEST, server=("10.0.0.7", 80))[0] == 401
    assert (
        caller.rank(
            mini.REQUEST, server=("10.0.0.7", 80), headers=JSON | {"authorization": "Bearer s3cret"}
        )[0]
        == 200
    )
    caller.close()


def test_a_request_says_which_endpoint_where_several_are_served(folder, shared):
    with mini.opened(folder) as project:
        ranker = project.spec.endpoints["ranker"]
        project.spec.endpoints["other"] = msgspec.structs.replace(ranker, name="other")
        sampler = Sampler(project=str(folder / "project.yaml"), folder=str(shared))
        service = Service(project, (), folder=shared, slot=1, sampler=sampler)
        assert service.names == ("ranker", "other")
        answer = service.calls.rank(json.dumps(mini.REQUEST).encode())
        assert (answer.status, json.loads(answer.body)["error"]) == (
            400,
            "the body has no endpoint",
        )
        answer = service.calls.rank(json.dumps({**mini.REQUEST, "endpoint": "ranker"}).encode())
        assert (answer.status, answer.endpoint) == (200, "ranker")
        answer = service.calls.rank(json.dumps({**mini.REQUEST, "endpoint": "other"}).encode())
        assert (answer.status, answer.endpoint) == (404, "other"), "it is not deployed"
        assert not service.warm(), "and so the whole is not ready"
        assert service.as_it_was().endpoints["ranker"].ready
        project.spec.endpoints["other"] = msgspec.structs.replace(
            ranker, name="other", unit="endpoint"
        )
        with pytest.raises(Invalid, match="an attribute `endpoint`"):
            served_names(project, ())
        service.close()


def test_beyond_this_machine_it_does_not_start_without_a_token(folder, monkeypatch):
    monkeypatch.delenv("ISTHMUS_TOKEN", raising=False)
    said = isthmus(folder, "gateway", "--host", "0.0.0.0", ok=False)
    assert said.code == 1
    assert "set ISTHMUS_TOKEN" in said.err
    assert "no endpoint nothing" in isthmus(folder, "gateway", "nothing", ok=False).err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = isthmus(folder, "gateway", "--port", taken.getsockname()[1], ok=False)
    assert "nothing can listen on 127.0.0.1 port" in said.err
