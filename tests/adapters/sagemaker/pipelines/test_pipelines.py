"""Pipelines on the wire: nothing is started twice, a job needs its URI alone, and the project's
files go with it.
"""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from isthmus.adapters.common.pipelines import executions
from isthmus.core.runtime.project import Project, open_blobs
from isthmus.errors import Invalid, OutcomeUnknown, Throttled
from isthmus.pipelines.graphs.graph import Artifact, Pipeline, Step, Value, check
from isthmus.pipelines.port import Output
from isthmus.pipelines.runs import project_code, watch
from isthmus.pipelines.runs.document import RunDocument, encode_run, run_uri
from isthmus.pipelines.runs.submission import pipeline_run, submit
from isthmus.project.specs.description import ParsedProject, ProjectSpec
from isthmus.storage import wait
from isthmus.tests.adapters.sagemaker.ml_kit import asked

pytestmark = pytest.mark.slow

COUNT = "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write('ran' + chr(10))"


def write(target, tmp_path, *steps):
    document = RunDocument(
        run="r1",
        run_id=uuid.uuid4().hex,
        pipeline="conf",
        project_file=None,
        folder=str(tmp_path),
        profile=target.profile,
        version="1",
        retry_of=None,
        submitted=datetime.now(UTC),
        parameters={},
        steps=check(Pipeline(name="conf", steps=steps)),
        settled={},
    )
    target.blobs.put(run_uri(target.blobs.root, "r1"), encode_run(document))
    return pipeline_run(target.blobs, document)


def once(tmp_path):
    return Step(name="once", command=("{python}", "-c", COUNT, str(tmp_path / "ran")), cache=False)


def finish(target, run):
    return wait(
        lambda: target.pipelines.observe(run.run_id),
        lambda state: state.phase not in ("running", "cancelling"),
        deadline=timedelta(seconds=120),
    )


def executions_of(target):
    return target.native.client("sagemaker").list_pipeline_executions(PipelineName="conf-conf")[
        "PipelineExecutionSummaries"
    ]


@pytest.mark.parametrize("kind", ["cut-before", "cut-after", "throttle", "error"])
def test_one_failure_of_each_call_on_the_way_is_made_good_without_a_second_execution(
    target, stack, tmp_path, kind
):
    run = write(target, tmp_path, once(tmp_path))
    for operation in ("StartPipelineExecution", "UpdatePipeline", "CreatePipeline"):
        stack.fault(kind=kind, service="sagemaker", operation=operation)
    target.pipelines.submit(run)
    assert finish(target, run).phase == "done"
    assert len(executions_of(target)) == 1
    assert (tmp_path / "ran").read_text() == "ran\n"


@pytest.mark.parametrize("kind", ["cut-before", "cut-after"])
def test_a_start_whose_replies_stay_lost_is_unknown_and_a_repeat_finds_or_makes_the_one_execution(
    target, stack, tmp_path, kind
):
    run = write(target, tmp_path, once(tmp_path))
    stack.fault(kind=kind, service="sagemaker", operation="StartPipelineExecution", times=None)
    with pytest.raises(OutcomeUnknown):
        target.pipelines.submit(run)
    stack.clear_faults()
    seen = target.pipelines.observe(run.run_id)
    assert (seen is not None) == (kind == "cut-after"), (
        "an execution that began is found by its display name"
    )
    target.pipelines.submit(run)
    assert finish(target, run).phase == "done"
    assert len(executions_of(target)) == 1
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_start_that_stays_throttled_says_that_nothing_was_done(target, stack, tmp_path):
    run = write(target, tmp_path, once(tmp_path))
    stack.fault(
        kind="throttle", service="sagemaker", operation="StartPipelineExecution", times=None
    )
    with pytest.raises(Throttled):
        target.pipelines.submit(run)
    assert target.pipelines.observe(run.run_id) is None


def test_a_repeat_pins_the_version_that_the_first_try_made(target, stack, tmp_path):
    """Somebody else's submit in between must not change what ours runs."""
    run = write(target, tmp_path, once(tmp_path))
    stack.fault(
        kind="throttle", service="sagemaker", operation="StartPipelineExecution", times=None
    )
    with pytest.raises(Throttled):
        target.pipelines.submit(run)
    stack.clear_faults()
    client = target.native.client("sagemaker")
    ours = executions.read(target.blobs, run.run_id).version
    theirs = json.loads(client.describe_pipeline(PipelineName="conf-conf")["PipelineDefinition"])
    theirs["Steps"][0]["Name"] = "other"
    client.update_pipeline(PipelineName="conf-conf", PipelineDefinition=json.dumps(theirs))
    target.pipelines.submit(run)
    assert [step.phase for step in finish(target, run).steps] == ["done"]
    arn = executions.read(target.blobs, run.run_id).arn
    assert client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineVersionId"] == ours


def test_a_run_whose_pipeline_was_deleted_is_absent(target, tmp_path):
    run = write(target, tmp_path, once(tmp_path))
    target.pipelines.submit(run)
    finish(target, run)
    target.native.client("sagemaker").delete_pipeline(
        PipelineName="conf-conf", ClientRequestToken="d" * 32
    )
    assert target.pipelines.observe(run.run_id) is None
    target.pipelines.cancel(run.run_id)


def test_a_job_is_given_the_runs_uri_and_the_way_to_the_stack_and_no_profile(target, tmp_path):
    run = write(target, tmp_path, once(tmp_path))
    target.pipelines.submit(run)
    finish(target, run)
    client = target.native.client("sagemaker")
    (job,) = client.list_processing_jobs()["ProcessingJobSummaries"]
    described = client.describe_processing_job(ProcessingJobName=job["ProcessingJobName"])
    assert described["AppSpecification"]["ContainerArguments"] == [
        "--run",
        run.run_uri,
        "--step",
        "once",
    ]
    assert set(described["Environment"]) == {"AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"}
    tags = client.list_tags(ResourceArn=described["ProcessingJobArn"])["Tags"]
    assert {"Key": "isthmus:project", "Value": "conf"} in tags


def test_what_a_uri_holds_is_read_by_its_scheme_under_the_environments_identity(
    target, monkeypatch
):
    uri = f"{target.blobs.root}/runs/r9/run.json"
    target.blobs.put(uri, b"here")
    monkeypatch.setenv("AWS_ENDPOINT_URL", target.profile.options["endpoint_url"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert open_blobs(uri).get(uri) == b"here"


PROJECT = "name: conf\n"
CODE = """
from pathlib import Path

import helper


def first(context):
    (context.outputs["made"] / "sub").mkdir()
    (context.outputs["made"] / "sub" / "text").write_text(helper.WORD)
    context.set("where", __file__)


def second(context):
    context.log((context.inputs["made"] / "sub" / "text").read_text())
    context.set("word", (context.inputs["made"] / "sub" / "text").read_text() + context.parameters["where"][-7:])
    context.set("name", context.project().spec.name)
"""


@pytest.fixture
def project(target, tmp_path):
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "project.yaml").write_text(PROJECT)
    (folder / "work.py").write_text(CODE)
    (folder / "helper.py").write_text("WORD = 'submitted'")
    (folder / "data" / "large.parquet").write_bytes(b"x" * 100)
    (folder / ".secret").write_text("hidden")
    return Project(
        ParsedProject(spec=ProjectSpec(name="conf"), folder=str(folder), places={}), target
    )


def pipeline(name="code"):
    outputs = (Output(name="word", type="string"), Output(name="name", type="string"))
    return Pipeline(
        name=name,
        steps=(
            Step(
                name="first",
                function="work:first",
                outputs=(Output(name="where", type="string"),),
                artifacts=("made",),
            ),
            Step(
                name="second",
                kind="training",
                function="work:second",
                inputs={"made": Artifact("first", "made")},
                parameters={"where": Value("first", "where")},
                outputs=outputs,
            ),
        ),
    )


def test_jobs_run_the_projects_files_as_they_were_submitted(target, project):
    run = submit(project, pipeline(), run="r1")
    (project.folder / "helper.py").write_text("WORD = 'changed since'")
    state = watch.watch(project, run)
    assert {step.name: step.phase for step in state.steps} == {"first": "done", "second": "done"}, (
        watch.log(project, "r1", "second")
    )
    assert watch.values(project, "r1", "second") == {"word": "submittedwork.py", "name": "conf"}
    assert not watch.values(project, "r1", "first")["where"].startswith(str(project.folder))
    assert "submitted" in watch.log(project, "r1", "second")


def test_what_travels_is_code_and_declared_tables_and_not_data_or_hidden_files(project):
    (project.folder / "work.pyc").write_bytes(b"")
    (project.folder / "venv").mkdir()
    (project.folder / "venv" / "pyvenv.cfg").write_text("")
    (project.folder / "data" / "items.csv").write_text("item_id\n1\n")
    assert project_code.files(project.folder) == ("helper.py", "project.yaml", "work.py")
    assert "data/items.csv" in project_code.files(
        project.folder, also=("data/items.csv", "data/not_there.csv", "../outside.csv")
    )


def test_a_file_too_large_to_be_code_is_refused_with_its_name(project):
    with (project.folder / "weights.bin").open("wb") as file:
        file.truncate(project_code.LARGEST + 1)
    with pytest.raises(Invalid, match=r"weights\.bin"):
        project_code.keep_code(project)


def test_the_same_files_are_uploaded_once(target, project, stack):
    first = project_code.keep_code(project)
    stack.clear_calls()
    assert project_code.keep_code(project) == first
    assert asked(stack, "PutObject") == 0
    (project.folder / "helper.py").write_text("WORD = 'other'")
    assert project_code.keep_code(project) != first


def test_the_cache_knows_a_step_by_its_code_wherever_it_runs(target, project):
    watch.watch(project, submit(project, pipeline(), run="r1"))
    again = submit(project, pipeline(), run="r2")
    assert again.steps == (), "nothing had to be submitted"
    assert watch.values(project, "r2", "second")["word"] == "submittedwork.py"
