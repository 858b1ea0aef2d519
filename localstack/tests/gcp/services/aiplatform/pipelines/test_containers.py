"""Container components, compiled by kfp, submitted by Google's client: order, parameters,
conditions, loops, failures, cancel.
"""

import time

import pytest
import yaml
from google.api_core.exceptions import (
    AlreadyExists,
    Conflict,
    FailedPrecondition,
    GoogleAPICallError,
    InvalidArgument,
    NotFound,
)
from google.cloud.aiplatform_v1 import (
    JobServiceClient,
    MetadataServiceClient,
    PipelineJob,
    PipelineServiceClient,
    PipelineState,
    PipelineTaskDetail,
)
from google.protobuf import json_format, struct_pb2
from kfp import compiler, dsl

from isthmus_stack.tests.gcp.conftest import PARENT

pytestmark = pytest.mark.slow

State = PipelineTaskDetail.State
ENDED = (
    PipelineState.PIPELINE_STATE_SUCCEEDED,
    PipelineState.PIPELINE_STATE_FAILED,
    PipelineState.PIPELINE_STATE_CANCELLED,
)
COPY = 'mkdir -p "$(dirname "$1")" && printf %s "$0" > "$1"'


@dsl.container_component
def say(text: str, out: dsl.OutputPath(str)):
    return dsl.ContainerSpec(image="alpine:3.23", command=["sh", "-c", COPY], args=[text, out])


@dsl.container_component
def count(number: int, out: dsl.OutputPath(int)):
    return dsl.ContainerSpec(
        image="python:3.11",
        command=[
            "python3",
            "-c",
            "import sys; open(sys.argv[2], 'w').write(str(int(sys.argv[1]) + 1))",
        ],
        args=[number, out],
    )


@dsl.container_component
def fail(status: int = 3):
    return dsl.ContainerSpec(
        image="alpine", command=["sh", "-c", "echo no such column; exit $0"], args=[status]
    )


@dsl.container_component
def sleep(seconds: int):
    return dsl.ContainerSpec(image="alpine", command=["sleep"], args=[seconds])


@dsl.container_component
def wait(file: str):
    return dsl.ContainerSpec(
        image="alpine", command=["sh", "-c", 'until [ -e "$0" ]; do sleep 0.05; done'], args=[file]
    )


def spec_of(pipeline, tmp_path):
    path = tmp_path / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    return next(yaml.safe_load_all(path.read_text()))


class Jobs:
    def __init__(self, gcp, client, tmp_path):
        self.gcp = gcp
        self.client = client
        self.tmp_path = tmp_path
        self.storage = storage_of(gcp)
        self.bucket = self.storage.create_bucket("pipelines")

    def start(self, pipeline, job_id="run-1", **more):
        spec = pipeline if isinstance(pipeline, dict) else spec_of(pipeline, self.tmp_path)
        values = {
            name: json_format.ParseDict(value, struct_pb2.Value())
            for name, value in more.pop("values", {}).items()
        }
        config = {
            "gcs_output_directory": "gs://pipelines/root",
            "parameter_values": values,
            **more.pop("config", {}),
        }
        job = PipelineJob(display_name=job_id, pipeline_spec=spec, runtime_config=config, **more)
        return self.client.create_pipeline_job(
            parent=PARENT, pipeline_job=job, pipeline_job_id=job_id
        )

    def get(self, job_id="run-1"):
        return self.client.get_pipeline_job(name=f"{PARENT}/pipelineJobs/{job_id}")

    def until(self, holds, job_id="run-1"):
        deadline = time.monotonic() + 120
        while not holds(job := self.get(job_id)):
            assert time.monotonic() < deadline, job.job_detail
            time.sleep(0.05)
        return job

    def run(self, pipeline, job_id="run-1", **more):
        self.start(pipeline, job_id, **more)
        return self.until(lambda job: job.state in ENDED, job_id)


def storage_of(gcp):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    return Client(
        project="shop-project",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": gcp.url},
    )


@pytest.fixture
def jobs(gcp, tmp_path):
    return Jobs(gcp, gcp.client(PipelineServiceClient), tmp_path)


def states(job):
    return {
        task.task_name: task.state.name
        for task in job.job_detail.task_details
        if task.parent_task_id
    }


def errors(job):
    return {
        task.task_name: task.error.message
        for task in job.job_detail.task_details
        if task.error.code
    }


def task(job, name):
    return next(task for task in job.job_detail.task_details if task.task_name == name)


def value(job, name, key="out"):
    return task(job, name).execution.metadata[f"output:{key}"]


def test_tasks_run_in_order_with_parameters_and_what_others_wrote(jobs):
    @dsl.pipeline(name="order")
    def order(text: str = "a", number: int = 1):
        first = say(text=text)
        second = count(number=number)
        say(text=f"{first.output}-{second.output}-{dsl.PIPELINE_JOB_NAME_PLACEHOLDER}")

    job = jobs.run(order, values={"text": "z"}, labels={"team": "us"})
    assert job.state == PipelineState.PIPELINE_STATE_SUCCEEDED, errors(job)
    assert states(job) == {"say": "SUCCEEDED", "count": "SUCCEEDED", "say-2": "SUCCEEDED"}
    assert (value(job, "say"), value(job, "count"), value(job, "say-2")) == ("z", 2, "z-2-run-1")
    assert task(job, "say-2").start_time >= max(
        task(job, "say").end_time, task(job, "count").end_time
    )
    files = [blob.name for blob in jobs.bucket.list_blobs(prefix="root/")]
    assert any(name.endswith(f"/run-1/say_{task(job, 'say').task_id}/out") for name in files)
    assert task(job, "run-1").execution.schema_title == "system.Run"


def test_a_condition_decides_and_branches_meet_again(jobs):
    @dsl.pipeline(name="branches")
    def branches(number: int = 1):
        counted = count(number=number)
        with dsl.If(counted.output == 2):
            low = say(text="low")
        with dsl.Else():
            high = say(text="high")
        say(text=dsl.OneOf(low.output, high.output))

    low, high = jobs.run(branches), jobs.run(branches, "run-2", values={"number": 7})
    assert states(low)["condition-2"] == "SUCCEEDED"
    assert states(low)["condition-3"] == "NOT_TRIGGERED"
    assert (value(low, "say-3"), value(high, "say-3")) == ("low", "high")


def test_loops_run_side_by_side_and_their_outputs_are_lists(jobs):
    @dsl.pipeline(name="inner")
    def inner(numbers: list) -> list:
        with dsl.ParallelFor(items=numbers, parallelism=2) as number:
            counted = count(number=number)
        return dsl.Collected(counted.output)

    @dsl.pipeline(name="loops")
    def loops(numbers: list):
        listed = inner(numbers=numbers)
        with dsl.ParallelFor(items=[{"a": "x", "b": [1]}, {"a": "y", "b": [2]}]) as item:
            say(text=item.a)
        say(text=f"{listed.output}").set_display_name("last")

    job = jobs.run(loops, values={"numbers": [1, 2, 3]})
    assert job.state == PipelineState.PIPELINE_STATE_SUCCEEDED, errors(job)
    assert value(job, "last") == "[2, 3, 4]"
    said = {
        t.execution.metadata["output:out"]
        for t in job.job_detail.task_details
        if t.task_name == "say"
    }
    assert said == {"x", "y"}


def test_a_failure_spares_other_branches_and_an_exit_handler_hears_of_it(jobs):
    @dsl.container_component
    def note(status: dsl.PipelineTaskFinalStatus, out: dsl.OutputPath(str)):
        return dsl.ContainerSpec(
            image="alpine",
            command=["sh", "-c", COPY],
            args=["{{$.inputs.parameters['status']}}", out],
        )

    @dsl.pipeline(name="exits")
    def exits():
        with dsl.ExitHandler(note()):
            broken = fail()
            say(text="after").after(broken)
            say(text="beside")

    job = jobs.run(exits)
    assert job.state == PipelineState.PIPELINE_STATE_FAILED
    assert states(job) == {
        "exit-handler-1": "FAILED",
        "fail": "FAILED",
        "say": "NOT_TRIGGERED",
        "say-2": "SUCCEEDED",
        "note": "SUCCEEDED",
    }
    assert "non-zero status of 3" in task(job, "fail").error.message
    assert "no such column" in task(job, "fail").error.message
    assert "[fail]" in task(job, "exit-handler-1").error.message
    assert '"state": "FAILED"' in value(job, "note")
    assert "exit-handler-1" in job.error.message


def test_the_fast_failure_policy_starts_nothing_more(jobs, tmp_path):
    gate = tmp_path / "gate"

    @dsl.pipeline(name="fast")
    def fast():
        broken = fail()
        held = wait(file=str(gate))
        say(text="later").after(held)
        say(text="ignores").after(broken).ignore_upstream_failure()

    jobs.start(fast, config={"failure_policy": 2})
    jobs.until(lambda job: states(job).get("fail") == "FAILED")
    gate.touch()
    job = jobs.until(lambda job: job.state in ENDED)
    assert states(job) == {"fail": "FAILED", "wait": "SUCCEEDED", "say-2": "SUCCEEDED"}


def test_a_task_is_tried_again_as_often_as_it_may(jobs):
    @dsl.container_component
    def flaky(counter: str):
        script = 'mkdir -p "$(dirname "$0")"; echo x >> "$0"; [ "$(wc -l < "$0")" -ge 3 ]'
        return dsl.ContainerSpec(image="alpine", command=["sh", "-c", script], args=[counter])

    @dsl.pipeline(name="again")
    def again():
        flaky(counter="/gcs/pipelines/counter").set_retry(num_retries=2, backoff_duration="30s")

    job = jobs.run(again)
    assert job.state == PipelineState.PIPELINE_STATE_SUCCEEDED
    assert jobs.bucket.blob("counter").download_as_bytes() == b"x\nx\nx\n"
    detail = task(job, "flaky").executor_detail.container_detail
    assert len(detail.failed_main_jobs) == 2
    assert detail.main_job not in detail.failed_main_jobs


def test_what_was_computed_is_taken_from_the_cache_and_a_change_is_not(jobs):
    @dsl.pipeline(name="cached")
    def cached(text: str):
        say(text=text)
        say(text="always").set_caching_options(False)

    jobs.run(cached, values={"text": "a"})
    again = jobs.run(cached, "run-2", values={"text": "a"})
    other = jobs.run(cached, "run-3", values={"text": "b"})
    assert states(again) == {"say": "SKIPPED", "say-2": "SUCCEEDED"}
    assert value(again, "say") == "a"
    assert states(other)["say"] == "SUCCEEDED"


def test_cancel_ends_what_runs_and_starts_nothing_more(jobs):
    @dsl.pipeline(name="held")
    def held():
        say(text="after").after(sleep(seconds=600))

    jobs.start(held)
    jobs.until(lambda job: states(job).get("sleep") == "RUNNING")
    with pytest.raises(FailedPrecondition):
        jobs.client.delete_pipeline_job(name=f"{PARENT}/pipelineJobs/run-1")
    jobs.client.cancel_pipeline_job(name=f"{PARENT}/pipelineJobs/run-1")
    job = jobs.until(lambda job: job.state in ENDED)
    assert job.state == PipelineState.PIPELINE_STATE_CANCELLED
    assert states(job) == {"sleep": "CANCELLED"}
    with pytest.raises(FailedPrecondition):
        jobs.client.cancel_pipeline_job(name=job.name)
    jobs.client.delete_pipeline_job(name=job.name).result()
    with pytest.raises(NotFound):
        jobs.get()


def test_jobs_are_refused_before_anything_runs(jobs):
    @dsl.pipeline(name="needs")
    def needs(text: str):
        say(text=text)

    with pytest.raises(InvalidArgument, match="text is missing"):
        jobs.start(needs)
    with pytest.raises(InvalidArgument, match="pipeline_job_id"):
        jobs.start(needs, "Run", values={"text": "a"})
    with pytest.raises(InvalidArgument, match="gcs_output_directory"):
        jobs.start(needs, values={"text": "a"}, config={"gcs_output_directory": "/tmp/root"})
    assert list(jobs.client.list_pipeline_jobs(parent=PARENT)) == []


def test_an_image_that_is_not_here_fails_its_task_by_name(jobs):
    @dsl.container_component
    def foreign():
        return dsl.ContainerSpec(image="gcr.io/somebody/trainer:3", command=["train"])

    @dsl.pipeline(name="image")
    def image():
        foreign()

    assert "--image trainer=COMMAND" in task(jobs.run(image), "foreign").error.message


def test_jobs_are_listed_by_filter_and_made_once_over_both_transports(gcp, vertex, tmp_path):
    @dsl.pipeline(name="listed")
    def simple():
        say(text="x")

    jobs = Jobs(gcp, vertex(PipelineServiceClient), tmp_path)
    job = jobs.run(simple, labels={"team": "us"})
    with pytest.raises((AlreadyExists, Conflict)):
        jobs.start(simple)
    jobs.run(simple, "run-2")
    assert [j.name for j in jobs.client.list_pipeline_jobs(parent=PARENT)] == [
        job.name.replace("run-1", "run-2"),
        job.name,
    ]
    (found,) = jobs.client.list_pipeline_jobs(
        request={
            "parent": PARENT,
            "filter": 'labels.team=us AND pipeline_name="listed" AND state="PIPELINE_STATE_SUCCEEDED"',
        }
    )
    assert (found.name, found.job_detail.task_details) == (job.name, [])
    with pytest.raises(GoogleAPICallError, match="nothing"):
        jobs.get("nothing")


def test_a_tasks_container_is_a_custom_job_whose_lines_are_kept(jobs):
    @dsl.pipeline(name="logged")
    def logged():
        fail()

    job = jobs.run(logged)
    name = task(job, "fail").executor_detail.container_detail.main_job
    custom = jobs.gcp.client(JobServiceClient).get_custom_job(name=name)
    assert custom.state.name == "JOB_STATE_FAILED"
    assert custom.job_spec.worker_pool_specs[0].container_spec.image_uri == "alpine"


def test_several_jobs_are_cancelled_and_deleted_at_once_or_not_at_all(jobs):
    @dsl.pipeline(name="held")
    def held(seconds: int):
        sleep(seconds=seconds)

    spec = spec_of(held, jobs.tmp_path)
    jobs.run(spec, "ended", values={"seconds": 0})
    jobs.start(spec, "going", values={"seconds": 600})
    names = [f"{PARENT}/pipelineJobs/{job}" for job in ("ended", "going")]
    with pytest.raises(FailedPrecondition):
        jobs.client.batch_delete_pipeline_jobs(parent=PARENT, names=names)
    assert len(list(jobs.client.list_pipeline_jobs(parent=PARENT))) == 2
    cancelled = jobs.client.batch_cancel_pipeline_jobs(parent=PARENT, names=names).result(
        timeout=60
    )
    assert [job.state.name for job in cancelled.pipeline_jobs] == [
        "PIPELINE_STATE_SUCCEEDED",
        "PIPELINE_STATE_CANCELLED",
    ]
    deleted = jobs.client.batch_delete_pipeline_jobs(parent=PARENT, names=names).result(timeout=60)
    assert len(deleted.pipeline_jobs) == 2
    assert list(jobs.client.list_pipeline_jobs(parent=PARENT)) == []


def test_a_pipeline_is_given_an_artifact_of_the_metadata_store(jobs):
    @dsl.container_component
    def show(data: dsl.Input[dsl.Dataset], out: dsl.OutputPath(str)):
        script = 'mkdir -p "$(dirname "$1")" && cat "$0" > "$1" && printf %s "$2" >> "$1"'
        return dsl.ContainerSpec(
            image="alpine",
            command=["sh", "-c", script],
            args=[data.path, out, data.metadata["rows"]],
        )

    @dsl.pipeline(name="given")
    def given(data: dsl.Input[dsl.Dataset]):
        show(data=data)

    jobs.bucket.blob("data.txt").upload_from_string("rows: ")
    client = jobs.gcp.client(MetadataServiceClient)
    client.create_metadata_store(
        parent=PARENT, metadata_store={}, metadata_store_id="default"
    ).result(timeout=60)
    client.create_artifact(
        parent=f"{PARENT}/metadataStores/default",
        artifact={
            "uri": "gs://pipelines/data.txt",
            "schema_title": "system.Dataset",
            "metadata": {"rows": 7},
        },
        artifact_id="seven",
    )
    with pytest.raises(InvalidArgument, match="data is missing"):
        jobs.start(given)
    with pytest.raises(InvalidArgument, match="'eight'"):
        jobs.start(given, config={"input_artifacts": {"data": {"artifact_id": "eight"}}})
    job = jobs.run(given, config={"input_artifacts": {"data": {"artifact_id": "seven"}}})
    assert value(job, "show") == "rows: 7"
    assert task(job, "show").inputs["data"].artifacts[0].name.endswith("/artifacts/seven")
