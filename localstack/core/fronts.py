"""The part of a stack's front that both clouds share: the log of calls, faults, resets."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from .calls import Calls
from .faults import OF_THE_WIRE, Fault, Kind
from .minutes import Minutes
from .state import Stack, State


class Clearable(Protocol):
    """The notes that a front takes of calls besides the log, such as the permissions they used."""

    def clear(self) -> None:
        """Remove everything that has been recorded so far."""
        ...


class StackFront(ABC):
    """The entrance of one stack: it has the log of calls, takes faults, and resets the stack.

    Many threads call it.
    """

    routes: Mapping[str, Callable[[], object]]  # a cloud's own below /_stack/, as "GET policy"

    def __init__(self, stack: Stack, used: Clearable) -> None:
        self.stack = stack
        self.calls = Calls()
        self._used = used
        self._resetting = threading.Lock()

    @abstractmethod
    def services(self) -> Collection[str]:
        """Return the names of the cloud services that faults can name."""

    @abstractmethod
    def operations(self, service: str | None, /) -> Collection[str]:
        """Return the API operations of one service, or of all, that faults can name."""

    @abstractmethod
    def add_minutes(self, scripted: Minutes, /) -> None:
        """Add simulated minutes of traffic to the metrics of an endpoint.

        Raises:
            ValueError: There is no such endpoint or variant.
        """

    def reset(self) -> None:
        """Reset the stack to the state of a new one: no resources, faults or log."""
        with self._resetting:
            previous, self.stack.state = self.stack.state, State()
            previous.stop()
            self.stack.clock.reset()
            self.stack.faults.clear()
            self._reset_cloud()
            self.forget_calls()

    def _reset_cloud(self) -> None:  # noqa: B027  a cloud may have nothing of its own to drop
        """Reset what this cloud's stack keeps besides the state that all clouds' stacks have."""

    def forget_calls(self) -> None:
        """Clear the log of calls, and the permissions derived from it."""
        self.calls.clear()
        self._used.clear()

    def close(self) -> None:
        """Stop the stack's background work and its clock."""
        self.stack.state.stop()
        self.stack.clock.close()


def take_faults(
    stack: Stack, service: str, operation: str, names: tuple[str, ...]
) -> dict[Kind, Fault]:
    """Take the injected faults that apply to a call, by kind; each use counts one down.

    `names` are the resources that the call names.
    """
    taken: dict[Kind, Fault] = {}
    if not stack.faults:
        return taken
    for kind in OF_THE_WIRE:
        fault = stack.faults.take((kind,), service, operation, names)
        if fault is not None:
            taken[kind] = fault
    return taken
