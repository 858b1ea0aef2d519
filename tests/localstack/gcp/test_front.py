"""The doors of the offline GCP, whatever stands behind them."""

import http.client
import http.server
import ssl
import threading
from urllib.parse import urlsplit

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1

from isthmus.localstack.gcp import table
from isthmus.localstack.run import start

from .conftest import PARENT

OPERATION = f"{PARENT}/operations/1"


def ask(gcp, method, path, headers=None, body=None):
    connection = http.client.HTTPConnection(urlsplit(gcp.url).netloc, timeout=60)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_the_table_knows_every_rpc_and_its_classes():
    """What watches the private names of Google's packages."""
    method = table.method_of("/google.cloud.aiplatform.v1.EndpointService/DeployModel")
    assert method.request.DESCRIPTOR.full_name == "google.cloud.aiplatform.v1.DeployModelRequest"
    assert method.answer.DESCRIPTOR.full_name == "google.longrunning.Operation"
    counts = {api.service: len(table.methods(api)) for api in table.APIS if api.module}
    assert counts["aiplatform"] > 300
    assert min(counts.values()) >= 5
    pull = table.method_of("/google.pubsub.v1.Subscriber/StreamingPull")
    assert (pull.client_streams, pull.server_streams) == (True, True)
    assert table.rule_for(table.APIS[0], "POST", f"/v1/{PARENT}/endpoints/7:predict")[0].operation == "PredictionService.Predict"
    assert table.rule_for(table.APIS[0], "GET", f"/v1/{PARENT}/models/ranker@2")[0].operation == "ModelService.GetModel"


def test_what_nobody_answers_is_named_at_once_over_both_transports(vertex):
    tuning = vertex(aiplatform_v1.GenAiTuningServiceClient)
    with pytest.raises(
        exceptions.MethodNotImplemented, match=r"GenAiTuningService\.ListTuningJobs is not supported by the offline GCP yet"
    ):
        tuning.list_tuning_jobs(parent=PARENT)


def test_the_door_needs_nothing_in_the_code(gcp):
    """Default credentials, the genuine hosts, TLS to them, over gRPC and REST; another host is refused by its name."""
    code = """
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1
import requests
for transport in ("grpc", "rest"):
    client = v1.GenAiTuningServiceClient(transport=transport, client_options={"api_endpoint": "us-central1-aiplatform.googleapis.com"})
    try:
        client.list_tuning_jobs(parent="projects/p/locations/us-central1")
    except exceptions.MethodNotImplemented as error:
        print(transport, "offline GCP" in str(error))
try:
    requests.get("https://nowhere.invalid/")
except requests.exceptions.ProxyError as error:
    print("refused", "403" in str(error))
"""
    assert gcp.run(code).split("\n")[:3] == ["grpc True", "rest True", "refused True"]
    assert [(c.service, c.operation, c.status) for c in gcp.calls()] == [("aiplatform", "GenAiTuningService.ListTuningJobs", 501)] * 2


def test_faults_meet_both_transports(vertex, gcp):
    tuning = vertex(aiplatform_v1.GenAiTuningServiceClient)
    gcp.fault(kind="throttle", operation="GenAiTuningService.ListTuningJobs")
    with pytest.raises(exceptions.TooManyRequests):
        tuning.list_tuning_jobs(parent=PARENT, retry=None)
    gcp.fault(kind="cut-before", service="aiplatform")
    with pytest.raises((exceptions.ServiceUnavailable, OSError)):
        tuning.list_tuning_jobs(parent=PARENT, retry=None)
    assert [(call.status, call.fault) for call in gcp.calls()] == [(429, "throttle"), (0, "cut-before")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "https://evil.example"}, 403), ({"Host": "evil.example"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403), ({}, 404)],
)
def test_web_pages_and_strangers_are_refused(gcp, headers, status):
    assert ask(gcp, "GET", f"/v1/{OPERATION}", headers)[0] == status


def test_giants_and_nonsense_are_refused_in_words(gcp):
    assert ask(gcp, "GET", "/v1/x", {"X": "a" * (70 << 10)})[0] == 431
    status, body = ask(gcp, "POST", f"/v1/{PARENT}/endpoints/7:predict", body="{not JSON")
    assert (status, "Invalid JSON payload" in body) == (400, True)
    status, body = ask(gcp, "POST", f"/v1/{PARENT}/endpoints/7:predict", body='{"instances": [], "wrong": 1}')
    assert (status, "wrong" in body) == (400, True)


def test_tls_is_ended_for_googles_hosts_alone(gcp):
    netloc = urlsplit(gcp.url).netloc
    connection = http.client.HTTPSConnection(netloc, context=ssl.create_default_context(cafile=gcp.env["SSL_CERT_FILE"]), timeout=30)
    connection.set_tunnel("storage.googleapis.com", 443)
    connection.request("GET", "/storage/v1/nothing/here")
    assert connection.getresponse().status == 501
    stranger = http.client.HTTPSConnection(netloc, timeout=30)
    stranger.set_tunnel("example.com", 443)
    with pytest.raises(OSError, match="403"):
        stranger.connect()


def test_an_allowed_host_is_reached_as_it_is():
    """The one that is named, and no other."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as beyond:
        threading.Thread(target=beyond.serve_forever, daemon=True).start()
        with start("gcp", clock="instant", allow_hosts=["localhost"]) as running:
            connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=30)
            connection.set_tunnel("localhost", beyond.server_port)
            connection.request("GET", "/")
            assert connection.getresponse().status == 501  # it has no method GET: it has answered itself
        beyond.shutdown()
