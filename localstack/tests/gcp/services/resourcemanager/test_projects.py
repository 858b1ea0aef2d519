"""Resource Manager with Google's own client."""

import pytest
from google.api_core import exceptions
from google.cloud.resourcemanager_v3 import Project, ProjectsClient


@pytest.fixture(params=["grpc", "rest"])
def client(gcp, request):
    return gcp.client(ProjectsClient, rest=request.param == "rest")


def test_a_project_has_one_number_and_is_there_by_both(client):
    project = client.get_project(name="projects/shop-project")
    assert (project.project_id, project.state) == ("shop-project", Project.State.ACTIVE)
    assert client.get_project(name=project.name) == project
    assert project in list(client.search_projects(query="projectId:shop-*"))
    assert project not in list(client.search_projects(query="projectId=other"))
    with pytest.raises(exceptions.Forbidden):
        client.get_project(name="projects/123")


def test_the_policy_of_a_project_is_stored(client):
    policy = client.get_iam_policy(resource="projects/shop-project")
    policy.bindings.add(role="roles/aiplatform.user", members=["user:a@example.com"])
    client.set_iam_policy(request={"resource": "projects/shop-project", "policy": policy})
    assert client.get_iam_policy(resource="projects/shop-project").bindings == policy.bindings
    permissions = ["aiplatform.endpoints.predict"]
    assert (
        list(
            client.test_iam_permissions(
                resource="projects/shop-project", permissions=permissions
            ).permissions
        )
        == permissions
    )
