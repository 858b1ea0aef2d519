"""`project.native`: the sagemaker SDK's own resources and awswrangler, by the project's names, on
the stack.
"""

import json
import uuid
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

import pytest

from isthmus.core.runtime.project import Project
from isthmus.errors import NotFound
from isthmus.events.port import Column
from isthmus.feature_store.port import OnlineViewSpec
from isthmus.pipelines.graphs.graph import Pipeline, Step, check
from isthmus.pipelines.runs.document import RunDocument, encode_run, run_uri
from isthmus.pipelines.runs.submission import pipeline_run
from isthmus.project.specs.description import ParsedProject, ProjectSpec
from isthmus.storage import wait
from isthmus.tests.adapters.sagemaker.data_kit import SPEC, rows
from isthmus.tests.conformance.toy_models import endpoint, register, settled, variant

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("sagemaker") is None, reason="needs isthmus[sagemaker-sdk]"
    ),  # whose import takes 4 s
]


@pytest.fixture
def project(target, tmp_path):
    return Project(
        ParsedProject(spec=ProjectSpec(name="conf"), folder=str(tmp_path), places={}), target
    )


def test_an_endpoint_and_a_version_are_the_sdks_resources_and_go_on_from_there(
    project, target, tmp_path
):
    version = register(target, tmp_path, 2.0)
    target.registry.set_alias("ranker", "champion", version.version)
    target.endpoints.apply(endpoint(variant(version, "champion")))
    settled(target)
    native = project.native
    standing = native.endpoint("ranker")
    assert (type(standing).__module__, standing.endpoint_name) == (
        "sagemaker.core.resources",
        "conf-ranker",
    )
    answer = standing.invoke(
        body=json.dumps({"instances": [{"x": 1.0}]}), content_type="application/json"
    )
    assert answer.invoked_production_variant == "champion"
    standing.refresh()  # by the session that it carries
    assert standing.endpoint_status == "InService"
    package = native.model("ranker", "champion")
    assert package.model_package_arn == native.model("ranker", 1).model_package_arn
    package.refresh()
    assert (package.model_package_version, package.inference_specification.containers[0].image) == (
        1,
        "isthmus",
    )
    for absent in (
        lambda: native.endpoint("rnaker"),
        lambda: native.model("ranker", 7),
        lambda: native.pipeline("r9"),
    ):
        with pytest.raises(NotFound):
            absent()


def test_a_run_is_its_execution(project, target, tmp_path):
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
    with pytest.raises(NotFound, match="run r1 has no execution"):
        project.native.pipeline("r1")
    run = pipeline_run(target.blobs, document)
    target.pipelines.submit(run)
    wait(
        lambda: target.pipelines.observe(run.run_id),
        lambda state: state.phase != "running",
        deadline=timedelta(seconds=120),
    )
    execution = project.native.pipeline("r1")
    assert execution.pipeline_execution_status == "Succeeded"
    assert [step.step_name for step in execution.get_all_steps()] == ["once"]


def test_an_online_view_is_its_feature_group(project, target):
    features = (Column(name="clicks", type="int64"),)
    target.online.apply(
        OnlineViewSpec(name="item_history", history="item_history", features=features, ttl=None)
    )
    group = project.native.feature_group("item_history")
    assert (group.feature_group_name, group.feature_group_status) == (
        "conf-item_history",
        "Created",
    )
    assert "clicks" in {feature.feature_name for feature in group.feature_definitions}


def test_the_session_uses_the_projects_bucket_and_asks_nobody_outside(project, stack):
    session = project.native.session
    assert (session.default_bucket(), session.default_bucket_prefix) == ("conformance", "conf")
    assert session.account_id() == "123456789012"  # by STS's own address, which the SDK names
    assert stack.calls()[-1].operation == "GetCallerIdentity"


def test_awswrangler_is_bound_to_the_projects_session_and_database(project, target):
    target.warehouse.apply(SPEC)
    target.warehouse.append("clicks_raw", rows(1, 2, 3), batch="b1")
    wr = project.native.wr
    assert [table["Name"] for table in wr.catalog.get_tables()] == ["clicks_raw"]
    frame = wr.athena.read_sql_query("SELECT count(*) AS n FROM clicks_raw", ctas_approach=False)
    assert frame["n"].tolist() == [3]
    assert wr.athena.read_sql_query("SELECT 1 AS n", "default", False)["n"].tolist() == [
        1
    ]  # what a call says stands
    wr.s3.to_parquet(frame, "s3://conformance/mine/n.parquet")  # without a table: no database
    assert wr.s3.list_objects("s3://conformance/mine/") == ["s3://conformance/mine/n.parquet"]
    wr.s3.to_parquet(frame, "s3://conformance/counted/", dataset=True, table="counted")
    assert wr.catalog.does_table_exist(
        table="counted", database="isthmus_conf", boto3_session=target.native
    )
    assert wr.catalog.get_tables.__doc__
    assert "athena" in dir(wr)
