"""`project.native`: google-cloud-aiplatform's own objects, by the project's names, on the stack."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from isthmus.core.runtime.project import Project
from isthmus.errors import NotFound
from isthmus.events.port import Column
from isthmus.feature_store.port import OnlineViewSpec, TableSpec
from isthmus.pipelines.graphs.graph import Pipeline, Step, check
from isthmus.pipelines.runs.document import RunDocument, encode_run, run_uri
from isthmus.pipelines.runs.submission import pipeline_run
from isthmus.project.specs.description import ParsedProject, ProjectSpec
from isthmus.storage import wait
from isthmus.tests.conformance.toy_models import endpoint, register, settled, variant

pytestmark = pytest.mark.slow


@pytest.fixture
def project(target, tmp_path):
    return Project(
        ParsedProject(spec=ProjectSpec(name="conf"), folder=str(tmp_path), places={}), target
    )


def test_an_endpoint_and_a_version_are_the_sdks_objects_and_go_on_from_there(
    project, target, tmp_path
):
    version = register(target, tmp_path, 2.0)
    target.registry.set_alias("ranker", "the_best", version.version)
    target.endpoints.apply(endpoint(variant(version, "champion")))
    settled(target)
    native = project.native
    standing = native.endpoint("ranker")
    assert type(standing).__module__ == "google.cloud.aiplatform.models"
    assert standing.name == "conf-ranker"
    (deployed,) = standing.list_models()
    assert standing.traffic_split == {deployed.id: 100}
    model = native.model("ranker", "the_best")
    assert (model.version_id, model.name) == ("1", "conf-ranker")
    assert [found.version_id for found in model.versioning_registry.list_versions()] == ["1"]
    for absent in (
        lambda: native.endpoint("rnaker"),
        lambda: native.model("ranker", 7),
        lambda: native.pipeline("r9"),
    ):
        with pytest.raises(NotFound):
            absent()
    sdk = native.session  # what is made with it goes to the stack, too
    assert [found.resource_name for found in sdk.Endpoint.list()] == [standing.resource_name]


def test_a_run_is_its_job(project, target, tmp_path):
    steps = check(
        Pipeline(
            name="conf", steps=(Step(name="once", command=("{python}", "-c", "pass"), cache=False),)
        )
    )
    document = RunDocument(
        run="r1", run_id=uuid.uuid4().hex, pipeline="conf", project_file=None, folder=str(tmp_path), profile=target.profile, version="1",
        retry_of=None, submitted=datetime.now(UTC), parameters={}, steps=steps, settled={},
    )  # fmt: skip
    target.blobs.put(run_uri(target.blobs.root, "r1"), encode_run(document))
    with pytest.raises(NotFound, match="run r1 has no job"):
        project.native.pipeline("r1")
    run = pipeline_run(target.blobs, document)
    target.pipelines.submit(run)
    wait(
        lambda: target.pipelines.observe(run.run_id),
        lambda state: state.phase != "running",
        deadline=timedelta(seconds=60),
    )
    job = project.native.pipeline("r1")
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"
    assert "once" in {detail.task_name for detail in job.task_details}


def test_an_online_view_is_its_feature_view(project, target):
    times = tuple(
        Column(name=f"{name}_timestamp", type="timestamp", required=True)
        for name in ("event", "created")
    )
    features = (Column(name="clicks", type="int64"),)
    columns = (Column(name="entity_key", type="string", required=True), *times, *features)
    target.warehouse.apply(
        TableSpec(name="item_history", columns=columns, time_column="event_timestamp")
    )
    target.online.apply(
        OnlineViewSpec(name="item_history", history="item_history", features=features, ttl=None)
    )
    view = project.native.feature_group("item_history")
    assert (type(view).__name__, view.name) == ("FeatureView", "item_history")
    with pytest.raises(NotFound):
        project.native.feature_group("user_history")
