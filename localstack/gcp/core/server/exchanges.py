"""One exchange between a caller and a handler: the faults that apply to it, and its log entry."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from ....core.calls import Calls
from ....core.error_log import tell
from ....core.faults import Fault, Kind
from ....core.fronts import take_faults
from ....core.http.answers import Cut
from ....core.state import Stack
from ..errors import GcpError
from ..http_messages import HttpAnswer
from ..rpc.apis import GoogleApi
from ..rpc.invocations import Invocation

_NONE: dict[Kind, Fault] = {}


class Exchange:
    """One call, from its faults to its line in the log; a context manager around the handler.

    Within it a handler's own mistake becomes a GcpError that no SDK tries again.
    """

    __slots__ = ("_calls", "_invocation", "_stack", "_status", "faults")

    def __init__(self, stack: Stack, calls: Calls, invocation: Invocation) -> None:
        self._stack = stack
        self._calls = calls
        self._invocation = invocation
        self.faults = (
            take_faults(stack, invocation.service, invocation.operation, invocation.names)
            if stack.faults
            else _NONE
        )
        self._status = 200

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._log(self._status, None)
        elif isinstance(error, GcpError):
            self._log(error.http, error.reason or error.status)
        elif isinstance(error, Exception) and not isinstance(error, Cut):
            self._log(500, "INTERNAL")
            raise self._mistake(error) from error
        else:
            self._log(0, None)

    @property
    def seconds(self) -> float:
        """The seconds by which an injected latency fault delays the call."""
        return self.faults["latency"].seconds if "latency" in self.faults else 0.0

    def refuse(self) -> None:
        """Raise the error that an injected fault sets for the call, before it takes effect."""
        if "throttle" in self.faults:
            raise _throttling(self._invocation.api)
        if "error" in self.faults:
            raise _error(self.faults["error"])
        if "cut-before" in self.faults:
            raise Cut

    def end(self, result: Any) -> None:
        """Record a call's result; raise Cut if an injected fault has the answer lost."""
        if isinstance(result, HttpAnswer):
            self._status = result.status
        if "cut-after" in self.faults:
            raise Cut

    def _log(self, status: int, error: str | None) -> None:
        """Add the call to the log of calls, with its HTTP status, error and fault."""
        invocation = self._invocation
        self._calls.add(
            called_at=self._stack.clock.now(),
            service=invocation.service,
            operation=invocation.operation,
            names=invocation.names,
            status=status,
            error=error,
            fault=next(reversed(self.faults), None) if self.faults else None,
            mutating=invocation.mutating,
        )

    def _mistake(self, error: Exception) -> GcpError:
        """Print a handler's unexpected exception to stderr; return the INTERNAL error to answer."""
        call = f"{self._invocation.service}:{self._invocation.operation}"
        tell(f"the handler of {call} failed", error)
        text = f"the GCP stack failed at {call}: {type(error).__name__}: {error}"
        return GcpError("UNIMPLEMENTED", text, reason="notImplemented")  # which no SDK tries again


def _throttling(api: GoogleApi) -> GcpError:
    """Return the error with which an API refuses a throttled call, for an injected fault."""
    status, message = api.throttling
    return GcpError(status, f"{message}: a fault that was asked for", reason="rateLimitExceeded")


def _error(fault: Fault) -> GcpError:
    """Return the error that an injected fault prescribes by its code and HTTP status."""
    return GcpError(
        fault.code or "INTERNAL",
        "a fault that was asked for",
        reason="backendError",
        http=fault.status,
    )
