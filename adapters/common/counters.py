"""What every target says of counts of what units were shown."""

from __future__ import annotations

from ...errors import NotFound

KIND = "counters"  # of the inventory


def not_found(endpoint: str) -> NotFound:
    return NotFound(f"{endpoint} has no counters", remedy=f"isthmus deploy {endpoint} makes them")
