"""Google's long-running operations: waiting for them, and their errors as ours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from ...errors import Busy, Invalid, IsthmusError, NotFound
from ...storage import wait
from .errors import from_status
from .session import VertexSession

USUAL = timedelta(minutes=10)


def wait_until_done(
    session: VertexSession,
    client: Any,
    operation: Any,
    *,
    what: str,
    deadline: timedelta = USUAL,
    meanwhile: Callable[[], None] = lambda: None,
) -> Any:
    """Poll a long-running operation until it succeeds or fails, and return it.

    Args:
        session: The session.
        client: The client of the operation's service.
        operation: GAPIC's operation, or google.longrunning's message.
        what: A clause for messages.
        deadline: How long to wait.
        meanwhile: Called before each look.

    Raises:
        Unavailable: The operation takes longer.
    """
    name: str = getattr(operation, "operation", operation).name

    def look() -> Any:
        meanwhile()
        with session.reading("GetOperation", name):
            return client.get_operation({"name": name})

    return wait(look, lambda current: current.done, deadline=deadline, what=what)


def wait_for_success(
    session: VertexSession,
    client: Any,
    operation: Any,
    *,
    what: str,
    deadline: timedelta = USUAL,
    meanwhile: Callable[[], None] = lambda: None,
) -> Any:
    """Poll a long-running operation until it succeeds, and return it; raise its error if it fails.

    The arguments are those of `wait_until_done`.
    """
    done = wait_until_done(
        session, client, operation, what=what, deadline=deadline, meanwhile=meanwhile
    )
    if done.HasField("error"):
        raise error_of(done, what)
    return done


def error_of(operation: Any, what: str) -> IsthmusError:
    """Return the Isthmus error for a failed long-running operation, `what` was being done."""
    error = from_status(operation.error.code, operation.error.message, what)
    # a precondition of work that is over: waiting does not mend it
    return Invalid(error.message) if isinstance(error, Busy) else error


def list_operations(session: VertexSession, client: Any, resource: str) -> list[Any]:
    """Return all long-running operations on a resource, in the service's order."""
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
