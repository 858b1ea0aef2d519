"""Routes of BigQuery's REST API, and how its requests are read."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpAnswer, HttpRequest
from ....core.projects import Projects
from ....core.registry import route
from ..errors import BigQueryError
from ..request_values import whole_number
from .request_shapes import checked

Answer = HttpAnswer | dict[str, Any]


_NUMBER = "project number"  # beside the parameters of the path


Handler = Callable[[Call, HttpRequest], Answer] | Callable[[Call, HttpRequest], Awaitable[Answer]]


def gcp_error(error: BigQueryError) -> GcpError:
    """Return a refusal of BigQuery's as the error that a handler raises."""
    place = {"location": error.location, "locationType": "parameter"} if error.location else {}
    return GcpError(error.status, error.message, reason=error.reason, http=error.http, **place)


def serves(operation: str, method: str, path: str) -> Callable[[Handler], Handler]:
    """Return a decorator that makes a function the handler of a path below /bigquery/v2.

    The decorated handler's BigQueryError is answered as Google does. A coroutine function runs in
    the event loop, any other in a thread.
    """

    def decorate(function: Handler) -> Handler:
        @functools.wraps(function)
        def in_thread(call: Call, request: HttpRequest) -> Any:
            _note_project(call, request)
            try:
                return function(call, request)
            except BigQueryError as error:
                raise gcp_error(error) from error

        @functools.wraps(function)
        async def in_loop(call: Call, request: HttpRequest) -> Any:
            _note_project(call, request)
            try:
                answer: Any = function(call, request)
                return await answer
            except BigQueryError as error:
                raise gcp_error(error) from error

        handler = in_loop if inspect.iscoroutinefunction(function) else in_thread
        route(
            f"bigquery.{operation}",
            method,
            path if path.startswith("/upload") else f"/bigquery/v2{path}",
        )(handler)
        return handler

    return decorate


def body(request: HttpRequest) -> dict[str, Any]:
    """Return a request's JSON body; raise BigQueryError `invalid` if a member has a wrong type."""
    return with_project_id(checked(request.json()), request)


def with_project_id(content: dict[str, Any], request: HttpRequest) -> dict[str, Any]:
    """Return a request's body with the project's id in place of its number."""
    number = request.params.get(_NUMBER)
    return (
        content if number is None else _with_project_id(content, number, request.params["project"])
    )


def _note_project(call: Call, request: HttpRequest) -> None:
    """Record the id of the project in a request's path, so that its number can be looked up.

    A job of Vertex AI is told only its project's number.
    """
    project = request.params.get("project")
    if project is None:
        return
    projects = call.store(Projects)
    if not project.isdecimal():
        projects.note(project)
    else:
        request.params |= {_NUMBER: project, "project": projects.id_of(project)}


def _with_project_id(value: Any, number: str, project: str) -> Any:
    """Return a JSON value with a project's id in place of its number, at any depth."""
    if isinstance(value, list):
        return [_with_project_id(item, number, project) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _member_with_project_id(key, item, number, project) for key, item in value.items()}


def _member_with_project_id(key: str, value: Any, number: str, project: str) -> Any:
    """Return a JSON member with the project's id instead of its number."""
    if key == "json":  # a row: what its columns are called, and hold, is its sender's
        return value
    return (
        project
        if key == "projectId" and value == number
        else _with_project_id(value, number, project)
    )


def page(items: list[Any], request: HttpRequest, most: int = 1000) -> tuple[list[Any], str | None]:
    """Return the list items that maxResults and pageToken ask for, and the next page's token."""
    start = whole_number(request.query.get("pageToken", "0"), "pageToken")
    size = min(whole_number(request.query.get("maxResults", str(most)), "maxResults"), most)
    end = start + size
    return items[start:end], str(end) if end < len(items) else None


def flag(request: HttpRequest, name: str) -> bool:
    """Return whether a boolean query parameter of a request is true."""
    return request.query.get(name, "").lower() == "true"


def merged(current: Any, change: Any) -> Any:
    """Return the resource `current` (JSON) with the changes of a PATCH body.

    Null removes a member, an object is merged, everything else replaces.
    """
    if not isinstance(change, dict) or not isinstance(current, dict):
        return (
            {k: v for k, v in change.items() if v is not None}
            if isinstance(change, dict)
            else change
        )
    result = dict(current)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(current.get(key), value)
    return result
