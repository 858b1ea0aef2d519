"""The doors of the offline GCP, whatever stands behind them."""

import http.client
import http.server
import ssl
import threading
from urllib.parse import urlsplit

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1
from google.longrunning import operations_pb2
from google.protobuf import duration_pb2

from isthmus_stack.core import keys
from isthmus_stack.gcp.composition import CATALOG
from isthmus_stack.gcp.core.rpc.methods import http_rule_for, methods_of_api
from isthmus_stack.run import start

from ..conftest import PARENT

OPERATION = f"{PARENT}/operations/1"


def ask(gcp, method, path, headers=None, body=None):
    connection = http.client.HTTPConnection(urlsplit(gcp.url).netloc, timeout=60)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_the_table_knows_every_rpc_and_its_classes():
    """What watches the private names of Google's packages."""
    method = CATALOG.method_of(
        "/google.cloud.aiplatform.v1.EndpointService/DeployModel", CATALOG.default
    )
    assert method.request.DESCRIPTOR.full_name == "google.cloud.aiplatform.v1.DeployModelRequest"
    assert method.answer.DESCRIPTOR.full_name == "google.longrunning.Operation"
    counts = {api.service: len(methods_of_api(api)) for api in CATALOG.apis if api.module}
    assert counts["aiplatform"] > 300
    assert min(counts.values()) >= 5
    pull = CATALOG.method_of("/google.pubsub.v1.Subscriber/StreamingPull", CATALOG.default)
    assert (pull.client_streams, pull.server_streams) == (True, True)
    assert (
        http_rule_for(CATALOG.default, "POST", f"/v1/{PARENT}/endpoints/7:predict")[0].operation
        == "PredictionService.Predict"
    )
    assert (
        http_rule_for(CATALOG.default, "GET", f"/v1/{PARENT}/models/ranker@2")[0].operation
        == "ModelService.GetModel"
    )


def test_what_nobody_answers_is_named_at_once_over_both_transports(vertex):
    tuning = vertex(aiplatform_v1.GenAiTuningServiceClient)
    with pytest.raises(
        exceptions.MethodNotImplemented,
        match=r"GenAiTuningService\.ListTuningJobs is not supported by the offline GCP yet",
    ):
        tuning.list_tuning_jobs(parent=PARENT)


def test_who_steers_the_stack_needs_its_secret_for_all_but_who_it_is(gcp):
    secret = {"Authorization": f"Bearer {keys.keys_of(gcp.url).control}"}
    for method, path in (("POST", "/_stack/reset"), ("GET", "/_stack/calls")):
        assert ask(gcp, method, path)[0] == 403
        assert ask(gcp, method, path, headers={"Authorization": "Bearer guess"})[0] == 403
        assert ask(gcp, method, path, headers=secret)[0] == 200
    for path in ("/_stack/health", "/_stack/environment"):
        assert ask(gcp, "GET", path)[0] == 200


def test_the_door_needs_nothing_in_the_code(gcp):
    """Default credentials, the genuine hosts, TLS to them, over gRPC and REST; another host is
    refused by its name.
    """
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
    assert [(c.service, c.operation, c.status) for c in gcp.calls()] == [
        ("aiplatform", "GenAiTuningService.ListTuningJobs", 501)
    ] * 2


def test_faults_meet_both_transports(vertex, gcp):
    tuning = vertex(aiplatform_v1.GenAiTuningServiceClient)
    gcp.fault(kind="throttle", operation="GenAiTuningService.ListTuningJobs")
    with pytest.raises(exceptions.TooManyRequests):
        tuning.list_tuning_jobs(parent=PARENT, retry=None)
    gcp.fault(kind="cut-before", service="aiplatform")
    with pytest.raises((exceptions.ServiceUnavailable, OSError)):
        tuning.list_tuning_jobs(parent=PARENT, retry=None)
    assert [(call.status, call.fault) for call in gcp.calls()] == [
        (429, "throttle"),
        (0, "cut-before"),
    ]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({}, 404),
    ],
)
def test_web_pages_and_strangers_are_refused(gcp, headers, status):
    assert ask(gcp, "GET", f"/v1/{OPERATION}", headers)[0] == status


def test_giants_and_nonsense_are_refused_in_words(gcp):
    assert ask(gcp, "GET", "/v1/x", {"X": "a" * (70 << 10)})[0] == 431
    status, body = ask(gcp, "POST", f"/v1/{PARENT}/endpoints/7:predict", body="{not JSON")
    assert (status, "Invalid JSON payload" in body) == (400, True)
    status, body = ask(
        gcp, "POST", f"/v1/{PARENT}/endpoints/7:predict", body='{"instances": [], "wrong": 1}'
    )
    assert (status, "wrong" in body) == (400, True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/v1/{PARENT}/endpoints", '{"displayName":' + "[" * 50_000),
        (f"/v1/{PARENT}/endpoints", b'{"displayName":"\xff"}'),
        (f"/v1/{PARENT}/endpoints?endpoint=x&endpoint.displayName=y", "{}"),
        (f"/v1/{PARENT}/endpoints/7:predict", '{"instances":' + "[" * 5000 + "]" * 5000 + "}"),
        (f"/v1/{OPERATION}:wait?timeout=soon", "{}"),
    ],
    ids=["deep", "no UTF-8", "a text with members", "deep instances", "no duration"],
)
def test_whatever_a_request_says_it_is_answered(gcp, path, body):
    status, answer = ask(gcp, "POST", path, body=body)
    assert status == 400, answer
    assert '"INVALID_ARGUMENT"' in answer


def test_bytes_that_are_no_message_are_the_callers_mistake(gcp):
    for rpc in (
        "google.cloud.aiplatform.v1.EndpointService/GetEndpoint",
        "google.cloud.bigquery.storage.v1.BigQueryRead/ReadRows",
    ):
        with pytest.raises(grpc.RpcError) as error:
            list(gcp.channel().unary_stream(f"/{rpc}")(b"\xff\xff", timeout=60))
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT, rpc


@pytest.mark.parametrize("service", ["v1beta1.FeatureRegistryService", "v1.EndpointService"])
def test_a_method_that_is_not_there_is_named_also_where_its_package_is_in_use(gcp, service):
    list(gcp.client(aiplatform_v1.EndpointServiceClient).list_endpoints(parent=PARENT))
    path = f"/google.cloud.aiplatform.{service}/Invent"
    with pytest.raises(grpc.RpcError) as error:
        gcp.channel().unary_unary(path)(b"", timeout=60)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert path in error.value.details()


@pytest.mark.parametrize("text", ["E" * 30_000, "é%\n" * 5000])
def test_a_long_message_keeps_its_status_over_grpc(gcp, text):
    get = gcp.channel().unary_unary("/google.cloud.aiplatform.v1.EndpointService/GetEndpoint")
    with pytest.raises(grpc.RpcError) as error:
        get(
            aiplatform_v1.GetEndpointRequest.serialize(aiplatform_v1.GetEndpointRequest(name=text)),
            timeout=60,
        )
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(error.value.details()) > 1000


def test_who_waits_for_operations_holds_up_nobody(gcp):
    """More than the stack has threads."""
    endpoints = gcp.client(aiplatform_v1.EndpointServiceClient)
    models = gcp.client(aiplatform_v1.ModelServiceClient)
    spec = aiplatform_v1.ModelContainerSpec(image_uri="python", command=["sleep", "600"])
    model = (
        models.upload_model(
            parent=PARENT, model=aiplatform_v1.Model(display_name="m", container_spec=spec)
        )
        .result()
        .model
    )
    name = (
        endpoints.create_endpoint(parent=PARENT, endpoint=aiplatform_v1.Endpoint(display_name="e"))
        .result()
        .name
    )
    machine = aiplatform_v1.DedicatedResources(
        machine_spec=aiplatform_v1.MachineSpec(machine_type="n1"), min_replica_count=1
    )
    deployed = aiplatform_v1.DeployedModel(model=model, dedicated_resources=machine)
    operation = endpoints.deploy_model(endpoint=name, deployed_model=deployed).operation.name
    wait = gcp.channel().unary_unary("/google.longrunning.Operations/WaitOperation")
    request = operations_pb2.WaitOperationRequest(
        name=operation, timeout=duration_pb2.Duration(seconds=600)
    ).SerializeToString()
    waiting = [wait.future(request) for _ in range(60)]
    brief = operations_pb2.WaitOperationRequest(
        name=operation, timeout=duration_pb2.Duration(nanos=1)
    )
    wait(brief.SerializeToString(), timeout=120)  # the last on their connection: they are there
    assert endpoints.get_endpoint(name=name, retry=None, timeout=60).display_name == "e"
    assert not any(future.done() for future in waiting)
    gcp.reset()
    late = [future for future in waiting if future.exception(timeout=60) is not None]
    assert {future.code() for future in late} <= {
        grpc.StatusCode.NOT_FOUND
    }  # it came after the reset
    answers = [
        operations_pb2.Operation.FromString(future.result())
        for future in waiting
        if future not in late
    ]
    assert answers
    assert not any(answer.response.value for answer in answers)


def test_tls_is_ended_for_googles_hosts_alone(gcp):
    netloc = urlsplit(gcp.url).netloc
    connection = http.client.HTTPSConnection(
        netloc, context=ssl.create_default_context(cafile=gcp.env["SSL_CERT_FILE"]), timeout=120
    )
    connection.set_tunnel("storage.googleapis.com", 443)
    connection.request("GET", "/storage/v1/nothing/here")
    assert connection.getresponse().status == 501
    stranger = http.client.HTTPSConnection(netloc, timeout=120)
    stranger.set_tunnel("example.com", 443)
    with pytest.raises(OSError, match="403"):
        stranger.connect()


def test_an_allowed_host_is_reached_as_it_is():
    """The one that is named, and no other."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as beyond:
        threading.Thread(target=beyond.serve_forever, daemon=True).start()
        with start("gcp", clock="instant", allow_hosts=["localhost"]) as running:
            connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=120)
            connection.set_tunnel("localhost", beyond.server_port)
            connection.request("GET", "/")
            assert (
                connection.getresponse().status == 501
            )  # it has no method GET: it has answered itself
        beyond.shutdown()
