"""Whose rights a call needs: its caller's, a role's, or those of whom the stack asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """Who asks, as far as a request says it."""

    key: str  # access key
    token: str = ""  # session token
    role: str = (
        ""  # ARN, of jobs and model servers: they act as their role, not as who started them
    )
    federated: str = ""  # the name that GetFederationToken was given; the rights are the key's


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def on_behalf_of() -> Caller | None:
    """Whose rights the calls that the stack makes itself need now, in this thread.

    None: the stack's own.
    """
    return _caller.get()


@contextmanager
def acting_for(caller: Caller | None) -> Iterator[None]:
    """What the stack asks itself meanwhile, in this thread, needs the rights of `caller`."""
    before = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(before)
