"""The faults that a call meets."""

from __future__ import annotations

from typing import Any

from ..faults import OF_THE_WIRE, Fault, Faults, Kind
from ..wsgi import Cut
from .asked import Asked
from .registry import GcpError, HttpAnswer


class Meeting:
    """Of one call."""

    def __init__(self, rules: Faults, asked: Asked) -> None:
        self._faults: dict[Kind, Fault] = {}
        for kind in OF_THE_WIRE if rules else ():
            fault = rules.take((kind,), asked.service, asked.operation, asked.names)
            if fault is not None:
                self._faults[kind] = fault
        self._service = asked.service
        self.status = 200

    @property
    def kind(self) -> str | None:
        return next(reversed(self._faults), None)

    @property
    def seconds(self) -> float:
        return self._faults["latency"].seconds if "latency" in self._faults else 0.0

    def refuse(self) -> None:
        """Before the effect."""
        if not self._faults:
            return
        if "throttle" in self._faults:
            raise _throttled(self._service)
        if "error" in self._faults:
            raise _error(self._faults["error"])
        if "cut-before" in self._faults:
            raise Cut

    def end(self, result: Any) -> None:
        """After it."""
        if isinstance(result, HttpAnswer):
            self.status = result.status
        if "cut-after" in self._faults:
            raise Cut


def _throttled(service: str) -> GcpError:
    if service == "bigquery":
        return GcpError("PERMISSION_DENIED", "Exceeded rate limits: a fault that was asked for", reason="rateLimitExceeded")
    return GcpError("RESOURCE_EXHAUSTED", "Quota exceeded: a fault that was asked for", reason="rateLimitExceeded")


def _error(fault: Fault) -> GcpError:
    return GcpError(fault.code or "INTERNAL", "a fault that was asked for", reason="backendError", http=fault.status)
