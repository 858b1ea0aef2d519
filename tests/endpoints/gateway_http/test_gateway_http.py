"""The gateway's doors over HTTP, and the genuine OpenFeature SDK with its OFREP provider, in a
process of its own, as a caller.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from types import SimpleNamespace

import jsonschema
import pytest
import uvicorn
from openapi_spec_validator import OpenAPIV31SpecValidator

from isthmus.endpoints.gateway.http.application import Application
from isthmus.endpoints.gateway.http.sample import SampleFailed
from isthmus.endpoints.gateway.http.service import Service
from isthmus.endpoints.http.door import door
from isthmus.tests.conformance.toy_models import until
from isthmus.tests.endpoints import shop
from isthmus.tests.endpoints.gateway_http.test_gateway_calls import CLICK
from isthmus.tests.endpoints.shop import REQUEST, live, run

SECRET = "s3cret"
FLAGS = "/ofrep/v1/evaluate/flags"
CONTEXT = {"context": {"targetingKey": "visitor-1"}}


class Silent:
    def sample(self, _endpoint):
        raise SampleFailed("there is no log")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A gateway on a port, with a token, whose treatment is visitor-1's."""
    project = shop.project(live(run()))
    folder = tmp_path_factory.mktemp("gateway")
    application = Application(
        lambda: Service(project, (), folder=folder, slot=0, sampler=Silent()),
        door(listen="127.0.0.1", token=SECRET),
    )
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(application, lifespan="on", log_level="error", ws="none")
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    until(lambda: (answer := asked(url, "GET", "/health"))[0] == 200 and answer[2]["config"] == 12)
    yield SimpleNamespace(url=url, project=project)
    server.should_exit = True
    thread.join()


def asked(url, method, path, fields=None, **headers):
    """Status, headers and JSON."""
    sent = {"content-type": "application/json", "x-api-key": SECRET} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    request = urllib.request.Request(
        url + path,
        method=method,
        data=None if fields is None else json.dumps(fields).encode(),
        headers=sent,
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            status, body, got = answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        status, body, got = error.code, error.read(), error.headers
    except OSError:
        return 0, {}, None
    return (
        status,
        got,
        json.loads(body) if body and got["content-type"] == "application/json" else body.decode(),
    )


def test_its_document_describes_what_it_answers(served):
    document = asked(served.url, "GET", "/openapi.json")[2]
    OpenAPIV31SpecValidator(document).validate()

    def valid(value, name):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        return jsonschema.Draft202012Validator(schema).is_valid(value)

    ranking = asked(served.url, "POST", "/rank", REQUEST | {"platform": "ios"})[2]
    assert valid(ranking, "Ranking")
    assert ranking["assignments"] == {"blend_up.1": "treatment"}
    request = {"visitor_id": "visitor-1", "platform": "ios", "log": False}
    assert valid(request, "RankerAssignment")
    assert not valid(request | {"item_id": [1]}, "RankerAssignment")
    assert not valid(request | {"platform": "tv"}, "RankerAssignment")
    assert valid(asked(served.url, "POST", "/assign", request | {"age": None})[2], "Assigned")
    assert valid(request | {"age": None}, "RankerAssignment")
    assert not valid(request | {"platform": None}, "RankerAssignment")
    assert valid(CLICK, "ClickEvent")
    assert valid(asked(served.url, "POST", "/track", [CLICK, 7])[2], "Tracked")
    assert valid(asked(served.url, "GET", "/health")[2], "Health")
    told = document["paths"][f"{FLAGS}/{{key}}"]["post"]["responses"]["404"]["content"][
        "application/json"
    ]["schema"]
    assert told == {"$ref": "#/components/schemas/FlagError"}
    assert valid(asked(served.url, "POST", f"{FLAGS}/ranker.nothing", CONTEXT)[2], "FlagError")


def test_health_and_metrics_tell_the_config_its_age_and_the_arms_that_were_given(served):
    health = asked(served.url, "GET", "/health")[2]
    assert (health["ready"], health["config"], health["problems"]) == (True, 12, [])
    assert health["config_age"] >= 0
    asked(served.url, "POST", "/assign", {"visitor_id": "visitor-1"})
    figures = asked(served.url, "GET", "/metrics")[2]
    assert 'isthmus_gateway_config_version{process="0"} 12' in figures
    assert "isthmus_gateway_config_age_seconds" in figures
    assert 'isthmus_gateway_assignments_total{run="blend_up.1",arm="treatment"}' in figures


def test_a_process_that_has_read_no_config_tells_no_age_of_it_also_where_one_before_it_had(
    tmp_path,
):
    """It would be 0, as if all were well."""
    project = shop.project(live(run()))

    def service():
        return Service(project, (), folder=tmp_path, slot=0, sampler=Silent())

    before = service()
    until(lambda: "isthmus_gateway_config_age_seconds{" in before.metrics())
    before.close()
    project.target.state.away = "no route"
    after = service()
    try:
        assert "isthmus_gateway_config" not in after.metrics()
    finally:
        after.close()


def test_all_flags_are_told_again_only_when_they_have_changed(served):
    status, headers, answer = asked(served.url, "POST", FLAGS, CONTEXT)
    assert (status, len(answer["flags"])) == (200, 3)
    again = asked(served.url, "POST", FLAGS, CONTEXT, if_none_match=headers["etag"])
    assert (again[0], again[2]) == (304, "")
    assert "content-length" not in again[1]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", f"{FLAGS}/ranker.blend", {"x_api_key": "another"}, 401),
        ("POST", f"{FLAGS}/ranker.blend", {"host": "elsewhere.example"}, 403),
        ("POST", f"{FLAGS}/ranker.blend", {"content_type": "text/plain"}, 415),
        ("GET", f"{FLAGS}/ranker.blend", {}, 405),
        ("POST", f"{FLAGS}/ranker.nothing", {}, 404),
    ],
)
def test_whoever_is_refused_a_flag_hears_it_in_the_protocol_s_words(
    served, method, path, headers, status
):
    answer = asked(served.url, method, path, CONTEXT if method == "POST" else None, **headers)
    assert answer[0] == status
    assert answer[2].keys() >= {"errorCode", "errorDetails"}


def test_the_door_holds_for_every_path_that_takes_a_body(served):
    for path in ("/assign", "/track", "/rank"):
        assert asked(served.url, "POST", path, {}, x_api_key="another")[0] == 401
        assert asked(served.url, "POST", path, {}, content_type="text/plain")[0] == 415
        assert asked(served.url, "GET", path)[0] == 405
    assert asked(served.url, "POST", f"{FLAGS}/", CONTEXT)[0] == 404


SDK = """
import json, sys
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

url, secret = sys.argv[1:]
api.set_provider(OFREPProvider(url, headers_factory=lambda: {"Authorization": f"Bearer {secret}"}, timeout=60))
client = api.get_client()
who = EvaluationContext("visitor-1", {"platform": "ios", "colour": "green"})
calls = {
    "float": client.get_float_details("ranker.blend", 0.1, who),
    "string": client.get_string_details("ranker.tone", "loud", who),
    "object": client.get_object_details("ranker", {}, who),
    "another": client.get_float_details("ranker.blend", 0.1, EvaluationContext("visitor-2")),
    "mistyped": client.get_boolean_details("ranker.blend", True, who),
    "unknown": client.get_float_details("ranker.nothing", 0.1, who),
    "keyless": client.get_float_details("ranker.blend", 0.1),
    "invalid": client.get_float_details("ranker.blend", 0.1, EvaluationContext("visitor-1", {"platform": "tv"})),
}
fields = ("value", "variant", "reason", "error_code", "flag_metadata")
print(json.dumps({name: [getattr(details, field) for field in fields] for name, details in calls.items()}))
"""


def test_the_openfeature_sdk_gets_values_with_their_types_arms_and_reasons_and_its_own_errors(
    served,
):
    command = [sys.executable, "-c", SDK, served.url, SECRET]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    seen = json.loads(done.stdout)
    of = {"run": "blend_up.1", "config": 12}
    assert seen["float"] == [0.7, "treatment", "SPLIT", None, of]
    assert seen["string"] == ["calm", "default", "STATIC", None, {"config": 12}]
    assert seen["object"] == [{"blend": 0.7, "tone": "calm"}, "treatment", "SPLIT", None, of]
    arm = shop.arm_of("visitor-2")
    assert seen["another"] == [{"control": 0.5, "treatment": 0.7}[arm], arm, "SPLIT", None, of]
    failures = {
        name: (seen[name][0], seen[name][2], seen[name][3])
        for name in ("mistyped", "unknown", "keyless", "invalid")
    }
    assert failures == {
        "mistyped": (True, "ERROR", "TYPE_MISMATCH"),
        "unknown": (0.1, "ERROR", "FLAG_NOT_FOUND"),
        "keyless": (0.1, "ERROR", "TARGETING_KEY_MISSING"),
        "invalid": (0.1, "ERROR", "INVALID_CONTEXT"),
    }
