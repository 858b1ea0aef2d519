"""Resource Manager's projects: every project that a request has named exists."""

from __future__ import annotations

from typing import Any

from google.cloud.resourcemanager_v3 import types

from ...core.call import Call
from ...core.environment import PROJECT
from ...core.errors import GcpError
from ...core.policy import resource_policies
from ...core.projects import Projects, number_of
from ...core.registry import handles
from ...core.resources.filters import FieldLookup, FilterError, matches, of_message
from ...core.resources.store import page

_SERVICE = "google.cloud.resourcemanager.v3.Projects"
_QUERY = {
    "id": "project_id",
    "projectid": "project_id",
    "displayname": "display_name",
    "name": "display_name",
}


@handles(f"{_SERVICE}.GetProject")
def get_project(call: Call, request: Any) -> Any:
    """Answer Resource Manager's API call GetProject: return a project."""
    return _project(_id(call, request.name))


@handles(f"{_SERVICE}.SearchProjects")
def search_projects(call: Call, request: Any) -> Any:
    """Answer Resource Manager's API call SearchProjects: list the projects that fit a query."""
    projects = [_project(project) for project in sorted({PROJECT, *call.store(Projects).ids()})]
    try:
        fitting = [project for project in projects if matches(request.query, _lookup(project))]
    except FilterError as error:
        raise GcpError("INVALID_ARGUMENT", str(error)) from error
    listed, token = page(fitting, request)
    return types.SearchProjectsResponse.pb()(projects=listed, next_page_token=token)


@handles(f"{_SERVICE}.GetIamPolicy")
def get_iam_policy(call: Call, request: Any) -> Any:
    """Answer Resource Manager's API call GetIamPolicy: return a project's access policy."""
    return resource_policies.get_policy(call, f"projects/{_id(call, request.resource)}")


@handles(f"{_SERVICE}.SetIamPolicy")
def set_iam_policy(call: Call, request: Any) -> Any:
    """Answer Resource Manager's API call SetIamPolicy: set a project's access policy."""
    return resource_policies.set_policy(
        call, f"projects/{_id(call, request.resource)}", request.policy
    )


@handles(f"{_SERVICE}.TestIamPermissions")
def test_iam_permissions(call: Call, request: Any) -> Any:
    """Answer Resource Manager's API call TestIamPermissions: tell which permissions are granted."""
    _id(call, request.resource)
    return resource_policies.test_permissions(request.permissions)


def _id(call: Call, name: str) -> str:
    """Return the id of the project that a resource name gives by id or number.

    Raises GcpError PERMISSION_DENIED, as Google does, for an unknown number.
    """
    prefix, _, project = name.partition("/")
    if prefix != "projects" or not project or "/" in project:
        raise GcpError("INVALID_ARGUMENT", f"The name {name!r} is not projects/PROJECT.")
    if not project.isdecimal():
        call.store(Projects).note(project)
        return project
    project_id: str = (
        PROJECT if project == number_of(PROJECT) else call.store(Projects).id_of(project)
    )
    if project_id.isdecimal():
        raise GcpError(
            "PERMISSION_DENIED",
            f"The caller does not have permission to get {name}, or it does not exist.",
        )
    return project_id


def _project(project: str) -> Any:
    """Return a project as the Project message of the API."""
    return types.Project.pb()(
        name=f"projects/{number_of(project)}",
        project_id=project,
        display_name=project,
        state=types.Project.State.ACTIVE,
    )


def _lookup(project: Any) -> FieldLookup:
    """Return a function that reads a project's field by its path, for a search's query."""
    fields = of_message(project)

    def lookup(path: str) -> object:
        return fields(_QUERY.get(path.lower(), path))

    return lookup
