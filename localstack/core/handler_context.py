"""The part of a handler's context that both clouds share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from .clock import Clock
from .faults import OF_THE_HANDLERS, Fault, Kind
from .state import Stack


class HandlerContext:
    """A handler's access to its stack: the clock, the state, background work.

    A cloud's own context adds who calls, and how other services are reached.
    """

    __slots__ = ("stack", "state")

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.state = stack.state

    @property
    def clock(self) -> Clock:
        """The stack's clock, which tests may move."""
        return self.stack.clock

    @property
    def images(self) -> Mapping[str, str]:
        """The commands that stand for container images, by the image's name."""
        return self.stack.images

    @property
    def home(self) -> Path:
        """The folder of the stack's files."""
        return self.stack.home

    @property
    def query_memory(self) -> int:
        """The number of bytes of memory that one query may use."""
        return self.stack.query_memory

    @property
    def url(self) -> str:
        """The stack's own URL."""
        return self.stack.url

    @property
    def stopping(self) -> threading.Event:
        """An event that is set at a reset and at shutdown.

        Background work waits by `stopping.wait(1)` instead of sleeping.
        """
        return self.state.stopping

    def spawn(self, function: Callable[..., object], *arguments: object) -> threading.Thread:
        """Start background work in a thread of the stack.

        The work watches `stopping`; its errors are written to the stack's stderr.
        """
        return self.state.spawn(function, *arguments)

    def on_stop(self, function: Callable[[], object]) -> None:
        """Call `function()` at the next reset or shutdown, to end subprocesses and close files."""
        self.state.on_stop(function)

    def take_handler_fault(
        self, kind: Kind, service: str, operation: str, name: str | None
    ) -> Fault | None:
        """Take a fault that only a handler can act out; None: there is none to take.

        Args:
            kind: One of `faults.OF_THE_HANDLERS`.
            service: The service that is called.
            operation: Its operation.
            name: The resource that the call names.
        """
        if kind not in OF_THE_HANDLERS:
            raise ValueError(f"{kind} is the front's business")
        return self.stack.faults.take((kind,), service, operation, (name,) if name else ())
