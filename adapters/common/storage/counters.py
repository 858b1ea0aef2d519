"""What every target says of counts of what units were shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ....errors import NotFound

KIND = "counters"  # of the inventory


def not_found(endpoint: str) -> NotFound:
    return NotFound(f"{endpoint} has no counters", remedy=f"isthmus deploy {endpoint} makes them")


@contextmanager
def counters_of(endpoint: str) -> Iterator[None]:
    """What is not there inside is the endpoint's table, or database, of counts."""
    try:
        yield
    except NotFound as error:
        raise not_found(endpoint) from error
