"""JobService's batch prediction jobs: create, get, list, cancel, delete."""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1.types import BatchPredictionJob, JobState, Model
from google.cloud.aiplatform_v1.types.job_service import ListBatchPredictionJobsResponse
from google.protobuf import empty_pb2

from ....core.call import Call
from ....core.errors import GcpError, invalid
from ....core.projects import canonical
from ....core.registry import handles
from ....core.resources import operations
from ....core.resources.listing import page_of
from ....core.resources.standard_methods import change_if_present
from ....core.resources.store import Resources
from ....core.resources.validation import check_display_name, check_labels
from ..models import records as models
from .instances import chooses_fields
from .records import Batches
from .runs import Work

_SERVICE = "google.cloud.aiplatform.v1.JobService"
_FILTERS = ("display_name", "model_display_name", "state", "create_time", "update_time", "labels")
_ENDED = (JobState.JOB_STATE_SUCCEEDED, JobState.JOB_STATE_FAILED, JobState.JOB_STATE_CANCELLED)
_SOURCES = {"jsonl": "gcs_source", "csv": "gcs_source", "bigquery": "bigquery_source"}
_DESTINATIONS = {
    "jsonl": "gcs_destination",
    "csv": "gcs_destination",
    "bigquery": "bigquery_destination",
}
_OF_GOOGLE = ("tf-record", "tf-record-gzip", "file-list")  # which Vertex AI reads, too
_PAIRS = {("csv", "bigquery"), ("jsonl", "csv")}  # whose columns nobody documents
BatchPredictionJobPb = BatchPredictionJob.pb()


@handles(f"{_SERVICE}.CreateBatchPredictionJob")
def create_batch_prediction_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreateBatchPredictionJob: start a batch prediction job."""
    parent = canonical(call, request.parent)
    job = BatchPredictionJobPb()
    job.CopyFrom(request.batch_prediction_job)
    check_display_name(job.display_name, kind="BatchPredictionJob")
    check_labels(job.labels)
    _check_formats(job)
    _check_instances(job)
    model = _model(call, job)
    job.name = f"{parent}/batchPredictionJobs/{call.new_id()}"
    job.model, job.model_version_id = canonical(call, job.model), model.version_id
    job.state = int(JobState.JOB_STATE_PENDING)
    job.create_time.CopyFrom(call.now_pb())
    job.update_time.CopyFrom(job.create_time)
    work = call.store(Batches).works[job.name] = Work(call.without_request(), job, model)
    call.store(Resources).add(job.name, job)
    call.spawn(work.run)
    return job


def _check_formats(job: Any) -> None:
    """Raise INVALID_ARGUMENT unless a batch job's input and output formats are supported."""
    source, destination = job.input_config, job.output_config
    _check_format(
        source.instances_format,
        source.WhichOneof("source"),
        _SOURCES,
        "input_config",
        "instances_format",
    )
    _check_format(
        destination.predictions_format,
        destination.WhichOneof("destination"),
        _DESTINATIONS,
        "output_config",
        "predictions_format",
    )
    if (pair := (source.instances_format, destination.predictions_format)) in _PAIRS:
        raise _not_yet(f"{pair[0]} in and {pair[1]} out")
    if source.instances_format != "bigquery" and not source.gcs_source.uris:
        raise invalid("batch_prediction_job.input_config.gcs_source.uris is required.")
    for uri in (*source.gcs_source.uris, destination.gcs_destination.output_uri_prefix):
        if uri and not uri.startswith("gs://"):
            raise invalid(f"batch_prediction_job: {uri!r} is no path in Cloud Storage (gs://...).")
    for uri in (source.bigquery_source.input_uri, destination.bigquery_destination.output_uri):
        if uri and not uri.startswith("bq://"):
            raise invalid(f"batch_prediction_job: {uri!r} is no place in BigQuery (bq://...).")


def _check_format(
    name: str, place: str | None, places: dict[str, str], where: str, field: str
) -> None:
    """Raise INVALID_ARGUMENT unless a format is supported and its source or destination is set.

    `name` is the format, `place` the source that the request sets, `places` the source that each
    format needs; `where` and `field` name the request's field in the error.
    """
    if name in _OF_GOOGLE:
        raise _not_yet(f"{where}.{field} {name}")
    if name not in places:
        raise invalid(
            f"batch_prediction_job.{where}.{field}: {name!r} is none of {', '.join(places)}."
        )
    if place != places[name]:
        raise invalid(f"batch_prediction_job.{where}: the format {name} needs {places[name]}.")


def _check_instances(job: Any) -> None:
    """Raise an error for an instance_config or explanation settings that are not supported."""
    config = job.instance_config
    if job.generate_explanation:
        raise GcpError(
            "FAILED_PRECONDITION",
            "generate_explanation: the model has no explanation_spec: the offline GCP "
            "explains nothing.",
        )
    if config.instance_type not in ("", "object", "array"):
        raise invalid(
            f"instance_config.instance_type: {config.instance_type!r} is neither object nor array."
        )
    if config.included_fields and config.excluded_fields:
        raise invalid(
            "instance_config: only one of included_fields and excluded_fields can be set."
        )
    if job.input_config.instances_format == "csv" and (
        config.included_fields or config.excluded_fields
    ):
        raise invalid(
            "instance_config: the fields of CSV cannot be chosen: the input must be JSONL "
            "with objects, or BigQuery."
        )
    if (
        job.input_config.instances_format == "jsonl"
        and config.instance_type == "array"
        and chooses_fields(config)
        and not config.included_fields
    ):
        raise invalid("instance_config: included_fields must say the order of an array's fields.")
    if not job.dedicated_resources.machine_spec.machine_type:
        raise invalid(
            "batch_prediction_job.dedicated_resources.machine_spec.machine_type is required "
            "for a model of a container."
        )


def _model(call: Call, job: Any) -> Any:
    """Return a batch job's model: a registered version, or the job's own unmanaged model.

    Raises:
        GcpError: There is no such model, or it cannot predict.
    """
    if bool(job.model) == job.HasField("unmanaged_container_model"):
        raise invalid(
            "batch_prediction_job: exactly one of model and unmanaged_container_model must be set."
        )
    if job.model:
        model = models.version_by_name(call, job.model)
    else:
        own = job.unmanaged_container_model
        model = Model.pb()(artifact_uri=own.artifact_uri, container_spec=own.container_spec)
    if not model.container_spec.image_uri:
        raise GcpError(
            "FAILED_PRECONDITION",
            "The model has no container_spec: the offline GCP serves models of a container.",
        )
    return model


def _not_yet(what: str) -> GcpError:
    """Return the UNIMPLEMENTED error for `what`, a part of a request that is not supported."""
    return GcpError(
        "UNIMPLEMENTED",
        f"{what}: not supported by the offline GCP's batch prediction yet",
        reason="notImplemented",
    )


@handles(f"{_SERVICE}.GetBatchPredictionJob")
def get_batch_prediction_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetBatchPredictionJob: return a batch prediction job."""
    return call.store(Resources).get("BatchPredictionJob", canonical(call, request.name))


@handles(f"{_SERVICE}.ListBatchPredictionJobs")
def list_batch_prediction_jobs(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListBatchPredictionJobs: list the batch prediction jobs."""
    jobs = call.store(Resources).below(canonical(call, request.parent), "batchPredictionJobs")[
        ::-1
    ]  # the newest first
    page, token = page_of(jobs, request, fields=_FILTERS)
    return ListBatchPredictionJobsResponse.pb()(batch_prediction_jobs=page, next_page_token=token)


@handles(f"{_SERVICE}.CancelBatchPredictionJob")
def cancel_batch_prediction_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CancelBatchPredictionJob: cancel a batch prediction job."""
    job = get_batch_prediction_job(call, request)
    if job.state in _ENDED:
        raise GcpError(
            "FAILED_PRECONDITION",
            f"The BatchPredictionJob {job.name} is in state {_state(job)}: it cannot be cancelled.",
        )

    def cancel(job: Any) -> None:
        if job.state not in _ENDED:
            job.state = int(JobState.JOB_STATE_CANCELLING)

    call.store(Batches).works[job.name].cancel()
    change_if_present(call, job.name, cancel)
    return empty_pb2.Empty()


@handles(f"{_SERVICE}.DeleteBatchPredictionJob")
def delete_batch_prediction_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeleteBatchPredictionJob: delete a batch prediction job."""
    job = get_batch_prediction_job(call, request)
    if job.state not in _ENDED:
        raise GcpError(
            "FAILED_PRECONDITION",
            f"The BatchPredictionJob {job.name} is in state {_state(job)}: only one that has "
            "ended can be deleted.",
        )
    call.store(Resources).remove(job.name)
    call.store(Batches).works.pop(job.name, None)
    return operations.completed_operation(call, job.name.rpartition("/batchPredictionJobs/")[0])


def _state(job: Any) -> str:
    """Return the name of a batch prediction job's state, for filters of lists."""
    name: str = JobState(job.state).name
    return name
