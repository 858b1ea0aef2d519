"""Long-running operations (google.longrunning) of every API."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.rpc import status_pb2

from ..call import Call
from ..errors import GcpError
from ..http_messages import HttpRequest
from ..projects import canonical
from ..registry import handles, route
from ..rpc.transcoding import answer_of
from .store import page

_LOOK = 0.02  # seconds between two looks at an operation that is waited for


class Operations:
    """The operations of one stack, by name."""

    def __init__(self) -> None:
        self._operations: dict[str, Any] = {}
        self._cancels: dict[str, threading.Event] = {}
        self._lock = threading.RLock()

    def add(self, operation: Any) -> threading.Event:
        """Store a long-running operation, and return the event that cancels it."""
        with self._lock:
            self._operations[operation.name] = operation
            return self._cancels.setdefault(operation.name, threading.Event())

    def get(self, name: str) -> Any:
        """Return a copy of a long-running operation; raise NOT_FOUND if there is none."""
        with self._lock:
            operation = self._operations.get(name)
            if operation is None:
                raise GcpError("NOT_FOUND", f"The Operation does not exist: {name}")
            copy = operations_pb2.Operation()
            copy.CopyFrom(operation)
            return copy

    def change(self, name: str, change: Callable[[Any], None]) -> None:
        """Change a stored long-running operation in place, unless a client has deleted it."""
        with self._lock:
            if name in self._operations:  # a client may have deleted it
                change(self._operations[name])

    def below(self, parent: str) -> list[Any]:
        """Return the long-running operations whose parent is a resource, or is in a location."""
        parent = parent.removesuffix("/operations")
        with self._lock:
            return [self.get(name) for name in self._operations if name.startswith(f"{parent}/")]

    async def wait(self, name: str, seconds: float, stopping: threading.Event) -> Any:
        """Wait for an operation's end, at most `seconds`, without occupying a thread; return it."""
        until = time.monotonic() + seconds
        while not (operation := self.get(name)).done:
            if time.monotonic() > until or stopping.is_set():
                break
            await asyncio.sleep(_LOOK)
        return operation

    def cancel(self, name: str) -> None:
        """Ask the work of a long-running operation to stop."""
        self.get(name)
        self._cancels[name].set()

    def delete(self, name: str) -> None:
        """Delete a long-running operation; raise NOT_FOUND if there is none."""
        with self._lock:
            self.get(name)
            del self._operations[name]


class Progress:
    """The handle by which the work of an operation reports on itself."""

    def __init__(self, operations: Operations, name: str, cancelled: threading.Event) -> None:
        self._operations = operations
        self.name = name
        self.cancelled = cancelled

    def metadata(self, message: Any) -> None:
        """Set the long-running operation's metadata to a message."""
        self._operations.change(self.name, lambda operation: operation.metadata.Pack(message))


def start(
    call: Call,
    parent: str,
    work: Callable[[Progress], Any],
    *,
    metadata: Any = None,
    delay: float = 0.0,
    operation_id: str | None = None,
) -> Any:
    """Start `work` as a long-running operation of the resource `parent`; return the operation.

    The work runs in a thread of the stack. Its response, None for an Empty, is packed into the
    operation; a GcpError becomes the operation's error.

    Args:
        call: The call that asks for it.
        parent: The resource's name with the project's number.
        work: Returns the response, or raises GcpError.
        metadata: The operation's first metadata.
        delay: The provider's own seconds on the stack's clock before the work begins (none on the
            instant clock); a clock that is moved waits for the work.
        operation_id: The operation's id; without it, a new one.
    """
    store = call.store(Operations)
    operation = operations_pb2.Operation(
        name=f"{parent}/operations/{operation_id or call.new_id()}"
    )
    if metadata is not None:
        operation.metadata.Pack(metadata)
    progress = Progress(store, operation.name, store.add(operation))
    context = call.without_request()

    def run() -> None:
        context.spawn(_run, store, operation.name, work, progress)

    if delay and context.clock.mode == "manual":
        context.clock.call_after(delay, lambda: _run(store, operation.name, work, progress))
    elif delay and context.clock.mode != "instant":
        context.clock.call_after(delay, run)
    else:
        run()
    return store.get(operation.name)


def completed_operation(
    call: Call, parent: str, response: Any = None, *, metadata: Any = None
) -> Any:
    """Store a long-running operation of `parent` that is already complete, and return it.

    Its response is `response`, or Empty if that is None.
    """
    operation = operations_pb2.Operation(name=f"{parent}/operations/{call.new_id()}", done=True)
    if metadata is not None:
        operation.metadata.Pack(metadata)
    operation.response.Pack(response if response is not None else empty_pb2.Empty())
    store = call.store(Operations)
    store.add(operation)
    return store.get(operation.name)


def _run(store: Operations, name: str, work: Callable[[Progress], Any], progress: Progress) -> None:
    """Run a long-running operation's work, and store its response or error in the operation."""
    try:
        response = work(progress)
    except GcpError as failure:
        error = status_pb2.Status(code=failure.code, message=failure.message)
    except Exception as mistake:  # noqa: BLE001  told to who waits for it, and to our stderr in full
        traceback.print_exc()
        sys.stderr.write(f"the work of {name} failed\n")
        error = status_pb2.Status(
            code=13, message=f"the GCP stack failed: {type(mistake).__name__}: {mistake}"
        )
    else:
        packed = response if response is not None else empty_pb2.Empty()

        def succeed(operation: Any) -> None:
            operation.response.Pack(packed)
            operation.done = True

        store.change(name, succeed)
        return

    def fail(operation: Any) -> None:
        operation.error.CopyFrom(error)
        operation.done = True

    store.change(name, fail)


@handles("google.longrunning.Operations.GetOperation")
def get_operation(call: Call, request: Any) -> Any:
    """Answer GetOperation of google.longrunning."""
    return call.store(Operations).get(canonical(call, request.name))


@handles("google.longrunning.Operations.ListOperations")
def list_operations(call: Call, request: Any) -> Any:
    """Answer ListOperations of google.longrunning."""
    operations = call.store(Operations).below(canonical(call, request.name))
    if request.filter:
        is_done = {
            "done=true": True,
            "done = true": True,
            "done=false": False,
            "done = false": False,
        }.get(request.filter.strip().lower())
        if is_done is None:
            raise GcpError(
                "UNIMPLEMENTED",
                "filters of operations other than done=true are not supported yet: "
                f"{request.filter}",
            )
        operations = [operation for operation in operations if operation.done is is_done]
    listed, token = page(operations, request)
    return operations_pb2.ListOperationsResponse(operations=listed, next_page_token=token)


@handles("google.longrunning.Operations.WaitOperation")
async def wait_operation(call: Call, request: Any) -> Any:
    """Answer WaitOperation of google.longrunning."""
    seconds = (
        request.timeout.seconds + request.timeout.nanos / 1e9
        if request.HasField("timeout")
        else 60.0
    )
    return await call.store(Operations).wait(canonical(call, request.name), seconds, call.stopping)


@handles("google.longrunning.Operations.CancelOperation")
def cancel_operation(call: Call, request: Any) -> Any:
    """Answer CancelOperation of google.longrunning."""
    call.store(Operations).cancel(canonical(call, request.name))
    return empty_pb2.Empty()


@handles("google.longrunning.Operations.DeleteOperation")
def delete_operation(call: Call, request: Any) -> Any:
    """Answer DeleteOperation of google.longrunning."""
    call.store(Operations).delete(canonical(call, request.name))
    return empty_pb2.Empty()


_OF_LOCATION = "{name=projects/*/locations/*/operations/*}"
_OF_RESOURCE = "{name=projects/*/locations/*/*/*/operations/*}"
_OF_CHILD = "{name=projects/*/locations/*/*/*/*/*/operations/*}"
_ALL = tuple(
    f"/{root}/{name}" for root in ("v1", "ui") for name in (_OF_LOCATION, _OF_RESOURCE, _OF_CHILD)
)  # clients take /ui first


@route("Operations.GetOperation", "GET", *_ALL)
def get_over_http(call: Call, request: HttpRequest) -> Any:
    """Answer GetOperation over REST."""
    return answer_of(
        get_operation(call, operations_pb2.GetOperationRequest(name=request.params["name"])),
        request,
    )


@route(
    "Operations.ListOperations",
    "GET",
    *(template.replace("/operations/*}", "}/operations") for template in _ALL),
)
def list_over_http(call: Call, request: HttpRequest) -> Any:
    """Answer ListOperations over REST."""
    query = request.query
    rpc_request = operations_pb2.ListOperationsRequest(
        name=request.params["name"],
        filter=query.get("filter", ""),
        page_size=_page_size(query.get("pageSize", "0")),
        page_token=query.get("pageToken", ""),
    )
    return answer_of(list_operations(call, rpc_request), request)


def _page_size(text: str) -> int:
    """Parse the page_size of an HTTP list request."""
    try:
        return int(text)
    except ValueError as error:
        raise GcpError("INVALID_ARGUMENT", f"Invalid value at 'page_size': {text!r}") from error


@route("Operations.WaitOperation", "POST", *(f"{template}:wait" for template in _ALL))
async def wait_over_http(call: Call, request: HttpRequest) -> Any:
    """Answer WaitOperation over REST."""
    rpc_request = operations_pb2.WaitOperationRequest(name=request.params["name"])
    if "timeout" in request.query:
        try:
            rpc_request.timeout.FromJsonString(request.query["timeout"])
        except ValueError as error:
            raise GcpError("INVALID_ARGUMENT", f"Invalid value at 'timeout': {error}") from error
    return answer_of(await wait_operation(call, rpc_request), request)


@route("Operations.CancelOperation", "POST", *(f"{template}:cancel" for template in _ALL))
def cancel_over_http(call: Call, request: HttpRequest) -> Any:
    """Answer CancelOperation over REST."""
    return answer_of(
        cancel_operation(call, operations_pb2.CancelOperationRequest(name=request.params["name"])),
        request,
    )


@route("Operations.DeleteOperation", "DELETE", *_ALL)
def delete_over_http(call: Call, request: HttpRequest) -> Any:
    """Answer DeleteOperation over REST."""
    return answer_of(
        delete_operation(call, operations_pb2.DeleteOperationRequest(name=request.params["name"])),
        request,
    )
