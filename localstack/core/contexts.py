"""The context of a call, as far as both clouds share it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from .clock import Clock
from .faults import OF_THE_HANDLERS, Fault, Kind
from .state import Stack

T = TypeVar("T")


class StackContext:
    """The context with which a handler is called: the stack, its state, its clock.

    A cloud's own context adds who calls, and what. It says in `_owner` whose stores it means, and
    in `_called` which service and operation were called.
    """

    __slots__ = ("stack", "state")

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.state = stack.state  # a reset gives the stack another one

    @property
    def _owner(self) -> tuple[str, ...]:
        """The owner of the handler's state, such as an account and a region."""
        return ()

    @property
    def _called(self) -> tuple[str, str]:
        """The service and the operation that were called; empty texts outside of a call."""
        return "", ""

    @property
    def clock(self) -> Clock:
        """The stack's simulated clock."""
        return self.stack.clock

    @property
    def images(self) -> Mapping[str, str]:
        """The local commands that stand for container images, by the image's name."""
        return self.stack.images

    @property
    def home(self) -> Path:
        """The folder of this stack's files."""
        return self.stack.home

    @property
    def query_memory(self) -> int:
        """The number of bytes of memory that one query may use."""
        return self.stack.query_memory

    @property
    def url(self) -> str:
        """The stack's URL."""
        return self.stack.url

    @property
    def stopping(self) -> threading.Event:
        """The event that is set when the stack is reset or shut down.

        Background work looks at it: `stopping.wait(1)` instead of sleeping.
        """
        return self.state.stopping

    def store(self, kind: type[T]) -> T:
        """Return the account's instance of the store class `kind`, made on first use.

        A reset of the stack drops it.
        """
        return self.state.store(self._owner, kind)

    def fault(self, kind: Kind, name: str | None = None) -> Fault | None:
        """Take an injected fault that the handler itself must act out, or None.

        Args:
            kind: The kind of fault, such as lost-deploy, eventual-consistency or duplicate.
            name: The resource's name, for faults that name one.
        """
        if kind not in OF_THE_HANDLERS:
            raise ValueError(f"{kind} is the front's business")
        return self.stack.faults.take((kind,), *self._called, (name,) if name else ())

    def spawn(self, function: Callable[..., object], *arguments: object) -> threading.Thread:
        """Run a function as background work of the stack, in a thread.

        The work watches `stopping`; its errors are written to the stack's stderr.
        """
        return self.state.spawn(function, *arguments)

    def on_stop(self, function: Callable[[], object]) -> None:
        """Call `function` at the next reset or at shutdown, to kill subprocesses or close files."""
        self.state.on_stop(function)
