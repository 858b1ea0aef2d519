"""Python components as kfp compiles them, kfp's own bootstrap included: one pipeline of them all,
run once.
"""

import time

import pytest
import yaml
from google.cloud.aiplatform_v1 import PipelineJob, PipelineServiceClient, PipelineState
from kfp import compiler, dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from isthmus_stack.tests.gcp.conftest import PARENT, PROJECT, Gcp

pytestmark = pytest.mark.slow


@dsl.component(base_image="python:3.11")
def make(name: str, rows: int, data: Output[Dataset]) -> int:
    from pathlib import Path

    data.metadata["rows"] = rows
    Path(data.path).write_text(name * rows)
    return rows


@dsl.component(
    base_image="python:3.11",
    packages_to_install=["numpy", "msgspec>=0.18"],
    kfp_package_path="kfp==2.7.0",
)
def train(
    data: Input[Dataset],
    prior: Input[Model],
    model: Output[Model],
    metrics: Output[Metrics],
    rate: float = 0.5,
) -> str:
    from pathlib import Path

    from google.cloud import storage

    text = Path(data.path).read_text()
    Path(model.path).mkdir()
    (Path(model.path) / "weights.txt").write_text(
        f"{text} {rate} {type(rate).__name__} {data.metadata['rows']} "
        f"{Path(prior.path).read_text()}"
    )
    model.metadata["framework"] = "none"
    metrics.log_metric("auc", 0.75)
    bucket, _, name = data.uri.removeprefix("gs://").partition("/")
    return storage.Client().bucket(bucket).blob(name).download_as_text()


@dsl.component(base_image="python:3.11")
def join(parts: Input[list[Dataset]], rows: list) -> str:
    from pathlib import Path

    return ",".join(Path(part.path).read_text() for part in parts) + str(rows)


@dsl.component(base_image="python:3.11")
def read(part: Input[Artifact]):
    from pathlib import Path

    print(Path(part.path).read_text())


@dsl.pipeline(name="many")
def many(names: list[str]) -> list[Dataset]:
    with dsl.ParallelFor(items=names) as name:
        made = make(name=name, rows=1)
    return dsl.Collected(made.outputs["data"])


@dsl.pipeline(name="everything")
def everything(names: list[str]):
    with dsl.ParallelFor(items=names, parallelism=2) as name:
        part = make(name=name, rows=2)
    join(parts=dsl.Collected(part.outputs["data"]), rows=dsl.Collected(part.outputs["Output"]))
    listed = many(names=names)
    with dsl.ParallelFor(items=listed.output) as one:
        read(part=one)
    prior = dsl.importer(
        artifact_uri="gs://python/prior.txt", artifact_class=Model, metadata={"from": "elsewhere"}
    )
    train(data=make(name="z", rows=3).set_display_name("first").outputs["data"], prior=prior.output)


@pytest.fixture(scope="module")
def job(gcp_process, tmp_path_factory):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    gcp = Gcp(gcp_process.url, "gcp")
    gcp.reset()
    storage = Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": gcp.url},
    )
    storage.create_bucket("python").blob("prior.txt").upload_from_string("prior")
    path = tmp_path_factory.mktemp("spec") / "everything.yaml"
    compiler.Compiler().compile(everything, str(path))
    client = gcp.client(PipelineServiceClient)
    name = client.create_pipeline_job(
        parent=PARENT,
        pipeline_job=PipelineJob(
            pipeline_spec=yaml.safe_load(path.read_text()),
            runtime_config={
                "gcs_output_directory": "gs://python/root",
                "parameter_values": {"names": ["a", "b"]},
            },
        ),
    ).name
    deadline = time.monotonic() + 170
    while (job := client.get_pipeline_job(name=name)).state not in (4, 5):
        assert time.monotonic() < deadline, job.job_detail
        time.sleep(0.1)
    blobs = {
        f"gs://python/{blob.name}": blob.download_as_text()
        for blob in storage.bucket("python").list_blobs()
    }
    return job, blobs


def tasks(job, name):
    return [task for task in job.job_detail.task_details if task.task_name == name]


def test_every_task_ends_well(job):
    job, _ = job
    assert job.state == PipelineState.PIPELINE_STATE_SUCCEEDED, [
        t.error.message for t in job.job_detail.task_details if t.error.code
    ]
    assert len(tasks(job, "make")) == 4


def test_artifacts_have_uris_that_hold_what_was_written_and_metadata(job):
    job, blobs = job
    (first,), (trained,) = tasks(job, "first"), tasks(job, "train")
    (made,) = first.outputs["data"].artifacts
    assert (made.schema_title, dict(made.metadata)) == ("system.Dataset", {"rows": 3})
    assert blobs[made.uri] == "zzz"
    assert trained.inputs["data"].artifacts[0].name == made.name
    (model,) = trained.outputs["model"].artifacts
    assert blobs[f"{model.uri}/weights.txt"] == "zzz 0.5 float 3 prior"
    assert (model.schema_title, model.metadata["framework"]) == ("system.Model", "none")
    assert trained.outputs["metrics"].artifacts[0].metadata["auc"] == 0.75


def test_a_component_reaches_the_stack_with_the_genuine_sdk(job):
    job, _ = job
    (trained,) = tasks(job, "train")
    assert trained.execution.metadata["output:Output"] == "zzz"


def test_loops_run_over_artifacts_and_collect_them(job):
    job, _ = job
    (joined,) = tasks(job, "join")
    assert joined.execution.metadata["output:Output"] == "aa,bb[2, 2]"
    assert len(tasks(job, "read")) == 2
    assert len(joined.inputs["parts"].artifacts) == 2


def test_an_importer_gives_what_is_there_already(job):
    job, _ = job
    (imported,) = tasks(job, "importer")
    (artifact,) = imported.outputs["artifact"].artifacts
    assert (artifact.uri, artifact.metadata["from"]) == ("gs://python/prior.txt", "elsewhere")
