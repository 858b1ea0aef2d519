"""aiplatform's PipelineJob and CustomJob in another process, led by the environment alone; what an
experiment learns of a pipeline.
"""

import json

import pytest

pytestmark = pytest.mark.slow

CODE = """
import json, time
from google.cloud import aiplatform, storage
from kfp import compiler, dsl

COPY = 'mkdir -p "$(dirname "$1")" && printf %s "$0" > "$1"'

@dsl.container_component
def say(text: str, out: dsl.OutputPath(str), data: dsl.Output[dsl.Dataset]):
    script = COPY + ' && printf %s "$0" > "$2"'
    return dsl.ContainerSpec(image="alpine", command=["sh", "-c", script], args=[text, out, data.path])

@dsl.pipeline(name="sdk")
def pipeline(text: str, names: list):
    said = say(text=text)
    with dsl.If(said.outputs["out"] == "go"):
        with dsl.ParallelFor(items=names) as name:
            say(text=name)
    with dsl.Else():
        say(text="never")

compiler.Compiler().compile(pipeline, "sdk.yaml")
storage.Client().create_bucket("sdk")
aiplatform.init(project="shop-project", location="us-central1", staging_bucket="gs://sdk", api_transport="grpc")

def finished(job):
    while not job.done():
        time.sleep(0.1)
    return job

values = {"text": "go", "names": ["a", "b"]}
job = aiplatform.PipelineJob(display_name="sdk", template_path="sdk.yaml", parameter_values=values, job_id="sdk-1")
job.submit(service_account="me@shop-project.iam.gserviceaccount.com", experiment="trials")
finished(job)
said = [task for task in job.task_details if task.task_name.startswith("say") and task.state.name == "SUCCEEDED"]
texts = sorted(task.execution.metadata["output:out"] for task in said)
uri = said[0].outputs["data"].artifacts[0].uri
artifact = aiplatform.Artifact.get_with_uri(uri)
frame = aiplatform.get_experiment_df("trials")

custom = aiplatform.CustomJob(
    display_name="custom",
    worker_pool_specs=[{"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1,
        "container_spec": {"image_uri": "python:3.11", "command": ["python", "-c", "print('trained')"], "args": []}}],
)
custom.submit()
while custom.state.name not in ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED"):
    time.sleep(0.1)
listed = [found.name for found in aiplatform.PipelineJob.list(filter='display_name="sdk"', enable_simple_view=True)]
aiplatform.init(project="shop-project", location="us-central1", staging_bucket="gs://sdk", api_transport="rest")
clone = aiplatform.PipelineJob.get("sdk-1").clone(job_id="sdk-2", parameter_values={"text": "stay"})
clone.submit()
finished(clone)
states = {task.task_name: task.state.name for task in clone.task_details}
print(json.dumps({"state": job.state.name, "texts": texts, "schema": artifact.schema_title, "rows": frame.to_dict("records"),
    "custom": custom.state.name, "listed": listed, "states": states, "number": job.resource_name.split("/")[1]}, default=str))
"""


def test_the_sdk_runs_pipelines_and_reads_tasks_artifacts_and_experiment_over_grpc_and_rest(
    gcp, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    found = json.loads(gcp.run(CODE).splitlines()[-1])
    assert (found["state"], found["custom"]) == ("PIPELINE_STATE_SUCCEEDED", "JOB_STATE_SUCCEEDED")
    assert found["texts"] == ["a", "b", "go"]
    assert found["schema"] == "system.Dataset"
    (row,) = found["rows"]
    assert (row["run_name"], row["run_type"], row["param.text"]) == (
        "sdk-1",
        "system.PipelineRun",
        "go",
    )
    assert found["listed"] == ["sdk-1"]
    assert found["states"]["say"] == "SUCCEEDED"
    branches = [
        state
        for name, state in found["states"].items()
        if name.startswith("condition-") and "branches" not in name
    ]
    assert sorted(branches) == ["NOT_TRIGGERED", "SUCCEEDED"]
    assert found["number"].isdecimal()
