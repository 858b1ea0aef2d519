"""The context of a call, which every handler is called with."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...core.clock import Clock
from ...core.faults import OF_THE_HANDLERS, Fault, Kind
from ...core.state import Stack
from .http_messages import HttpAnswer, HttpRequest

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp


T = TypeVar("T")


_NEVER = threading.Event()


class Call:
    """The context of one call: the stack, its state, its clock.

    A timer or a thread may keep what `without_request` returns, and not the call itself.
    """

    __slots__ = ("_front", "clock", "ended", "headers", "operation", "service", "stack", "state")

    def __init__(
        self,
        front: Any,
        service: str,
        operation: str,
        headers: Mapping[str, str],
        ended: threading.Event | None = None,
    ) -> None:
        self._front = front
        self.service = service
        self.operation = operation
        self.headers = headers
        self.stack: Stack = front.stack
        self.clock: Clock = self.stack.clock
        self.state = self.stack.state
        self.ended = ended or _NEVER  # of a stream: the client has gone

    @property
    def images(self) -> Mapping[str, str]:
        """The commands that the user mapped to containers' images."""
        return self.stack.images

    @property
    def home(self) -> Path:
        """The folder of this stack's files."""
        return self.stack.home

    @property
    def query_memory(self) -> int:
        """How many bytes one query may use."""
        return self.stack.query_memory

    @property
    def url(self) -> str:
        """The stack's URL."""
        return self.stack.url

    @property
    def grpc_address(self) -> str:
        """The host and port at which the stack speaks gRPC."""
        address: str = self._front.grpc_address
        return address

    @property
    def env(self) -> dict[str, str]:
        """The variables with which a subprocess reaches this stack by Google's own SDKs."""
        variables: dict[str, str] = self._front.variables()
        return variables

    @property
    def stopping(self) -> threading.Event:
        """The event that a reset or a shutdown sets.

        Background work looks at it: `call.stopping.wait(1)` instead of sleeping.
        """
        event: threading.Event = self.state.stopping
        return event

    def store(self, kind: type[T]) -> T:
        """Return the stack's one instance of `kind`, made by `kind()`; a reset drops it."""
        instance: T = self.state.store((), kind)
        return instance

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in a handler's thread, for a handler that runs in the loop.

        All that reads or writes more than memory belongs there.
        """

        def work() -> T:
            with self.clock.request():
                return function(*arguments)

        return await asyncio.get_running_loop().run_in_executor(None, work)

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer to a request that this one carries, such as one part of a batch."""
        answer: HttpAnswer = self._front.inside(request)
        return answer

    def new_id(self) -> str:
        """Return 19 random digits, as Google numbers what has no name of its own."""
        return str(secrets.randbelow(8 * 10**18) + 10**18)

    def now_pb(self) -> Timestamp:
        """Return the time on the stack's clock as a protobuf message."""
        from google.protobuf.timestamp_pb2 import Timestamp

        moment = Timestamp()
        moment.FromDatetime(self.clock.now())
        return moment

    def fault(self, kind: Kind, name: str | None = None) -> Fault | None:
        """Take a fault that only a handler can act out; None if there is none to take.

        These are lost-deploy, eventual-consistency and duplicate.
        """
        if kind not in OF_THE_HANDLERS:
            raise ValueError(f"{kind} is the front's business")
        return self.stack.faults.take(
            (kind,), self.service, self.operation, (name,) if name else ()
        )

    def spawn(self, function: Callable[..., object], *arguments: object) -> threading.Thread:
        """Run background work of the stack in a thread.

        The work watches `stopping`; its errors are written to the stack's stderr.
        """
        thread: threading.Thread = self.state.spawn(function, *arguments)
        return thread

    def on_stop(self, function: Callable[[], object]) -> None:
        """Call `function` at the next reset or at shutdown, to kill subprocesses or close files."""
        self.state.on_stop(function)

    def without_request(self) -> Call:
        """Return the same context for what outlives the request."""
        call = Call(self._front, self.service, self.operation, {})
        call.state = self.state
        return call
