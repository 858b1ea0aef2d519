"""BatchPredictionJobs over the wire: a model of a container answers for the rows of files and of
tables.
"""

import json
import time

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as ai
from google.cloud import bigquery, storage

from isthmus_stack.tests.gcp.conftest import PROJECT
from isthmus_stack.tests.gcp.services.aiplatform.serving_kit import BAD, PARENT, Kit

pytestmark = pytest.mark.slow

ENDED = (
    ai.JobState.JOB_STATE_SUCCEEDED,
    ai.JobState.JOB_STATE_FAILED,
    ai.JobState.JOB_STATE_CANCELLED,
)
RESULTS, ERRORS = "prediction.results-00000-of-00001", "prediction.errors_stats-00000-of-00001"
MACHINE = {
    "machine_spec": {"machine_type": "n1-standard-2"},
    "starting_replica_count": 1,
    "max_replica_count": 1,
}


class Jobs:
    def __init__(self, gcp):
        anonymous = {
            "project": PROJECT,
            "credentials": AnonymousCredentials(),
            "client_options": {"api_endpoint": gcp.url},
        }
        self.client = gcp.client(ai.JobServiceClient)
        self.kit = Kit(gcp.client)
        self.bucket = storage.Client(**anonymous).create_bucket("batches")
        self.warehouse = bigquery.Client(**anonymous)

    def start(self, source, destination, *, model=None, batch_size=0, **fields):
        formats = {
            key: {**value}
            for key, value in (("input_config", source), ("output_config", destination))
        }
        job = {
            "display_name": "nightly",
            "model": model or self.kit.upload("ranker")[0],
            "dedicated_resources": MACHINE,
            **formats,
            **fields,
        }
        job["manual_batch_tuning_parameters"] = {"batch_size": batch_size}
        return self.client.create_batch_prediction_job(
            parent=PARENT, batch_prediction_job=ai.BatchPredictionJob(job)
        )

    def until(self, job, *states):
        deadline = time.monotonic() + 120
        while (job := self.client.get_batch_prediction_job(name=job.name)).state not in (
            states or ENDED
        ):
            assert time.monotonic() < deadline, job
            time.sleep(0.02)
        return job

    def run(self, *arguments, **fields):
        return self.until(self.start(*arguments, **fields))

    def lines(self, job, name=RESULTS):
        blob = self.bucket.blob(
            f"{job.output_info.gcs_output_directory.removeprefix('gs://batches/')}/{name}"
        )
        return [json.loads(line) for line in blob.download_as_text().splitlines()]


@pytest.fixture
def jobs(gcp):
    return Jobs(gcp)


def files(*uris, kind="jsonl"):
    return {
        "instances_format": kind,
        "gcs_source": {"uris": [f"gs://batches/{uri}" for uri in uris]},
    }


def folder(kind="jsonl"):
    return {
        "predictions_format": kind,
        "gcs_destination": {"output_uri_prefix": "gs://batches/out"},
    }


TO_BIGQUERY = {
    "predictions_format": "bigquery",
    "bigquery_destination": {"output_uri": f"bq://{PROJECT}"},
}


def test_the_lines_of_files_are_answered_by_the_models_server_in_their_order(jobs):
    jobs.bucket.blob("in/a.jsonl").upload_from_string('[1, 2]\n\n{"x": 3}\n"name"\n')
    jobs.bucket.blob("in/b.jsonl").upload_from_string('{"status": 500}\nnot json\n"parameters"')
    job = jobs.run(files("in/*.jsonl"), folder(), batch_size=1, model_parameters={"k": 3})
    assert job.state == ai.JobState.JOB_STATE_SUCCEEDED, job.error
    assert jobs.lines(job) == [
        {"instance": [1, 2], "prediction": [1, 2]},
        {"instance": {"x": 3}, "prediction": {"x": 3}},
        {"instance": "name", "prediction": "ranker"},
        {"instance": "parameters", "prediction": {"k": 3.0}},
    ]
    wrong, broken = jobs.lines(job, ERRORS)
    assert (wrong["instance"], wrong["error"]["code"]) == ({"status": 500}, 13)
    assert (broken["instance"], broken["error"]["code"]) == ("not json", 3)
    assert (
        job.completion_stats.successful_count,
        job.completion_stats.failed_count,
        job.model_version_id,
    ) == (4, 2, "1")
    assert job.output_info.gcs_output_directory.startswith("gs://batches/out/prediction-ranker-20")
    assert job.create_time <= job.start_time <= job.end_time


def test_a_table_is_sent_as_arrays_and_its_predictions_are_a_table(jobs):
    jobs.warehouse.query_and_wait(
        "CREATE SCHEMA shop; CREATE TABLE shop.visits AS SELECT 7 AS id, 'a' AS page, 1.5 AS "
        "seconds, DATE '2026-01-02' AS day"
    )
    source = {
        "instances_format": "bigquery",
        "bigquery_source": {"input_uri": f"bq://{PROJECT}.shop.visits"},
    }
    job = jobs.run(source, TO_BIGQUERY, instance_config={"excluded_fields": ["id"]})
    assert job.state == ai.JobState.JOB_STATE_SUCCEEDED, job.error
    place = f"{job.output_info.bigquery_output_dataset.removeprefix('bq://')}.{job.output_info.bigquery_output_table}"
    (row,) = jobs.warehouse.query_and_wait(f"SELECT * FROM `{place}`")
    assert (row["id"], row["page"], row["day"].isoformat(), json.loads(row["prediction"])) == (
        7,
        "a",
        "2026-01-02",
        ["a", 1.5, "2026-01-02"],
    )
    keyed = jobs.run(
        source, folder(), instance_config={"key_field": "id", "instance_type": "object"}
    )
    assert jobs.lines(keyed) == [
        {"key": 7, "prediction": {"page": "a", "seconds": 1.5, "day": "2026-01-02"}}
    ]


def test_cells_of_csv_without_quotes_are_numbers(jobs):
    jobs.bucket.blob("rows.csv").upload_from_string('"x","y"\n0.5,"a"\n2,b\n3,"c, d"\n')
    job = jobs.run(files("rows.csv", kind="csv"), folder())
    assert [line["prediction"] for line in jobs.lines(job)] == [[0.5, "a"], [3.0, "c, d"]]
    assert [line["instance"] for line in jobs.lines(job, ERRORS)] == ["2,b"]
    job = jobs.run(files("rows.csv", kind="csv"), folder("csv"))
    text = jobs.bucket.blob(
        f"{job.output_info.gcs_output_directory.removeprefix('gs://batches/')}/{RESULTS}.csv"
    ).download_as_text()
    assert text.splitlines()[0] == '"x","y","prediction"'


def test_a_job_that_cannot_predict_fails_and_says_why(jobs):
    jobs.bucket.blob("a.jsonl").upload_from_string("1\n")
    jobs.bucket.blob("die.jsonl").upload_from_string('{"die": true}\n')
    for job, words in (
        (jobs.start(files("die.jsonl"), folder()), "exited unexpectedly, with code 9"),
        (jobs.start(files("none.jsonl"), folder()), "No file was found at gs://batches/none.jsonl"),
        (
            jobs.start(files("a.jsonl"), folder(), model=jobs.kit.upload("b", dies=True)[0]),
            "exited with code 3",
        ),
        (
            jobs.start(
                files("a.jsonl"),
                {**folder(), "gcs_destination": {"output_uri_prefix": "gs://nobodys/x"}},
            ),
            "bucket does not exist",
        ),
    ):
        ended = jobs.until(job)
        assert ended.state == ai.JobState.JOB_STATE_FAILED
        assert words in ended.error.message
    jobs.client.delete_batch_prediction_job(name=ended.name).result(timeout=60)
    assert len(list(jobs.client.list_batch_prediction_jobs(parent=PARENT))) == 3


@pytest.mark.parametrize(
    "asks", [False, True], ids=["while its server starts", "while it is asked"]
)
def test_a_job_that_is_cancelled_waits_for_no_answer(jobs, asks):
    jobs.bucket.blob("slow.jsonl").upload_from_string('{"sleep": 600}\n')
    model, _ = jobs.kit.upload("ranker", ill=not asks)
    job = jobs.until(
        jobs.start(files("slow.jsonl"), folder(), model=model), ai.JobState.JOB_STATE_RUNNING
    )
    while asks and not job.output_info.gcs_output_directory:
        job = jobs.until(job, ai.JobState.JOB_STATE_RUNNING)
    with pytest.raises(exceptions.FailedPrecondition):
        jobs.client.delete_batch_prediction_job(name=job.name)
    jobs.client.cancel_batch_prediction_job(name=job.name)
    assert jobs.until(job).state == ai.JobState.JOB_STATE_CANCELLED
    with pytest.raises(exceptions.FailedPrecondition):
        jobs.client.cancel_batch_prediction_job(name=job.name)


REFUSED = (
    (
        "instances_format",
        {"source": {"instances_format": "xml", "gcs_source": {"uris": ["gs://batches/a"]}}},
    ),
    (
        "needs gcs_source",
        {"source": {"instances_format": "jsonl", "bigquery_source": {"input_uri": "bq://p.d.t"}}},
    ),
    (
        "bq://",
        {
            "destination": {
                "predictions_format": "bigquery",
                "bigquery_destination": {"output_uri": "p"},
            }
        },
    ),
    ("machine_type is required", {"dedicated_resources": {}}),
    (
        "exactly one of model",
        {"unmanaged_container_model": {"container_spec": {"image_uri": "toy"}}},
    ),
    (
        "included_fields and excluded_fields",
        {"instance_config": {"included_fields": ["a"], "excluded_fields": ["b"]}},
    ),
    (
        "included_fields must say",
        {"instance_config": {"instance_type": "array", "excluded_fields": ["b"]}},
    ),
    ("explanation_spec", {"generate_explanation": True}),
)


def test_what_no_job_can_do_is_refused_before_there_is_one(jobs):
    model, _ = jobs.kit.upload("ranker")
    for words, fields in REFUSED:
        several = {"source": files("a.jsonl"), "destination": folder(), "model": model, **fields}
        with pytest.raises(BAD, match=words):
            jobs.start(**several)
    assert not list(jobs.client.list_batch_prediction_jobs(parent=PARENT))


def test_formats_of_vertex_ai_that_are_not_read_here_are_refused_by_name(jobs):
    with pytest.raises(exceptions.MethodNotImplemented, match="tf-record"):
        jobs.start(files("a", kind="tf-record"), folder())
    with pytest.raises(exceptions.MethodNotImplemented, match="csv in and bigquery out"):
        jobs.start(files("a.csv", kind="csv"), TO_BIGQUERY)


def test_a_job_may_bring_its_model(jobs):
    jobs.bucket.blob("a.jsonl").upload_from_string("1\n")
    spec = {"image_uri": "toy", "predict_route": "/predict", "health_route": "/health"}
    job = ai.BatchPredictionJob(
        display_name="nightly",
        unmanaged_container_model={"container_spec": spec},
        dedicated_resources=MACHINE,
        input_config=files("a.jsonl"),
        output_config=folder(),
    )
    job = jobs.until(
        jobs.client.create_batch_prediction_job(parent=PARENT, batch_prediction_job=job)
    )
    assert job.state == ai.JobState.JOB_STATE_SUCCEEDED, job.error
    assert jobs.lines(job) == [{"instance": 1, "prediction": 1}]
