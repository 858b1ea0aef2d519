"""EndpointService and PredictionService, asked by the genuine clients over gRPC and over REST; the
models are processes.
"""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from math import sqrt

import pytest
import requests
from google.api import httpbody_pb2
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import Request
from google.cloud import aiplatform_v1 as ai
from google.cloud import bigquery
from google.protobuf import field_mask_pb2, struct_pb2

from isthmus_stack.tests.gcp.services.aiplatform.serving_kit import ABORTED, BAD, PARENT, TAKEN, Kit


@pytest.fixture
def kit(vertex):
    return Kit(vertex)


def test_an_endpoint_is_found_by_filter_and_changed_by_mask(kit):
    name = kit.create("ranker", labels={"owner": "us"}, dedicated_endpoint_enabled=True)
    made = kit.endpoints.get_endpoint(name=name)
    assert (
        made.dedicated_endpoint_dns
        == f"ranker.us-central1-{name.split('/')[1]}.prediction.vertexai.goog"
    )
    kit.create("other")
    request = ai.ListEndpointsRequest(parent=PARENT, filter="labels.owner=us AND endpoint!=other")
    assert [endpoint.name for endpoint in kit.endpoints.list_endpoints(request=request)] == [name]
    changed = ai.Endpoint(name=name, description="new", labels={}, display_name="not this")
    done = kit.endpoints.update_endpoint(
        endpoint=changed, update_mask=field_mask_pb2.FieldMask(paths=["description", "labels"])
    )
    assert (done.description, dict(done.labels), done.display_name) == ("new", {}, "ranker")
    assert done.etag != made.etag
    with pytest.raises(ABORTED):
        kit.split(name, {}, etag=made.etag)
    with pytest.raises(BAD, match="dedicated_endpoint_enabled"):
        kit.endpoints.update_endpoint(
            endpoint=changed,
            update_mask=field_mask_pb2.FieldMask(paths=["dedicated_endpoint_enabled"]),
        )
    with pytest.raises(TAKEN):
        kit.create("ranker")
    for refused in ("Ranker", "0", "1234567890", "a-"):
        with pytest.raises(BAD, match="endpoint_id"):
            kit.create(refused)
    kit.endpoints.delete_endpoint(name=name).result(timeout=60)
    with pytest.raises(exceptions.NotFound):
        kit.endpoints.get_endpoint(name=name)


def test_a_model_is_deployed_with_what_vertex_ai_promises_its_container(kit):
    model, _ = kit.upload("a", env={"TOY_NAME": "$(AIP_ENDPOINT_ID)-x"})
    endpoint = kit.create("shop")
    deployed = kit.deploy(endpoint, f"{model}@default", "77", split={"0": 100})
    assert (deployed.id, deployed.model, deployed.model_version_id, deployed.display_name) == (
        "77",
        model,
        "1",
        "a",
    )
    answer = kit.prediction.predict(
        endpoint=endpoint,
        instances=["env", "parameters", 2.5, None, {"a": [1, True]}],
        parameters={"k": 3},
    )
    variables, parameters, *echo = answer.predictions
    assert (
        answer.deployed_model_id,
        answer.model,
        answer.model_version_id,
        answer.model_display_name,
    ) == ("77", model, "1", "a")
    expected = {
        "AIP_DEPLOYED_MODEL_ID": "77",
        "AIP_ENDPOINT_ID": "shop",
        "AIP_PREDICT_ROUTE": "/predict",
        "TOY_NAME": "shop-x",
    }
    assert expected.items() <= dict(variables).items()
    assert dict(parameters) == {"k": 3}
    assert echo[:2] == [2.5, None]
    assert echo[2]["a"] == [1, True]
    assert [ref.endpoint for ref in kit.models.get_model(name=model).deployed_models] == [endpoint]
    with pytest.raises(BAD, match="deployed"):
        kit.models.delete_model(name=model)
    with pytest.raises(BAD, match="Undeploy them first"):
        kit.endpoints.delete_endpoint(name=endpoint)


def test_traffic_follows_the_split_and_undeploying_needs_none(kit):
    endpoint = kit.serving("a", "b", split={"a": 100})
    assert set(kit.names(endpoint, 10)) == {"a"}
    for wrong in ({"1": 50, "2": 49}, {"1": 100, "9": 0}, {"1": 150, "2": -50}):
        with pytest.raises(BAD, match="traffic_split"):
            kit.split(endpoint, wrong)
    kit.split(endpoint, {"2": 100})
    assert set(kit.names(endpoint, 10)) == {"b"}
    with pytest.raises(BAD, match="100 %"):
        kit.endpoints.undeploy_model(endpoint=endpoint, deployed_model_id="2", traffic_split={})
    kit.endpoints.undeploy_model(
        endpoint=endpoint, deployed_model_id="2", traffic_split={"1": 100}
    ).result(timeout=60)
    assert set(kit.names(endpoint, 5)) == {"a"}
    kit.endpoints.undeploy_model(endpoint=endpoint, deployed_model_id="1", traffic_split={}).result(
        timeout=60
    )
    assert dict(kit.endpoints.get_endpoint(name=endpoint).traffic_split) == {}
    with pytest.raises(BAD, match="no deployed model"):
        kit.names(endpoint, 1)


def test_a_deployment_that_fails_leaves_the_endpoint_as_it_was(kit):
    endpoint = kit.serving("a", split={"a": 100})
    before = kit.content(endpoint)
    for model, words in (
        (kit.upload("dead", dies=True)[0], "serving dead"),
        (kit.upload("x", image="nowhere/none:1")[0], "no command is mapped"),
    ):
        with pytest.raises(exceptions.GoogleAPICallError, match=words):
            kit.deploy(endpoint, model, split={"1": 10, "0": 90})
        kit.models.delete_model(name=model).result(timeout=60)
    assert kit.content(endpoint) == before
    operations = kit.endpoints.list_operations(request={"name": endpoint}).operations
    assert [operation.error.code for operation in operations if operation.HasField("error")] == [
        9,
        9,
    ]


def test_a_deployment_tells_its_stage_and_can_be_cancelled(kit):
    endpoint = kit.create("ranker")
    done = kit.deploying(endpoint, kit.upload("a")[0], split={"0": 100})
    done.result(timeout=60)
    assert done.metadata.deployment_stage == ai.DeploymentStage.SUCCESSFULLY_DEPLOYED
    before = kit.content(endpoint)
    never = kit.deploying(endpoint, kit.upload("b", ill=True)[0])
    ended = (
        ai.DeploymentStage.SUCCESSFULLY_DEPLOYED,
        ai.DeploymentStage.FAILED_TO_DEPLOY,
        ai.DeploymentStage.DEPLOYMENT_STAGE_UNSPECIFIED,
    )
    assert never.metadata.deployment_stage not in ended
    assert not never.done()
    kit.endpoints.cancel_operation({"name": never.operation.name})
    with pytest.raises(exceptions.GoogleAPICallError, match="cancelled"):
        never.result(timeout=60)
    assert never.metadata.deployment_stage == ai.DeploymentStage.FAILED_TO_DEPLOY
    assert kit.content(endpoint) == before


def test_what_a_deployment_refuses_at_once(kit):
    endpoint = kit.serving("a", split={"a": 100})
    model, _ = kit.upload("b")
    for number, split in (
        ("12345678901", {}),
        ("x", {}),
        ("", {"0": 50}),
        ("", {"0": 50, "9": 50}),
    ):
        with pytest.raises(BAD):
            kit.deploying(endpoint, model, number, split=split)
    with pytest.raises(BAD, match="max_replica_count"):
        kit.deploying(endpoint, model, replicas=(3, 2))
    with pytest.raises(TAKEN):
        kit.deploying(endpoint, model, "1")
    with pytest.raises(exceptions.NotFound):
        kit.deploying(endpoint, f"{model}@7")
    with pytest.raises(exceptions.NotFound):
        kit.deploying(f"{endpoint}x", model)


def test_replicas_are_mutated_within_their_bounds(kit):
    endpoint = kit.serving("a", split={"a": 100})
    paths = ["dedicated_resources.min_replica_count", "dedicated_resources.max_replica_count"]
    for fewest, most, there in ((3, 3, 3), (1, 2, 2), (1, 5, 2)):
        resources = ai.DedicatedResources(min_replica_count=fewest, max_replica_count=most)
        deployed = ai.DeployedModel(id="1", dedicated_resources=resources)
        kit.endpoints.mutate_deployed_model(
            endpoint=endpoint,
            deployed_model=deployed,
            update_mask=field_mask_pb2.FieldMask(paths=paths),
        ).result(timeout=60)
        now = kit.endpoints.get_endpoint(name=endpoint).deployed_models[0]
        assert (
            now.dedicated_resources.min_replica_count,
            now.dedicated_resources.max_replica_count,
        ) == (fewest, most)
        assert now.status.available_replica_count == there
        assert now.dedicated_resources.machine_spec.machine_type == "n1-standard-2"


def test_a_models_error_keeps_its_status_and_body(kit):
    endpoint = kit.serving("a", split={"a": 100})
    for status, kind in (
        (400, exceptions.BadRequest),
        (500, exceptions.InternalServerError),
        (503, exceptions.ServiceUnavailable),
    ):
        with pytest.raises(kind, match='"what": "asked for"'):
            kit.prediction.predict(endpoint=endpoint, instances=[{"status": status}])
    assert kit.names(endpoint, 1) == ["a"], "and the model goes on"


def test_a_request_is_no_larger_than_its_endpoint_takes(kit):
    shared = kit.serving("a", split={"a": 100})
    large = kit.create("large", dedicated_endpoint_enabled=True)
    kit.deploy(large, kit.upload("b")[0], split={"0": 100})
    megabytes = "x" * 2_000_000
    with pytest.raises(BAD, match="1,500,000"):
        kit.prediction.predict(endpoint=shared, instances=[megabytes])
    assert kit.prediction.predict(endpoint=large, instances=[megabytes]).predictions[0] == megabytes
    with pytest.raises(BAD, match="10,000,000"):
        kit.prediction.predict(endpoint=large, instances=[megabytes * 5])


def test_a_raw_body_goes_there_and_back_and_a_stream_comes_in_parts(gcp):
    """The generated REST client writes HttpBody as JSON, which the service takes for the body: who
    wants raw bytes over HTTP posts them.
    """
    kit = Kit(gcp.client)
    endpoint = kit.serving("a", split={"a": 100})
    stream = json.dumps({"stream": ["one", "two"]}).encode()
    answer = kit.prediction.raw_predict(
        endpoint=endpoint,
        http_body=httpbody_pb2.HttpBody(data=b"not json", content_type="text/plain"),
    )
    assert (answer.data, answer.content_type) == (b"nosj ton", "text/plain")
    parts = kit.prediction.stream_raw_predict(
        endpoint=endpoint, http_body=httpbody_pb2.HttpBody(data=stream)
    )
    assert b"".join(part.data for part in parts) == b"one\ntwo\n"
    url = f"{gcp.url}/v1/{endpoint}"
    ours = gcp.credentials()
    ours.refresh(Request())
    headers = {"X-Mine": "7", "Authorization": f"Bearer {ours.token}"}
    raw = requests.post(
        f"{url}:rawPredict", data=b'{"instances": ["headers"]}', headers=headers, timeout=120
    )
    assert raw.headers["X-Vertex-AI-Deployed-Model-Id"] == "1"
    assert raw.headers["X-Vertex-AI-Model"].startswith(
        PARENT.replace("shop-project", endpoint.split("/")[1])
    )
    assert raw.json()["predictions"][0]["x-mine"] == "7"
    assert "authorization" not in raw.json()["predictions"][0]
    refused = requests.post(
        f"{url}:rawPredict", data=b'{"instances": [{"status": 418}]}', timeout=120
    )
    assert (refused.status_code, refused.json()) == (418, {"what": "asked for"})
    with requests.post(
        f"{url}:streamRawPredict", data=stream, stream=True, timeout=120
    ) as streamed:
        assert list(streamed.iter_lines()) == [b"one", b"two"]
    with pytest.raises(BAD, match="explanation_spec"):
        kit.prediction.explain(endpoint=endpoint, instances=["x"])


def test_a_change_is_seen_late_where_that_is_asked_for_and_is_there_all_the_same(gcp):
    kit = Kit(gcp.client)
    endpoint = kit.serving("a", "b", split={"a": 100})
    gcp.fault(kind="eventual-consistency", operation="EndpointService.UpdateEndpoint", seconds=3600)
    kit.split(endpoint, {"2": 100})
    assert dict(kit.endpoints.get_endpoint(name=endpoint).traffic_split) == {"1": 100}
    assert kit.names(endpoint, 3) == ["b"] * 3
    gcp.advance(3600)
    assert dict(kit.endpoints.get_endpoint(name=endpoint).traffic_split) == {"2": 100}


def test_a_sample_of_requests_is_kept_in_bigquery(gcp):
    """Rows are there for whoever reads the table; a call that failed is not kept."""
    kit = Kit(gcp.client)
    logging = {
        "enabled": True,
        "sampling_rate": 1.0,
        "bigquery_destination": {"output_uri": "bq://shop-project"},
    }
    with pytest.raises(BAD, match="sampling_rate"):
        kit.create(
            "none", predict_request_response_logging_config={"enabled": True, "sampling_rate": 1.5}
        )
    endpoint = kit.create("ranker", predict_request_response_logging_config=logging)
    kit.deploy(endpoint, kit.upload("a")[0], "1", split={"0": 100})
    kit.prediction.predict(endpoint=endpoint, instances=["name", 2], parameters={"blend": 0.5})
    requests.post(
        f"{gcp.url}/v1/{endpoint}:predict",
        data=b'{"instances": [{"x": 1}], "parameters": {"blend": 0.5}}',
        timeout=120,
    )
    with pytest.raises(exceptions.GoogleAPICallError):
        kit.prediction.predict(endpoint=endpoint, instances=[{"status": 500}])
    client = bigquery.Client(
        project="shop-project",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": gcp.url},
    )
    rows = list(
        client.list_rows(
            client.get_table("shop-project.logging_ranker_ranker.request_response_logging")
        )
    )
    payloads = sorted((row["request_payload"], row["response_payload"]) for row in rows)
    assert payloads == [(['"name"', "2"], ['"a"', "2"]), (['{"x": 1}'], ['{"x": 1}'])]
    assert {(row["endpoint"], row["deployed_model_id"]) for row in rows} == {("ranker", "1")}


def test_a_dedicated_endpoint_has_a_host_of_its_own_and_no_other(gcp):
    kit = Kit(gcp.client)
    endpoint = kit.create("own", dedicated_endpoint_enabled=True)
    kit.deploy(endpoint, kit.upload("a")[0], split={"0": 100})
    own = kit.endpoints.get_endpoint(name=endpoint).dedicated_endpoint_dns

    def status(host):
        url = f"{gcp.url}/v1/{endpoint}:predict"
        return requests.post(
            url, data=b'{"instances": ["name"]}', headers={"Host": host}, timeout=120
        ).status_code

    assert status(own) == 200
    assert status("us-central1-aiplatform.googleapis.com") == 400
    assert status(own.replace("own.", "other.")) == 404

    def predict(header):
        return kit.prediction.predict(
            endpoint=endpoint, instances=["name"], metadata=[("x-vertex-ai-endpoint-id", header)]
        )

    assert predict("own").predictions == ["a"]
    with pytest.raises(BAD, match="x-vertex-ai-endpoint-id"):
        predict("other")


def test_traffic_is_shared_as_the_split_says(gcp):
    """2,000 predictions at 90/10: within six standard deviations, as nobody seeds them.

    The draw knows no transport.
    """
    kit = Kit(gcp.client)
    endpoint = kit.serving("a", "b", split={"a": 90, "b": 10})
    answers = 2000
    with ThreadPoolExecutor(4) as pool:
        seconds = sum(
            names.count("b")
            for names in pool.map(lambda _: kit.names(endpoint, answers // 4), range(4))
        )
    assert abs(seconds - answers * 0.1) < 6 * sqrt(answers * 0.1 * 0.9)


def test_each_read_answers_another_etag_and_a_later_look_at_the_status_though_nothing_has_changed(
    kit,
):
    """As recorded of the real service (localstack/gcp/services/aiplatform/etags.py): whoever compares these for
    equality sees changes that nobody made.
    """
    endpoint = kit.serving("a", split={"a": 100})
    before = kit.content(endpoint)
    reads = [kit.endpoints.get_endpoint(name=endpoint) for _ in range(2)]
    reads += kit.endpoints.list_endpoints(request=ai.ListEndpointsRequest(parent=PARENT))
    assert len({read.etag for read in reads}) == 3
    assert len({read.deployed_models[0].status.last_update_time for read in reads}) == 3
    assert {read.update_time for read in reads} == {reads[0].update_time}
    assert kit.content(endpoint) == before


def test_any_etag_of_what_is_now_is_accepted_and_none_of_what_was(kit):
    endpoint = kit.serving("a", "b", split={"a": 100})
    older = [kit.endpoints.get_endpoint(name=endpoint).etag for _ in range(2)]
    done = kit.split(endpoint, {"1": 50, "2": 50}, etag=older[0])
    for stale in (*older, "AMEw9yM", "no etag of ours"):
        with pytest.raises(ABORTED):
            kit.split(endpoint, {"1": 100}, etag=stale)
    read = kit.endpoints.get_endpoint(name=endpoint)
    assert done.etag != read.etag
    again = kit.split(endpoint, {"1": 40, "2": 60}, etag=done.etag)
    with pytest.raises(ABORTED):
        kit.split(endpoint, {"1": 100}, etag=read.etag)
    assert dict(kit.split(endpoint, {"1": 30, "2": 70}, etag=again.etag).traffic_split) == {
        "1": 30,
        "2": 70,
    }


def test_the_split_changes_under_load_without_a_failed_call_and_a_stale_etag_never_moves_it(kit):
    endpoint = kit.serving("a", "b", split={"a": 100})
    percents = random.Random(7)
    stale, over = kit.endpoints.get_endpoint(name=endpoint).etag, []

    def load(_):
        answered = []
        while not over:
            answered += kit.names(endpoint, 5)
        return answered

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load, number) for number in range(4)]
        try:
            for _ in range(20):
                percent = percents.randrange(101)
                etag = kit.split(endpoint, {"1": percent, "2": 100 - percent}).etag
                with pytest.raises(ABORTED):
                    kit.split(endpoint, {"1": 100}, etag=stale)
                assert dict(kit.endpoints.get_endpoint(name=endpoint).traffic_split) == {
                    "1": percent,
                    "2": 100 - percent,
                }
                stale = etag if percent % 2 else stale
                kit.split(endpoint, {"1": percent, "2": 100 - percent}, etag=etag)
        finally:
            over.append(True)
        assert set().union(*(done.result() for done in loads)) == {"a", "b"}


def test_values_that_are_no_json_are_refused(kit, gcp):
    endpoint = kit.serving("a", split={"a": 100})
    url = f"{gcp.url}/v1/{endpoint}:predict"
    for body in (b"{", b"[]", b'{"rows": []}', b'{"instances": 1}'):
        answer = requests.post(
            url, data=body, headers={"Content-Type": "application/json"}, timeout=120
        )
        assert (answer.status_code, answer.json()["error"]["status"]) == (
            400,
            "INVALID_ARGUMENT",
        ), body
    assert kit.prediction.predict(
        endpoint=endpoint, instances=[struct_pb2.Value(number_value=1)]
    ).predictions == [1]
