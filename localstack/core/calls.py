"""The log of calls that a stack was asked."""

from __future__ import annotations

import itertools
import re
import threading
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

_READS = re.compile(
    r"(Batch)?(Get|List|Describe|Head|Search|Query|Select|Lookup|Preview|Scan|Invoke|Simulate|Check|Validate|Test)[A-Z]?"
)
_NAMES = re.compile(r".*(Name|Arn|Id)|Bucket|Key")
_KEPT = 100_000


class StackCall(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the stack saw it: an SDK's retries are requests of their own."""

    number: int
    at: datetime  # the stack's clock
    service: str  # botocore's name
    operation: str
    names: tuple[str, ...]  # of the resources that the call names
    mutating: bool
    status: int  # HTTP; 0: the connection was cut
    error: str | None = None  # the error code
    fault: str | None = None  # the kind of the fault that it met


class Calls:
    """The latest calls of a stack."""

    def __init__(self) -> None:
        self._calls: deque[StackCall] = deque(maxlen=_KEPT)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(
        self,
        *,
        called_at: datetime,
        service: str,
        operation: str,
        names: tuple[str, ...],
        status: int,
        error: str | None = None,
        fault: str | None = None,
        mutating: bool | None = None,
    ) -> None:
        """Append a call to the log of requests.

        Args:
            called_at: When the call came.
            service: The cloud's service.
            operation: The API operation.
            names: The resources that the call names.
            status: The HTTP status of the response.
            error: The error's code, if the call failed.
            fault: The kind of injected fault that it met, if any.
            mutating: Whether it changes something; None: the operation's name decides.
        """
        with self._lock:
            self._calls.append(
                StackCall(
                    number=next(self._numbers),
                    at=called_at,
                    service=service,
                    operation=operation,
                    names=names,
                    mutating=is_mutating(operation) if mutating is None else mutating,
                    status=status,
                    error=error,
                    fault=fault,
                )
            )

    def list(self) -> tuple[StackCall, ...]:
        """Return the logged calls, the oldest first."""
        with self._lock:
            return tuple(self._calls)

    def clear(self) -> None:
        """Delete all calls from the log."""
        with self._lock:
            self._calls.clear()


@lru_cache(maxsize=1024)
def is_mutating(operation: str) -> bool:
    """Return whether an API operation changes something, judged by its name."""
    return not _READS.match(operation)


def names(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names, ids and ARNs among a request's top-level parameters."""
    return tuple(value for key, value in params.items() if isinstance(value, str) and _is_name(key))


@lru_cache(maxsize=1024)
def _is_name(key: str) -> bool:
    """Return whether a request's parameter names a resource, judged by the parameter's own name."""
    return _NAMES.fullmatch(key) is not None
