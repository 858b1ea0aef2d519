"""Custom jobs over the wire: the contract's variables, /gcs, replicas, packages, time-out, cancel,
failure.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import time

import pytest
from google.api_core.exceptions import (
    FailedPrecondition,
    GoogleAPICallError,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from google.cloud.aiplatform_v1 import CustomJob, JobServiceClient, JobState
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

from isthmus_stack.gcp.services.aiplatform.jobs import gcs_shim
from isthmus_stack.tests.gcp.conftest import PARENT, PROJECT

pytestmark = pytest.mark.slow

ENDED = (JobState.JOB_STATE_SUCCEEDED, JobState.JOB_STATE_FAILED, JobState.JOB_STATE_CANCELLED)
MACHINE = {"machine_type": "n1-standard-4"}


@pytest.fixture
def bucket(gcp):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    client = Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": gcp.url},
    )
    return client.create_bucket("jobs")


@pytest.fixture
def client(gcp):
    return gcp.client(JobServiceClient)


def pool(code, *args, replicas=1, env=None, image="python:3.11"):
    container = {
        "image_uri": image,
        "command": ["python", "-c", code],
        "args": list(args),
        "env": [{"name": k, "value": v} for k, v in (env or {}).items()],
    }
    return {"machine_spec": MACHINE, "replica_count": replicas, "container_spec": container}


def start(client, *pools, **more):
    spec = {
        "worker_pool_specs": list(pools),
        "base_output_directory": {"output_uri_prefix": "gs://jobs/out"},
        **more,
    }
    return client.create_custom_job(
        parent=PARENT, custom_job=CustomJob(display_name="job", job_spec=spec)
    )


def texts(gcp, job):
    """Its lines in Cloud Logging."""
    filter_ = f'resource.type="ml_job" AND resource.labels.job_id="{job.name.rpartition("/")[2]}"'
    logs = LoggingServiceV2Client(
        transport=LoggingServiceV2Client.get_transport_class("grpc")(channel=gcp.channel())
    )
    entries = logs.list_log_entries(
        request={"resource_names": [f"projects/{PROJECT}"], "filter": filter_}
    )
    return [entry.text_payload for entry in entries]


def until(client, job, holds):
    deadline = time.monotonic() + 120
    while not holds(job := client.get_custom_job(name=job.name)):
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    return job


def run(client, *pools, **more):
    return until(client, start(client, *pools, **more), lambda job: job.state in ENDED)


def test_a_job_reads_and_writes_buckets_and_knows_where_its_model_goes(client, bucket):
    bucket.blob("data/in.txt").upload_from_string("input")
    code = (
        "import json, os, pathlib, sys; keep = ('AIP_', 'CLOUD_ML_', 'CLUSTER_SPEC', 'X')\n"
        "folder = pathlib.Path('/gcs/jobs/out/model'); folder.mkdir(parents=True)\n"
        "words = pathlib.Path(sys.argv[1]).read_text()\n"
        "(folder / 'said.json').write_text(json.dumps([words, {k: v for k, v in "
        "os.environ.items() if k.startswith(keep)}]))"
    )
    job = run(client, pool(code, "/gcs/jobs/data/in.txt", env={"X": "y"}))
    assert job.state == JobState.JOB_STATE_SUCCEEDED, job.error
    words, variables = json.loads(bucket.blob("out/model/said.json").download_as_bytes())
    assert words == "input"
    assert variables["AIP_MODEL_DIR"] == "gs://jobs/out/model/"
    assert variables["AIP_CHECKPOINT_DIR"] == "gs://jobs/out/checkpoints/"
    assert variables["AIP_TENSORBOARD_LOG_DIR"] == "gs://jobs/out/logs/"
    assert variables["CLOUD_ML_JOB_ID"] == job.name.rpartition("/")[2]
    assert json.loads(variables["CLUSTER_SPEC"])["task"] == {"type": "workerpool0", "index": 0}
    assert variables["X"] == "y"
    assert job.start_time <= job.end_time


NO_FILES = (
    "in//b",
    "in/./b",
    "in/../b",
    "in/" + "x" * 300,
    "in/a",
    "in//",
)  # in/a is also a folder: of in/a/b


def test_objects_whose_names_no_file_can_have_are_left_out_and_told(gcp, client, bucket):
    """Cloud Storage FUSE lists none of them, and goes on."""
    for name in (*NO_FILES, "in/a/b", "in/c", "in/empty/"):
        bucket.blob(name).upload_from_string("text")
    code = (
        "import os, sys; print(sorted(name for _, _, names in os.walk(sys.argv[1]) for name in "
        "names))"
    )
    job = run(client, pool(code, "/gcs/jobs/in"))
    assert job.state == JobState.JOB_STATE_SUCCEEDED, job.error
    lines = texts(gcp, job)
    assert "['b', 'c']" in lines
    assert {
        line.partition(" is not under /gcs")[0] for line in lines if " is not under /gcs" in line
    } == {f"[local stack] gs://jobs/{name}" for name in NO_FILES}


def test_replicas_are_processes_that_know_each_other(client, bucket):
    code = (
        "import json, os, pathlib, time\n"
        "spec = json.loads(os.environ['CLUSTER_SPEC'])\n"
        "name = f\"{spec['task']['type']}-{spec['task']['index']}\"\n"
        "here = pathlib.Path('/gcs/jobs'); (here / name).write_text(json.dumps(spec['cluster']))\n"
        "end = time.monotonic() + 60\n"
        "while len(list(here.glob('workerpool*'))) < 3 and time.monotonic() < end: time.sleep(0.02)"
    )
    job = run(client, pool(code, "/gcs/jobs/none"), pool(code, replicas=2))
    assert job.state == JobState.JOB_STATE_SUCCEEDED, job.error
    clusters = {blob.name: json.loads(blob.download_as_bytes()) for blob in bucket.list_blobs()}
    assert sorted(clusters) == ["workerpool0-0", "workerpool1-0", "workerpool1-1"]
    assert (
        len({address for addresses in clusters["workerpool0-0"].values() for address in addresses})
        == 3
    )


def test_a_failure_says_how_and_its_lines_are_in_the_log(gcp, client, bucket):
    job = run(client, pool("import sys; print('no such column'); sys.exit(7)"))
    assert job.state == JobState.JOB_STATE_FAILED
    assert "workerpool0-0 exited with a non-zero status of 7" in job.error.message
    assert "no such column" in job.error.message
    assert texts(gcp, job) == ["no such column"]


def test_a_job_is_cancelled_and_deleted_once_it_has_ended(client, bucket):
    job = start(client, pool("import time; print('on', flush=True); time.sleep(600)"))
    until(client, job, lambda job: job.state == JobState.JOB_STATE_RUNNING)
    with pytest.raises(FailedPrecondition):
        client.delete_custom_job(name=job.name)
    client.cancel_custom_job(name=job.name)
    assert until(client, job, lambda job: job.state in ENDED).state == JobState.JOB_STATE_CANCELLED
    client.delete_custom_job(name=job.name).result()
    with pytest.raises(NotFound):
        client.get_custom_job(name=job.name)


def test_a_job_that_takes_too_long_is_ended(client, bucket):
    job = run(client, pool("import time; time.sleep(600)"), scheduling={"timeout": {"seconds": 1}})
    assert (job.state, job.error.code) == (JobState.JOB_STATE_FAILED, 4)


SETUP = (
    "import setuptools\nsetuptools.setup(name='task', version='1.0', packages=['trainer'], "
    "install_requires=['numpy'])"
)
WORK = (
    "import numpy, os, pathlib, sys\npathlib.Path('/gcs/jobs/said').write_text(sys.argv[1] + "
    "os.environ['WORD'])"
)


def package():
    """An sdist that installs without the network."""
    files = {
        "task-1.0/setup.py": SETUP,
        "task-1.0/trainer/__init__.py": "",
        "task-1.0/trainer/work.py": WORK,
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_a_python_package_is_installed_for_its_job_alone(client, bucket):
    bucket.blob("task-1.0.tar.gz").upload_from_string(package())
    spec = {
        "executor_image_uri": "us-docker.pkg.dev/vertex-ai/training/scikit-learn-cpu.1-6:latest",
        "package_uris": ["gs://jobs/task-1.0.tar.gz"],
        "python_module": "trainer.work",
        "args": ["a"],
        "env": [{"name": "WORD", "value": "b /gcs/jobs/x"}],
    }
    job = run(client, {"machine_spec": MACHINE, "replica_count": 1, "python_package_spec": spec})
    assert job.state == JobState.JOB_STATE_SUCCEEDED, job.error
    assert bucket.blob("said").download_as_bytes() == b"ab /gcs/jobs/x"
    with pytest.raises(ModuleNotFoundError):
        __import__("trainer")


def test_without_a_mount_kfps_artifacts_are_where_the_container_has_its_objects(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        f"from runpy import run_path\nrun_path({gcs_shim.__file__!r}, run_name='__main__')\n"
    )
    code = "from kfp.dsl import Dataset; print(Dataset(uri='gs://bucket/data').path)"
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "ISTHMUS_GCS": "/elsewhere/gcs/"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "/elsewhere/gcs/bucket/data\n"


@pytest.mark.parametrize(
    ("pools", "words"),
    [
        ([], "worker_pool_specs is required"),
        ([{"machine_spec": MACHINE}], "one of container_spec and python_package_spec"),
        ([{"machine_spec": MACHINE, "container_spec": {}}], "image_uri is required"),
        ([{"container_spec": {"image_uri": "alpine"}}], "machine_type is required"),
        (
            [
                {
                    "machine_spec": MACHINE,
                    "container_spec": {"image_uri": "alpine", "args": ["a\0b"]},
                }
            ],
            "NUL byte",
        ),
        (
            [
                {
                    "machine_spec": MACHINE,
                    "container_spec": {
                        "image_uri": "alpine",
                        "env": [{"name": "A=B", "value": "1"}],
                    },
                }
            ],
            "'A=B'",
        ),
    ],
)
def test_a_wrong_job_is_refused_by_its_field(client, pools, words):
    with pytest.raises(InvalidArgument, match=words):
        start(client, *pools)


def test_a_job_of_more_processes_than_a_laptop_bears_is_refused(client):
    with pytest.raises(ResourceExhausted, match="100001 replicas"):
        start(client, pool("0"), pool("0", replicas=100_000))


def test_an_image_that_is_not_here_fails_by_name(client, bucket):
    job = run(client, pool("", image="gcr.io/p/trainer:1"))
    assert "--image trainer=COMMAND" in job.error.message


def test_jobs_are_listed_newest_first_and_tuning_is_refused_by_name(vertex, gcp, client, bucket):
    first, second = (run(client, pool("")) for _ in range(2))
    over = vertex(JobServiceClient)
    assert [job.name for job in over.list_custom_jobs(parent=PARENT)] == [second.name, first.name]
    assert (
        list(over.list_custom_jobs(request={"parent": PARENT, "filter": 'display_name="other"'}))
        == []
    )
    with pytest.raises(GoogleAPICallError, match="ListHyperparameterTuningJobs"):
        list(over.list_hyperparameter_tuning_jobs(parent=PARENT))
