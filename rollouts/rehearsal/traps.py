"""Traps for a controller: before and after the calls of its ports that change something.

They are for rehearsals.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import final

import msgspec

from ...endpoints.port import NO_PARAMETERS, EndpointHost, EndpointSpec, EndpointState, Reply
from ...events.port import Row
from ...storage import StateStore, Versioned
from ..state.ports import ControllerPorts
from .scenario import Operation, When


class ControllerDied(BaseException):
    """The controller died, as by kill -9: nothing catches it but what started the controller."""


class Trap(msgspec.Struct):
    """A trap at the next `times` calls of one of its operations.

    `springs` raises, or lets time pass.
    """

    when: When
    operations: tuple[Operation, ...]
    springs: Callable[[str], None]  # with the controller's name
    times: int = 1


@final
class Traps:
    """The traps of all controllers of one rehearsal, in the order in which they were set."""

    def __init__(self) -> None:
        self._traps: list[Trap] = []

    def set(self, trap: Trap) -> None:
        """Set a scripted fault for a coming call of a controller."""
        self._traps.append(trap)

    @contextmanager
    def around(self, controller: str, operation: Operation) -> Generator[None, None, None]:
        """Raise a controller's scripted faults before or after the call in the block."""
        self._spring("before", controller, operation)
        yield
        self._spring("after", controller, operation)

    def _spring(self, when: When, controller: str, operation: Operation) -> None:
        """Raise the faults that are set for one operation of a controller, and count them down.

        `when` says whether those before or after the call are meant.
        """
        for trap in [
            trap for trap in self._traps if trap.when == when and operation in trap.operations
        ]:
            trap.times -= 1
            if not trap.times:
                self._traps.remove(trap)
            trap.springs(controller)


def trapped_ports(
    ports: ControllerPorts, traps: Traps, *, controller: str, document: str
) -> ControllerPorts:
    """Return a controller's interfaces to the target, with scripted faults in their calls.

    `document` is the key of the rollout's state: writing it is the operation `write`.
    """
    return msgspec.structs.replace(
        ports,
        endpoints=_ScriptedEndpoints(ports.endpoints, traps, controller),
        state=_State(ports.state, traps, controller, document),
    )


@final
class _ScriptedEndpoints:
    """Endpoints with traps."""

    def __init__(self, host: EndpointHost, traps: Traps, controller: str) -> None:
        self._host, self._traps, self._controller = host, traps, controller

    def apply(self, spec: EndpointSpec) -> EndpointState:
        """Apply a specification to the endpoint, with the scripted faults of this call."""
        with self._traps.around(self._controller, "apply"):
            return self._host.apply(spec)

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Shift traffic of the endpoint, with the scripted faults of this call."""
        with self._traps.around(self._controller, "shift"):
            self._host.shift(endpoint, split, expect=expect)

    def observe(self, endpoint: str) -> EndpointState | None:
        """Return the endpoint's state."""
        return self._host.observe(endpoint)

    def invoke(
        self,
        endpoint: str,
        instances: Sequence[Row],
        *,
        variant: str | None,
        request_id: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
    ) -> Reply:
        """Send a prediction request to the endpoint."""
        return self._host.invoke(
            endpoint, instances, variant=variant, request_id=request_id, parameters=parameters
        )


@final
class _State:
    """A state store with traps."""

    def __init__(self, state: StateStore, traps: Traps, controller: str, document: str) -> None:
        self._state, self._traps, self._controller, self._document = (
            state,
            traps,
            controller,
            document,
        )

    def get(self, key: str) -> Versioned | None:
        """Read a document of the state store."""
        return self._state.get(key)

    def put(self, key: str, value: bytes, *, expect: str | None) -> str:
        """Write a document of the state store; scripted faults concern the rollout's own."""
        if key != self._document:
            return self._state.put(key, value, expect=expect)
        with self._traps.around(self._controller, "write"):
            return self._state.put(key, value, expect=expect)

    def delete(self, key: str, *, expect: str) -> None:
        """Delete a document of the state store."""
        self._state.delete(key, expect=expect)

    def keys(self, prefix: str) -> tuple[str, ...]:
        """Return the state store's keys with this prefix."""
        return self._state.keys(prefix)
