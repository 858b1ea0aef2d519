"""`isthmus compile`: what kfp loads, what the stack executes, and what Argo's models take; the
document alone on standard output.
"""

import json
import time

import pytest
import yaml

from isthmus.adapters import targets
from isthmus.core.runtime.project import open as open_project
from isthmus.core.runtime.project import reopen
from isthmus.errors import AlreadyExists, Invalid
from isthmus.pipelines.graphs import kubeflow as ir
from isthmus.pipelines.graphs.graph import Pipeline, Step
from isthmus.pipelines.port import Condition, Output
from isthmus.pipelines.runs.document import open_run
from isthmus.pipelines.runs.submission import prepare
from isthmus.pipelines.training.compilation import compile_run
from isthmus.tests.cli.running import isthmus
from isthmus.tests.conformance.places import fresh, gcp_stack
from isthmus.tests.endpoints.mini import FILES

pytestmark = pytest.mark.slow


@pytest.fixture
def target(tmp_path):
    opened = targets.load(fresh("vertex", tmp_path / "home"))
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "mini"
    for name, text in FILES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def test_kfp_loads_what_is_compiled_and_the_run_is_in_the_bucket(target, folder):
    from kfp import components

    project = reopen(folder / "project.yaml", target)
    compiled = compile_run(project, "both", to="kubeflow", run="r41")
    loaded = components.load_component_from_text(str(compiled))
    assert set(loaded.pipeline_spec.root.dag.tasks) == {"dataset", "fit", "evaluate", "register"}
    assert open_run(target.blobs, "r41").pipeline == "both"
    assert compiled.submit.startswith("kfp run create --experiment-name mini")
    with pytest.raises(AlreadyExists):
        compile_run(project, "popular", to="kubeflow", run="r41")


def test_argos_models_take_what_is_compiled(target, folder):
    from hera.workflows.models import Workflow

    compiled = compile_run(reopen(folder / "project.yaml", target), "both", to="argo")
    workflow = Workflow.model_validate(yaml.safe_load(str(compiled)))
    assert workflow.model_dump(by_alias=True, exclude_unset=True, mode="json") == compiled.document
    assert compiled.document["spec"]["arguments"]["parameters"] == [
        {"name": "run-uri", "value": compiled.run_uri}
    ]


def test_a_target_that_no_pod_reaches_is_refused(folder):
    with open_project(folder / "project.yaml") as project, pytest.raises(Invalid, match="no pod"):
        compile_run(project, "both", to="argo")


def test_the_document_alone_is_on_standard_output(target, folder, monkeypatch):
    monkeypatch.setenv("GCP_ENDPOINT_URL", gcp_stack().url)
    (folder / "profiles.yaml").write_text(
        "targets:\n  cloud: {adapter: vertex, bucket: gs://conformance, image: registry/mini:1}\n"
    )
    said = isthmus(
        folder, "compile", "models/both.yaml", "--to", "kubeflow", "--target", "cloud", "--offline"
    )
    document = yaml.safe_load(said.out)
    assert (
        document["deploymentSpec"]["executors"]["exec-fit"]["container"]["image"]
        == "registry/mini:1"
    )
    assert "next   kfp run create" in said.err


def test_a_compiled_document_runs_with_no_more_than_it_says(target, folder):
    python = ("{python}", "-c")
    pipeline = Pipeline(
        name="made",
        steps=(
            Step(
                name="measure",
                command=(
                    *python,
                    "import sys; open(sys.argv[1], 'w').write('{\"n\": 2}')",
                    "{values}",
                ),
                outputs=(Output(name="n", type="int"),),
            ),
            Step(
                name="more",
                command=(*python, "pass"),
                when=Condition(step="measure", output="n", op=">", value=1),
            ),
            Step(
                name="less",
                command=(*python, "pass"),
                when=Condition(step="measure", output="n", op="<=", value=1),
            ),
        ),
    )
    run = prepare(reopen(folder / "project.yaml", target), pipeline, run="r1", settle=False)
    text = json.dumps(
        ir.document(run, ir.Settings(name="mini-made", image="isthmus"), default_run=True)
    )
    session = target.native
    job = session.pipelines.create_pipeline_job(
        parent=session.parent,
        pipeline_job={
            "pipeline_spec": json.loads(text),
            "runtime_config": {"gcs_output_directory": "gs://conformance/kfp"},
        },
    )
    deadline = time.monotonic() + 120
    while (job := session.pipelines.get_pipeline_job(name=job.name)).state.name not in (
        "PIPELINE_STATE_SUCCEEDED",
        "PIPELINE_STATE_FAILED",
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    states = {
        task.task_name: task.state.name
        for task in job.job_detail.task_details
        if task.parent_task_id
    }
    assert states == {"measure": "SUCCEEDED", "more": "SUCCEEDED", "less": "NOT_TRIGGERED"}
