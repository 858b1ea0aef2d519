"""Google's long-running operations: seen through their resource, waited for, and what their errors
mean.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from ...errors import Busy, Invalid, IsthmusError, NotFound
from ...storage import wait
from .errors import from_status
from .session import Session

USUAL = timedelta(minutes=10)


def wait_until_done(
    session: Session,
    client: Any,
    operation: Any,
    *,
    what: str,
    deadline: timedelta = USUAL,
    meanwhile: Callable[[], None] = lambda: None,
) -> Any:
    """The operation at its end, good or bad.

    `operation`: GAPIC's, or google.longrunning's message. Unavailable: it takes longer.

    `meanwhile` is called before each look.
    """
    name: str = getattr(operation, "operation", operation).name

    def look() -> Any:
        meanwhile()
        with session.reading("GetOperation", name):
            return client.get_operation({"name": name})

    return wait(look, lambda seen: seen.done, deadline=deadline, what=what)


def wait_for_success(
    session: Session,
    client: Any,
    operation: Any,
    *,
    what: str,
    deadline: timedelta = USUAL,
    meanwhile: Callable[[], None] = lambda: None,
) -> Any:
    """The same; its error is raised as ours."""
    done = wait_until_done(
        session, client, operation, what=what, deadline=deadline, meanwhile=meanwhile
    )
    if done.HasField("error"):
        raise error_of(done, what)
    return done


def error_of(operation: Any, what: str) -> IsthmusError:
    """What an operation that failed says. It is over: nothing of it is unknown."""
    error = from_status(operation.error.code, operation.error.message, what)
    # a precondition of work that is over: waiting does not mend it
    return Invalid(error.message) if isinstance(error, Busy) else error


def of_resource(session: Session, client: Any, resource: str) -> list[Any]:
    """All operations on a resource, in the order that the service gives."""
    listed: list[Any] = []
    token = ""
    while True:
        try:
            with session.reading("ListOperations", resource):
                answer = client.list_operations({"name": resource, "page_token": token})
        except NotFound:  # no such resource
            return listed
        listed += answer.operations
        token = answer.next_page_token
        if not token:
            return listed
