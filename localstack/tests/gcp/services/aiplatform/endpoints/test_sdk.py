"""google.cloud.aiplatform in a process of its own, led to the stack by its environment alone:
upload, deploy, predict, undeploy, delete.
"""

import pytest

pytestmark = pytest.mark.slow

START = """
import json
from google.cloud import aiplatform as ai, storage

bucket = storage.Client(project="shop-project").create_bucket("models")
bucket.blob("ranker/model.json").upload_from_string(json.dumps({"name": "from the folder"}))
"""
SCRIPT = """
ai.init(project="shop-project", location="us-central1", api_transport="{transport}")
route = dict(serving_container_predict_route="/predict", serving_container_health_route="/health")
try:
    ai.Model.upload(display_name="none", artifact_uri="gs://models/none", serving_container_image_uri="toy", **route)
except Exception as error:
    print(">", error.message)
first = ai.Model.upload(display_name="ranker", artifact_uri="gs://models/ranker", serving_container_image_uri="toy", **route)
second = ai.Model.upload(
    display_name="ranker", parent_model=first.resource_name, is_default_version=False, serving_container_image_uri="toy",
    serving_container_environment_variables={{"MODEL": json.dumps({{"name": "of the variable"}})}}, version_aliases=["challenger"], **route
)
print(">", second.version_id, ai.Model(first.resource_name + "@challenger").version_id)
endpoint = ai.Endpoint.create(display_name="shop", dedicated_endpoint_enabled={dedicated})
endpoint.deploy(first, machine_type="n1-standard-2")
endpoint.deploy(second, machine_type="n1-standard-2", traffic_percentage=0)
print(">", sorted(endpoint.traffic_split.values()))
answer = endpoint.predict(instances=["name", "env"], parameters={{"k": 1}})
print(">", answer.predictions[0], answer.model_version_id, answer.predictions[1]["AIP_STORAGE_URI"])
by_id = {{model.model_version_id: model.id for model in endpoint.list_models()}}
endpoint.update(traffic_split={{by_id["1"]: 0, by_id["2"]: 100}})
headers = {{"Content-Type": "application/json"}}
raw = endpoint.raw_predict(body=b'{{"instances": ["name"]}}', headers=headers)
print(">", raw.json()["predictions"], raw.headers["X-Vertex-AI-Model-Version-Id"])
print(">", list(endpoint.stream_raw_predict(body=b'{{"instances": [], "stream": ["one", "two"]}}', headers=headers)))
endpoint.undeploy(by_id["1"])
endpoint.undeploy_all()
endpoint.delete()
first.delete()
print(">", len(ai.Endpoint.list()), len(ai.Model.list()))
"""


def test_a_model_is_uploaded_deployed_asked_and_removed_over_both_transports_with_nothing_in_the_code(
    gcp,
):
    """In one process: to import the SDK is half of what this takes."""
    code = (
        START
        + SCRIPT.format(transport="grpc", dedicated=False)
        + SCRIPT.format(transport="rest", dedicated=True)
    )
    said = [
        line.removeprefix("> ") for line in gcp.run(code).splitlines() if line.startswith("> ")
    ]  # the SDK tells what it does, too
    assert len(said) == 14
    for refusal, *answers in (said[:7], said[7:]):
        assert 'There are no files under "gs://models/none" to copy.' in refusal
        assert answers == [
            "2 2",
            "[0, 100]",
            "from the folder 1 gs://models/ranker",
            "['of the variable'] 2",
            "[b'one', b'two']",
            "0 0",
        ]
