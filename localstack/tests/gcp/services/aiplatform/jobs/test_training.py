"""TrainingPipelines over the wire: a custom job, then the upload of the model that it has written."""

import time

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as ai
from google.cloud.storage import Client

from isthmus_stack.tests.gcp.conftest import PARENT, PROJECT

pytestmark = pytest.mark.slow

CUSTOM = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
ENDED = tuple(
    ai.PipelineState[f"PIPELINE_STATE_{state}"] for state in ("SUCCEEDED", "FAILED", "CANCELLED")
)
WRITES = (
    "import pathlib; folder = pathlib.Path('/gcs/jobs/out/model'); "
    "folder.mkdir(parents=True, exist_ok=True)\n"
    "(folder / 'model.json').write_text('{}')"
)


@pytest.fixture
def client(gcp):
    Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": gcp.url},
    ).create_bucket("jobs")
    return gcp.client(ai.PipelineServiceClient)


def start(client, code, *, definition=CUSTOM, model=True, **fields):
    pool = {
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": "python:3.11", "command": ["python", "-c", code]},
    }
    inputs = {
        "worker_pool_specs": [pool],
        "base_output_directory": {"output_uri_prefix": "gs://jobs/out"},
        **fields.pop("inputs", {}),
    }
    if model:
        fields["model_to_upload"] = {
            "display_name": "ranker",
            "container_spec": {"image_uri": "toy"},
        }
    pipeline = ai.TrainingPipeline(
        display_name="train",
        training_task_definition=definition,
        training_task_inputs=inputs,
        **fields,
    )
    return client.create_training_pipeline(parent=PARENT, training_pipeline=pipeline)


def until(client, pipeline, *states):
    deadline = time.monotonic() + 120
    while (pipeline := client.get_training_pipeline(name=pipeline.name)).state not in (
        states or ENDED
    ):
        assert time.monotonic() < deadline, pipeline
        time.sleep(0.02)
    return pipeline


def test_a_training_pipeline_runs_its_job_and_registers_what_that_has_written(gcp, client):
    pipeline = until(client, start(client, WRITES, model_id="ranker", labels={"owner": "us"}))
    assert pipeline.state == ai.PipelineState.PIPELINE_STATE_SUCCEEDED, pipeline.error
    assert (
        pipeline.model_to_upload.name.rpartition("/")[2],
        pipeline.model_to_upload.version_id,
    ) == ("ranker", "1")
    model = gcp.client(ai.ModelServiceClient).get_model(name=pipeline.model_to_upload.name)
    assert (model.artifact_uri, model.training_pipeline) == ("gs://jobs/out/model", pipeline.name)
    job = gcp.client(ai.JobServiceClient).get_custom_job(
        name=pipeline.training_task_metadata["backingCustomJob"]
    )
    assert (job.display_name, job.state, dict(job.labels)) == (
        "train-custom-job",
        ai.JobState.JOB_STATE_SUCCEEDED,
        {"owner": "us"},
    )
    again = until(client, start(client, WRITES, parent_model=model.name))
    assert (again.model_to_upload.name, again.model_to_upload.version_id) == (model.name, "2")
    assert [one.name for one in client.list_training_pipelines(parent=PARENT)] == [
        again.name,
        pipeline.name,
    ]
    client.delete_training_pipeline(name=again.name).result(timeout=60)
    with pytest.raises(exceptions.NotFound):
        client.get_training_pipeline(name=again.name)


def test_a_training_that_fails_or_writes_no_model_says_so(client):
    failed = until(client, start(client, "raise SystemExit(7)"))
    assert failed.state == ai.PipelineState.PIPELINE_STATE_FAILED
    assert "non-zero status of 7" in failed.error.message
    empty = until(client, start(client, "pass"))
    assert empty.state == ai.PipelineState.PIPELINE_STATE_FAILED
    assert 'There are no files under "gs://jobs/out/model" to copy.' in empty.error.message
    assert (
        until(client, start(client, "pass", model=False)).state
        == ai.PipelineState.PIPELINE_STATE_SUCCEEDED
    )


def test_a_training_that_is_cancelled_ends_its_job(gcp, client):
    pipeline = until(
        client,
        start(client, "import time; time.sleep(600)"),
        ai.PipelineState.PIPELINE_STATE_RUNNING,
    )
    with pytest.raises(exceptions.FailedPrecondition):
        client.delete_training_pipeline(name=pipeline.name)
    client.cancel_training_pipeline(name=pipeline.name)
    pipeline = until(client, pipeline)
    job = gcp.client(ai.JobServiceClient).get_custom_job(
        name=pipeline.training_task_metadata["backingCustomJob"]
    )
    assert (pipeline.state, job.state) == (
        ai.PipelineState.PIPELINE_STATE_CANCELLED,
        ai.JobState.JOB_STATE_CANCELLED,
    )


def test_what_no_training_here_can_be_is_refused_before_there_is_one(client):
    for refused, words, fields in (
        (
            exceptions.MethodNotImplemented,
            "automl_tables",
            {"definition": CUSTOM.replace("custom_task", "automl_tables")},
        ),
        (
            exceptions.MethodNotImplemented,
            "managed datasets",
            {"input_data_config": {"dataset_id": "1"}},
        ),
        (exceptions.InvalidArgument, "no_such_field", {"inputs": {"no_such_field": 1}}),
        (
            exceptions.InvalidArgument,
            "worker_pool_specs is required",
            {"inputs": {"worker_pool_specs": []}},
        ),
        (
            exceptions.InvalidArgument,
            "base_output_directory",
            {"inputs": {"base_output_directory": {}}},
        ),
        (exceptions.InvalidArgument, "model_id", {"model_id": "Ranker"}),
    ):
        with pytest.raises(refused, match=words):
            start(client, "pass", **fields)
    assert not list(client.list_training_pipelines(parent=PARENT))
