"""What the front of a stack does in every cloud."""

from __future__ import annotations

from typing import Protocol

from .calls import Calls
from .faults import OF_THE_WIRE, Fault, Kind
from .state import Stack, State


class Clearable(Protocol):
    """What a front notes of calls besides the log, such as the permissions that they used."""

    def clear(self) -> None:
        """Forget everything."""
        ...


class StackFront:
    """The entrance of one stack: it has the log of calls, takes faults, and resets the stack."""

    def __init__(self, stack: Stack, used: Clearable) -> None:
        self.stack = stack
        self.calls = Calls()
        self._used = used

    def reset(self) -> None:
        """Return to the state of a stack that has just been started, without faults and log."""
        previous, self.stack.state = self.stack.state, State()
        previous.stop()
        self.stack.clock.reset()
        self.stack.faults.clear()
        self.forget_calls()

    def forget_calls(self) -> None:
        """Clear the log, and what was noted of calls besides."""
        self.calls.clear()
        self._used.clear()


def take_faults(
    stack: Stack, service: str, operation: str, names: tuple[str, ...]
) -> dict[Kind, Fault]:
    """Take the faults that a front acts out on this call; each taking uses a fault up by one."""
    taken: dict[Kind, Fault] = {}
    for kind in OF_THE_WIRE:
        fault = stack.faults.take((kind,), service, operation, names)
        if fault is not None:
            taken[kind] = fault
    return taken
