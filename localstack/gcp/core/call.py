"""The context of a call, which every handler is called with."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ...core.contexts import StackContext
from .http_messages import HttpAnswer, HttpRequest

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp


T = TypeVar("T")


_NEVER = threading.Event()


class Call(StackContext):
    """The context of one call: the stack, its state, its clock.

    A timer or a thread may keep what `without_request` returns, and not the call itself.
    """

    __slots__ = ("_front", "ended", "headers", "operation", "service")

    def __init__(
        self,
        front: Any,
        service: str,
        operation: str,
        headers: Mapping[str, str],
        ended: threading.Event | None = None,
    ) -> None:
        super().__init__(front.stack)
        self._front = front
        self.service = service
        self.operation = operation
        self.headers = headers
        self.ended = ended or _NEVER  # of a stream: the client has gone

    @property
    def _called(self) -> tuple[str, str]:
        """The service and the operation that this call is for."""
        return self.service, self.operation

    @property
    def grpc_address(self) -> str:
        """The host and port at which the stack's gRPC server listens."""
        address: str = self._front.grpc_address
        return address

    @property
    def env(self) -> dict[str, str]:
        """The environment variables with which a subprocess reaches this stack by Google's SDKs."""
        variables: dict[str, str] = self._front.variables()
        return variables

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in a thread of the handlers, and await its result.

        It is for a handler that runs in the event loop: whatever reads or writes more than memory
        belongs in a thread.
        """

        def work() -> T:
            with self.clock.request():
                return function(*arguments)

        return await asyncio.get_running_loop().run_in_executor(None, work)

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Answer a request that is contained in this one, such as one part of a batch."""
        answer: HttpAnswer = self._front.answer_part(request)
        return answer

    def new_id(self) -> str:
        """Return 19 random digits, as Google numbers unnamed resources."""
        return str(secrets.randbelow(8 * 10**18) + 10**18)

    def now_pb(self) -> Timestamp:
        """Return the time on the stack's clock as a protobuf message."""
        from google.protobuf.timestamp_pb2 import Timestamp

        moment = Timestamp()
        moment.FromDatetime(self.clock.now())
        return moment

    def without_request(self) -> Call:
        """Return a copy of the context for background work, which does not hold the request."""
        call = Call(self._front, self.service, self.operation, {})
        call.state = self.state
        return call
