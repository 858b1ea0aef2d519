"""JobService's custom jobs: create, get, list, cancel, delete."""

from __future__ import annotations

import re
from typing import Any

from google.cloud.aiplatform_v1.types import CustomJob, JobState
from google.cloud.aiplatform_v1.types.job_service import ListCustomJobsResponse
from google.protobuf import empty_pb2
from google.rpc.code_pb2 import CANCELLED

from .....core.call import Call
from .....core.errors import GcpError
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import operations
from .....core.resources.listing import page_of
from .....core.resources.standard_methods import change_if_present
from .....core.resources.store import Resources
from .....core.resources.validation import check_display_name, check_labels
from .. import runner
from ..records import Jobs, Running

_SERVICE = "google.cloud.aiplatform.v1.JobService"
_FILTERS = ("display_name", "state", "create_time", "update_time", "labels")
_MOST_VARIABLES = 100
_MOST_REPLICAS = 32
_VARIABLE = re.compile(
    r"[-._a-zA-Z][-._a-zA-Z0-9]*"
)  # Kubernetes' C_IDENTIFIER, and what it takes besides
CustomJobPb = CustomJob.pb()
_ENDED = (
    JobState.JOB_STATE_SUCCEEDED,
    JobState.JOB_STATE_FAILED,
    JobState.JOB_STATE_CANCELLED,
    JobState.JOB_STATE_EXPIRED,
    JobState.JOB_STATE_PARTIALLY_SUCCEEDED,
)


@handles(f"{_SERVICE}.CreateCustomJob")
def create_custom_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreateCustomJob: start a custom job."""
    job = CustomJobPb()
    job.CopyFrom(request.custom_job)
    check_display_name(job.display_name, kind="CustomJob")
    check_labels(job.labels)
    check_spec(job.job_spec, "custom_job.job_spec")
    start(call, canonical(call, request.parent), job)
    return job


def start(call: Call, parent: str, job: Any) -> Running:
    """Name and store a checked custom job, and run it in the background."""
    job.name = f"{parent}/customJobs/{call.new_id()}"
    job.state = int(JobState.JOB_STATE_PENDING)
    job.create_time.CopyFrom(call.now_pb())
    job.update_time.CopyFrom(job.create_time)
    return runner.run_in_background(call, job)


def check_spec(spec: Any, where: str) -> None:
    """Raise INVALID_ARGUMENT or RESOURCE_EXHAUSTED for a spec that cannot run.

    `where` is the spec's place in the request, for the message.
    """
    if not spec.worker_pool_specs:
        raise GcpError("INVALID_ARGUMENT", f"{where}.worker_pool_specs is required.")
    output = spec.base_output_directory.output_uri_prefix
    if output and not output.startswith("gs://"):
        raise GcpError(
            "INVALID_ARGUMENT",
            f"{where}.base_output_directory: {output!r} is no path in Cloud Storage (gs://...).",
        )
    if spec.scheduling.timeout.seconds < 0:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"{where}.scheduling.timeout is negative: {spec.scheduling.timeout.seconds}s.",
        )
    replicas = sum(max(pool.replica_count, 1) for pool in spec.worker_pool_specs)
    if replicas > _MOST_REPLICAS:
        text = (
            f"{replicas} replicas: each is a process of this machine, and the local stack runs "
            f"up to {_MOST_REPLICAS}."
        )
        raise GcpError("RESOURCE_EXHAUSTED", text)
    for index, pool in enumerate(spec.worker_pool_specs):
        _check_pool(
            pool,
            f"{where}.worker_pool_specs[{index}]",
            persistent=bool(spec.persistent_resource_id),
        )


def _check_pool(pool: Any, where: str, *, persistent: bool) -> None:
    """Raise INVALID_ARGUMENT for a worker pool spec that cannot run."""
    task = pool.WhichOneof("task")
    if task is None:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"{where}: one of container_spec and python_package_spec is required.",
        )
    if not pool.machine_spec.machine_type and not persistent:
        raise GcpError("INVALID_ARGUMENT", f"{where}.machine_spec.machine_type is required.")
    work = getattr(pool, task)
    required = (
        ("executor_image_uri", "package_uris", "python_module")
        if task == "python_package_spec"
        else ("image_uri",)
    )
    for field in required:
        if not getattr(work, field):
            raise GcpError("INVALID_ARGUMENT", f"{where}.{task}.{field} is required.")
    if len(work.env) > _MOST_VARIABLES:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"{where}.{task}.env: {len(work.env)} variables are more than {_MOST_VARIABLES}.",
        )
    for variable in work.env:
        if not _VARIABLE.fullmatch(variable.name):
            raise GcpError(
                "INVALID_ARGUMENT",
                f"{where}.{task}.env: {variable.name!r} is no name of a variable.",
            )
    words = [
        *work.args,
        *(variable.value for variable in work.env),
        *(work.command if task == "container_spec" else ()),
    ]
    if any("\0" in word for word in words):
        raise GcpError(
            "INVALID_ARGUMENT",
            f"{where}.{task}: no command, argument or variable can have a NUL byte.",
        )


@handles(f"{_SERVICE}.GetCustomJob")
def get_custom_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetCustomJob: return a custom job."""
    return call.store(Resources).get("CustomJob", canonical(call, request.name))


@handles(f"{_SERVICE}.ListCustomJobs")
def list_custom_jobs(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListCustomJobs: list the custom jobs."""
    jobs = call.store(Resources).below(canonical(call, request.parent), "customJobs")[
        ::-1
    ]  # the newest first
    page, token = page_of(jobs, request, fields=_FILTERS)
    return ListCustomJobsResponse.pb()(custom_jobs=page, next_page_token=token)


@handles(f"{_SERVICE}.CancelCustomJob")
def cancel_custom_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CancelCustomJob: cancel a custom job."""
    name = canonical(call, request.name)
    job = call.store(Resources).get("CustomJob", name)
    if job.state in _ENDED:
        raise GcpError(
            "FAILED_PRECONDITION",
            f"The CustomJob {name} is in state {JobState(job.state).name}: it cannot be cancelled.",
        )

    def cancel(job: Any) -> None:
        if job.state not in _ENDED:
            job.state = int(JobState.JOB_STATE_CANCELLING)
            job.error.code, job.error.message = CANCELLED, "The custom job was cancelled."

    change_if_present(call, name, cancel)
    call.store(Jobs).running[name].stop.set()
    return empty_pb2.Empty()


@handles(f"{_SERVICE}.DeleteCustomJob")
def delete_custom_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeleteCustomJob: delete a custom job."""
    name = canonical(call, request.name)
    job = call.store(Resources).get("CustomJob", name)
    if job.state not in _ENDED:
        raise GcpError(
            "FAILED_PRECONDITION",
            f"The CustomJob {name} is in state {JobState(job.state).name}: only one that has "
            "ended can be deleted.",
        )
    call.store(Resources).remove(name)
    call.store(Jobs).running.pop(name, None)
    return operations.completed_operation(call, name.rpartition("/customJobs/")[0])
