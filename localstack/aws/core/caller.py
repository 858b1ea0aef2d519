"""The sender of a request, and the caller whose rights the stack's own calls need meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """The sender of a request, as far as the request says it."""

    key: str  # access key
    token: str = ""  # session token
    role: str = (
        ""  # ARN, of jobs and model servers: they act as their role, not as who started them
    )
    federated: str = ""  # the name that GetFederationToken was given; the rights are the key's


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def on_behalf_of() -> Caller | None:
    """Return the caller whose IAM permissions limit internal calls in this thread.

    Internal calls are requests that the offline AWS sends to itself. None: no caller is set, and
    they are not limited.
    """
    return _caller.get()


@contextmanager
def acting_for(caller: Caller | None) -> Iterator[None]:
    """Limit internal calls in this thread to the IAM permissions of `caller` within the block."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)
