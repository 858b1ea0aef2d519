"""The errors and names of the counters of what units were shown, the same on every target."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ....errors import NotFound

KIND = "counters"  # of the inventory


def not_found(endpoint: str) -> NotFound:
    """Return the error for an endpoint without counters: `apply` was not called for it."""
    return NotFound(f"{endpoint} has no counters", remedy=f"make them: isthmus deploy {endpoint}")


@contextmanager
def counters_of(endpoint: str) -> Iterator[None]:
    """Turn a NotFound raised in the block into the error that the endpoint has no counters."""
    try:
        yield
    except NotFound as error:
        raise not_found(endpoint) from error
