"""What BigQuery's handlers work with: the catalog, the warehouse, the jobs and the stack's clock."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from .....core.clock import Clock
from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpAnswer, HttpRequest
from ....core.projects import Projects
from ....core.registry import route
from ..errors import BigQueryError
from ..operations.request_shapes import checked
from .catalog import Catalog
from .warehouse import Warehouse

Answer = HttpAnswer | dict[str, Any]
_NUMBER = "project number"  # beside the parameters of the path
Handler = Callable[[Call, HttpRequest], Answer] | Callable[[Call, HttpRequest], Awaitable[Answer]]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    catalog: Catalog
    warehouse: Warehouse
    clock: Clock

    def now(self) -> datetime:
        """In whole milliseconds, as BigQuery notes times."""
        now = self.clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


def milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def moment(written: str | int) -> datetime:
    return datetime.fromtimestamp(int(written) / 1000, UTC)


def gcp_error(error: BigQueryError) -> GcpError:
    place = {"location": error.location, "locationType": "parameter"} if error.location else {}
    return GcpError(error.status, error.message, reason=error.reason, http=error.http, **place)


def serves(operation: str, method: str, path: str) -> Callable[[Handler], Handler]:
    """A route of BigQuery's, below /bigquery/v2; what it refuses is answered in BigQuery's shape.

    A coroutine function runs in the loop.
    """

    def decorate(function: Handler) -> Handler:
        @functools.wraps(function)
        def in_thread(call: Call, request: HttpRequest) -> Any:
            _by_id(call, request)
            try:
                return function(call, request)
            except BigQueryError as error:
                raise gcp_error(error) from error

        @functools.wraps(function)
        async def in_loop(call: Call, request: HttpRequest) -> Any:
            _by_id(call, request)
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
    """The request's JSON, its members of the API's kinds.

    BigQueryError invalid: a member is of another.
    """
    return with_project_id(checked(request.json()), request)


def with_project_id(content: dict[str, Any], request: HttpRequest) -> dict[str, Any]:
    """What a request carries, with its project's id where it has the number."""
    number = request.params.get(_NUMBER)
    return content if number is None else _replaced(content, number, request.params["project"])


def _by_id(call: Call, request: HttpRequest) -> None:
    """A project may be named by its number, which is all that a job of Vertex AI is told of it."""
    project = request.params.get("project")
    if project is None:
        return
    projects = call.store(Projects)
    if not project.isdecimal():
        projects.note(project)
    else:
        request.params |= {_NUMBER: project, "project": projects.id_of(project)}


def _replaced(value: Any, number: str, project: str) -> Any:
    if isinstance(value, list):
        return [_replaced(item, number, project) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _of_member(key, item, number, project) for key, item in value.items()}


def _of_member(key: str, value: Any, number: str, project: str) -> Any:
    if key == "json":  # a row: what its columns are called, and hold, is its sender's
        return value
    return project if key == "projectId" and value == number else _replaced(value, number, project)


def page(items: list[Any], request: HttpRequest, most: int = 1000) -> tuple[list[Any], str | None]:
    """The items that maxResults and pageToken ask for, and the next token."""
    start = whole(request.query.get("pageToken", "0"), "pageToken")
    size = min(whole(request.query.get("maxResults", str(most)), "maxResults"), most)
    end = start + size
    return items[start:end], str(end) if end < len(items) else None


def whole(text: str, name: str) -> int:
    if not text.isdigit():
        raise BigQueryError(
            "invalid", f"Invalid value at '{name}': {text!r} is not a whole number", name
        )
    return int(text)


def flag(request: HttpRequest, name: str) -> bool:
    return request.query.get(name, "").lower() == "true"


def merged(current: Any, change: Any) -> Any:
    """As a PATCH changes a resource: null removes, an object is merged, everything else replaces."""
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
