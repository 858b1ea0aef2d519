"""The part of a stack's front that both clouds share: the log of calls, resets, the end."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping

from .calls import Calls
from .minutes import Minutes
from .state import Stack, State


class BaseFront(ABC):
    """The front of one stack, which answers every request. Many threads call it."""

    routes: Mapping[str, Callable[[], object]]  # a cloud's own below /_stack/, as "GET policy"

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.calls = Calls()
        self._resetting = threading.Lock()

    @abstractmethod
    def services(self) -> Collection[str]:
        """Return the services whose calls the log and the faults know."""

    @abstractmethod
    def operations(self, service: str | None, /) -> Collection[str]:
        """Return the operations of one service, or of all."""

    @abstractmethod
    def add_minutes(self, scripted: Minutes, /) -> None:
        """Add scripted traffic to the metrics of an endpoint.

        Raises:
            ValueError: There is no such endpoint or variant.
        """

    def reset(self) -> None:
        """Return to the state of a stack that has just been started, without faults and log."""
        with self._resetting:
            old, self.stack.state = self.stack.state, State()
            old.stop()
            self.stack.clock.reset()
            self.stack.faults.clear()
            self._reset_cloud()
            self.forget_calls()

    def _reset_cloud(self) -> None:  # noqa: B027  a cloud may have nothing of its own to drop
        """Drop what this cloud holds beside the stack's state."""

    def forget_calls(self) -> None:
        """Clear the log, and what a cloud has drawn from it."""
        self.calls.clear()

    def close(self) -> None:
        """Stop background work and the clock."""
        self.stack.state.stop()
        self.stack.clock.close()
