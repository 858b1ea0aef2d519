"""The session: where its clients go, which of them ask again, and that nothing starts without
credentials.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import google.auth
import grpc
import pytest
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.aiplatform_v1.types import Endpoint

from isthmus.adapters.vertex import session
from isthmus.core.plugins.installed import adapter
from isthmus.errors import Denied, DryRun, Invalid, Unavailable
from isthmus.target import CallLog, Profile, Target

ENDPOINT = "projects/p/locations/us-central1/endpoints/e"


def opened(calls=None, **options):
    profile = Profile(
        name="prod",
        adapter="vertex",
        project="conf",
        options={"bucket": "gs://conformance"} | options,
    )
    return session.session_of(Target(profile, adapter("vertex"), calls=calls))


class Flaky(grpc.GenericRpcHandler):
    """A server of one method, busy at the first call."""

    def __init__(self):
        self.asked = []

    def service(self, call):
        self.asked.append(call.method)
        return grpc.unary_unary_rpc_method_handler(self.answer)

    def answer(self, _request, context):
        if len(self.asked) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        return Endpoint.serialize(Endpoint(name=ENDPOINT))


@pytest.fixture
def flaky():
    handler = Flaky()
    server = grpc.server(ThreadPoolExecutor(2), handlers=[handler])
    handler.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield handler
    server.stop(None)


def test_a_read_is_asked_again_and_an_effect_of_the_other_client_is_not(flaky):
    vertex = opened(endpoint_url="http://127.0.0.1:9", grpc_address=flaky.address)
    with pytest.raises(Unavailable), vertex.mutating("UpdateEndpoint", "e"):
        vertex.client("endpoints", retrying=False).update_endpoint(endpoint=Endpoint(name=ENDPOINT))
    assert len(flaky.asked) == 1
    flaky.asked.clear()
    with vertex.reading("GetEndpoint", "e"):
        assert vertex.endpoints.get_endpoint(name=ENDPOINT).name == ENDPOINT
    assert flaky.asked == ["/google.cloud.aiplatform.v1.EndpointService/GetEndpoint"] * 2
    assert [call.operation for call in vertex.calls.calls] == ["UpdateEndpoint", "GetEndpoint"]
    assert vertex.endpoints is vertex.client("endpoints")


def test_a_dry_run_stops_before_the_call(flaky):
    vertex = opened(
        CallLog(dry_run=True), endpoint_url="http://127.0.0.1:9", grpc_address=flaky.address
    )
    with pytest.raises(DryRun, match="CreateEndpoint on e"), vertex.mutating("CreateEndpoint", "e"):
        vertex.endpoints.create_endpoint(parent=vertex.parent, endpoint=Endpoint())
    assert not flaky.asked


def test_project_and_location_are_the_profiles_and_offline_there_are_some():
    pinned = opened(project="example", location="asia-northeast1")
    assert pinned.parent == "projects/example/locations/asia-northeast1"
    assert (pinned.root, pinned.key("a", "b"), pinned.offline) == (
        "gs://conformance/conf",
        "conf/a/b",
        False,
    )
    stack = opened(endpoint_url="http://127.0.0.1:9")
    assert (stack.parent, stack.offline) == ("projects/isthmus-offline/locations/us-central1", True)
    with pytest.raises(Invalid, match="no location"):
        opened(project="example").parent  # noqa: B018
    with pytest.raises(Invalid, match="bucket"):
        opened(bucket="s3://other")


def test_without_credentials_nothing_is_called(monkeypatch):
    def none(**_):
        raise DefaultCredentialsError("no credentials")

    monkeypatch.setattr(google.auth, "default", none)
    vertex = opened(project="example", location="us-central1")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nowhere")
    with pytest.raises(Denied) as refusal:
        vertex.admit()
    variable = "GOOGLE_APPLICATION_CREDENTIALS names a file that is not there"
    assert (
        refusal.value.message
        == f"no Google credentials: environment {variable}; gcloud login none; this machine none"
    )
    assert "isthmus plan --target prod --offline" in refusal.value.remedy
    assert refusal.value.remedy.endswith("no cloud call was made")
    assert not vertex.calls.calls


def test_a_session_alone_imports_nothing_of_googles():
    opening = (
        "s.session_of(Target(Profile(name='v', adapter='vertex', project='p', options={'bucket': "
        "'gs://b'}), adapter('vertex')))"
    )
    code = f"""
import sys
import isthmus.adapters.vertex.session as s
from isthmus.core.plugins.installed import adapter
from isthmus.target import Profile, Target
{opening}
print([name for name in ('grpc', 'google.auth', 'google.api_core', 'google.cloud.aiplatform_v1') if name in sys.modules])
"""
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )
