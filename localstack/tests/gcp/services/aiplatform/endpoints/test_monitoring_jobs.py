"""Monitoring jobs over an endpoint, made by the genuine client: what was recorded of the real
service's endpoint and job.
"""

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as ai

from isthmus_stack.tests.gcp.services.aiplatform.serving_kit import ABORTED, BAD, PARENT, Kit


@pytest.fixture
def kit(vertex):
    return Kit(vertex)


@pytest.fixture
def jobs(vertex):
    return vertex(ai.JobServiceClient)


def job_of(endpoint, number="1"):
    objective = ai.ModelMonitoringObjectiveConfig()
    config = ai.ModelDeploymentMonitoringObjectiveConfig(
        deployed_model_id=number, objective_config=objective
    )
    return ai.ModelDeploymentMonitoringJob(
        display_name="theirs",
        endpoint=endpoint,
        model_deployment_monitoring_objective_configs=[config],
    )


def test_a_monitoring_job_moves_its_endpoints_etag_and_update_time_and_nothing_else(kit, jobs):
    endpoint = kit.serving("a", split={"a": 100})
    before = kit.endpoints.get_endpoint(name=endpoint)
    made = jobs.create_model_deployment_monitoring_job(
        parent=PARENT, model_deployment_monitoring_job=job_of(endpoint)
    )
    assert (made.state.name, made.schedule_state.name) == ("JOB_STATE_PENDING", "OFFLINE")
    after = kit.endpoints.get_endpoint(name=endpoint)
    assert before.update_time < after.update_time == made.create_time
    with pytest.raises(ABORTED):
        kit.split(endpoint, {"1": 100}, etag=before.etag)
    for read in (before, after):
        read.etag, read.update_time, read.deployed_models[0].status = "", None, None
    assert before == after


def test_monitoring_jobs_are_listed_shown_and_deleted(kit, jobs):
    endpoint = kit.serving("a", split={"a": 100})
    made = jobs.create_model_deployment_monitoring_job(
        parent=PARENT, model_deployment_monitoring_job=job_of(endpoint)
    )
    assert jobs.get_model_deployment_monitoring_job(name=made.name) == made
    assert list(jobs.list_model_deployment_monitoring_jobs(parent=PARENT)) == [made]
    jobs.delete_model_deployment_monitoring_job(name=made.name).result(timeout=60)
    assert not list(jobs.list_model_deployment_monitoring_jobs(parent=PARENT))
    with pytest.raises(exceptions.NotFound):
        jobs.get_model_deployment_monitoring_job(name=made.name)
    with pytest.raises(BAD, match="DeployedModel 7 does not exist"):
        jobs.create_model_deployment_monitoring_job(
            parent=PARENT, model_deployment_monitoring_job=job_of(endpoint, "7")
        )
