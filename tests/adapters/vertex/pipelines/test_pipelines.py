"""Pipelines on the wire: one job a run whatever gets lost, a job needs its URI alone, and the
project's files go with it.
"""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from isthmus.adapters import targets
from isthmus.adapters.vertex.machines import container_limits
from isthmus.adapters.vertex.pipelines.run_states import run_state
from isthmus.core.runtime.project import Project
from isthmus.errors import Invalid, OutcomeUnknown
from isthmus.pipelines.graphs.graph import Artifact, Pipeline, Step, Value, check
from isthmus.pipelines.port import Condition, Output, PipelineRun, StepSpec
from isthmus.pipelines.runs import watch
from isthmus.pipelines.runs.document import RunDocument, encode_run, run_uri
from isthmus.pipelines.runs.submission import pipeline_run, submit
from isthmus.project.specs.description import ParsedProject, ProjectSpec
from isthmus.storage import wait
from isthmus.tests.conformance.places import fresh, gcp_stack
from isthmus_stack.client import Stack

slow = pytest.mark.slow
COUNT = "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write('ran' + chr(10))"


@pytest.fixture
def target(tmp_path):
    opened = targets.load(fresh("vertex", tmp_path / "home"))
    yield opened
    opened.close()


@pytest.fixture
def stack(target):
    return Stack(gcp_stack().url, "gcp")


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


def jobs_of(target):
    session = target.native
    return list(session.pipelines.list_pipeline_jobs(parent=session.parent))


@slow
@pytest.mark.parametrize("kind", ["cut-before", "cut-after", "throttle", "error"])
def test_one_failure_on_the_way_is_made_good_without_a_second_job(target, stack, tmp_path, kind):
    run = write(target, tmp_path, once(tmp_path))
    stack.fault(kind=kind, service="aiplatform", operation="PipelineService.CreatePipelineJob")
    try:
        target.pipelines.submit(run)
    except OutcomeUnknown:  # an answer that was lost is not asked for again by itself
        target.pipelines.submit(run)
    assert finish(target, run).phase == "done"
    assert len(jobs_of(target)) == 1
    assert (tmp_path / "ran").read_text() == "ran\n"


@slow
def test_a_job_is_given_the_runs_uri_and_the_way_to_the_stack_and_no_profile(target, tmp_path):
    run = write(target, tmp_path, once(tmp_path))
    target.pipelines.submit(run)
    finish(target, run)
    session = target.native
    (custom,) = session.jobs.list_custom_jobs(parent=session.parent)
    container = custom.job_spec.worker_pool_specs[0].container_spec
    assert list(container.command) == ["python", "-m", "isthmus.pipelines.step"]
    assert list(container.args) == ["--run", run.run_uri, "--step", "once"]
    variables = {variable.name: variable.value for variable in container.env}
    assert variables["GCP_ENDPOINT_URL"] == target.profile.options["endpoint_url"]
    assert variables["GOOGLE_CLOUD_PROJECT"] == "conformance"
    (job,) = jobs_of(target)
    assert job.name.endswith(f"/pipelineJobs/conf-{run.run_id}")
    assert job.labels["isthmus_project"] == "conf"


@slow
def test_a_run_whose_job_was_deleted_is_absent(target, tmp_path):
    run = write(target, tmp_path, once(tmp_path))
    target.pipelines.submit(run)
    finish(target, run)
    (job,) = jobs_of(target)
    target.native.pipelines.delete_pipeline_job(name=job.name).result()
    assert target.pipelines.observe(run.run_id) is None
    target.pipelines.cancel(run.run_id)


CODE = """
import helper


def first(context):
    (context.outputs["made"] / "sub").mkdir()
    (context.outputs["made"] / "sub" / "text").write_text(helper.WORD)
    context.set("where", __file__)


def second(context):
    context.set("word", (context.inputs["made"] / "sub" / "text").read_text() + context.parameters["where"][-7:])
    context.set("name", context.project().spec.name)
"""


@slow
def test_jobs_run_the_projects_files_as_they_were_submitted(target, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in (
        ("project.yaml", "name: conf\n"),
        ("work.py", CODE),
        ("helper.py", "WORD = 'submitted'"),
    ):
        (folder / name).write_text(text)
    project = Project(
        ParsedProject(spec=ProjectSpec(name="conf"), folder=str(folder), places={}), target
    )
    pipeline = Pipeline(
        name="code",
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
                outputs=(Output(name="word", type="string"), Output(name="name", type="string")),
            ),
        ),
    )
    run = submit(project, pipeline, run="r1")
    (folder / "helper.py").write_text("WORD = 'changed since'")
    state = watch.watch(project, run)
    assert {step.name: step.phase for step in state.steps} == {"first": "done", "second": "done"}, (
        watch.log(project, "r1", "second")
    )
    assert watch.values(project, "r1", "second") == {"word": "submittedwork.py", "name": "conf"}


CONDITION = Condition(step="measure", output="auc", op=">=", value=0.6)
STEPS = (
    StepSpec(name="measure", outputs=(Output(name="auc", type="float"),)),
    StepSpec(name="good_one", needs=("measure",), when=CONDITION),
    StepSpec(name="after", needs=("good_one",)),
)
RUN = PipelineRun(
    run_id="0" * 32, pipeline="p", run_uri="gs://b/shop/runs/r1/run.json", steps=STEPS
)


def seen(state, *tasks):
    from google.cloud.aiplatform_v1.types import PipelineTaskDetail

    details = [
        PipelineTaskDetail(
            task_name=name, state=PipelineTaskDetail.State[at], error={"message": why}
        )
        for name, at, why in tasks
    ]
    found = run_state(
        RUN,
        state,
        details,
        why=lambda _: None,
        log=lambda step: f"log of {step}",
        url=lambda job: job,
    )
    return found.phase, [(step.phase, step.reason) for step in found.steps]


def test_vertex_ais_states_are_ours():
    assert seen("PIPELINE_STATE_QUEUED") == ("running", [("waiting", None)] * 3)
    done = ("measure", "SUCCEEDED", "")
    assert seen(
        "PIPELINE_STATE_SUCCEEDED",
        done,
        ("good-one", "NOT_TRIGGERED", ""),
        ("after", "NOT_TRIGGERED", ""),
    ) == (
        "done",
        [
            ("done", None),
            ("skipped", "not measure.auc >= 0.6"),
            ("skipped", "it needs good_one, which was skipped"),
        ],
    )
    assert seen("PIPELINE_STATE_FAILED", ("measure", "FAILED", "exit 3")) == (
        "failed",
        [
            ("failed", "exit 3"),
            ("skipped", "it needs measure, which failed"),
            ("skipped", "it needs good_one, which was skipped"),
        ],
    )
    assert seen("PIPELINE_STATE_CANCELLED", ("measure", "CANCELLED", "")) == (
        "cancelled",
        [("cancelled", None)] * 3,
    )


def test_a_container_asks_for_what_a_machine_type_has():
    limits = container_limits("n1-highmem-4")
    assert (limits.cpu, limits.memory_gb) == (4, 26)
    with pytest.raises(Invalid, match="machine type"):
        container_limits("large")
