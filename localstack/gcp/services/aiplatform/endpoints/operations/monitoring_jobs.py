"""JobService's model monitoring jobs of an endpoint: stored and shown; nothing is monitored.

Recorded of the real service (cloud-custodian df800e9e, flights/vertexai-endpoint-monitor): the
endpoint's update_time is then the job's create_time, and nothing else of it differs but its etag;
the job is pending, its schedule offline.
"""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1.types import JobState, ModelDeploymentMonitoringJob
from google.cloud.aiplatform_v1.types.job_service import ListModelDeploymentMonitoringJobsResponse

from .....core.call import Call
from .....core.errors import invalid
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import operations
from .....core.resources.listing import page_of
from .....core.resources.store import Resources
from .....core.resources.validation import check_display_name, check_labels
from ..records import require_endpoint

_SERVICE = "google.cloud.aiplatform.v1.JobService"
_COLLECTION = "modelDeploymentMonitoringJobs"
_FILTERS = ("display_name", "state", "create_time", "update_time", "labels")
_JobPb = ModelDeploymentMonitoringJob.pb()


@handles(f"{_SERVICE}.CreateModelDeploymentMonitoringJob", executes=False)
def create_monitoring_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreateModelDeploymentMonitoringJob: create a monitoring job."""
    job = _JobPb()
    job.CopyFrom(request.model_deployment_monitoring_job)
    check_display_name(job.display_name, kind="ModelDeploymentMonitoringJob")
    check_labels(job.labels)
    hosted = require_endpoint(call, job.endpoint)
    with hosted.lock:
        for config in job.model_deployment_monitoring_objective_configs:
            if config.deployed_model_id not in hosted.targets:
                raise invalid(
                    f"DeployedModel {config.deployed_model_id} does not exist in {hosted.name}."
                )
        job.name = f"{canonical(call, request.parent)}/{_COLLECTION}/{call.new_id()}"
        job.endpoint = hosted.name
        job.state = int(JobState.JOB_STATE_PENDING)
        job.schedule_state = int(ModelDeploymentMonitoringJob.MonitoringScheduleState.OFFLINE)
        hosted.note_change(call)
        job.create_time.CopyFrom(hosted.message.update_time)
        job.update_time.CopyFrom(hosted.message.update_time)
        call.store(Resources).add(job.name, job)
    return job


@handles(f"{_SERVICE}.GetModelDeploymentMonitoringJob", executes=False)
def get_monitoring_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetModelDeploymentMonitoringJob: return a monitoring job."""
    return call.store(Resources).get("ModelDeploymentMonitoringJob", canonical(call, request.name))


@handles(f"{_SERVICE}.ListModelDeploymentMonitoringJobs", executes=False)
def list_monitoring_jobs(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListModelDeploymentMonitoringJobs: list the monitoring jobs."""
    jobs = call.store(Resources).below(canonical(call, request.parent), _COLLECTION)[
        ::-1
    ]  # the newest first
    page, token = page_of(jobs, request, fields=_FILTERS)
    return ListModelDeploymentMonitoringJobsResponse.pb()(
        model_deployment_monitoring_jobs=page, next_page_token=token
    )


@handles(f"{_SERVICE}.DeleteModelDeploymentMonitoringJob", executes=False)
def delete_monitoring_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeleteModelDeploymentMonitoringJob: delete a monitoring job."""
    job = get_monitoring_job(call, request)
    call.store(Resources).remove(job.name)
    return operations.completed_operation(call, job.name.rpartition(f"/{_COLLECTION}/")[0])
